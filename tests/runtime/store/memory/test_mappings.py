"""A mapping: bytes for as long as somebody looks at them."""

import weakref

import numpy as np
import pytest

from runtime.store.errors import StoreError
from runtime.store.memory.mapped import Exporter, Mapped
from runtime.store.memory.mappings import Mapping
from runtime.store.memory.pages import PAGE_BYTES


def made() -> tuple[Mapping, "weakref.ref[Exporter]"]:
    mapped = Mapped(PAGE_BYTES)
    mapped.place(0, PAGE_BYTES)
    exporter = mapped.export(0, 100, writable=True)
    return Mapping(exporter, mapped.address, 100), weakref.ref(exporter)


def test_the_view_is_what_the_address_says() -> None:
    mapping, _ = made()
    with mapping:
        assert np.frombuffer(mapping.view, np.uint8).ctypes.data == mapping.address
        assert len(mapping.view) == mapping.size_bytes == 100


def test_closing_gives_the_bytes_up_at_once_even_if_the_view_was_kept() -> None:
    mapping, exporter = made()
    with mapping:
        kept = mapping.view
        assert exporter() is not None
    assert exporter() is None
    with pytest.raises(ValueError, match="released memoryview"):
        kept[0]


def test_a_slice_or_an_array_keeps_the_bytes_beyond_closing() -> None:
    for make in (lambda view: view[3:5], lambda view: np.frombuffer(view, np.uint8)):
        mapping, exporter = made()
        mapping.view[3] = 42
        part = make(mapping.view)
        mapping.close()
        assert exporter() is not None
        assert 42 in bytes(part)
        del part
        assert exporter() is None


def test_a_closed_mapping_says_so_and_closes_again() -> None:
    mapping, _ = made()
    mapping.close()
    mapping.close()
    assert mapping.closed
    with pytest.raises(StoreError, match="this mapping is closed: map the name again"):
        _ = mapping.view
