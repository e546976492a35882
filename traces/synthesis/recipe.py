"""Parameters of synthetic workloads: plain data, checked when made, decodable from YAML or JSON.

Knows what may be asked for, and nothing of how it is drawn.
"""

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from traces.formats.column_map import near_miss
from traces.schema import TraceError
from traces.synthesis.lengths import GSM8K, S_LORA, SHAREGPT, LengthMix, Lengths, mix_of
from traces.synthesis.limits import (
    require,
    require_count,
    require_exponent,
    require_positive,
    require_share,
)

DAY_S = 86_400.0
SPAN_LIMIT_S = 100 * 365 * DAY_S  # a century in seconds: arrivals stay exact in microseconds


class Zipf(msgspec.Struct, frozen=True, tag="zipf", forbid_unknown_fields=True):
    """Share of rank i proportional to i^-exponent."""

    exponent: float

    def __post_init__(self) -> None:
        require_exponent("exponent", self.exponent)


class Power(msgspec.Struct, frozen=True, tag="power", forbid_unknown_fields=True):
    """S-LoRA's assignment: rank floor(N X), X of density alpha x^(alpha-1)."""

    alpha: float

    def __post_init__(self) -> None:
        require(0 < self.alpha <= 1, "alpha", self.alpha, "a number above 0, up to 1 (uniform)")


class Adapters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """LoRA adapters within each base.

    `share` of the requests name one adapter; a base has `per_base` at a time, ranked by `law`.
    `churn` is the share of uses, after an adapter set's first day, that fall on the first day of
    their adapter; a day lasts `day_s` (a shorter one is declared as the trace's time compression).
    Sticky tenants that come back to yesterday's adapter lower the share of first days a little.
    Alibaba's GenTD26 (github.com/alibaba/clusterdata) has about 0.22, Zipf 0.92 and 0.42.
    """

    share: float = 0.22
    per_base: int = 16
    law: Zipf | Power = Zipf(0.92)
    churn: float = 0.0
    day_s: float = DAY_S

    def __post_init__(self) -> None:
        require_share("adapters.share", self.share)
        require_count("adapters.per_base", self.per_base, 2 if self.churn else 1)
        require_share("adapters.churn", self.churn)
        require_positive("adapters.day_s", self.day_s)

    @property
    def time_compression(self) -> float:
        """How many times faster than life the days pass; 1 where no day matters."""
        return DAY_S / self.day_s if self.churn else 1.0


class Tenants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tenants of Zipf popularity; `sticky` is the chance to repeat one's last base and adapter.

    A free choice may hit the last one as well: repeats are more frequent than `sticky`. The
    defaults are GenTD26's tenant exponent and its rate of repeated bases.
    """

    count: int = 100
    exponent: float = 0.81
    sticky: float = 0.72

    def __post_init__(self) -> None:
        require_count("tenants.count", self.count)
        require_exponent("tenants.exponent", self.exponent)
        require_share("tenants.sticky", self.sticky)


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`models` bases of one size, named name-00, name-01 and so on."""

    name: str
    models: int

    def __post_init__(self) -> None:
        require(bool(self.name), "name of a family", self.name, "a non-empty text")
        require_count(f"models of family {self.name!r}", self.models)

    @property
    def model_names(self) -> tuple[str, ...]:
        width = max(2, len(str(self.models - 1)))
        return tuple(f"{self.name}-{index:0{width}d}" for index in range(self.models))


