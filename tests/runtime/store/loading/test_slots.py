"""Adapter slots against PEFT's own forward, and against W x + scaling B A x written out."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("torch", reason="slots are tensors")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.store.errors import CorruptError, StoreError, UnsupportedError
from runtime.store.loading.loads import Store
from runtime.store.loading.slots import AdapterSlots, Layer, Scaling, scaling_of
from tests.runtime.store.loading.made import pool_of, write

LAYERS = [Layer("model.q_proj", 12, 8), Layer("model.o_proj", 8, 12)]
RANK = 8


def _adapter(rank: int, seed: int = 0, layers: list[Layer] = LAYERS) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for layer in layers:
        name = f"base_model.model.{layer.name}"
        for half, shape in (("A", (rank, layer.inputs)), ("B", (layer.outputs, rank))):
            noise = torch.randn(shape, generator=generator, dtype=torch.float64)
            made[f"{name}.lora_{half}.weight"] = noise
    return made


def _slots(slots: int = 3) -> AdapterSlots:
    return AdapterSlots(LAYERS, slots=slots, rank=RANK, dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(
    orders=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, RANK), st.integers(1, 2)), max_size=12
    )
)
def test_every_slot_computes_its_own_adapter_whatever_was_there_before(
    orders: list[tuple[int, int, int]],
) -> None:
    slots = _slots()
    there: dict[int, dict[str, torch.Tensor]] = {}
    for number, (slot, rank, layers) in enumerate(orders):
        if slot in there:
            slots.detach(slot)
        there[slot] = _adapter(rank, number, LAYERS[:layers])
        slots.attach(slot, there[slot], Scaling(16.0))
    for slot in range(3):
        for layer in LAYERS:
            x = torch.randn(4, layer.inputs, dtype=torch.float64)
            found = slots.added(slot, layer.name, x)
            torch.testing.assert_close(found, _written_out(there.get(slot), layer, x))


def _written_out(
    adapter: dict[str, torch.Tensor] | None, layer: Layer, x: torch.Tensor
) -> torch.Tensor:
    name = f"base_model.model.{layer.name}"
    if adapter is None or f"{name}.lora_A.weight" not in adapter:
        return torch.zeros(len(x), layer.outputs, dtype=x.dtype)
    a, b = adapter[f"{name}.lora_A.weight"], adapter[f"{name}.lora_B.weight"]
    return 16.0 / len(a) * (x @ a.T @ b.T)


def test_a_detached_slot_is_all_zeros_and_its_tensors_the_same_memory() -> None:
    slots = _slots()
    before = [one.data_ptr() for one in (*slots.a.values(), *slots.b.values())]
    slots.attach(1, _adapter(5), Scaling(10.0))
    assert slots.occupied(1)
    slots.detach(1)
    assert not slots.occupied(1)
    assert not any(one.any() for one in (*slots.a.values(), *slots.b.values()))
    assert before == [one.data_ptr() for one in (*slots.a.values(), *slots.b.values())]


class Tiny(torch.nn.Module):
    """Two linear layers under the names that the slots have."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.ModuleDict(
            {
                layer.name.removeprefix("model."): torch.nn.Linear(layer.inputs, layer.outputs)
                for layer in LAYERS
            }
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model["o_proj"](torch.tanh(self.model["q_proj"](x)))
        return found


@pytest.fixture(scope="module")
def peft() -> ModuleType:
    found: ModuleType = pytest.importorskip("peft", reason="the oracle of the slots")
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "said",
    [
        {"r": 4, "lora_alpha": 16},
        {"r": 8, "lora_alpha": 4, "use_rslora": True},
        {
            "r": 4,
            "lora_alpha": 8,
            "rank_pattern": {"q_proj": 2},
            "alpha_pattern": {"model.o_proj": 3},
        },
    ],
)
def test_an_adapter_from_disk_in_a_slot_computes_what_peft_computes(
    peft: ModuleType, tmp_path: Path, said: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    base = Tiny()
    config = peft.LoraConfig(target_modules=["q_proj", "o_proj"], **said)
    model = peft.get_peft_model(Tiny(), config)
    model.base_model.model.load_state_dict(
        {_peft_name(name): one for name, one in base.state_dict().items()}, strict=False
    )
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path / "peft")
    x = torch.randn(5, LAYERS[0].inputs)
    slots = AdapterSlots(LAYERS, slots=3, rank=RANK, dtype=torch.float32)
    with pool_of(2) as pool, Store(pool) as store:
        with store.load(tmp_path / "peft").wait() as loaded:
            scaling = scaling_of(tmp_path / "peft" / "adapter_config.json")
            slots.attach(2, loaded.tensors, scaling)
    with torch.no_grad():
        torch.testing.assert_close(_forward(base, slots, 2, x), model(x), rtol=1e-4, atol=1e-4)


