"""Files in S3: a real server of its protocol (moto's) in this process, read by s3fs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.store.remote.errors import RemoteMissingError
from runtime.store.remote.fetching import Fetch, Fetched, fetch
from runtime.store.remote.retrying import Patience
from runtime.store.remote.sources import opened

CHUNK = 1 << 16
DATA = bytes(range(251)) * 2000


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("s3fs", reason="fsspec reads s3:// with s3fs")
    server = pytest.importorskip("moto.server", reason="the S3 server of the tests is moto's")
    running = server.ThreadedMotoServer("127.0.0.1", 0)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    client.put_object(Bucket="models", Key="tiny/file.bin", Body=DATA)
    try:
        yield client
    finally:
        client.close()
        running.stop()


@pytest.mark.usefixtures("bucket")
def test_a_file_comes_from_s3_in_pieces(tmp_path: Path) -> None:
    how = Fetch(Patience(tries=2, pause_s=0), 3, CHUNK)
    with opened("s3://models/tiny", how.patience) as remote:
        file = remote.file("file.bin")
        assert file.state.version
        assert fetch(file, tmp_path / "file.bin", how) == Fetched(len(DATA), 0)
        with pytest.raises(RemoteMissingError, match="s3://models/tiny/none: there is no such"):
            remote.file("none")
    assert (tmp_path / "file.bin").read_bytes() == DATA
