"""Routing by a hash, so that what belongs together meets on one instance. No use of `hash()`.

Digests are the same in every process: CRC-32 of a request's key, and the finaliser of SplitMix64 to
mix it with instances' numbers.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from fleet.domain import InstanceId, ModelId, Request
from fleet.holders import Instance
from fleet.view import View
from policies.routing.candidates import candidates, takes

Words: TypeAlias = npt.NDArray[np.uint64]

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


def mixed(words: Words) -> Words:
    """SplitMix64's finaliser: each word to one that looks drawn at random."""
    words = words + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    out: Words = words ^ (words >> np.uint64(31))
    return out


def digest(*parts: int | None) -> int:
    """32 bits of some whole numbers, the same everywhere."""
    return crc32(repr(parts).encode())


@dataclass(frozen=True)
class SessionHash:
    """A session's requests go to one instance: the one of the largest digest(session, instance).

    Rendezvous hashing: when an instance goes, only its own sessions move. Requests without a
    session go by tenant. One that is full, or cannot serve the adapter, is passed over for the next
    largest digest.
    """

    source: ClassVar[str] = "Thaler and Ravishankar, ToN 1998; vLLM production-stack session router"
    departs: ClassVar[str] = "production-stack walks a hash ring; full instances are passed over."

    def route(self, request: Request, view: View) -> Instance | None:
        ready = view.ready(request.model)
        if not ready.has_slot():
            return None
        instances = list(ready)
        session = request.session
        of_request = digest(session) if session is not None else digest(None, request.tenant)
        numbers = np.fromiter((i.id for i in instances), np.uint64, len(instances))
        order = np.argsort(mixed(mixed(numbers) ^ np.uint64(of_request)))
        for instance in (instances[int(place)] for place in order[::-1]):
            if takes(instance, request):
                return instance
        return next(iter(candidates(request, view, 1)), None)


class Ring:
    """Points on a circle of 64 bits, `replicas` of each instance; kept sorted as members change."""

    def __init__(self, replicas: int) -> None:
        self._steps = np.arange(replicas, dtype=np.uint64)
        self._members: dict[InstanceId, None] = {}
        self._points: Words = np.zeros(0, np.uint64)
        self._owners: npt.NDArray[np.int64] = np.zeros(0, np.int64)

    def hold(self, members: Collection[InstanceId]) -> None:
        """Let the ring hold these and no others."""
        if self._members.keys() == set(members):
            return
        gone = [i for i in self._members if i not in members]
        if gone:
            kept = ~np.isin(self._owners, gone)
            self._points, self._owners = self._points[kept], self._owners[kept]
        new = np.array(sorted(set(members) - self._members.keys()), np.int64)
        if len(new):
            of_new = mixed(mixed(self._steps)[None, :] ^ (new.astype(np.uint64) + 1)[:, None])
            order = np.argsort(of_new, axis=None, kind="stable")
            points = of_new.ravel()[order]
            places = np.searchsorted(self._points, points)
            self._points = np.insert(self._points, places, points)
            self._owners = np.insert(self._owners, places, new[order // len(self._steps)])
        self._members = dict.fromkeys(members)

    def walk(self, key: int, most: int) -> list[InstanceId]:
        """Owners of at most `most` points met from the key on, each once, in that order."""
        first = int(np.searchsorted(self._points, mixed(np.array([key], np.uint64))[0]))
        places = np.arange(first, first + min(most, len(self._points))) % len(self._points)
        return [InstanceId(i) for i in dict.fromkeys(self._owners[places].tolist())]


@dataclass(frozen=True)
class BoundedConsistentHash:
    """Walk a hash ring from the prompt's beginning to the first instance that is not overloaded.

    Overloaded: load > `load_factor` * (total + 1) / n, the bound of Mirrokni et al. The key is the
    prompt's first `prefix_blocks` blocks and the adapter, else the session, else the tenant. An
    instance must have the adapter. If all on the way are overloaded, the first with a slot serves.
    """

    source: ClassVar[str] = "KubeAI, internal/loadbalancer/balance_chwbl.go; Mirrokni, SODA'18"
    departs: ClassVar[str] = (
        "KubeAI's key is the adapter and 100 characters of the prompt, no session or tenant. The "
        "walk ends after 1,024 points; then the least loaded instance serves."
    )

    load_factor: Annotated[float, Meta(ge=1)] = 1.25
    replicas: Annotated[int, Meta(ge=1, le=4096)] = 256
    prefix_blocks: Annotated[int, Meta(ge=1)] = 2
    _rings: dict[ModelId, Ring] = field(default_factory=dict, init=False, repr=False, compare=False)

    def route(self, request: Request, view: View) -> Instance | None:
        ready = view.ready(request.model)
        if not ready.has_slot():
            return None
        members = {instance.id: instance for instance in ready}
        bound = self.load_factor * (sum(i.load for i in members.values()) + 1) / len(members)
        first: Instance | None = None
        for number in self._ring(request.model, members).walk(self._key(request), 1024):
            instance = members[number]
            if takes(instance, request):
                if instance.load <= bound:
                    return instance
                first = first or instance
        return first or next(iter(candidates(request, view, 1)), None)

    def _ring(self, model: ModelId, members: dict[InstanceId, Instance]) -> Ring:
        ring = self._rings.get(model)
        if ring is None:
            ring = self._rings[model] = Ring(self.replicas)
        ring.hold(members)
        return ring

    def _key(self, request: Request) -> int:
        if request.prefix:
            return digest(request.adapter, *request.prefix[: self.prefix_blocks])
        if request.session is not None:
            return digest(request.adapter, request.session)
        return digest(request.adapter, None, request.tenant)
