"""Transfers over shared links, in SimPy time.

A link gives each transfer on it an equal share of its bandwidth, and a transfer goes at the least
of its shares: a path is a pipeline of chunks, so its slowest hop sets the pace. What a transfer
leaves unused on its other links is not handed on, so a rate follows from counts alone and a start
or an end touches nobody but the transfers that share a link with it.

It knows nothing of nodes, tiers or artifacts.
"""

import heapq
import math
from collections.abc import Iterable
from typing import Any

import simpy


class TransferError(ValueError):
    """A link or a transfer was asked for that cannot exist; the message names what is wrong."""


class Link:
    """A path of `bytes_per_s`, shared equally by the transfers on it.

    `stores_chunks` is False where bytes pass through as they come (a switch, the far end of a
    network): such a link limits the rate and adds no chunk to the filling of a pipeline.
    `sharing_loss` is what each further transfer costs all of them together: n on the link get
    bytes_per_s / (1 + sharing_loss * (n - 1)), and an nth of that each.
    `bytes_carried` counts the transfers that have ended, cancelled ones as far as they came.
    """

    __slots__ = (
        "bytes_carried",
        "bytes_per_s",
        "name",
        "share_bytes_per_s",
        "sharers",
        "sharing_loss",
        "stores",
    )

    def __init__(
        self,
        name: str,
        bytes_per_s: float,
        *,
        stores_chunks: bool = True,
        sharing_loss: float = 0.0,
    ) -> None:
        if not bytes_per_s > 0:
            raise TransferError(f"link {name}: bytes_per_s is {bytes_per_s}; it must be above 0")
        if not 0 <= sharing_loss < math.inf:
            raise TransferError(
                f"link {name}: sharing_loss is {sharing_loss}; it must be finite and at least 0"
            )
        self.name = name
        self.bytes_per_s = bytes_per_s
        self.sharing_loss = sharing_loss
        self.stores = stores_chunks
        self.bytes_carried = 0.0
        self.share_bytes_per_s = bytes_per_s
        self.sharers: dict[Transfer, None] = {}  # in the order they began

    def __repr__(self) -> str:
        return f"Link({self.name!r}, {self.bytes_per_s:g})"

    def _join(self, transfer: "Transfer") -> None:
        self.sharers[transfer] = None
        self._share()

    def _leave(self, transfer: "Transfer", moved_bytes: float) -> None:
        del self.sharers[transfer]
        self.bytes_carried += moved_bytes
        self._share()

    def _share(self) -> None:
        sharers = max(1, len(self.sharers))
        lost = 1.0 + self.sharing_loss * (sharers - 1)
        self.share_bytes_per_s = self.bytes_per_s / (sharers * lost)


class Transfer(simpy.Event):
    """Bytes on their way; succeeds with the seconds taken. A cancelled one never succeeds.

    The filling of the pipeline is work like any other: a chunk for each hop beyond the first is
    added to the bytes, so it takes longer on a busy path, as a real first chunk does.
    """

    def __init__(self, network: "Network", nbytes: float, links: tuple[Link, ...]) -> None:
        super().__init__(network.env)
        self.nbytes = nbytes
        self.links = links
        self.started_at: float = network.env.now
        self.over = False
        self.rate_bytes_per_s = 0.0
        self.ends_at = math.inf
        self._network = network
        self._order = 0
        self._cap_bytes_per_s = math.inf
        self._left_bytes = nbytes  # filling included, as of `_since`
        self._since = self.started_at

    @property
    def bytes_done(self) -> float:
        """Bytes that have come out at the far end by now."""
        left = self._left_bytes if self.over else self._left_at(self.env.now)
        return max(0.0, self.nbytes - left)  # the filling goes first

    def cancel(self) -> None:
        """Stop it where it is and free its share; nothing if it has already ended."""
        if not self.over:
            self._network._end([self])

    def _left_at(self, now: float) -> float:
        # The order of this guard matters: an unlimited rate over no time would be no number.
        if now <= self._since:
            return self._left_bytes
        return max(0.0, self._left_bytes - self.rate_bytes_per_s * (now - self._since))

    def _settle(self, now: float) -> None:
        self._left_bytes = self._left_at(now)
        self._since = now

    def _fair_rate(self) -> float:
        rate = self._cap_bytes_per_s
        for link in self.links:
            rate = min(rate, link.share_bytes_per_s)
        return rate


