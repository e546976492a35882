"""The pictures are drawn, are not empty, and are the same every time."""

from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from matplotlib.image import imread

from tests.traces.runs import Story
from tests.traces.small_cloud import SmallCloud
from traces.comparison import Run, run_of
from traces.metrics import summarise
from traces.plots import save_plots
from traces.summary import Held, Slo
from traces.timeline import timeline_of
from traces.timeline_plot import timeline_figure


@cache
def made_runs() -> tuple[Run, ...]:
    runs = []
    for policy, move_share in (("still", 0.0), ("moving", 0.3)):
        for seed in range(2):
            record = SmallCloud(nodes=2, gpus=2, move_share=move_share).run(60, 0.3, seed)
            held = {"A40": Held({"serving": 100.0, "idle": 40.0 + seed})}
            summary = summarise(record, Slo(7.5, 0.2), held)
            runs.append(run_of(policy, seed, record, summary, keep_record=seed == 0))
    return tuple(runs)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_plots(made_runs(), tmp_path_factory.mktemp("plots"))


def test_every_picture_is_drawn_as_png_and_svg(paths: dict[str, Path]) -> None:
    comparing = {"latency", "startup", "cold_starts", "attainment", "cost", "queue"}
    assert set(paths) == comparing | {"timeline_still", "timeline_moving"}
    for path in paths.values():
        image = imread(path)
        assert image.shape[0] > 300
        assert image.shape[1] > 600
        assert np.unique(image[::7, ::7, :3].reshape(-1, 3), axis=0).shape[0] > 20
        assert path.with_suffix(".svg").read_text().startswith("<?xml")


def test_the_same_runs_make_the_same_bytes(paths: dict[str, Path], tmp_path: Path) -> None:
    bare = [msgspec.structs.replace(run, record=None) for run in made_runs()]
    again = save_plots(bare, tmp_path)
    assert set(again) == {name for name in paths if not name.startswith("timeline")}
    for name, path in again.items():
        for suffix in (".png", ".svg"):
            first, second = path.with_suffix(suffix), paths[name].with_suffix(suffix)
            assert first.read_bytes() == second.read_bytes()


def test_runs_with_nothing_to_show_make_no_picture(tmp_path: Path) -> None:
    record = Story().record()
    run = run_of("none", 0, record, summarise(record, Slo(1.0, 0.1)), keep_record=True)
    assert set(save_plots([run], tmp_path)) <= {"latency"}
    assert timeline_figure(timeline_of(record), record.model_name) is None