class Demand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every recipe has: how many requests, over which models, how long, from which seed.

    `cv` is that of the gaps (1: Poisson). With `accept_within` of 0.05, whole draws of arrivals
    are thrown away until the realised rate lies within 5 % of the expected one.
    """

    rate_rps: float = 1.0
    span_s: float = 3600.0
    cv: float = 1.0
    seed: int = 0
    families: tuple[Family, ...] = (Family("base", 16),)
    adapters: Adapters | None = None
    lengths: Lengths = LengthMix((GSM8K, SHAREGPT))
    accept_within: float | None = None

    def __post_init__(self) -> None:
        require_positive("rate_rps", self.rate_rps)
        require(
            0 < self.span_s <= SPAN_LIMIT_S, "span_s", self.span_s, f"above 0, to {SPAN_LIMIT_S:g}"
        )
        require(0.01 <= self.cv <= 100, "cv", self.cv, "a number from 0.01 to 100")
        require(len(self.families) > 0, "families", self.families, "one family or more")
        names = [family.name for family in self.families]
        require(len(set(names)) == len(names), "families", names, "each name once")
        if self.accept_within is not None:
            within = self.accept_within
            require(0 < within < math.inf, "accept_within", within, "a share above 0, or null")

    @property
    def model_names(self) -> tuple[str, ...]:
        return tuple(name for family in self.families for name in family.model_names)


class Osdi24(Demand, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The workload of ServerlessLLM (Fu et al., OSDI 2024): each model a bursty process of its own.

    Rates per model and window of `window_s` come from Azure Functions minutes, function i to
    model i mod M, or without such a file from `popularity`; Zipf 0.7 over 32 models has the top
    share (0.15) of that mapping over a busy hour of the 2019 functions. `total` "shaped" keeps
    the daily shape of the sum, "constant" makes every window expect as much (dLoRA).
    `generator` "per-window" is the field's biased one, to be compared with. The span begins
    `start_minute` minutes after the first of the file; functions idle in it are left out first.
    """

    rate_rps: float = 0.8
    cv: float = 8.0
    families: tuple[Family, ...] = (Family("opt-6.7b", 32),)
    window_s: int = 600
    start_minute: int = 0
    total: Literal["shaped", "constant"] = "shaped"
    generator: Literal["equilibrium", "per-window"] = "equilibrium"
    popularity: Zipf = Zipf(0.7)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = self.window_s >= 60 and self.window_s % 60 == 0
        require(whole, "window_s", self.window_s, "a whole number of minutes, in seconds")
        require_count("start_minute", self.start_minute, 0)
        windows = self.span_s / self.window_s
        require(windows == int(windows), "span_s", self.span_s, f"a multiple of {self.window_s}")


