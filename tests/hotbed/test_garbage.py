import gc
import weakref

import pytest

from hotbed.garbage import YOUNG, collected_rarely


class Node:
    other: "Node"


def test_thresholds_are_high_inside_and_as_before_after_it() -> None:
    before = gc.get_threshold()
    with collected_rarely():
        assert gc.get_threshold()[0] == YOUNG
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_an_error_inside_restores_the_collector_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), collected_rarely():
        _ = 1 // 0
    assert gc.get_threshold() == before


def test_cycles_made_inside_are_still_collected_after_it() -> None:
    with collected_rarely():
        node = Node()
        node.other = node
        watched = weakref.ref(node)
        del node
    gc.collect()
    assert watched() is None
