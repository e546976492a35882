"""A pool in front of a retention policy, and settings in which what leaves a cache decides.

A reference string is a list of models, asked for one after another on one card: each request loads
its model anew, from DRAM if its copy is still there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fleet.domain import AdapterSpec, ArtifactId, ModelSpec, Tier, Whole
from fleet.policy import Policy, Retention
from fleet.pools import Entry, Pool, Stay
from fleet.view import View
from policies import recipes
from policies.keep_alive.idle_time import FixedKeepAlive, KeepForever
from policies.retention.arc import AdaptiveReplacement
from policies.retention.chameleon import Chameleon
from policies.retention.chance import RandomRetention
from policies.retention.first_in import FirstInFirstOut, LoraxCycle
from policies.retention.foresight import Belady
from policies.retention.frequency import Hyperbolic, LeastFrequentlyUsed
from policies.retention.greedy_dual import GreedyDualSizeFrequency, Landlord
from policies.retention.recency import KeepNothing, LeastRecentlyUsed
from policies.retention.s3fifo import S3Fifo
from policies.retention.sieve import Sieve
from tests import specs
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Played, Setting, a40, arrival, arrivals

BENCH: Final = Bench([node(0)], [model(0)])
VIEW: Final[View] = BENCH.view
EVERY: Final = (
    LeastRecentlyUsed,
    GreedyDualSizeFrequency,
    KeepNothing,
    FirstInFirstOut,
    LeastFrequentlyUsed,
    RandomRetention,
    S3Fifo,
    Sieve,
    AdaptiveReplacement,
    Landlord,
    Hyperbolic,
    Chameleon,
    LoraxCycle,
    Belady,
)


class Cache:
    """What a controller does with a pool, without the controller. A second is one use."""

    def __init__(self, policy: Retention, capacity: int) -> None:
        self.pool = Pool(Tier.DRAM, capacity)
        self.policy = policy
        self.now = 0.0

    def use(self, number: int, size: int = 1, cost_s: float = 1.0) -> bool:
        """Whether it was there. If not it comes in, and others leave for it."""
        self.now += 1.0
        BENCH.at(self.now)
        artifact = ArtifactId(number)
        hit = artifact in self.pool
        if not hit:
            self._make_room(size)
            self.pool.add(artifact, size, self.now).stay = Stay.HERE
        entry = self.pool.entries[artifact]
        self.pool.touch(entry, self.now, cost_s)
        self.policy.used(self.pool, entry, VIEW)
        return hit

    def hits(self, string: Sequence[int]) -> list[bool]:
        return [self.use(number) for number in string]

    def _make_room(self, size: int) -> None:
        if size > self.pool.free:
            victims = self.policy.victims(self.pool, size - self.pool.free, VIEW)
            assert victims is not None
            for victim in victims:
                self.pool.remove(victim)

    def holds(self) -> set[int]:
        return {int(artifact) for artifact in self.pool.entries}


def laid(pool: Pool, *sizes: int) -> list[Entry]:
    """Entries that lie there from the start; no policy was told of them."""
    entries = [pool.add(ArtifactId(n), size, 0.0) for n, size in enumerate(sizes)]
    for entry in entries:
        entry.stay = Stay.HERE
    return entries


# In the simulator


#: Each model twice, one newcomer in between, then never again.
TWICE: Final = (1, 2, 1, 3, 2, 4, 3, 5, 4, 6, 5, 7, 6, 8, 7)
#: One model every other time, the others once.
HOT: Final = (1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 8)
#: Two models asked for again and again among others that come once.
WEAVE: Final = (1, 2, 1, 2, *(n for k in range(10, 20, 2) for n in (k, 1, k + 1, 2)))
#: What was popular is not asked for again; three others take turns.
SHIFT: Final = (1, 1, 1, 1, 2, 2, 2, 2, *(3, 4, 5) * 6)


def each_loads(retention: Retention) -> Policy:
    """Every request loads its model: an idle instance stops at once."""
    policy = recipes.serverlessllm_no_migration()
    return replace(policy, retention=retention, keep_alive=FixedKeepAlive(0.0))


def asked(
    string: Sequence[int], dram: int, dear: int | None = None, ssd: int | None = None
) -> Setting:
    """One model every 60 s; DRAM holds `dram` of them, 13 GB each, and the SSD `ssd`, else all.

    A `dear` model has 14 GB, more than the SSD of then 13.5 GB: it comes from the remote store, and
    so does whichever other is not in DRAM or on the SSD.
    """
    numbers = sorted(set(string))
    models = tuple(spec(n, (14 if n == dear else 13) * GB, Whole(1)) for n in numbers)
    ssd = 1 if dear is not None else ssd
    ssd_bytes = 2000 * GB if ssd is None else int((ssd + 0.04) * 13 * GB)
    host = a40(0, gpus=1, dram_bytes=int((dram + 0.5) * 13 * GB), ssd_bytes=ssd_bytes)
    resident = tuple((n, 0, Tier.SSD) for n in numbers) if ssd is None else ()
    rows = [(60.0 * i, number) for i, number in enumerate(string)]
    return Setting((host,), models, arrivals(rows, output_tokens=20), resident=resident)


def mean_ttft_s(played: Played) -> float:
    return played.mean_ttft_s


def missed(played: Played) -> float:
    """Bytes of models that DRAM did not have."""
    found = played.summary.caches.models.load_bytes
    return float(sum(nbytes for source, nbytes in found.items() if source != "dram"))


# Adapters

BASE: Final[ModelSpec] = spec(0, 13 * GB, Whole(1), slots=4, adapters=2)


def slots(retention: Retention) -> Policy:
    """One instance that stays; adapters come and go in its slots."""
    policy = recipes.serverlessllm_no_migration()
    return replace(policy, retention=retention, keep_alive=KeepForever())


def adapters_asked(
    string: Sequence[int], large: Sequence[int] = (), every_s: float = 20.0
) -> Setting:
    """A request every `every_s` for adapters of 0.1 GB, or of 2 GB if `large`; two slots."""
    host = a40(0, gpus=1)
    loras: list[AdapterSpec] = [
        specs.adapter(n, 0, weight_bytes=2 * GB if n in large else GB // 10)
        for n in sorted(set(string))
    ]
    resident = ((0, 0, Tier.SSD), *((int(a.id), 0, Tier.SSD) for a in loras))
    asked_for = tuple(arrival(i, every_s * i, 0, 20, adapter=n) for i, n in enumerate(string))
    return Setting((host,), (BASE,), asked_for, adapters=tuple(loras), resident=resident)


def attaches(played: Played) -> float:
    return float(played.summary.adapters.attaches)


def attach_s(played: Played) -> float:
    """Seconds that attaches took in all."""
    quantiles = played.summary.adapters.attach_s
    return 0.0 if quantiles is None else quantiles.mean * quantiles.n
