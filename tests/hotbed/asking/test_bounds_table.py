"""Bounds in tables: every part, and words where there is nothing to show."""

from rich.console import Console

from fleet.controller import Setup
from hotbed.asking.bounds_table import bounds_table
from tests.traces.runs import Story, finish, model, node, ready, request, send, start
from traces.bounds.bounds import bounds_of


def shown(story: Story) -> str:
    found = bounds_of(Setup((node(0), node(1)), (model(0), model(1))), story.pairs)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(bounds_table("a run", found))
    return captured.get()


def test_an_empty_run_says_so_in_words() -> None:
    said = shown(Story())
    assert "a run: 0 requests" in said
    assert "nothing was loaded" in said
    assert "none did for 50 requests" in said


def test_a_row_a_schedule_a_load_and_a_queue() -> None:
    story = Story().arrive(request(0, 0.5), start(1, 0))
    story.tell(ready(15.0, 1, 0, 14.5, ("weights", 14.0)), send(2, 0, 0))
    story.tell(finish(0, 0, 15.0, 15.25, 16.0, 2))
    for number in range(1, 61):
        at = 16.0 + number
        story.arrive(request(number, at), send(2, number, 0))
        story.tell(finish(number, 0, at, at, at + 0.5, 2))
    lines = [line.split() for line in shown(story).splitlines()]
    assert ["as", "in", "this", "run", "1", "1", "12", "3"] in [line[2:] for line in lines]
    assert ["least", "load", "1", "12", "12", "12", "12", "12"] in lines
    assert any(line[:6] == ["opt-0", "60", "0.976", "0.50", "256", "0.5"] for line in lines)
    assert any("Poisson" in line for line in lines)
