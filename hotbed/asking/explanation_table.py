"""An explanation as a page for the terminal: it knows what was found and how to show it."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from traces.asked.explanation import Explanation
from traces.asked.placement_picture import Candidate, Placement
from traces.asked.probes import Routed
from traces.asked.starts import Attach, Start
from traces.numerals import number

MOST_SPANS = 40
MOST_MOMENTS = 60
MOST_HELD = 8  # instances that a node's row names
NOTHING = "-"
OUTCOMES = {
    "sent": "sends it to instance {instance}",
    "attach": "wants instance {instance}, where its adapter must be attached first",
    "no_instance": "finds no ready instance",
    "no_slot": "finds every slot taken",
    "held_back": "holds it back, though slots are free",
}
ANSWERS = {"full": "found room on no node", "no": "placed nothing"}


def tables(one: Explanation) -> Group:
    """Who it was, what each second went to, what happened, and why that node."""
    shown: list[RenderableType] = [*_head(one), Text(""), _spans(one), Text("")]
    shown += [_moments(one), Text("")]
    shown += _routing(one)
    for refusal in one.refusals:
        shown += [*_refusal(refusal, one.arrived_at), Text("")]
    for start in one.starts:
        shown += [*_start(start, one.arrived_at), Text("")]
    shown += [Text(_attach(attach)) for attach in one.attaches]
    return Group(*shown)


def _table(*headings: str, right: tuple[int, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place in right else "left")
    return table


def _head(one: Explanation) -> Iterator[Text]:
    asked = one.model if one.adapter is None else f"{one.model} with {one.adapter}"
    yield Text(f"request {one.request}: {asked}, tenant {one.tenant}", style="bold")
    times = "no token came"
    if one.ttft_s is not None and one.e2e_s is not None:
        times = (
            f"first token after {number(one.ttft_s)} s, all {one.tokens:,} tokens after "
            f"{number(one.e2e_s)} s"
        )
    yield Text(
        f"came at {one.arrived_at:,.3f} s, when {one.ahead:,} waited for its model and "
        f"{one.ahead_in_all:,} for any; {times}; {one.outcome}"
    )
    if one.refused is not None:
        yield Text(f"turned away by {one.refused.policy}: {one.refused.reason}")


def _spans(one: Explanation) -> Table:
    """In order of time; they add up."""
    table = _table("it waited for", "seconds", "share", "from", "to", right=(1, 2, 3, 4))
    total = sum(span.seconds for span in one.spans)
    for span in one.spans[:MOST_SPANS]:
        which = "" if span.instance is None else f" (instance {span.instance})"
        share = f"{span.seconds / total:.1%}" if total > 0 else NOTHING
        since = (f"+{at - one.arrived_at:.3f}" for at in (span.begin, span.end))
        table.add_row(f"{span.wait.value}{which}", f"{span.seconds:.3f}", share, *since)
    hidden = one.spans[MOST_SPANS:]
    if hidden:
        rest_s = sum(span.seconds for span in hidden)
        table.add_row(f"... {len(hidden)} more spans", f"{rest_s:.3f}", "", "", "")
    name = "time to the first token" if one.ttft_s is not None else "in all"
    table.add_row(Text(name, style="bold"), f"{total:.3f}", "", "", "")
    return table


def _moments(one: Explanation) -> Table:
    table = _table("what happened", "at (s)", "since it came", "line", right=(1, 2, 3))
    for moment in one.moments[:MOST_MOMENTS]:
        since = f"+{moment.at - one.arrived_at:.3f}"
        table.add_row(moment.what, f"{moment.at:,.3f}", since, f"{moment.line:,}")
    if len(one.moments) > MOST_MOMENTS:
        table.add_row(f"... {len(one.moments) - MOST_MOMENTS} more: --json has them", "", "", "")
    return table


def _routing(one: Explanation) -> Iterator[RenderableType]:
    if not one.routed:
        return
    table = _table("since it came", "routing", "ready instances (load/slots)", right=(0,))
    for routed in one.routed:
        table.add_row(f"+{routed.at - one.arrived_at:.3f}", _outcome(routed), _ready(routed))
    yield table
    yield Text("")


def _outcome(routed: Routed) -> str:
    words = OUTCOMES[routed.outcome].format(instance=routed.instance)
    again = "" if routed.times == 1 else f" ({routed.times} times)"
    return f"{routed.policy} {words}{again}"


def _ready(routed: Routed) -> str:
    named = [
        f"{one.instance} on {one.node} {one.load}/{one.slots}"
        + (f" {one.adapter}" if one.adapter else "")
        for one in routed.ready
    ]
    if routed.more:
        named.append(f"{routed.more} more")
    return ", ".join(named) or "none"


def _refusal(found: Placement, arrived_at: float) -> Iterator[RenderableType]:
    again = ""
    if found.times > 1:
        again = f", and {found.times - 1} times more until +{found.until - arrived_at:.3f} s"
    yield Text(
        f"{found.policy} {ANSWERS[found.answer]} at +{found.at - arrived_at:.3f} s{again} "
        f"({found.waiting} waited for {found.model})",
        style="bold",
    )
    yield _candidates(found)


def _start(start: Start, arrived_at: float) -> Iterator[RenderableType]:
    placed = start.placement
    since = start.planned_at - arrived_at
    when = f"{since:.3f} s after it came" if since >= 0 else f"{-since:,.3f} s before it came"
    verb = "woken" if start.woken else "placed"
    by = "by an upkeep plan" if placed is None else f"by {placed.policy}, {_rank(placed)}"
    yield Text(
        f"why {start.node}: instance {start.instance} of {start.model} was {verb} {when} {by}",
        style="bold",
    )
    if placed is not None:
        yield _candidates(placed)
    yield Text(_compared(start))


def _rank(placed: Placement) -> str:
    ranks = [one.rank for one in placed.candidates if one.chosen and one.rank is not None]
    possible = sum(one.ready_at is not None for one in placed.candidates)
    if not ranks:
        return "on a node with no estimate"
    if len(ranks) > 1:
        return f"on nodes ranked {', '.join(map(str, sorted(ranks)))} of {possible} by estimate"
    return f"on the node ranked {ranks[0]} of {possible} by estimate"


def _candidates(found: Placement) -> Table:
    """Times are from the question on; q + n / b is of a load that could begin at once."""
    table = _table(
        "", "rank", "node", "copy in", "q (s)", "n/b (s)", "GPUs free+idle", "its cards",
        "ready in (s)", right=(1, 4, 5, 6, 8),
    )  # fmt: skip
    for one in found.candidates:
        table.add_row(
            ">" if one.chosen else "",
            NOTHING if one.rank is None else str(one.rank),
            one.name,
            one.copy,
            number(one.queue_s),
            number(one.load_s),
            f"{one.free_gpus}+{one.idle_gpus}",
            _cards(one, found.at),
            _ready_in(one, found.at),
        )
    if found.more:
        table.add_row("", "", f"{found.more:,} more", *[""] * 6)
    return table


def _cards(one: Candidate, at: float) -> str:
    if one.cleared is not None:
        victims = ", ".join(
            f"{victim.how} {victim.model} ({victim.requests} running)"
            for victim in one.cleared.victims
        )
        return (
            f"free in {number(one.cleared.free_at - at)} s: {victims or 'wait'}; costs others "
            f"{number(one.cleared.cost_s)} s"
        )
    if one.fits:
        return "free"
    holders = ", ".join(
        f"{held.model} ({held.requests if held.phase == 'ready' else held.phase})"
        for held in one.held[:MOST_HELD]
    )
    more = f" and {len(one.held) - MOST_HELD} more" if len(one.held) > MOST_HELD else ""
    asked = "cannot be cleared" if one.asked else "clearing not asked for"
    return f"{asked}: {holders}{more}"


def _ready_in(one: Candidate, at: float) -> str:
    if one.ready_at is not None:
        return number(one.ready_at - at)
    return f">= {number(one.at_best - at)}"


def _compared(start: Start) -> str:
    """The believed times beside what came."""
    parts = []
    if start.started_at is not None:
        cleared = start.started_at - start.planned_at
        behind = f" after {number(cleared)} s of clearing" if cleared > 0 else ""
        parts.append(f"loaded from {start.source}{behind}")
    if start.ready_at is None:
        parts.append("it was never ready")
    else:
        took = f"ready {number(start.ready_at - start.planned_at)} s after the question"
        if start.believed_ready_at is not None:
            took += f", believed {number(start.believed_ready_at - start.planned_at)} s"
        parts.append(took)
    if start.load_s is not None:
        alone = f"the load took {number(start.load_s)} s"
        if start.believed_load_s is not None:
            alone += f", believed {number(start.believed_load_s)} s alone"
        phases = ", ".join(f"{name} {number(seconds)}" for name, seconds in start.phases)
        parts.append(f"{alone} ({phases})" if phases else alone)
    return "; ".join(parts)


def _attach(attach: Attach) -> str:
    took = "was never attached" if attach.load_s is None else f"took {number(attach.load_s)} s"
    return (
        f"{attach.adapter} onto instance {attach.instance} from {attach.source}: {took}, believed "
        f"{number(attach.believed_s)} s"
    )
