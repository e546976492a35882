"""What a comparison says, in words: which differences are real, and what to be careful with.

Knows no layout; the terminal and the report print the same sentences.
"""

from collections.abc import Sequence

from traces.comparison import Measure, Row, Run, by_policy, shown
from traces.numerals import number
from traces.quantiles import ratio
from traces.statistics import MIN_SEEDS, Difference


def _times(pair: Difference) -> str:
    """The larger over the smaller, where that is worth saying."""
    if pair.ratio is None or pair.ratio.estimate <= 0:
        return ""
    factor = pair.ratio.estimate
    factor = factor if factor >= 1 else 1 / factor
    return f" ({number(factor)} times)" if factor >= 1.005 else ""


def headline(row: Row) -> str:
    """The best policy of a measure, and how many others it beats for real; "" without values."""
    best = row.best
    others = len([mean for mean in row.comparison.means.values() if mean is not None]) - 1
    if best is None or others < 1:
        return ""
    own = [pair for pair in row.comparison.pairs if best in (pair.left, pair.right)]
    beaten = sum(pair.real for pair in own)
    value = shown(row.measure, row.comparison.means[best])
    if not beaten:
        return f"{row.measure.label}: no policy can be told from {best}, the best at {value}."
    whom = "the other" if others == 1 else f"{beaten} of the {others} others"
    return f"{row.measure.label}: {best} is best at {value}, for real against {whom}."


def standings(row: Row) -> list[str]:
    """A sentence for each policy, best first: whom it beats for real, whom it cannot be told from.

    Every pair is said once, at the better of the two.
    """
    if len(row.comparison.pairs) > 1 and not any(pair.real for pair in row.comparison.pairs):
        return ["No two policies can be told apart."]
    means = {name: mean for name, mean in row.comparison.means.items() if mean is not None}
    order = sorted(means, key=lambda name: means[name].estimate)
    if row.measure.better == "higher":
        order.reverse()
    pairs = {frozenset((pair.left, pair.right)): pair for pair in row.comparison.pairs}
    said = []
    for place, name in enumerate(order):
        worse = [(other, pairs.get(frozenset((name, other)))) for other in order[place + 1 :]]
        beaten = [_beaten(row.measure, other, pair) for other, pair in worse if pair and pair.real]
        tied = [other for other, pair in worse if pair is not None and not pair.real]
        parts = []
        if beaten:
            parts.append(f"is {row.measure.better} than {', '.join(beaten)}")
        if tied:
            parts.append(f"cannot be told from {', '.join(tied)}")
        if parts:
            said.append(f"{name} ({shown(row.measure, means[name])}) {'; it '.join(parts)}.")
    return said


def _beaten(measure: Measure, other: str, pair: Difference) -> str:
    scale, unit = (100.0, "points") if measure.percent else (1.0, measure.unit)
    amount = f"{number(abs(pair.difference.estimate) * scale)} {unit}".rstrip()
    return f"{other} (by {amount}{_times(pair).replace(' (', ', ').rstrip(')')})"


def caveats(runs: Sequence[Run]) -> list[str]:
    """What a reader must know before believing the numbers."""
    own_runs = by_policy(runs)
    seeds = len(next(iter(own_runs.values()), []))
    found = [_saturation(policy, own) for policy, own in own_runs.items()]
    found += [_unfinished(policy, own) for policy, own in own_runs.items()]
    if seeds < MIN_SEEDS:
        found.append(
            f"{seeds} seeds are too few for intervals ({MIN_SEEDS} are needed): "
            "no difference can be called real."
        )
    return [sentence for sentence in found if sentence]


def _saturation(policy: str, own: Sequence[Run]) -> str:
    saturated = [run for run in own if run.summary.saturation.saturated]
    if not saturated:
        return ""
    first = saturated[0]
    return (
        f"{policy} was saturated in {len(saturated)} of {len(own)} seeds, so its latencies depend "
        f"on how long the run was. Seed {first.seed}: {first.summary.saturation.in_words}"
    )


def _unfinished(policy: str, own: Sequence[Run]) -> str:
    arrived = sum(run.summary.requests.arrived for run in own)
    finished = sum(run.summary.requests.finished for run in own)
    missing = ratio(arrived - finished, arrived)
    if not missing or missing < 0.01:
        return ""
    return (
        f"{policy} did not finish {missing:.1%} of its requests: its latencies are of the others, "
        "its SLO attainment is of all."
    )
