"""Another process maps the region: a real one, over a real socket, without a copy."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.store.errors import StoreError, UnsupportedError
from runtime.store.memory.pages import PAGE_BYTES
from runtime.store.memory.pool import Pool
from runtime.store.memory.regions import Region
from runtime.store.memory.sharing import SharedRegion, receive_region, send_region

ROOT = Path(__file__).resolve().parents[4]
CHILD = """
import json, socket, sys
from runtime.store.errors import StoreError
from runtime.store.memory.sharing import receive_region

with socket.socket(fileno=int(sys.argv[1])) as parent, receive_region(parent) as region:
    orders = parent.makefile("r")
    for line in orders:
        order = json.loads(line)
        try:
            with region.map(order["pages"], order["size"], writable=order["write"]) as mapping:
                if order["write"]:
                    mapping.view[:5] = b"child"
                answer = [bytes(mapping.view[place : place + 5]).decode() for place in order["at"]]
        except StoreError as error:
            answer = str(error)
        parent.sendall(json.dumps(answer).encode() + b"\\n")
    orders.close()
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def region() -> Iterator[Region]:
    with Region.create(6 * PAGE_BYTES) as made:
        yield made


@pytest.fixture
def received(
    region: Region, ends: tuple[socket.socket, socket.socket]
) -> Iterator[Callable[[bool], SharedRegion]]:
    """The region as the other end gets it, with the right to write or without."""
    opened: list[SharedRegion] = []

    def receive(writable: bool) -> SharedRegion:
        send_region(ends[0], region, writable=writable)
        opened.append(receive_region(ends[1]))
        return opened[-1]

    yield receive
    for shared in opened:
        shared.close()


@pytest.mark.parametrize("writable", [True, False])
def test_a_child_process_reads_and_writes_what_the_pool_holds(
    region: Region, ends: tuple[socket.socket, socket.socket], writable: bool
) -> None:
    ours, theirs = ends
    pool = Pool(region)
    for page in range(6):
        pool.commit(pool.reserve(f"page {page}", 1))
    for page in (1, 3, 4):
        pool.evict(f"page {page}")
    holding = pool.reserve("m", 3 * PAGE_BYTES - 9)
    assert holding.pages == (1, 3, 4)
    for page, word in enumerate((b"first", b"secon", b"third")):
        holding.buffers(page * PAGE_BYTES, 5)[0][:] = word
    pool.commit(holding, pinned=True)
    with child(theirs) as process:
        send_region(ours, region, writable=writable)
        order = {"pages": holding.pages, "size": holding.size_bytes, "write": False}
        at = [0, PAGE_BYTES, 2 * PAGE_BYTES]
        assert ask(ours, order | {"at": at}) == ["first", "secon", "third"]
        holding.buffers(PAGE_BYTES, 5)[0][:] = b"again"
        assert ask(ours, order | {"at": at[1:]}) == ["again", "third"]
        answer = ask(ours, order | {"at": at[:1], "write": True})
        assert answer == (["child"] if writable else "the shared memory region may only be read")
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(timeout=60) == 0
    with pool.map("m") as mapping:
        assert bytes(mapping.view[:5]) == (b"child" if writable else b"first")


def child(theirs: socket.socket) -> "subprocess.Popen[bytes]":
    """A process of its own that answers what it is asked to map."""
    command = [sys.executable, "-W", "error", "-c", CHILD, str(theirs.fileno())]
    process = subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT)
    theirs.close()
    return process


def ask(ours: socket.socket, order: dict[str, object]) -> object:
    ours.sendall(json.dumps(order).encode() + b"\n")
    ours.settimeout(60)
    answer = b""
    while not answer.endswith(b"\n"):
        more = ours.recv(65536)
        assert more, "the child has gone"
        answer += more
    return json.loads(answer)


def test_both_ends_see_the_same_bytes(
    region: Region, received: Callable[[bool], SharedRegion]
) -> None:
    shared = received(True)
    assert shared.size_bytes == region.size_bytes
    with shared.map([5, 2, 3], 3 * PAGE_BYTES, writable=True) as mapping:
        region.view[5 * PAGE_BYTES] = 1
        mapping.view[PAGE_BYTES] = 2
        mapping.view[3 * PAGE_BYTES - 1] = 3
        assert mapping.view[0] == 1
    assert region.view[2 * PAGE_BYTES] == 2
    assert region.view[4 * PAGE_BYTES - 1] == 3


