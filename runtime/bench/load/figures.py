"""What the rows say: ratios to the ceilings beside each load, and of ours to others.

A load's ratio is its rate over the mean of the two ceilings just before and just after it. Across
rounds the median is taken; `best` is the most of any round, which does a loader with two modes
justice. Rates in GB/s (10^9), CPU seconds per GiB (2^30). It measures nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Final, TypeVar

from runtime.bench.load.pairs import Paired, paired_loads, paired_works
from runtime.bench.measurements import Hop, LoadRow, Measurements

GIB: Final = 1 << 30
#: Loaders of the store; all others are peers.
OURS: Final = ("hotbed", "hotbed_private", "hotbed_safetensors", "hotbed_views")
#: With a shared pool, and with one of a process alone.
POOLS: Final = ("hotbed", "hotbed_private")
#: Those that the issue of speed is most often about.
COMPARED: Final = ("safetensors", "from_pretrained")
HOPS: Final[Mapping[str, Hop]] = {"cold": "ssd", "warm": "page_cache"}
CEILINGS: Final = {"cold": "disk_ceiling", "warm": "page_cache_ceiling"}
TIMES: Final = 5.0  # from here on a load is "several times as fast"

Figures = dict[str, object]
T = TypeVar("T")


def figures(measurements: Measurements) -> Figures:
    """Everything that a reader asks for, as plain values. Parts without rows are left out."""
    loads = [one for one in paired_loads(measurements) if one.row.identical]
    bases = [one for one in loads if one.row.kind == "base"]
    found: Figures = {"machine": asdict(measurements.machine), "seed": measurements.seed}
    found |= {part: _hop(part, bases) for part in HOPS if _of(bases, HOPS[part])}
    found |= _pool(bases)
    found["adapter"] = _adapters(measurements, [one for one in loads if one.row.kind == "adapter"])
    found["together"] = _together(loads)
    found |= _works(measurements)
    found["ceilings_gb_per_s"] = _ceilings(measurements)
    found["missing"] = dict(measurements.missing)
    return {key: value for key, value in found.items() if value not in ({}, [])}


def wrong_loaders(measurements: Measurements) -> list[str]:
    """Those that gave other bytes than were written; none of their rates count."""
    return sorted({row.loader for row in measurements.loads if not row.identical})


def _hop(part: str, pairs: Sequence[Paired[LoadRow]]) -> Figures:
    """Cold or warm loads of base models: over all of them, and each by itself."""
    here = _of(pairs, HOPS[part])
    ceiling = CEILINGS[part]
    by_loader = _grouped(here, lambda one: one.row.loader)
    found: Figures = {}
    for name in OURS:
        if name in by_loader:
            found[f"{name}_over_{ceiling}"] = _middle(by_loader[name])
    peers = {name: of for name, of in by_loader.items() if name not in OURS}
    found[f"peers_over_{ceiling}"] = {name: _middle(of) for name, of in peers.items()}
    found[f"peers_best_over_{ceiling}"] = {name: _best(of) for name, of in peers.items()}
    for name in COMPARED:
        ratio = _ours_over(by_loader, name)
        if ratio is not None:
            found[f"hotbed_over_{name}"] = ratio
    found["by_checkpoint"] = {
        checkpoint: _by_loader(of)
        for checkpoint, of in _grouped(here, lambda one: one.row.checkpoint).items()
    }
    found["several_times_as_fast_as"] = _several(by_loader)
    return found


def _by_loader(pairs: Sequence[Paired[LoadRow]]) -> Figures:
    groups = _grouped(pairs, lambda one: one.row.loader)
    return {name: _speed(of) for name, of in groups.items()}


def _speed(pairs: Sequence[Paired[LoadRow]]) -> Figures:
    """One loader's loads of one checkpoint."""
    rates = [one.gb_per_s for one in pairs]
    found: Figures = {
        "gb_per_s": median(rates),
        "least_gb_per_s": min(rates),
        "most_gb_per_s": max(rates),
        "seconds": median(one.row.seconds for one in pairs),
        "cpu_s_per_gib": median(one.row.cpu_s * GIB / one.row.bytes for one in pairs),
        "rounds": len(pairs),
    }
    ratios = [one.ratio for one in pairs if one.ratio is not None]
    if ratios:
        found |= {"over_ceiling": median(ratios), "best_over_ceiling": max(ratios)}
    foreign = [one.row.foreign_cores for one in pairs if one.row.foreign_cores is not None]
    if foreign:
        found["foreign_cores"] = median(foreign)
    return found


def _ours_over(by_loader: Mapping[str, Sequence[Paired[LoadRow]]], name: str) -> float | None:
    """How many times as fast, from the ratios to the ceilings: drift falls out."""
    ours, theirs = _middle(by_loader.get("hotbed", ())), _middle(by_loader.get(name, ()))
    return None if ours is None or not theirs else ours / theirs


