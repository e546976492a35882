"""Numbers as text for people: three digits that matter."""

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def number(value: float) -> str:
    """0.00123, 1.23, 123, 12,300; small ones as 1.20e-04."""
    if value and abs(value) < 1e-3:
        return f"{value:.2e}"
    if abs(value) >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def compact(value: float) -> str:
    """The same in at most six characters and a sign: 1.23k, 1.71M. For narrow columns."""
    if abs(value) < 999.5:
        return number(value)
    size, letter = next(step for step in _STEPS if abs(value) >= step[0] * 0.9995)
    return f"{value / size:.3g}{letter}"
