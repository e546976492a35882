"""A step-by-step continuous-batching engine: the oracle of `sim.engine`.

It plays every iteration, keeps blocks, tokens and gaps of each sequence one by one, and shares
nothing with the engine under test but `EnginePace`.
"""

import copy
import math
from dataclasses import dataclass, field
from itertools import pairwise

from sim.pace import EnginePace


@dataclass(eq=False)
class ReferenceSequence:
    request: int
    prompt_tokens: int
    output_tokens: int
    rank: int = 0
    generated: int = 0
    prefilled: int = 0
    scheduled_at: float | None = None
    token_times: list[float] = field(default_factory=list)
    filling: bool = True
    kv: int = 0
    blocks: int = 0
    prefix: tuple[int, ...] = ()
    prefix_block_tokens: int = 1
    shared: tuple[int, ...] = ()
    cached_tokens: int = 0
    landed: int = 0  # the how-manieth to start decoding here

    @property
    def target(self) -> int:
        return self.prompt_tokens + self.generated

    @property
    def gap_list(self) -> list[float]:
        times = self.token_times
        return [after - before for before, after in pairwise(times)]


class ReferenceCard:
    """Work of its engines, each at 1 / (engines with work)."""

    def __init__(self) -> None:
        self.engines: list[ReferenceEngine] = []
        self.now = 0.0

    @property
    def sharers(self) -> int:
        return sum(1 for engine in self.engines if engine.scheduled)

    def advance(self, at: float) -> None:
        done = (at - self.now) / max(self.sharers, 1)
        for engine in self.engines:
            if engine.scheduled:
                engine.work_left_s -= done
        self.now = at


