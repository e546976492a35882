"""Profiles: how fast one kind of machine loads, starts and decodes, as data with its sources.

A profile is a JSON file. Every number in it says where it was published or measured; one without
such a source is marked `assumed` and says why it was chosen. This module reads them, refuses what
is malformed, and derives what the simulator asks for. It knows no node and no event.
"""

import json
import math
import random
import typing
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fleet.domain import LinkSpec, ModelSpec, NodeId, NodeSpec, Tier
from sim.calibration.record import Calibration
from sim.pace import EnginePace
from sim.profile_text import allowed, explain
from sim.storage import SharingLoss

Text = Annotated[str, Meta(min_length=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Part = Annotated[float, Meta(gt=0, le=1)]
Keeper = Literal["sleep", "pool"]
KEEPERS: tuple[str, ...] = typing.get_args(Keeper)
UNBOUNDED_BLOCKS = 2**40  # for a model that states no KV size
#: Activations of a token from one pipeline stage to the next (HydraServe's artifact: 1 ms).
HOP_S = 1e-3


class ProfileError(ValueError):
    """A profile that is not there or malformed; the message names the field and what is allowed."""


class Sourced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Numbers with the public source of each; `assumed` ones say why they were chosen."""

    source: Text
    assumed: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if self.assumed and not self.reason:
            raise ValueError("assumed is true and reason is empty; say why")


class Figure(Sourced, frozen=True, kw_only=True):
    value: Positive


class ShareFigure(Sourced, frozen=True, kw_only=True):
    value: Annotated[float, Meta(ge=0, le=1)]


class Spread(Sourced, frozen=True, kw_only=True):
    """A lognormal duration: its mean and its coefficient of variation."""

    mean_s: NotNegative
    cv: NotNegative = 0.0

    def draw(self, rng: random.Random) -> float:
        return _lognormal(rng, self.mean_s, self.cv)


class Phase(Spread, frozen=True, kw_only=True):
    """A phase of a start-up other than moving weights, and what saves an engine from it."""

    name: Text
    preserved_by: tuple[Keeper, ...] = ()


class TierLoad(Sourced, frozen=True, kw_only=True):
    """What a loader gets out of a tier's link: its share, and the spread of the time it takes.

    `base_s` is what every load takes besides its bytes. `sharing_loss` is as in `sim.links.Link`:
    what the tier's link loses with each further load on it; the cards that one load fills at once
    count as so many.
    """

    efficiency: Part
    cv: NotNegative = 0.0
    base_s: NotNegative = 0.0
    sharing_loss: NotNegative = 0.0


class Shape(Sourced, frozen=True, kw_only=True):
    """A measured row of one model shape. What it leaves out is derived like any other's."""

    shape: Text
    engine: Text
    gpus: Annotated[int, Meta(ge=1)] = 1
    step_s: Positive
    per_sequence_s: NotNegative | None = None
    per_context_token_s: NotNegative | None = None
    per_prefill_token_s: NotNegative | None = None


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    where: Text
    when: Text
    command: Text


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole node. `gpu_bytes` is one card's."""

    gpus: Figure
    gpu_bytes: Figure
    dram_bytes: Figure
    ssd_bytes: Figure
    price_per_hour: Figure


class Links(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nominal bandwidths, as in `fleet.domain.LinkSpec`."""

    remote_bytes_per_s: Figure
    ssd_bytes_per_s: Figure
    pcie_bytes_per_s: Figure
    peer_bytes_per_s: Figure


class Turns(Sourced, frozen=True, kw_only=True):
    """Whether a node's loader takes one load after the other."""

    value: bool


class Loads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How loads use the links; a tier left out runs at its link's nominal bandwidth.

    With `in_turn` a node's loader moves the weights of one instance after the other, first come,
    first served; else loads run side by side and share the links.
    """

    chunk_bytes: Figure
    in_turn: Turns | None = None
    remote: TierLoad | None = None
    ssd: TierLoad | None = None
    dram: TierLoad | None = None
    peer: TierLoad | None = None


class EngineFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The card and the engine on it, for the roofline. `reserve_bytes` a card is no KV cache.

    `prefix_cache_share` is as in `EnginePace`; left out it is 1, as vLLM v1 has it.
    """

    hbm_bytes_per_s: Figure
    hbm_efficiency: Figure
    flops: Figure
    mfu: Figure
    host_step_s: Figure
    per_sequence_s: Figure
    adapter_step_s: Figure
    adapter_rank_s: Figure
    block_tokens: Figure
    memory_share: Figure
    reserve_bytes: Figure
    max_batched_tokens: Figure | None = None
    prefix_cache_share: ShareFigure | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of machine. `sleep` and `wake` are None where its engine cannot sleep; both leave
    out the moving of weights over PCIe, as `attach` leaves out the adapter's bytes. `calibration`
    is the record of the fit that a measured profile comes from."""

    kind: Text
    what: Text
    measured: Measured | None
    machine: Machine
    links: Links
    loads: Loads
    engine: EngineFigures
    stop: Spread
    attach: Spread
    phases: tuple[Phase, ...] = ()
    sleep: Spread | None = None
    wake: Spread | None = None
    shapes: tuple[Shape, ...] = ()
    calibration: Calibration | None = None

    @property
    def chunk_bytes(self) -> float:
        return self.loads.chunk_bytes.value

    @property
    def loads_in_turn(self) -> bool:
        turns = self.loads.in_turn
        return turns is not None and turns.value

    def node_links(self) -> LinkSpec:
        links = self.links
        return LinkSpec(
            remote_bytes_per_s=links.remote_bytes_per_s.value,
            ssd_bytes_per_s=links.ssd_bytes_per_s.value,
            pcie_bytes_per_s=links.pcie_bytes_per_s.value,
            peer_bytes_per_s=links.peer_bytes_per_s.value,
        )

    def node_spec(self, node: NodeId, name: str, rack: int = 0) -> NodeSpec:
        """A node of this kind, as large and as dear as the profile says."""
        machine = self.machine
        return NodeSpec(
            id=node,
            name=name,
            kind=self.kind,
            gpus=int(machine.gpus.value),
            gpu_bytes=int(machine.gpu_bytes.value),
            dram_bytes=int(machine.dram_bytes.value),
            ssd_bytes=int(machine.ssd_bytes.value),
            links=self.node_links(),
            price_per_s=machine.price_per_hour.value / 3600,
            rack=rack,
        )

    def load_cap_bytes_per_s(
        self, source: Tier, rng: random.Random | None = None, *, cards: int = 1, peer: bool = False
    ) -> float:
        """What a loader gets from `source` for each of `cards` that it fills at once.

        The link's bandwidth times the tier's efficiency, divided by a lognormal factor of mean 1
        (none without `rng`). The link itself stays the ceiling, so lucky draws are cut off and
        the times have the one-sided tail that measured loads have. Cards share the NIC and the
        SSD and have a PCIe link each.
        """
        nominal, load = self._hop(source, peer)
        shared_by = cards if peer or source < Tier.DRAM else 1
        efficiency, cv = (load.efficiency, load.cv) if load else (1.0, 0.0)
        slowdown = _lognormal(rng, 1.0, cv) if rng else 1.0
        return nominal.value * efficiency / (shared_by * slowdown)

    def load_base_s(
        self, source: Tier, rng: random.Random | None = None, *, peer: bool = False
    ) -> float:
        """What a load from `source` takes besides its bytes, with the tier's spread if drawn."""
        _, load = self._hop(source, peer)
        if load is None:
            return 0.0
        return _lognormal(rng, load.base_s, load.cv) if rng else load.base_s

    def _hop(self, source: Tier, peer: bool) -> tuple[Figure, TierLoad | None]:
        """The nominal bandwidth that bytes from `source` come over, and the load of that tier."""
        links, loads = self.links, self.loads
        if peer:
            return links.peer_bytes_per_s, loads.peer
        if source is Tier.REMOTE:
            return links.remote_bytes_per_s, loads.remote
        if source is Tier.SSD:
            return links.ssd_bytes_per_s, loads.ssd
        return links.pcie_bytes_per_s, loads.dram

    def sharing_loss(self) -> SharingLoss:
        """Of each link of a node, as far as it was measured."""
        loads = self.loads
        tiers = (loads.remote, loads.ssd, loads.dram, loads.peer)
        return SharingLoss(*(0.0 if load is None else load.sharing_loss for load in tiers))

    def startup(
        self, rng: random.Random, preserved: Collection[str] = ()
    ) -> list[tuple[str, float]]:
        """The phases a start goes through besides its weights, drawn; `preserved` names what the
        engine comes from ("sleep", "pool"). Raises ProfileError on another name."""
        for keeper in preserved:
            if keeper not in KEEPERS:
                raise ProfileError(f"preserved is {keeper!r}; {allowed(keeper, KEEPERS)}")
        return [
            (phase.name, phase.draw(rng))
            for phase in self.phases
            if not any(keeper in preserved for keeper in phase.preserved_by)
        ]

    def pace(self, model: ModelSpec, gpus: int, stages: int = 1) -> EnginePace:
        """How fast an engine with this model steps, on `gpus` cards in each of its stages.

        A roofline, with a measured row's figures in place of its own where the profile has one
        for the model's shape on as many cards: a step reads the weights and the KV cache once
        from HBM and adds the host's overhead; prefill does 2 FLOP a parameter a token at the
        stated MFU, FP16 taking 2 bytes a parameter (Pope et al., MLSys 2023, section 2). Adapters
        add a constant and a term in the sum of ranks (Toppings, ATC'25: the MBGMV fit). A pipeline
        of s stages, kept full by s microbatches, reads each stage's weights once for every one of
        them, which comes to a single stage's time; its stages read their part of the KV cache side
        by side, and every hop between two adds `HOP_S` to a token.
        """
        card = self.engine
        bytes_per_s = gpus * card.hbm_bytes_per_s.value * card.hbm_efficiency.value
        derived = EnginePace(
            step_s=model.weight_bytes / bytes_per_s + card.host_step_s.value,
            per_sequence_s=card.per_sequence_s.value,
            per_context_token_s=model.kv_bytes_per_token / bytes_per_s,
            per_prefill_token_s=model.weight_bytes / (gpus * card.flops.value * card.mfu.value),
            adapter_step_s=card.adapter_step_s.value,
            adapter_rank_s=card.adapter_rank_s.value,
            block_tokens=int(card.block_tokens.value),
            max_batched_tokens=(
                None if card.max_batched_tokens is None else int(card.max_batched_tokens.value)
            ),
            prefix_cache_share=(
                1.0 if card.prefix_cache_share is None else card.prefix_cache_share.value
            ),
        )
        for row in self.shapes:
            if row.shape == model.shape and row.gpus == gpus:
                derived = _with_row(derived, row)
                break
        return derived if stages == 1 else _piped(derived, stages)

    def kv_blocks(self, model: ModelSpec, gpu_bytes_for_engine: int, gpus: int = 1) -> int:
        """Blocks of KV cache that fit beside the weights in what an engine holds on all its
        cards together; 0 where not even the weights do."""
        if model.kv_bytes_per_token == 0:
            return UNBOUNDED_BLOCKS
        usable = gpu_bytes_for_engine * self.engine.memory_share.value
        left = usable - model.weight_bytes - gpus * self.engine.reserve_bytes.value
        block_bytes = model.kv_bytes_per_token * int(self.engine.block_tokens.value)
        return max(0, int(left // block_bytes))


def profile_names() -> list[str]:
    """The profiles that come with the simulator."""
    names = [entry.name for entry in files("sim").joinpath("profiles").iterdir()]
    return sorted(name.removesuffix(".json") for name in names if name.endswith(".json"))


def load_profile(name_or_path: str | Path) -> Profile:
    """A profile by its name ("h100") or by the path of a JSON file. Raises ProfileError."""
    name = str(name_or_path)
    if name in profile_names():
        text = files("sim").joinpath("profiles", f"{name}.json").read_text("utf-8")
    elif name.endswith(".json"):
        try:
            text = Path(name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProfileError(f"profile {name} cannot be read: {error}") from None
    else:
        raise ProfileError(
            f"profile is {name!r}; {allowed(name, profile_names())}, or the path of a .json file"
        )
    return _parse(name, text)


def _parse(name: str, text: str) -> Profile:
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise ProfileError(f"profile {name} is no JSON: {error}") from None
    try:
        return msgspec.convert(raw, Profile)
    except msgspec.ValidationError as error:
        raise ProfileError(
            f"profile {name}: {explain(str(error), raw, Profile, KEEPERS)}"
        ) from None


def _piped(stage: EnginePace, stages: int) -> EnginePace:
    return msgspec.structs.replace(
        stage,
        step_s=stage.step_s + (stages - 1) * HOP_S,
        per_context_token_s=stage.per_context_token_s / stages,
    )


def _with_row(derived: EnginePace, row: Shape) -> EnginePace:
    names = ("step_s", "per_sequence_s", "per_context_token_s", "per_prefill_token_s")
    measured = {name: getattr(row, name) for name in names}
    return msgspec.structs.replace(
        derived, **{name: value for name, value in measured.items() if value is not None}
    )


def _lognormal(rng: random.Random, mean: float, cv: float) -> float:
    if mean == 0 or cv == 0:
        return mean
    variance = math.log1p(cv * cv)
    return rng.lognormvariate(math.log(mean) - variance / 2, math.sqrt(variance))