class Network:
    """Every transfer in flight, and one wake-up of SimPy for the next that ends.

    A change re-times only the transfers whose rate it changes, in the order they began; those that
    end at one instant end in the order they began. A wake-up that a later change has overtaken
    stays in SimPy's calendar, where it can be no event, and does nothing.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self.env = env
        self._ends: list[tuple[float, int, int, Transfer]] = []  # stale entries are skipped
        self._began = 0
        self._pushes = 0
        self._wake_at = math.inf

    def transfer(
        self,
        nbytes: float,
        links: Iterable[Link],
        *,
        chunk_bytes: float = 0.0,
        cap_bytes_per_s: float = math.inf,
    ) -> Transfer:
        """Start moving `nbytes` over `links`, at most at `cap_bytes_per_s` (what a loader can do).

        Undisturbed it takes max over hops of nbytes / b, plus (hops - 1) * chunk / min b, where
        hops are the links that store chunks, b counts the cap, and a chunk is never larger than
        the whole (ServerlessLLM, OSDI'24, section 4: a pipeline of tiers). Raises TransferError.
        """
        path = tuple(links)
        _check(nbytes, path, chunk_bytes, cap_bytes_per_s)
        self._began += 1
        transfer = Transfer(self, nbytes, path)
        transfer._order = self._began
        transfer._cap_bytes_per_s = cap_bytes_per_s
        hops = sum(link.stores for link in path)
        transfer._left_bytes += max(0, hops - 1) * min(chunk_bytes, nbytes)
        for link in path:
            link._join(transfer)
        if not path:
            self._retime(transfer, cap_bytes_per_s)
        self._retime_sharers(path)
        self._arm()
        return transfer

    def cut(self, links: Iterable[Link]) -> list[Transfer]:
        """Cancel all that crosses any of `links` (a node is gone); what was cancelled, in order."""
        crossing = {transfer: None for link in links for transfer in link.sharers}
        victims = sorted(crossing, key=lambda transfer: transfer._order)
        self._end(victims)
        return victims

    def _end(self, transfers: list[Transfer]) -> None:
        now = self.env.now
        for transfer in transfers:
            transfer._settle(now)
            transfer.over = True
            for link in transfer.links:
                link._leave(transfer, transfer.bytes_done)
        self._retime_sharers(dict.fromkeys(link for t in transfers for link in t.links))
        self._arm()

    def _retime_sharers(self, links: Iterable[Link]) -> None:
        # Met twice, a transfer already has its rate: no set of those seen is needed.
        for link in links:
            for transfer in link.sharers:
                rate = transfer._fair_rate()
                if rate != transfer.rate_bytes_per_s:
                    self._retime(transfer, rate)

    def _retime(self, transfer: Transfer, rate_bytes_per_s: float) -> None:
        now = self.env.now
        transfer._settle(now)
        transfer.rate_bytes_per_s = rate_bytes_per_s
        transfer.ends_at = now + transfer._left_bytes / transfer.rate_bytes_per_s
        self._pushes += 1
        heapq.heappush(self._ends, (transfer.ends_at, transfer._order, self._pushes, transfer))

    def _drop_stale(self) -> None:
        ends = self._ends
        while ends and (ends[0][3].over or ends[0][0] != ends[0][3].ends_at):
            heapq.heappop(ends)

    def _arm(self) -> None:
        self._drop_stale()
        if not self._ends or self._ends[0][0] >= self._wake_at:
            return
        self._wake_at = self._ends[0][0]
        wake = self.env.timeout(max(0.0, self._wake_at - self.env.now), value=self._wake_at)
        wake.callbacks.append(self._wake)

    def _wake(self, event: Any) -> None:
        if event.value != self._wake_at:
            return  # an earlier wake-up took its place
        self._wake_at = math.inf
        # now + (end - now) need not be `end` in floating point: the later of the two is meant.
        due_at = max(self.env.now, event.value)
        ended: list[Transfer] = []
        self._drop_stale()
        while self._ends and self._ends[0][0] <= due_at:
            transfer = heapq.heappop(self._ends)[3]
            transfer.over = True  # a second entry with the same end is stale from here
            ended.append(transfer)
            self._drop_stale()
        self._complete(ended)

    def _complete(self, ended: list[Transfer]) -> None:
        for transfer in ended:
            transfer._left_bytes, transfer._since = 0.0, transfer.ends_at
            for link in transfer.links:
                link._leave(transfer, transfer.nbytes)
            transfer.succeed(transfer.ends_at - transfer.started_at)
        self._retime_sharers(dict.fromkeys(link for t in ended for link in t.links))
        self._arm()


def _check(nbytes: float, path: tuple[Link, ...], chunk_bytes: float, cap: float) -> None:
    if not 0 <= nbytes < math.inf:
        raise TransferError(f"nbytes is {nbytes}; it must be finite and at least 0")
    if not 0 <= chunk_bytes < math.inf:
        raise TransferError(f"chunk_bytes is {chunk_bytes}; it must be finite and at least 0")
    if not cap > 0:
        raise TransferError(f"cap_bytes_per_s is {cap}; it must be above 0")
    if len(set(path)) != len(path):
        raise TransferError(f"links are {list(path)}; a transfer crosses a link once")
