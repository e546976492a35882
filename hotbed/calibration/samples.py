"""Measurements of `runtime/` as the plain values that the simulator's calibration takes.

It knows both and fits nothing. What cannot be used is left out, and said.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from runtime.bench.measurements import CeilingRow, LoadRow, Measurements
from sim.calibration.samples import CalibrationError, Sample

COLD_SHARE: Final = 0.05  # of a file in the page cache, at most, for a load to be from the SSD
CEILINGS: Final = {"disk": "ssd", "memcpy": "dram", "pcie": "dram"}


@dataclass(frozen=True, slots=True)
class Taken:
    """What of a file is used. `ceilings_bytes_per_s` by hop; `notes` say what was left out."""

    samples: tuple[Sample, ...]
    ceilings_bytes_per_s: dict[str, float]
    device: str
    notes: tuple[str, ...]

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"


def taken(measured: Measurements, loader: str, device: str | None = None) -> Taken:
    """The loads of one loader to one device. Raises CalibrationError naming what is allowed."""
    loaders = sorted({row.loader for row in measured.loads})
    if loader not in loaders:
        known = ", ".join(loaders) or "none: it has no loads"
        raise CalibrationError(f"loader is {loader!r}; the measurements have {known}")
    own = [row for row in measured.loads if row.loader == loader]
    device = _device(own, device)
    rows = [row for row in own if row.device == device]
    wrong = sum(not row.identical for row in rows)
    if wrong:
        raise CalibrationError(
            f"{wrong} loads of {loader} gave other bytes than the checkpoint's; nothing is fitted"
        )
    left_out: Counter[str] = Counter()
    samples = [*_loads(rows, left_out), *_attaches(measured)]
    notes = tuple(f"{count} loads left out: {why}" for why, count in sorted(left_out.items()))
    return Taken(tuple(samples), _ceilings(measured.ceilings, device), device, notes)


def _device(rows: list[LoadRow], asked: str | None) -> str:
    devices = sorted({row.device for row in rows})
    if asked is None and len(devices) == 1:
        return devices[0]
    if asked is None:
        raise CalibrationError(f"several devices: --device is one of {', '.join(devices)}")
    if asked not in devices:
        raise CalibrationError(f"device is {asked!r}; the measurements have {', '.join(devices)}")
    return asked


def _loads(rows: list[LoadRow], left_out: Counter[str]) -> Iterator[Sample]:
    together: dict[int, list[LoadRow]] = defaultdict(list)
    for row in rows:
        together[row.order].append(row)
    for order, group in together.items():
        if len(group) != group[0].concurrent:
            raise CalibrationError(
                f"order {order}: concurrent is {group[0].concurrent} and {len(group)} loads have it"
            )
        for number, row in enumerate(group):
            why = _unfit(row)
            if why:
                left_out[why] += 1
                continue
            beside = tuple(other.bytes for other in group[:number] + group[number + 1 :])
            yield Sample(row.hop, row.checkpoint, row.bytes, row.seconds, beside, row.phases)


def _unfit(row: LoadRow) -> str | None:
    if row.hop == "page_cache":
        return "from the page cache, which the simulator has not as a tier"
    if row.hop == "ssd" and row.cached_before is None:
        return "from the SSD, and nothing says that the page cache was cold"
    if row.hop == "ssd" and row.cached_before is not None and row.cached_before > COLD_SHARE:
        return f"from the SSD with more than {COLD_SHARE:.0%} of the file in the page cache"
    return None


def _attaches(measured: Measurements) -> Iterator[Sample]:
    for row in measured.works:
        if row.what == "attach":
            yield Sample("attach", row.checkpoint, row.bytes, row.seconds)


def _ceilings(rows: tuple[CeilingRow, ...], device: str) -> dict[str, float]:
    """Medians; a copy in memory is a CPU's way to its device, PCIe a GPU's."""
    other = "pcie" if device == "cpu" else "memcpy"
    rates: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        hop = CEILINGS.get(row.what)
        if hop is not None and row.what != other and row.bytes and row.seconds:
            rates[hop].append(row.bytes / row.seconds)
    return {hop: median(found) for hop, found in rates.items()}
