"""Ctrl-C sets a flag; a second one is Python's own."""

import signal

import pytest

from hotbed.interrupts import Stopped, interruptible


def test_the_first_ctrl_c_is_noticed_where_it_is_asked_for() -> None:
    with interruptible() as interrupt:
        interrupt.check()
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(Stopped):
            interrupt.check()


def test_the_second_ctrl_c_ends_the_program() -> None:
    with interruptible():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_afterwards_ctrl_c_is_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
