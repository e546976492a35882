"""A fitted profile with a source for every number: the measurement's, or the base's and assumed.

It knows profiles as data; the numbers are the fit's.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from sim.calibration.fitting import HopFit
from sim.calibration.hops import LINKS
from sim.profiles import Figure, Measured, Profile, Spread, TierLoad


@dataclass(frozen=True, slots=True)
class About:
    """Where, when and how it was measured, in words; `memory_bytes` of the host."""

    where: str
    when: str
    command: str
    commit: str | None
    memory_bytes: int
    on_gpu: bool

    @property
    def source(self) -> str:
        commit = f", commit {self.commit}" if self.commit else ""
        return f"measured on {self.where}, {self.when}{commit}"


def carried_over(base: Profile, name: str) -> Profile:
    """The base with everything marked as assumed: it was not measured on this machine."""
    raw = _assumed(msgspec.to_builtins(base), name)
    raw |= {"measured": None, "calibration": None}
    return msgspec.convert(raw, Profile)


def _assumed(value: Any, name: str) -> Any:
    if isinstance(value, list | tuple):
        return [_assumed(item, name) for item in value]
    if not isinstance(value, dict):
        return value
    marked = {key: _assumed(item, name) for key, item in value.items()}
    if "source" in marked and "assumed" in marked:
        why = f"{marked['reason']}; " if marked["reason"] else ""
        marked |= {"assumed": True, "reason": f"{why}from the profile {name}, not measured here"}
    return marked


def machine_of(profile: Profile, about: About) -> Profile:
    """With the measured host's memory; a machine that is its own card gives half to each."""
    value, reason = float(about.memory_bytes), None
    if not about.on_gpu:
        value = float(about.memory_bytes // 2)
        reason = "engine and cache of weights share the memory; half each"
    figure = Figure(
        value=value, source=about.source, assumed=reason is not None, reason=reason or ""
    )
    given = {"dram_bytes": figure} | ({} if about.on_gpu else {"gpu_bytes": figure})
    replace = msgspec.structs.replace
    return replace(profile, machine=replace(profile.machine, **given))


def with_chunk(profile: Profile, chunk_bytes: Figure | None) -> Profile:
    """With the measured loader's chunk, where that is known."""
    if chunk_bytes is None:
        return profile
    loads = msgspec.structs.replace(profile.loads, chunk_bytes=chunk_bytes)
    return msgspec.structs.replace(profile, loads=loads)


def with_hop(profile: Profile, fit: HopFit, about: About, residuals: str) -> Profile:
    """The hop's link and load, each number under the source that it has."""
    base: TierLoad | None = getattr(profile.loads, fit.hop)
    link: Figure = getattr(profile.links, LINKS[fit.hop])
    base_cv = 0.0 if base is None else base.cv
    kept = [] if "base" in fit.fitted else [f"base_s is {_whose(base)}"]
    kept += [] if "cv" in fit.fitted else [f"cv is {_whose(base)}"]
    load = TierLoad(
        efficiency=fit.pace.efficiency,
        cv=base_cv if fit.cv is None else fit.cv,
        base_s=fit.pace.base_s,
        sharing_loss=fit.pace.sharing_loss,
        source=f"{about.source}; {residuals}",
        assumed=bool(kept),
        reason="; ".join(kept),
    )
    nominal = msgspec.structs.replace(link, value=fit.pace.link_bytes_per_s)
    if "link" in fit.fitted or fit.pace.link_bytes_per_s != link.value:
        nominal = Figure(value=fit.pace.link_bytes_per_s, source=about.source)
    replace = msgspec.structs.replace
    return replace(
        profile,
        links=replace(profile.links, **{LINKS[fit.hop]: nominal}),
        loads=replace(profile.loads, **{fit.hop: load}),
    )


def _whose(base: TierLoad | None) -> str:
    return "zero for want of measurements" if base is None else f"not measured here ({base.source})"


def with_measured_attach(profile: Profile, mean_s: float, cv: float, about: About) -> Profile:
    return msgspec.structs.replace(
        profile, attach=Spread(mean_s=mean_s, cv=cv, source=about.source)
    )


def described(profile: Profile, about: About, base: str, hops: list[str]) -> Profile:
    """With words that say what it is."""
    what = f"Fitted to measured loads ({', '.join(hops)}); all else is assumed, as in {base}."
    told = Measured(where=about.where, when=about.when, command=about.command)
    return msgspec.structs.replace(profile, what=what, measured=told)
