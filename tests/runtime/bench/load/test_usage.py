"""CPU time counts the process's threads and children, wherever they ran."""

import subprocess
import sys
import threading
import time

from runtime.bench.load.usage import Used, timed

SPIN_S = 0.05
SPIN = f"import time\nwhile time.process_time() < {SPIN_S}: pass"


def spin() -> None:
    while time.thread_time() < SPIN_S:
        pass


def test_the_time_of_threads_is_counted() -> None:
    def work() -> str:
        threads = [threading.Thread(target=spin) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "done"

    result, used = timed(work)
    assert result == "done"
    assert used.cpu_s >= 2 * SPIN_S * 0.9
    assert used.foreign_cores is not None
    assert used.foreign_cores >= 0


def test_the_time_of_children_that_ended_is_counted() -> None:
    _, used = timed(lambda: subprocess.run([sys.executable, "-c", SPIN], check=True))
    assert used.cpu_s >= SPIN_S * 0.9
    assert used.seconds > 0


def test_what_waits_uses_nothing() -> None:
    event = threading.Event()
    timer = threading.Timer(0.2, event.set)
    timer.start()
    _, used = timed(event.wait)
    timer.join()
    assert isinstance(used, Used)
    assert used.cpu_s < used.seconds