@pytest.mark.parametrize("size_bytes", [0, 1, PAGE_BYTES, PAGE_BYTES + 1])
def test_a_mapping_has_the_size_that_was_asked_for(
    received: Callable[[bool], SharedRegion], size_bytes: int
) -> None:
    with received(False).map([0, 4][: -(-size_bytes // PAGE_BYTES)], size_bytes) as mapping:
        assert len(mapping.view) == size_bytes
        assert mapping.view.readonly


def test_a_mapping_outlives_both_regions(
    region: Region, received: Callable[[bool], SharedRegion]
) -> None:
    shared = received(False)
    region.view[:3] = b"abc"
    with shared.map([0], 3) as mapping:
        shared.close()
        region.close()
        assert bytes(mapping.view) == b"abc"
    with pytest.raises(StoreError, match="the shared memory region is closed"):
        shared.map([0], 3)


def test_the_kernel_too_refuses_to_write_through_a_descriptor_for_reading(
    region: Region, received: Callable[[bool], SharedRegion]
) -> None:
    shared = received(False)
    shared.writable = True  # a receiver that does not keep to what it was told
    with pytest.raises(StoreError, match=r"cannot map pages \(runs: 1\): mmap: Permission denied"):
        shared.map([0], 1, writable=True)


@pytest.mark.parametrize(
    ("pages", "size_bytes", "message"),
    [
        ([6], 1, "page 6: the shared region has pages 0 to 5"),
        ([-1], 1, "page -1: the shared region has pages 0 to 5"),
        ([0], PAGE_BYTES + 1, f"size_bytes {PAGE_BYTES + 1}: 1 pages were given for it"),
        ([0], -1, "size_bytes -1: 1 pages were given for it"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    received: Callable[[bool], SharedRegion], pages: list[int], size_bytes: int, message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        received(False).map(pages, size_bytes)


def test_private_memory_cannot_be_sent(ends: tuple[socket.socket, socket.socket]) -> None:
    with (
        Region.create(PAGE_BYTES, shared=False) as region,
        pytest.raises(UnsupportedError, match="is private to its process: create it with shared=T"),
    ):
        send_region(ends[0], region)


def test_a_closed_region_cannot_be_sent(
    region: Region, ends: tuple[socket.socket, socket.socket]
) -> None:
    region.close()
    with pytest.raises(StoreError, match="the memory region is closed"):
        send_region(ends[0], region)


def test_a_message_in_pieces_is_put_together(
    region: Region, ends: tuple[socket.socket, socket.socket]
) -> None:
    assert region.fd is not None
    message = valid(region)
    socket.send_fds(ends[0], [message[:3]], [region.fd])
    sender = threading.Thread(target=ends[0].sendall, args=(message[3:],))
    sender.start()
    with receive_region(ends[1]) as shared:
        assert shared.size_bytes == region.size_bytes
    sender.join()


def valid(region: Region) -> bytes:
    """What `send_region` says beside the descriptor."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_region(ours, region)
        return theirs.recv(100)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda good: b"", "no memory region came: 0 of 25 bytes, 0 descriptors"),
        (lambda good: good[:9], "no memory region came: 9 of 25 bytes, 1 descriptors"),
        (lambda good: b"x" * 25, "a memory region of another kind came: b'xxxxxxxx'"),
        (lambda good: good[:8] + b"\1" + good[9:], f"that came is {6 * PAGE_BYTES} bytes, not "),
    ],
)
def test_something_else_is_refused_and_its_descriptor_closed(
    region: Region,
    ends: tuple[socket.socket, socket.socket],
    changed: Callable[[bytes], bytes],
    message: str,
) -> None:
    assert region.fd is not None
    data = changed(valid(region))
    if data:
        socket.send_fds(ends[0], [data], [region.fd])
    ends[0].shutdown(socket.SHUT_WR)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(StoreError, match=message):
        receive_region(ends[1])
    assert os.listdir("/proc/self/fd") == before


def test_a_message_without_a_descriptor_is_refused(
    region: Region, ends: tuple[socket.socket, socket.socket]
) -> None:
    ends[0].sendall(valid(region))
    with pytest.raises(StoreError, match="no memory region came: 25 of 25 bytes, 0 descriptors"):
        receive_region(ends[1])


@pytest.mark.parametrize("sealed", [True, False])
def test_a_file_that_could_shrink_under_its_reader_is_refused(
    region: Region, ends: tuple[socket.socket, socket.socket], sealed: bool, tmp_path: Path
) -> None:
    if sealed:  # in part: it may not grow, and still shrink
        fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.truncate(fd, region.size_bytes)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        expected = "can still change its size"
    else:
        fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        os.truncate(fd, region.size_bytes)
        expected = "is no memfd: Invalid argument"
    try:
        socket.send_fds(ends[0], [valid(region)], [fd])
        with pytest.raises(StoreError, match=expected):
            receive_region(ends[1])
    finally:
        os.close(fd)
