"""Data types by name, as torch spells them without its prefix, and the bytes of one element.

No torch here: an index can be read, checked and converted on a machine without it. Packed types
count the stored element: `float4_e2m1fn_x2` is one byte that holds two numbers.
"""

from typing import Final

from runtime.store.errors import UnsupportedError

ITEM_BYTES: Final[dict[str, int]] = {
    "bool": 1,
    **dict.fromkeys(("uint8", "int8", "bits8", "bits1x8", "bits2x4", "bits4x2"), 1),
    **dict.fromkeys((f"uint{bits}" for bits in range(1, 8)), 1),
    **dict.fromkeys((f"int{bits}" for bits in range(1, 8)), 1),
    **dict.fromkeys(
        (
            "float8_e4m3fn",
            "float8_e4m3fnuz",
            "float8_e5m2",
            "float8_e5m2fnuz",
            "float8_e8m0fnu",
            "float4_e2m1fn_x2",
        ),
        1,
    ),
    **dict.fromkeys(("qint8", "quint8", "quint4x2", "quint2x4"), 1),
    **dict.fromkeys(("uint16", "int16", "float16", "bfloat16", "bits16"), 2),
    **dict.fromkeys(("uint32", "int32", "float32", "complex32", "qint32"), 4),
    **dict.fromkeys(("uint64", "int64", "float64", "complex64"), 8),
    "complex128": 16,
}
"""Element size in bytes of every data type that a checkpoint may hold."""


def item_bytes(dtype: str) -> int:
    """Bytes of one stored element. Raises UnsupportedError for a name that no torch has."""
    try:
        return ITEM_BYTES[dtype]
    except KeyError:
        known = ", ".join(sorted(ITEM_BYTES))
        raise UnsupportedError(f"dtype {dtype!r}: known are {known}") from None
