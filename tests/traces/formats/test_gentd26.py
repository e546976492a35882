import json

import pytest

from traces.formats.content import Content
from traces.formats.gentd26 import read
from traces.schema import TraceError

HEADER = (
    "gmt_create,predict_type,predict_status,exec_time_seconds,groupId,prompt_length,"
    "negative_prompt_length,num_images_per_prompt,num_inference_steps,"
    "checkpoint_model_version_id,num_lora\n"
)
ROWS = (
    "2024-11-15 16:57:50,TXT_2_IMG,SUCCEED,32.0,G0,63.0,26.0,1.0,30.0,M0,0\n"
    "2024-11-15 16:57:55,IMG_2_IMG,PENDING,,G1,,,1.0,,,2\n"
)


def _content(rows: str, header: str = HEADER) -> Content:
    return Content("gen.csv", (header + rows).encode())


def test_times_tenants_bases_and_service_are_read() -> None:
    work = read(_content(ROWS))
    assert work.frame["arrival_us"].tolist() == [0, 5_000_000]
    assert work.frame["tenant_id"].tolist() == ["G0", "G1"]
    assert work.frame["status"].tolist() == ["SUCCEED", "PENDING"]
    assert work.frame["service_s"].tolist()[0] == 32.0
    assert work.meta.time_quantum_us == 1_000_000
    assert "negative_prompt_length" in work.meta.columns_ignored
    assert "prompt_tokens" not in work.frame


def test_what_has_no_column_is_kept_as_json() -> None:
    extra = [json.loads(text) for text in read(_content(ROWS)).frame["extra"]]
    assert extra[0] == {
        "type": "TXT_2_IMG", "steps": 30, "images": 1, "prompt_chars": 63, "loras": 0
    }  # fmt: skip
    assert extra[1] == {"type": "IMG_2_IMG", "images": 1, "loras": 2}


def test_loras_and_models_that_are_not_named_are_noted() -> None:
    work = read(_content(ROWS))
    assert work.models() == ("M0", "unknown")
    assert work.adapters() == ()
    assert work.meta.notes["adapters"].startswith("1 requests")
    assert work.meta.notes["model_id"].startswith("1 requests")


def test_the_stamp_and_the_base_are_enough() -> None:
    header = "gmt_create,checkpoint_model_version_id\n"
    work = read(_content("2024-11-15 16:57:50,M0\n", header))
    assert work.models() == ("M0",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2024-11-15 16:57:55", "yesterday", "gen.csv, row 2, column 'gmt_create': 'yesterday'"),
        ("32.0", "-1", "gen.csv, row 1, column 'exec_time_seconds': '-1'"),
        ("30.0", "many", "gen.csv, row 1, column 'num_inference_steps': 'many'"),
    ],
)
def test_a_malformed_cell_is_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(_content(ROWS.replace(old, new)))
    assert str(caught.value).startswith(message)
