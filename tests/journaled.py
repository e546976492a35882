"""A run with faults, migrations, sleepers and adapters, as the lines of its journal.

`python -m tests.journaled SEED` writes them to standard output, so that processes can be compared.
"""

import random
import sys
from collections.abc import Iterator

from fleet.domain import Part, Place, Tier, Whole
from fleet.journal import Header, encode, encode_header
from fleet.limits import Limits
from policies.catalog import resolve
from sim.calendar import Arrival
from sim.faults import FaultRates
from tests.sim.worlds import Run, adapter, arrival, model, node, setup, world

POLICY = {
    "recipe": "serverlessllm",
    "keep_alive": {"name": "fixed", "keep_alive_s": 3.0, "sleep_level": 1, "asleep_s": 15.0},
    "placement": "random",
    "upkeep": [{"name": "prefetch_popular", "every_s": 5.0}],
}
FAULTS = FaultRates(
    node_loss_per_node_hour=20.0,
    repair_s=20.0,
    engine_crash_per_instance_hour=60.0,
    load_failure_probability=0.1,
    slow_load_probability=0.1,
    slow_load_factor=2.0,
    late_report_probability=0.1,
    late_report_s=1.0,
)
MODELS = (
    model(0),
    model(1, Whole(2), weight_bytes=80),
    model(2, Part(30), weight_bytes=20, adapters=1),
    model(3, Part(40), weight_bytes=20),
    model(4, weight_bytes=60),
)
ADAPTERS = (adapter(10, 2), adapter(11, 2))


def arrivals(seed: int, count: int = 150) -> Iterator[Arrival]:
    rng = random.Random(seed)
    at = 0.0
    for number in range(count):
        at += rng.expovariate(0.8)
        base = rng.choice([0, 0, 1, 2, 2, 3, 4])
        lora = rng.choice([None, 10, 11]) if base == 2 else None
        yield arrival(number, at, rng.randint(1, 80), model=base, adapter=lora)


def journal(seed: int) -> list[bytes]:
    """Every line, the header first."""
    nodes = [node(i, 2 + i % 2) for i in range(4)]
    resident = [(m.id, Place(nodes[i % 4].id, Tier.SSD)) for i, m in enumerate(MODELS)]
    start = setup(nodes, MODELS, ADAPTERS, resident, Limits(max_age_s=120.0))
    run = Run(start, POLICY, world(FAULTS, seed=seed)).play(arrivals(seed))
    header = Header(start, resolve(POLICY))
    return [encode_header(header), *(encode(event, commands) for event, commands in run.said)]


if __name__ == "__main__":
    sys.stdout.buffer.writelines(journal(int(sys.argv[1])))
