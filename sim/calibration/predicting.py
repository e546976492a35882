"""How long the simulator takes for loads: its own links, storage and loader, and nothing else.

There is no formula here: a prediction is a run of `sim.loads` on one idle node.
"""

import random
from collections.abc import Sequence
from typing import Final

import simpy

from fleet.domain import REMOTE, NodeId, Place, Shard, Tier
from sim.loads import Load, Loads, Work
from sim.profiles import Profile
from sim.storage import Storage

NODE: Final = NodeId(0)
SOURCES: Final = {
    "remote": REMOTE,
    "ssd": Place(NODE, Tier.SSD),
    "dram": Place(NODE, Tier.DRAM),
    "attach": Place(NODE, Tier.DRAM),
}


def predict_s(
    profile: Profile,
    hop: str,
    nbytes: float,
    beside: Sequence[float] = (),
    noise: random.Random | None = None,
) -> float:
    """Seconds of a load of `nbytes` to the node's first card, with loads `beside` it of as many
    bytes each that begin at the same moment. Undisturbed without `noise`; an `attach` takes the
    profile's constant first. Loads that take turns come first come, first served.
    """
    env = simpy.Environment()
    loads = Loads(env, Storage(env), {profile.kind: profile}, noise)
    loads.join(profile.node_spec(NODE, "measured"))
    first = env.process(_one(loads, profile, hop, nbytes, noise))
    for other in beside:
        env.process(_one(loads, profile, hop, other, noise))
    env.run(first)
    return float(env.now)


def _one(
    loads: Loads, profile: Profile, hop: str, nbytes: float, noise: random.Random | None
) -> Work:
    phases_s = 0.0
    if hop == "attach":
        phases_s = profile.attach.draw(noise) if noise else profile.attach.mean_s
    load = Load(NODE, phases_s=phases_s, weights=hop != "attach")
    to = Shard(NODE, (0,), 0)
    yield from loads.carry(load, lambda: loads.to_cards(load, nbytes, SOURCES[hop], to))