def _peft_name(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    return f"{layer}.base_layer.{kind}"


def _forward(base: Tiny, slots: AdapterSlots, slot: int, x: torch.Tensor) -> torch.Tensor:
    first = base.model["q_proj"](x) + slots.added(slot, "model.q_proj", x)
    x = torch.tanh(first)
    found: torch.Tensor = base.model["o_proj"](x) + slots.added(slot, "model.o_proj", x)
    return found


def test_hundreds_of_adapters_stay_in_the_pool_and_attach_from_there(tmp_path: Path) -> None:
    adapters = {f"a{at}": _adapter(1 + at % RANK, at) for at in range(120)}
    with pool_of(2 * 120) as pool, Store(pool) as store:
        for name, tensors in adapters.items():
            store.fetch(write(tmp_path / name, tensors)).wait()
        slots = _slots(1)
        for name, tensors in adapters.items():
            with store.attach(tmp_path / name) as loaded:
                slots.attach(0, loaded.tensors, Scaling(8.0))
            key = "base_model.model.model.q_proj.lora_A.weight"
            rank = len(tensors[key])
            assert torch.equal(slots.a["model.q_proj"][0, :rank], tensors[key])
            slots.detach(0)


@pytest.mark.parametrize(
    ("adapter", "what"),
    [
        (_adapter(RANK + 1), "rank 9; these slots have room for 8"),
        (_adapter(2, layers=[Layer("model.none", 3, 3)]), "'model.none': these slots have none"),
        (_adapter(2, layers=[Layer("model.q_proj", 5, 8)]), r"expected \[2, 12\] and \[8, 2\]"),
        ({"model.q_proj.lora_A.weight": torch.ones(2, 12)}, "lora_A alone"),
        ({"model.q_proj.lora_magnitude_vector": torch.ones(2)}, "expected lora_A.weight"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_the_slot_free(
    adapter: dict[str, torch.Tensor], what: str
) -> None:
    slots = _slots()
    with pytest.raises(StoreError, match=what):
        slots.attach(0, {**_adapter(2, layers=LAYERS[1:]), **adapter}, Scaling(1.0))
    assert not slots.occupied(0)
    assert not slots.a["model.o_proj"].any()


def test_an_occupied_slot_is_not_overwritten() -> None:
    slots = _slots()
    slots.attach(0, _adapter(2), Scaling(1.0))
    with pytest.raises(StoreError, match="slot 0 is occupied"):
        slots.attach(0, _adapter(2), Scaling(1.0))
    with pytest.raises(StoreError, match="slot 1 is free"):
        slots.detach(1)
    with pytest.raises(StoreError, match="slot 3: expected 0 to 2"):
        slots.occupied(3)


@pytest.mark.parametrize(
    ("said", "error", "what"),
    [
        ({"lora_alpha": "x"}, CorruptError, "lora_alpha: 'x'"),
        ({}, CorruptError, "lora_alpha: None"),
        ({"lora_alpha": 1, "use_dora": True}, UnsupportedError, "use_dora"),
        ({"lora_alpha": 1, "alpha_pattern": {"(": 1}}, CorruptError, "alpha_pattern"),
        ({"lora_alpha": 1, "alpha_pattern": {"q": None}}, CorruptError, "q: None"),
    ],
)
def test_a_config_that_no_slot_can_follow_is_refused(
    tmp_path: Path, said: dict[str, Any], error: type[StoreError], what: str
) -> None:
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps(said))
    with pytest.raises(error, match=what.replace("(", r"\(")):
        scaling_of(config)
