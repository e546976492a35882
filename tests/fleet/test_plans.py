"""Plans: each step is let out once, after what it waits for; nothing more after a failure."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import InstanceId
from fleet.plans import PlanRunner, Step, StepId, Steps, planned, step_of


@st.composite
def plans(draw: st.DrawFn) -> Steps[int]:
    """Steps numbered from 0, each waiting for some before it."""
    length = draw(st.integers(1, 8))
    steps = []
    for i in range(length):
        earlier = st.sets(st.integers(0, i - 1), max_size=3) if i else st.just(set[int]())
        steps.append(Step(i, tuple(sorted(draw(earlier)))))
    return Steps(tuple(steps), 0.0)


@given(plans(), st.data())
def test_every_step_is_let_out_once_and_after_those_it_waits_for(
    plan: Steps[int], data: st.DataObject
) -> None:
    runner = PlanRunner[int]()
    out = runner.begin(plan)
    seen, done = [number for _, number in out], set[int]()
    while out:
        step, number = out.pop(data.draw(st.integers(0, len(out) - 1)))
        done.add(number)
        following = runner.done(step)
        assert all(set(plan.steps[n].after) <= done for _, n in following)
        seen += [n for _, n in following]
        out += following
    assert sorted(seen) == list(range(len(plan.steps)))
    assert len(runner) == 0


@given(plans(), st.data())
def test_a_failure_gives_up_exactly_what_was_not_let_out(
    plan: Steps[int], data: st.DataObject
) -> None:
    runner = PlanRunner[int]()
    out = runner.begin(plan)
    seen = {number for _, number in out}
    for _ in range(data.draw(st.integers(0, 4))):
        if len(out) > 1:
            following = runner.done(out.pop(0)[0])
            seen |= {number for _, number in following}
            out += following
    never = {number for _, number in runner.failed(out[0][0])}
    assert never | seen == set(range(len(plan.steps)))
    assert not never & seen
    assert all(runner.done(step) == [] for step, _ in out[1:])
    assert len(runner) == 0


@given(plans(), plans())
def test_plans_side_by_side_do_not_wait_for_each_other(a: Steps[int], b: Steps[int]) -> None:
    both = a.beside(b)
    shift = len(a.steps)
    assert both.steps[:shift] == a.steps
    for step, moved in zip(b.steps, both.steps[shift:], strict=True):
        assert tuple(n + shift for n in step.after) == moved.after


def test_the_last_step_added_waits_for_all_before_it() -> None:
    plan = Steps((Step(1), Step(2)), 3.0).then(4, 5.0)
    assert plan.steps[2] == Step(4, (0, 1))
    assert plan.ready_at == 5.0


def test_a_placeholder_names_the_step_that_starts_the_instance() -> None:
    assert [step_of(planned(step)) for step in range(3)] == [0, 1, 2]
    assert step_of(InstanceId(0)) is None


def test_the_command_of_a_step_is_known_until_it_is_done() -> None:
    runner = PlanRunner[int]()
    runner.begin(Steps((Step(7), Step(8, (0,))), 0.0))
    assert runner.command(StepId(1)) == 8
    runner.done(StepId(0))
    assert runner.command(StepId(0)) is None
    assert runner.next == 2
