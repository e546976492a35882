"""Checkpoints at an address: which files make one up, and all of them in a folder of this machine.

Known by the names of their files: ours (index.json), Hugging Face's (model.safetensors, whole or
sharded), a PEFT adapter's, ServerlessLLM's, or one .safetensors file. What is in them is left to
`format`; of ours, every chunk is checked against the index as it comes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runtime.store.format.index import INDEX_FILE, Index
from runtime.store.format.parsing import MOST_INDEX_BYTES, parse
from runtime.store.remote.errors import RemoteError, RemoteMissingError
from runtime.store.remote.fetching import Fetch, Fetched, Sink, fetch_partial
from runtime.store.remote.journal import Checks, journal_of
from runtime.store.remote.retrying import persistently
from runtime.store.remote.sources import Remote, RemoteFile

SHARDS: Final = "model.safetensors.index.json"
WHOLE: Final = ("model.safetensors", "adapter_model.safetensors")
SERVERLESSLLM: Final = "tensor_index.json"
#: Small files that may lie beside the weights; those that do are fetched.
BESIDE: Final = (
    "config.json", "generation_config.json", "adapter_config.json", "tokenizer.json",
    "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "chat_template.jinja",
)  # fmt: skip

#: A sink for a file by its name, or None for one that goes onto the disk alone.
SinkOf = Callable[[str], Sink | None]


@dataclass(frozen=True, slots=True)
class Listed:
    """The files of a checkpoint elsewhere, and what is known of their chunks."""

    kind: str
    files: Mapping[str, RemoteFile]
    checks: Mapping[str, Checks] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Of the files whose size is known."""
        return sum(file.state.size_bytes or 0 for file in self.files.values())


def listed(remote: Remote, url: str, how: Fetch) -> Listed:
    """What makes up the checkpoint at an address.

    Raises RemoteMissingError where there is none, RemoteError or StoreError for a broken index.
    """
    path = urlsplit(url).path or url
    name = path.rstrip("/").rpartition("/")[2]
    if name.endswith(".safetensors"):
        return Listed("safetensors", {name: remote.file()})
    for known in (_ours, _sharded, _whole, _serverlessllm):
        if found := known(remote, how):
            return found
    what = f"no checkpoint: neither {INDEX_FILE}, {SHARDS}, {', '.join(WHOLE)} nor {SERVERLESSLLM}"
    raise RemoteMissingError(url, what)


def fetch_checkpoint(
    found: Listed, folder: Path, how: Fetch, sink_of: SinkOf = lambda name: None
) -> Fetched:
    """All of its files in the folder, which may hold what an earlier fetch left; raises as `fetch`.

    When this returns the journals are gone and every byte is on the disk.
    """
    read, kept = 0, 0
    for name, file in found.files.items():
        checks, sink = found.checks.get(name), sink_of(name)
        one = fetch_partial(file, folder / name, how, checks=checks, sink=sink)
        read, kept = read + one.read_bytes, kept + one.kept_bytes
    for name in found.files:
        journal_of(folder / name).unlink(missing_ok=True)
    return Fetched(read, kept)


def small(file: RemoteFile, how: Fetch, most_bytes: int = MOST_INDEX_BYTES) -> bytes:
    """All of a small file. Raises RemoteError for one of more than `most_bytes`."""

    def once() -> bytes:
        data = bytearray()
        for block in file.blocks():
            data += block
            if len(data) > most_bytes:
                raise RemoteError(file.url, f"more than {most_bytes} bytes")
        return bytes(data)

    return persistently(how.patience, once)


def _ours(remote: Remote, how: Fetch) -> Listed | None:
    file = _if_there(remote, INDEX_FILE)
    if file is None:
        return None
    index = _parsed(small(file, how), file)
    names = [one.file for one in index.partitions] + [one.file for one in index.carried]
    files = {INDEX_FILE: file} | {name: remote.file(name) for name in names}
    return Listed("hotbed", files, _checks(index, files))


def _parsed(text: bytes, file: RemoteFile) -> Index:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="hotbed-") as folder:
        path = Path(folder) / INDEX_FILE
        path.write_bytes(text)
        try:
            return parse(path)
        except ValueError as error:
            raise RemoteError(file.url, str(error).removeprefix(f"{path}: ")) from None


def _checks(index: Index, files: Mapping[str, RemoteFile]) -> dict[str, Checks]:
    for name, size in (
        *((one.file, one.size_bytes) for one in index.partitions),
        *((one.file, one.size_bytes) for one in index.carried),
    ):
        there = files[name].state.size_bytes
        if there not in (None, size):
            raise RemoteError(files[name].url, f"{there} bytes; its index says {size}")
    checks = {
        one.file: Checks(index.hash, index.chunk_bytes, one.checksums) for one in index.partitions
    }
    return checks | {
        one.file: Checks(index.hash, max(1, one.size_bytes), (one.checksum,) * bool(one.size_bytes))
        for one in index.carried
    }


def _sharded(remote: Remote, how: Fetch) -> Listed | None:
    file = _if_there(remote, SHARDS)
    if file is None:
        return None
    try:
        names = sorted(set(json.loads(small(file, how))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, RemoteError):
            raise
        raise RemoteError(file.url, "no index of shards: expected a weight_map") from None
    for name in names:
        if not isinstance(name, str) or name != Path(name).name or not name.endswith("tensors"):
            raise RemoteError(file.url, f"shard {name!r}: expected a .safetensors file beside it")
    return _folder(remote, {SHARDS: file} | {name: remote.file(name) for name in names})


def _whole(remote: Remote, how: Fetch) -> Listed | None:
    for name in WHOLE:
        if file := _if_there(remote, name):
            return _folder(remote, {name: file})
    return None


def _serverlessllm(remote: Remote, how: Fetch) -> Listed | None:
    files = {SERVERLESSLLM: _if_there(remote, SERVERLESSLLM)}
    while list(files.values())[-1] is not None:
        name = f"tensor.data_{len(files) - 1}"
        files[name] = _if_there(remote, name)
    there = {name: file for name, file in files.items() if file is not None}
    return _folder(remote, there) if len(there) > 1 else None


def _folder(remote: Remote, files: Mapping[str, RemoteFile]) -> Listed:
    beside = {name: _if_there(remote, name) for name in BESIDE}
    there = {name: file for name, file in beside.items() if file is not None}
    return Listed("folder", {**there, **files})


def _if_there(remote: Remote, name: str) -> RemoteFile | None:
    try:
        return remote.file(name)
    except RemoteMissingError:
        return None