class Stream(Demand, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One arrival process for the whole fleet; who asks for what is drawn request by request."""

    popularity: Zipf = Zipf(1.43)  # the bases of GenTD26
    tenants: Tenants | None = None


class Bursty(Stream, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A steady rate with Gamma gaps of any CV."""

    cv: float = 4.0


class Poisson(Stream, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A steady rate with exponential gaps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.cv == 1, "cv", self.cv, "1 for Poisson arrivals (`bursty` takes any)")


class Diurnal(Stream, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rate that goes up and down, on gaps of any CV in operational time.

    rate(t) = rate_rps * (1 + amplitude * cos(2 pi (t - peak_at_s) / period_s)), or `hourly`
    rates in any unit, scaled to the mean `rate_rps` and repeated; an hour is `period_s` / their
    number. The span should hold whole periods if its mean is to be `rate_rps`.
    """

    span_s: float = DAY_S
    amplitude: float = 0.8
    period_s: float = DAY_S
    peak_at_s: float = 50_400.0
    hourly: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("amplitude", self.amplitude)
        require_positive("period_s", self.period_s)
        require(0 <= self.peak_at_s < math.inf, "peak_at_s", self.peak_at_s, "0 or more seconds")
        good = all(0 <= rate < math.inf for rate in self.hourly)
        good = good and (not self.hourly or sum(self.hourly) > 0)
        require(good, "hourly", self.hourly, "finite rates of 0 or more, not all 0")


class MmppState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests come as a Poisson process of `rate` while it lasts, `dwell_s` seconds on average."""

    rate: float
    dwell_s: float

    def __post_init__(self) -> None:
        require(0 <= self.rate < math.inf, "rate", self.rate, "a finite rate of 0 or more")
        require_positive("dwell_s", self.dwell_s)


class Mmpp(Stream, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Markov-modulated Poisson process: calm and busy times of random length, one after another.

    The rates of `states` are in any unit: they are scaled to the mean `rate_rps`. After a state
    comes any other, all as likely.
    """

    states: tuple[MmppState, ...] = (MmppState(1.0, 300.0), MmppState(10.0, 60.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.cv == 1, "cv", self.cv, "1: the states alone make an MMPP bursty")
        require(len(self.states) > 1, "states", self.states, "two states or more")
        rates = [state.rate for state in self.states]
        require(any(rates), "states", rates, "rates that are not all 0")


class SLora(Stream, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The synthetic workload of S-LoRA (Sheng et al., MLSys 2024): one base, many adapters."""

    rate_rps: float = 2.0
    span_s: float = 300.0
    families: tuple[Family, ...] = (Family("llama-7b", 1),)
    adapters: Adapters | None = Adapters(share=1.0, per_base=100, law=Power(0.3))
    lengths: Lengths = LengthMix((S_LORA,))


class ServeGen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clients as ServeGen recorded them, each a tenant: rates, burstiness and lengths in windows.

    The `clients` busiest (all where left out) of the `sources` (models of the data; all where left
    out) from `start_s` of the data on, scaled to `rate_rps` together. A family called as a source
    serves its clients, the other models take the rest in turn. The share `own_adapters` of the
    clients name an adapter of their own in every request. `lengths` are drawn where no client
    lengths are given; those are cut to `context_tokens`.
    """

    rate_rps: float = 1.0
    span_s: float = 3600.0
    start_s: float = 0.0
    seed: int = 0
    families: tuple[Family, ...] = (Family("base", 16),)
    clients: int | None = None
    sources: tuple[str, ...] = ()
    own_adapters: float = 0.0
    lengths: Lengths = LengthMix((GSM8K, SHAREGPT))
    context_tokens: int = 32_768

    def __post_init__(self) -> None:
        require_positive("rate_rps", self.rate_rps)
        require(
            0 < self.span_s <= SPAN_LIMIT_S, "span_s", self.span_s, f"above 0, to {SPAN_LIMIT_S:g}"
        )
        require(0 <= self.start_s < math.inf, "start_s", self.start_s, "0 or more seconds")
        require(len(self.families) > 0, "families", self.families, "one family or more")
        require(self.clients is None or self.clients > 0, "clients", self.clients, "1 or more")
        require_share("own_adapters", self.own_adapters)
        require_count("context_tokens", self.context_tokens, 2)

    @property
    def end_s(self) -> float:
        return self.start_s + self.span_s


Recipe: TypeAlias = Osdi24 | Poisson | Bursty | Diurnal | Mmpp | SLora | ServeGen

RECIPES: dict[str, type[Recipe]] = {
    "osdi24": Osdi24,
    "poisson": Poisson,
    "bursty": Bursty,
    "diurnal": Diurnal,
    "mmpp": Mmpp,
    "s-lora": SLora,
    "servegen": ServeGen,
}


def recipe_of(name: str, values: Mapping[str, object]) -> Recipe:
    """A recipe from plain values, as a YAML file or command-line options give them.

    Numbers may be texts. `lengths` may be written "gsm8k+sharegpt" and `families`
    "opt-6.7b:32,opt-13b:16". Raises TraceError naming the recipe, the field and what is allowed.
    """
    if name not in RECIPES:
        raise TraceError(
            f"recipe {name!r} is not allowed{near_miss(name, list(RECIPES))}: "
            f"expected one of {', '.join(RECIPES)}"
        )
    kind = RECIPES[name]
    fields = kind.__struct_fields__
    for field in values:
        if field not in fields:
            raise TraceError(
                f"{name}: {field!r} is not allowed{near_miss(field, fields)}: "
                f"expected one of {', '.join(fields)}"
            )
    plain = dict(values)
    if isinstance(plain.get("lengths"), str):
        plain["lengths"] = msgspec.to_builtins(mix_of(str(plain["lengths"])))
    if isinstance(plain.get("families"), str):
        plain["families"] = _families(str(plain["families"]))
    try:
        return msgspec.convert(plain, kind, strict=False)
    except msgspec.ValidationError as error:
        raise TraceError(f"{name}: {error}") from error


def _families(text: str) -> list[dict[str, str]]:
    pairs = [part.rpartition(":") for part in text.split(",")]
    for family, colon, count in pairs:
        good = bool(family and colon and count.isdecimal())
        require(good, "families", text, "name:models pairs joined by ','")
    return [{"name": family, "models": count} for family, _, count in pairs]
