"""How long an idle instance stays, and what it becomes then."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from fleet.holders import Instance, Phase
from fleet.policy import Rest, Waiver
from fleet.view import View
from policies.room.clearing import reload_s


@dataclass(frozen=True)
class FixedKeepAlive:
    """Stop after `keep_alive_s` idle seconds; 0 stops at once.

    With `sleep_level` 1 (weights stay in DRAM) or 2 (they do not) it is put to sleep instead, and
    stopped after `asleep_s` more. FaaS platforms keep 60 to 1200 s (OpenWhisk 600, Azure 1200).
    """

    source: ClassVar[str] = "FaaS platforms; vLLM's sleep mode for the levels"

    keep_alive_s: Annotated[float, Meta(ge=0)] = 60.0
    sleep_level: Literal[0, 1, 2] = 0
    asleep_s: Annotated[float, Meta(ge=0)] = 600.0

    def rest(self, instance: Instance, view: View) -> Rest | None:
        if instance.phase is Phase.ASLEEP:
            return Rest(self.asleep_s)
        return Rest(self.keep_alive_s, self.sleep_level)


@dataclass(frozen=True)
class LoadTimeKeepAlive:
    """Stop after `factor` times the believed seconds that loading it again there would take.

    ServerlessLLM's evaluation (OSDI'24, section 7) keeps a model alive for its loading time; with
    factor 1 this is also the break-even point of ski rental at equal prices, at most twice as dear
    as knowing the next arrival.
    """

    source: ClassVar[str] = "ServerlessLLM (OSDI'24), section 7"

    factor: Annotated[float, Meta(ge=0)] = 1.0

    def rest(self, instance: Instance, view: View) -> Rest | None:
        return Rest(self.factor * reload_s(instance, view))


@dataclass(frozen=True)
class KeepForever:
    """Never stop an idle instance; only a plan that needs its cards does."""

    source: ClassVar[str] = "FaasCache (Fuerst and Sharma, ASPLOS'21): no time-out, only pressure"
    waives: ClassVar = (Waiver.KEEPS_FOREVER,)

    def rest(self, instance: Instance, view: View) -> Rest | None:
        return None
