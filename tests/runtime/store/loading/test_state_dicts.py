"""State dicts as sources: what shares bytes stays together, what has no plain bytes is refused."""

import pytest

pytest.importorskip("torch", reason="state dicts are torch's")

import torch

from runtime.store.errors import UnsupportedError
from runtime.store.format.sources import Extent
from runtime.store.loading.state_dicts import source_of


def _extents(tensors: dict[str, torch.Tensor]) -> list[Extent]:
    (extents,) = source_of(tensors).partitions
    return list(extents)


def _names(extents: list[Extent]) -> list[list[str]]:
    return [[one.name for one in extent.tensors] for extent in extents]


def test_tensors_that_overlap_come_in_one_extent_and_others_apart() -> None:
    base = torch.arange(100.0)
    tensors = {"all": base[:50], "some": base[40:60], "far": base[80:], "own": torch.zeros(3)}
    extents = _extents(tensors)
    assert _names(extents) == [["all", "some"], ["far"], ["own"]]
    assert extents[0].size_bytes == 240
    assert [one.offset_bytes for one in extents[0].tensors] == [0, 160]
    assert bytes(extents[1].read()) == base[80:].numpy().tobytes()


def test_an_expanded_tensor_is_written_as_the_bytes_it_has() -> None:
    (extent,) = _extents({"x": torch.ones(1).expand(1000, 1000)})
    assert extent.size_bytes == 4
    assert extent.tensors[0].stride == (0, 0)


def test_offsets_stay_multiples_of_the_element_where_types_of_several_widths_overlap() -> None:
    block = torch.zeros(64, dtype=torch.uint8)
    narrow, wide = block.view(torch.int16)[1:9], block.view(torch.float64)[1:2]
    (extent,) = _extents({"narrow": narrow, "wide": wide})
    assert [(one.name, one.offset_bytes) for one in extent.tensors] == [("narrow", 2), ("wide", 8)]


def test_an_empty_tensor_shares_nothing_whatever_it_is_a_view_of() -> None:
    base = torch.zeros(4)
    extents = _extents({"base": base, "none": base[2:2]})
    assert _names(extents) == [["base"], ["none"]]
    assert extents[1].size_bytes == 0


def test_lazily_conjugated_values_are_written_out() -> None:
    found = torch.tensor([1 + 2j])
    (extent,) = _extents({"x": found.conj()})
    assert bytes(extent.read()) == torch.tensor([1 - 2j]).numpy().tobytes()


def test_a_parameter_with_a_gradient_is_written_as_its_values() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    (extent,) = _extents({"x": parameter})
    assert bytes(extent.read()) == torch.ones(2).numpy().tobytes()


@pytest.mark.parametrize(
    "tensor",
    [
        torch.empty(3, device="meta"),
        torch.eye(3).to_sparse(),
        3.0,
    ],
)
def test_what_has_no_plain_bytes_is_refused_by_name(tensor: object) -> None:
    with pytest.raises(UnsupportedError, match="weight"):
        source_of({"weight": tensor})  # type: ignore[dict-item]


@pytest.mark.filterwarnings("ignore:.*quantiz")
def test_the_names_of_a_quantised_tensors_parameters_must_be_free() -> None:
    scales, zeros = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    tensor = torch.quantize_per_channel(torch.ones(2, 2), scales, zeros, 0, torch.qint8)
    with pytest.raises(UnsupportedError, match=r"w\.scales"):
        source_of({"w": tensor, "w.scales": torch.ones(2)})