def _several(by_loader: Mapping[str, Sequence[Paired[LoadRow]]]) -> Figures:
    """Peers that ours is 5 times as fast as, or more; the others are those where that is not so."""
    ratios = {
        name: ratio
        for name in by_loader
        if name not in OURS and (ratio := _ours_over(by_loader, name)) is not None
    }
    return {
        "holds": {name: ratio for name, ratio in ratios.items() if ratio >= TIMES},
        "does_not": {name: ratio for name, ratio in ratios.items() if ratio < TIMES},
    }


def _pool(bases: Sequence[Paired[LoadRow]]) -> Figures:
    """From the pool to a block of the device."""
    here = [one for one in _of(bases, "dram") if one.row.loader in POOLS]
    if not here:
        return {}
    ceiling = "memcpy" if here[0].row.device == "cpu" else "pcie"
    by_loader = _grouped(here, lambda one: one.row.loader)
    found: Figures = {f"{name}_over_{ceiling}": _middle(of) for name, of in by_loader.items()}
    grouped = _grouped(here, lambda one: one.row.checkpoint)
    found["by_checkpoint"] = {name: _by_loader(of) for name, of in grouped.items()}
    return {"pool_to_device": found}


def _adapters(measurements: Measurements, pairs: Sequence[Paired[LoadRow]]) -> Figures:
    """By rank: milliseconds and ratios cold, warm and from the pool, and attaching."""
    attached = [one for one in paired_works(measurements) if one.row.what == "attach"]
    found: Figures = {}
    for name, of in _grouped(pairs, lambda one: one.row.checkpoint).items():
        here: Figures = {"rank": of[0].row.rank, "bytes": of[0].row.bytes}
        for part, hop in HOPS.items():
            here[part] = _by_loader(_of(of, hop))
        pool = _of(of, "dram")
        views = [one.row.seconds for one in pool if one.row.loader == "hotbed_views"]
        copies = [one for one in pool if one.row.loader == "hotbed"]
        if views:
            here["pool_to_tensors_ms"] = 1e3 * median(views)
        if copies:
            here["pool_to_device_ms"] = 1e3 * median(one.row.seconds for one in copies)
            here["pool_to_device_over_link"] = _middle(copies)
        attach = [one for one in attached if one.row.checkpoint == name]
        if attach:
            here["attach_ms"] = 1e3 * median(one.row.seconds for one in attach)
            here["attach_over_link"] = _ratio_of(one.ratio for one in attach)
        found[name] = here
    return found


def _together(pairs: Sequence[Paired[LoadRow]]) -> Figures:
    """Loads at the same time: all of them over the disk, and what one gets. By their number."""
    ours = [one for one in _of(pairs, "ssd", at_once=True) if one.row.loader == "hotbed"]
    several = {one.row.checkpoint for one in ours if one.row.concurrent > 1}
    ours = [one for one in ours if one.row.checkpoint in several]
    found: Figures = {}
    for count in sorted({one.row.concurrent for one in ours}):
        groups = _grouped(
            [one for one in ours if one.row.concurrent == count], lambda one: str(one.row.order)
        )
        rates = [
            sum(one.row.bytes for one in group) / max(one.row.seconds for one in group) / 1e9
            for group in groups.values()
        ]
        ceilings = [group[0].ceiling for group in groups.values()]
        known = [rate / each for rate, each in zip(rates, ceilings, strict=True) if each]
        found[str(count)] = {"gb_per_s": median(rates), "over_disk_ceiling": _ratio_of(known)}
    return found


def _works(measurements: Measurements) -> Figures:
    pairs = paired_works(measurements)
    found: Figures = {}
    imports: Figures = {}
    for what, key in (("import", "over_disk_write"), ("import_cold", "cold_over_disk_write")):
        here = [one for one in pairs if one.row.what == what]
        if here:
            imports[key] = _ratio_of(one.ratio for one in here)
            imports[key.replace("over_disk_write", "gb_per_s")] = median(
                one.gb_per_s for one in here
            )
    if imports:
        found["import"] = imports
    created = [one.gb_per_s for one in pairs if one.row.what == "pool"]
    if created:
        found["pool_creation_gb_per_s"] = median(created)
    return found


def _ceilings(measurements: Measurements) -> Figures:
    groups = _grouped(measurements.ceilings, lambda row: row.what)
    return {
        what: median(row.bytes / row.seconds / 1e9 for row in rows if row.seconds)
        for what, rows in groups.items()
    }


def _of(
    pairs: Iterable[Paired[LoadRow]], hop: Hop, *, at_once: bool = False
) -> list[Paired[LoadRow]]:
    return [one for one in pairs if one.row.hop == hop and (at_once or one.row.concurrent == 1)]


def _middle(pairs: Iterable[Paired[LoadRow]]) -> float | None:
    return _ratio_of(one.ratio for one in pairs)


def _best(pairs: Iterable[Paired[LoadRow]]) -> float | None:
    return max((one.ratio for one in pairs if one.ratio is not None), default=None)


def _ratio_of(ratios: Iterable[float | None]) -> float | None:
    known = [one for one in ratios if one is not None]
    return median(known) if known else None


def _grouped(rows: Iterable[T], key: Callable[[T], str]) -> dict[str, list[T]]:
    groups: dict[str, list[T]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups
