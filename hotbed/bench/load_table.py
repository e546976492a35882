"""What `hotbed bench load` found, as tables for people. It knows the figures' keys, and no run."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

TITLES: Final = {
    "cold": "{name}, cold: page cache dropped; the ceiling is the disk's",
    "warm": "{name}, warm: file in the page cache; the ceiling is a copy out of it",
}
CEILING_WORDS: Final = {
    "disk": "disk",
    "disk_hot_buffer": "disk into a buffer that stays in the processor's cache",
    "disk_write": "disk, writing",
    "page_cache": "page cache",
    "memcpy": "memcpy",
    "pcie": "pinned memory to the GPU",
}


def tables(found: Mapping[str, Any]) -> RenderableType:
    """All that was measured, each kind in a table of its own."""
    shown: list[RenderableType] = [_where(found)]
    for part, title in TITLES.items():
        for name, loaders in found.get(part, {}).get("by_checkpoint", {}).items():
            shown.append(_loads(title.format(name=name), loaders))
    for part in TITLES:
        if any(found.get(part, {}).get("several_times_as_fast_as", {}).values()):
            shown.append(_several(part, found[part]))
    if "adapter" in found:
        shown.append(_adapters(found["adapter"]))
    rows = [*_pool_rows(found), *_store_rows(found)]
    if rows:
        shown.append(_store(rows))
    if "ceilings_gb_per_s" in found:
        shown.append(_ceilings(found["ceilings_gb_per_s"]))
    shown += [Text(f"{name} did not run: {why}") for name, why in found.get("missing", {}).items()]
    return Group(*shown)


def _where(found: Mapping[str, Any]) -> Text:
    seen = found["machine"]
    gpu = seen["gpu"] or "no GPU"
    return Text(
        f"{seen['cpu']}, {seen['cores']} cores, {seen['memory_bytes'] / 2**30:.0f} GiB, {gpu}, "
        f"Linux {seen['kernel']}, {seen['disk']}, huge pages: {seen['huge_pages']}, "
        f"Python {seen['python']}, torch {seen['torch'] or 'unknown'}, "
        f"commit {seen['commit'] or 'unknown'}, seed {found['seed']}, {seen['date']}"
    )


def _loads(title: str, loaders: Mapping[str, Any]) -> Table:
    columns = ("GB/s", "least - most", "of the\nceiling", "its\nbest", "CPU-s\nper GiB", "rounds")
    table = _table(title, "loader", *columns)
    for name, facts in sorted(loaders.items(), key=lambda one: -one[1]["gb_per_s"]):
        table.add_row(
            name,
            f"{facts['gb_per_s']:.2f}",
            f"{facts['least_gb_per_s']:.2f} - {facts['most_gb_per_s']:.2f}",
            _ratio(facts.get("over_ceiling")),
            _ratio(facts.get("best_over_ceiling")),
            f"{facts['cpu_s_per_gib']:.3f}",
            f"{facts['rounds']}",
            style="bold" if name.startswith("hotbed") else None,
        )
    return table


def _several(part: str, facts: Mapping[str, Any]) -> Text:
    """Against whom ours is several times as fast, and against whom it is not."""
    several = facts["several_times_as_fast_as"]
    holds = _times(several["holds"]) or "nobody"
    text = f"{part}: hotbed is 5 times as fast as, or more: {holds}"
    rest = _times(several["does_not"])
    return Text(f"{text}; less: {rest}" if rest else text)


def _times(ratios: Mapping[str, float]) -> str:
    ordered = sorted(ratios.items(), key=lambda one: -one[1])
    return ", ".join(f"{name} {ratio:.1f} x" for name, ratio in ordered)


def _adapters(found: Mapping[str, Any]) -> Table:
    title = "Adapters for Llama 3.1 8B, milliseconds"
    table = _table(title, "loader", *(f"rank {one['rank']}" for one in found.values()))
    for part in TITLES:
        seconds: dict[str, float] = {}
        for one in found.values():
            for name, facts in one[part].items():
                seconds[name] = seconds.get(name, 0.0) + facts["seconds"]
        for name in sorted(seconds, key=lambda name: seconds[name]):
            cells = [_milliseconds(one[part].get(name)) for one in found.values()]
            table.add_row(f"{name}, {part}", *cells)
    words = {
        "pool_to_tensors_ms": "pool to tensors, as they lie",
        "pool_to_device_ms": "pool to a block of the device",
        "attach_ms": "pool to an engine's slot",
    }
    for key, title in words.items():
        cells = [_pool_cell(one, key) for one in found.values()]
        if any(cells):
            table.add_row(title, *cells, style="bold")
    return table


def _milliseconds(facts: Mapping[str, Any] | None) -> str:
    return "" if facts is None else f"{1e3 * facts['seconds']:.1f}"


def _pool_cell(one: Mapping[str, Any], key: str) -> str:
    """Milliseconds, and the ratio to a plain copy over the link where bytes are copied."""
    if key not in one:
        return ""
    ratio = one.get(key.replace("_ms", "_over_link"))
    copied = "" if ratio is None else f" ({ratio:.2f})"
    return f"{one[key]:.2f}{copied}"


def _pool_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, loaders in found.get("pool_to_device", {}).get("by_checkpoint", {}).items():
        for loader, facts in loaders.items():
            ratio = f"{_ratio(facts.get('over_ceiling'))} of a plain copy"
            yield f"{name}, pool to device, {loader}", f"{facts['gb_per_s']:.2f}", ratio


def _store_rows(found: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for count, facts in found.get("together", {}).items():
        ratio = f"{_ratio(facts['over_disk_ceiling'])} of the disk"
        many = "1 load alone" if count == "1" else f"{count} loads at once"
        yield f"{many}, cold", f"{facts['gb_per_s']:.2f}", ratio
    words = {"": "import, files in the page cache", "cold_": "import, files read cold"}
    for key, title in words.items():
        facts = found.get("import", {})
        if f"{key}gb_per_s" in facts:
            ratio = f"{_ratio(facts[f'{key}over_disk_write'])} of the disk, writing"
            yield title, f"{facts[f'{key}gb_per_s']:.2f}", ratio
    if "pool_creation_gb_per_s" in found:
        yield "creating the pool", f"{found['pool_creation_gb_per_s']:.2f}", ""


def _store(rows: list[tuple[str, str, str]]) -> Table:
    table = _table("The store itself", "", "GB/s", "ratio")
    for row in rows:
        table.add_row(*row)
    return table


def _ceilings(found: Mapping[str, float]) -> Table:
    table = _table("Ceilings of the machine, medians", "", "GB/s")
    for what, rate in found.items():
        table.add_row(CEILING_WORDS[what], f"{rate:.2f}")
    return table


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _table(title: str, heading: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column(heading)
    for column in columns:
        table.add_column(column, justify="right")
    return table
