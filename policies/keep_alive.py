"""How long an idle instance stays, and what it becomes then."""

from dataclasses import dataclass

from fleet.holders import Instance, Phase
from fleet.policy import Rest
from fleet.view import View


@dataclass(frozen=True)
class FixedKeepAlive:
    """Stop after `keep_alive_s` idle seconds; 0 stops at once.

    With `sleep_level` 1 or 2 it is put to sleep instead, and stopped after `asleep_s` more.
    """

    keep_alive_s: float = 60.0
    sleep_level: int = 0
    asleep_s: float = 600.0

    def rest(self, instance: Instance, view: View) -> Rest | None:
        if instance.phase is Phase.ASLEEP:
            return Rest(self.asleep_s)
        return Rest(self.keep_alive_s, self.sleep_level)


@dataclass(frozen=True)
class LoadTimeKeepAlive:
    """Stop after `factor` times what loading it again would take, as believed.

    ServerlessLLM's evaluation (OSDI'24, section 7) keeps a model alive for its loading time; with
    factor 1 this is also the break-even point of ski rental at equal prices.
    """

    factor: float = 1.0

    def rest(self, instance: Instance, view: View) -> Rest | None:
        node = view.node(instance.node)
        source = view.source(instance.model.id, instance.node)
        return Rest(self.factor * view.estimates.load_s(instance.model, node, source.tier))


@dataclass(frozen=True)
class KeepForever:
    """Never stop an idle instance; only a plan that needs its cards does."""

    def rest(self, instance: Instance, view: View) -> Rest | None:
        return None