class ReferenceEngine:
    def __init__(
        self,
        pace: EnginePace,
        max_sequences: int,
        kv_blocks: int,
        card: ReferenceCard | None = None,
    ) -> None:
        self.pace = pace
        self.max_sequences = max_sequences
        self.kv_blocks = kv_blocks
        self.card = card or ReferenceCard()
        self.card.engines.append(self)
        self.waiting_list: list[ReferenceSequence] = []
        self.joining: list[ReferenceSequence] = []
        self.running_list: list[ReferenceSequence] = []
        self.leaving: list[ReferenceSequence] = []
        self.reserved: dict[int, int] = {}
        self.scheduled: list[tuple[ReferenceSequence, int]] = []  # prefill tokens, 0 for decoding
        self.work_left_s = 0.0
        self.preemptions = 0
        self.landings = 0
        self.unused: list[tuple[int, int]] = []  # prompts' blocks (id, tokens), oldest first
        self.gaps_seen: list[float] = []

    @property
    def next_at(self) -> float:
        if not self.scheduled:
            return math.inf
        return self.card.now + max(self.work_left_s, 0.0) * self.card.sharers

    def __contains__(self, request: int) -> bool:
        return any(sequence.request == request for sequence in self._present())

    def _present(self) -> list[ReferenceSequence]:
        everyone = self.running_list + self.joining + self.waiting_list
        return [sequence for sequence in everyone if sequence not in self.leaving]

    def _get(self, request: int) -> ReferenceSequence:
        return next(sequence for sequence in self._present() if sequence.request == request)

    def generated(self, at: float, request: int) -> int:
        return self._get(request).generated

    def context(self, at: float) -> int:
        return sum(sequence.kv for sequence in self.running_list if not sequence.filling)

    def free_blocks(self, at: float) -> int:
        held = sum(sequence.blocks for sequence in self.running_list + self.joining)
        return self.kv_blocks - held - sum(self.reserved.values())

    def _blocks(self, tokens: int) -> int:
        return math.ceil(tokens / self.pace.block_tokens)

    def unused_prefixes(self, at: float) -> list[int]:
        return [block for block, _ in self.unused]

    # Prefixes: nothing is clever here, every change of what is held is followed by `_forget`

    def _forget(self) -> None:
        most = self.free_blocks(0.0) * self.pace.block_tokens
        most = min(
            most, int(self.pace.prefix_cache_share * self.kv_blocks * self.pace.block_tokens)
        )
        while sum(tokens for _, tokens in self.unused) > most:
            self.unused.pop(0)

    def _found(self, sequence: ReferenceSequence) -> int:
        here = {block for other in self.running_list for block in other.shared}
        here |= {block for block, _ in self.unused}
        found = 0
        for block in sequence.prefix:
            after = found + sequence.prefix_block_tokens
            if block not in here or after > sequence.target - 1:
                break
            found = after
        return found

    def _share(self, sequence: ReferenceSequence, kv: int) -> None:
        if sequence.prefix and self.pace.prefix_cache_share:
            sequence.shared = sequence.prefix[: kv // sequence.prefix_block_tokens]
            self.unused = [entry for entry in self.unused if entry[0] not in sequence.shared]

    def _unshare(self, sequence: ReferenceSequence) -> None:
        """After it has left the running list."""
        used = {block for other in self.running_list for block in other.shared}
        self.unused += [
            (block, sequence.prefix_block_tokens)
            for block in reversed(sequence.shared)
            if block not in used
        ]
        sequence.shared = ()
        self._forget()

    def _has_seat(self) -> bool:
        taken = len(self.running_list) + len(self.joining) + len(self.reserved)
        return taken < self.max_sequences

    def add(self, at: float, sequence: ReferenceSequence) -> None:
        self.card.advance(at)
        if self._blocks(sequence.prompt_tokens + sequence.output_tokens) > self.kv_blocks:
            raise ValueError("never fits")
        held = self.reserved.get(sequence.request)
        sequence.kv = sequence.prefilled
        sequence.filling = not (sequence.generated and sequence.kv == sequence.target - 1)
        if sequence.prefilled:
            need = self._blocks(sequence.target if sequence.filling else sequence.kv)
            if need > self.free_blocks(at) + (held or 0) or (held is None and not self._has_seat()):
                raise ValueError("no room")
            sequence.blocks = need
            self.joining.append(sequence)
        else:
            sequence.filling = True
            self.waiting_list.append(sequence)
        self.reserved.pop(sequence.request, None)
        self._forget()
        self._start_if_idle(at)

    def reserve(self, at: float, request: int, tokens: int) -> bool:
        self.card.advance(at)
        held = self.reserved.get(request)
        if held is None and not self._has_seat():
            return False
        if self._blocks(tokens) > self.free_blocks(at) + (held or 0):
            return False
        self.reserved[request] = self._blocks(tokens)
        self._forget()
        self._start_if_idle(at)
        return True

    def unreserve(self, at: float, request: int) -> None:
        self.card.advance(at)
        self.reserved.pop(request, None)
        self._start_if_idle(at)

    def remove(self, at: float, request: int) -> ReferenceSequence:
        self.card.advance(at)
        sequence = self._get(request)
        if sequence in self.running_list:
            self.leaving.append(sequence)
            if not self.scheduled:
                self._leave()
        elif sequence in self.joining:
            self.joining.remove(sequence)
        else:
            self.waiting_list.remove(sequence)
        gone = copy.copy(sequence)
        gone.token_times = list(sequence.token_times)
        gone.kv = gone.blocks = gone.prefilled = 0
        gone.shared = ()
        gone.filling = True
        self._start_if_idle(at)
        return gone

    def wake(self, at: float) -> list[ReferenceSequence]:
        self.card.advance(at)
        for sequence, chunk in self.scheduled:
            sequence.kv += chunk or 1
            if sequence in self.leaving:
                continue
            if not sequence.filling or sequence.kv == sequence.target:
                if sequence.filling:
                    self._land(sequence)
                sequence.generated += 1
                sequence.token_times.append(at)
                self.gaps_seen += sequence.gap_list[-1:]
        self._leave()
        ended = [s for s in self.running_list if s.generated == s.output_tokens]
        for sequence in sorted(ended, key=lambda one: one.landed):
            self.running_list.remove(sequence)
            self._unshare(sequence)
        self._boundary(at)
        return ended

    def _land(self, sequence: ReferenceSequence) -> None:
        self.landings += 1
        sequence.landed = self.landings
        sequence.filling = False

    def _leave(self) -> None:
        for sequence in self.leaving:
            self.running_list.remove(sequence)
            self._unshare(sequence)
        self.leaving = []

    def _start_if_idle(self, at: float) -> None:
        if not self.scheduled:
            self._boundary(at)

    def _boundary(self, at: float) -> None:
        preempted = True
        self.scheduled = []
        while preempted and not self.scheduled:
            for sequence in self.joining:
                if sequence.scheduled_at is None:
                    sequence.scheduled_at = at
            for sequence in self.joining:
                self.running_list.append(sequence)
                self._share(sequence, sequence.kv)
                if not sequence.filling:
                    self._land(sequence)
            self.joining = []
            preempted = self._grow()
            self.scheduled = [(s, 0) for s in self.running_list if not s.filling]
            if not preempted:
                self._prefill(at)
        self.work_left_s = self._work_s()

    def _grow(self) -> bool:
        preempted = False
        for sequence in [s for s in self.running_list if not s.filling]:
            if sequence not in self.running_list:
                continue
            if sequence.kv + 1 <= sequence.blocks * self.pace.block_tokens:
                continue
            while sequence in self.running_list and self.free_blocks(0.0) < 1:
                self._preempt(self.running_list[-1])
                preempted = True
            if sequence in self.running_list:
                sequence.blocks += 1
                self._forget()
        return preempted

    def _preempt(self, victim: ReferenceSequence) -> None:
        self.running_list.remove(victim)
        self._unshare(victim)
        victim.filling = True
        victim.kv = victim.blocks = 0
        self.waiting_list.insert(0, victim)
        self.preemptions += 1

    def _prefill(self, at: float) -> None:
        budget = self.pace.max_batched_tokens or math.inf
        budget -= len(self.scheduled)
        blocked = False
        for sequence in [s for s in self.running_list if s.filling]:
            chunk = int(min(sequence.target - sequence.kv, budget))
            if chunk < 1 or not self._give(sequence, chunk):
                blocked = True
                continue
            self._forget()
            self._share(sequence, sequence.kv + chunk)
            budget -= chunk
        while self.waiting_list and not blocked and budget > 0 and self._has_seat():
            sequence = self.waiting_list[0]
            cached = self._found(sequence)
            chunk = int(min(sequence.target - cached, budget))
            sequence.kv = cached
            if not self._give(sequence, chunk):
                sequence.kv = 0
                break
            budget -= chunk
            self.waiting_list.pop(0)
            self.running_list.append(sequence)
            self._share(sequence, cached + chunk)
            self._forget()
            if sequence.scheduled_at is None:
                sequence.scheduled_at = at
                sequence.cached_tokens = cached

    def _give(self, sequence: ReferenceSequence, chunk: int) -> bool:
        need = max(self._blocks(sequence.kv + chunk) - sequence.blocks, 0)
        if need > self.free_blocks(0.0):
            return False
        sequence.blocks += need
        self.scheduled.append((sequence, chunk))
        return True

    def _work_s(self) -> float:
        pace = self.pace
        ranks = [sequence.rank for sequence, _ in self.scheduled if sequence.rank]
        return (
            pace.step_s
            + pace.per_sequence_s * len(self.scheduled)
            + pace.per_context_token_s * sum(s.kv for s, chunk in self.scheduled if not chunk)
            + pace.per_prefill_token_s * sum(chunk for _, chunk in self.scheduled)
            + (pace.adapter_step_s if ranks else 0.0)
            + pace.adapter_rank_s * sum(ranks)
        )
