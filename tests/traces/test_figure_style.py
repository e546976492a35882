"""Figures are plain, repeat byte for byte and read in plain numbers."""

from pathlib import Path

from traces import figure_style as style


def drawn(path: Path, title: str) -> bytes:
    figure, (left, right) = style.panels(2)
    left.plot([0, 17.3], [1, 2], color=style.BLUE, label="one")
    right.semilogx([1, 1000], [1, 2], color=style.ORANGE)
    style.label(left, "time (h)", "rate (1/s)", title)
    style.legend_above(left)
    return style.save(figure, path).read_bytes()


def test_the_same_figure_is_the_same_bytes_in_a_folder_made_for_it(tmp_path: Path) -> None:
    first = drawn(tmp_path / "deep" / "a.png", "one")
    assert first == drawn(tmp_path / "b.png", "one")
    assert first != drawn(tmp_path / "c.png", "other")
    assert b"matplotlib" not in first.lower()


def test_ticks_are_whole_and_few() -> None:
    _, (axes,) = style.panels(1)
    axes.set_xlim(0, 17.3)
    style.whole_ticks(axes.xaxis, 6)
    ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= 17.3]
    assert ticks == [0, 5, 10, 15]


def test_logarithmic_axes_show_numbers_and_not_powers() -> None:
    _, (axes,) = style.panels(1)
    axes.semilogx([0.1, 10_000], [0, 1])
    style.plain_numbers(axes.xaxis)
    shown = [axes.xaxis.get_major_formatter()(value, None) for value in (0.1, 1.0, 10_000.0)]
    assert shown == ["0.1", "1", "10,000"]
