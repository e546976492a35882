"""Who runs in an engine, in which order, and with which KV blocks.

The scheduler of vLLM v1 at an iteration boundary: decoding sequences first, one block ahead, with
recompute-preemption of the last admitted; then prefills in progress; then the waiting queue, first
come first served with a blocking head. A prompt whose first blocks `sim.prefixes` still has is
prefilled from there on. Counts iterations; knows no length of one, no card and no calendar: times
are only noted.
"""

from collections import deque
from heapq import heapify, heappop, heappush

from fleet import gaps
from sim.gapline import GapLine
from sim.kv import Phases
from sim.pace import EnginePace
from sim.prefixes import Prefixes
from sim.sequence import Sequence

_NO_LIMIT = 1 << 62

# Iteration count at the end of a sequence, order, sequence, its start on the gap line.
Mark = tuple[int, int, Sequence, int, int]


class Batch:
    """Sequences by what they do; `_marks`, `_context`, `_phases` describe the decoding ones.

    Every decoding sequence gets one token an iteration, so its end is a mark on the count of
    iterations, and `output_tokens - (finish - iteration)` is what it has generated.
    """

    __slots__ = (
        "_budget",
        "_context",
        "_filling",
        "_fresh",
        "_iteration",
        "_joining",
        "_landed",
        "_leaving",
        "_line",
        "_marks",
        "_phases",
        "_prefixes",
        "_promised",
        "_ranks",
        "_reserved",
        "_running",
        "_set_aside",
        "_waiting",
        "block_tokens",
        "kv_blocks",
        "max_sequences",
        "preemptions",
        "prefix_cache_share",
    )

    def __init__(self, max_sequences: int, kv_blocks: int, pace: EnginePace) -> None:
        budget = pace.max_batched_tokens
        if max_sequences < 1:
            raise ValueError(f"max_sequences is {max_sequences}: it must be at least 1")
        if kv_blocks < 1:
            raise ValueError(f"kv_blocks is {kv_blocks}: it must be at least 1")
        if budget is not None and budget < max_sequences:
            raise ValueError(
                f"max_batched_tokens is {budget}: "
                f"it must be at least max_sequences, which is {max_sequences}"
            )
        self.max_sequences = max_sequences
        self.kv_blocks = kv_blocks
        self.block_tokens = pace.block_tokens
        self.prefix_cache_share = pace.prefix_cache_share
        self.preemptions = 0  # by recompute
        self._budget = _NO_LIMIT if budget is None else budget
        self._empty()

    def _empty(self) -> None:
        self._waiting: deque[Sequence] = deque()
        self._joining: list[Sequence] = []  # came with KV; run from the next boundary on
        self._running: dict[int, Sequence] = {}  # in order of admission
        self._filling: list[Sequence] = []  # those of _running whose prefill is not complete
        self._fresh: list[Sequence] = []  # decoding, but without a token of this engine yet
        self._leaving: list[Sequence] = []  # removed; gone at the end of the iteration
        self._marks: list[Mark] = []  # a heap with one entry for each decoding sequence
        self._landed = 0
        self._iteration = 0  # iterations complete
        self._context = 0  # KV tokens of the decoding sequences
        self._phases = Phases(self.block_tokens)
        kv_tokens = self.kv_blocks * self.block_tokens
        self._prefixes = Prefixes(int(self.prefix_cache_share * kv_tokens))
        self._ranks = 0  # of the decoding sequences' adapters, together
        self._reserved: dict[int, int] = {}  # request to blocks
        self._set_aside = 0  # blocks of filling and joining sequences and of reservations
        # Blocks at the end of every sequence here, and reservations: not above kv_blocks means
        # that none will ever be missing.
        self._promised = 0
        self._line = GapLine()

    # Counts

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_tokens)

    def _free(self, begun: int) -> int:
        """Blocks free with `begun` more iterations begun by the decoding sequences."""
        context = self._context + len(self._marks) * begun
        decoding = self._phases.blocks(context, self._iteration + begun)
        return self.kv_blocks - self._set_aside - decoding

    def _whole(self, sequence: Sequence) -> int:
        """Blocks of a sequence at its end."""
        return -(-(sequence.prompt_tokens + sequence.output_tokens) // self.block_tokens)

    def _seats(self) -> int:
        taken = len(self._running) + len(self._joining) + len(self._reserved)
        return self.max_sequences - taken

    def _find(self, request: int) -> Sequence | None:
        running = self._running.get(request)
        if running is not None and running not in self._leaving:
            return running
        others = (*self._waiting, *self._joining)
        return next((other for other in others if other.request == request), None)

    def _here(self, request: int) -> Sequence:
        sequence = self._find(request)
        if sequence is None:
            raise KeyError(f"request {request} is not in this engine")
        return sequence

    def _let_go(self, request: int) -> None:
        blocks = self._reserved.pop(request, 0)
        self._set_aside -= blocks
        self._promised -= blocks

    def _unqueue(self, sequence: Sequence) -> None:
        """Takes out a sequence that has not run here."""
        if sequence in self._joining:
            self._joining.remove(sequence)
            self._set_aside -= sequence.blocks
        else:
            self._waiting.remove(sequence)
        self._promised -= self._whole(sequence)

    # At the end of an iteration

    def _leave(self) -> None:
        for sequence in self._leaving:
            del self._running[sequence.request]
            self._promised -= self._whole(sequence)
            if sequence.shared:
                self._unshare(sequence)
            if sequence.finish:
                self._withdraw(sequence)
            else:
                self._stop_filling(sequence)
        self._leaving.clear()

    def _land(self, at: float) -> None:
        """Completed prefills have their next token, and decode from here on."""
        filling = self._filling
        self._filling = []
        for sequence in filling:
            generated = sequence.generated
            kv = sequence.prompt_tokens + generated
            if sequence.prefilled < kv:
                self._filling.append(sequence)
                continue
            self._set_aside -= sequence.blocks
            if generated:
                _note_pause(sequence, at)
            else:
                sequence.first_token_at = at
            self._decode(sequence, sequence.output_tokens - generated - 1, kv)
        if self._fresh:
            self._start_accounts(at)

    def _start_accounts(self, at: float) -> None:
        """Sequences that came with all their KV have their first token here."""
        line = self._line
        for sequence in self._fresh:
            _note_pause(sequence, at)
            place, (finish, order, *_) = self._mark_of(sequence)
            self._marks[place] = (finish, order, sequence, line.total, self._iteration)
        self._fresh.clear()

    def _mark_of(self, sequence: Sequence) -> tuple[int, Mark]:
        return next(found for found in enumerate(self._marks) if found[1][2] is sequence)

    def _decode(self, sequence: Sequence, left: int, kv: int) -> None:
        """From this iteration count on it has `left` tokens to go and `kv` in the cache."""
        iteration = self._iteration
        finish = sequence.finish = iteration + left
        order = self._landed = self._landed + 1
        heappush(self._marks, (finish, order, sequence, self._line.total, iteration))
        self._context += kv
        self._phases.counts[(iteration - kv) % self.block_tokens] += 1
        self._ranks += sequence.rank

    def _end(self, at: float) -> Sequence:
        """The sequence whose mark is first has all its tokens."""
        _, _, sequence, total, start = heappop(self._marks)
        line = self._line
        output_tokens = sequence.output_tokens
        sequence.gaps += line.total - total
        longest_s = line.longest_since(start)
        if longest_s > sequence.longest_gap_s:  # noqa: PLR1730 - no store in most cases
            sequence.longest_gap_s = longest_s
        sequence.generated = output_tokens
        sequence.ended_at = at
        del self._running[sequence.request]
        kv = sequence.prompt_tokens + output_tokens - 1
        self._promised -= kv // self.block_tokens + 1
        self._context -= kv
        self._phases.counts[(self._iteration - kv) % self.block_tokens] -= 1
        self._ranks -= sequence.rank
        if sequence.shared:
            self._unshare(sequence)
        return sequence

    def _settle(self, sequence: Sequence, last_token_at: float) -> None:
        """Brings the record of a decoding sequence up to the iterations complete."""
        sequence.generated = sequence.output_tokens - (sequence.finish - self._iteration)
        if sequence in self._fresh:
            return
        _, (_, _, _, total, start) = self._mark_of(sequence)
        sequence.gaps += self._line.total - total
        sequence.longest_gap_s = max(sequence.longest_gap_s, self._line.longest_since(start))
        sequence.last_token_at = last_token_at

    def _withdraw(self, sequence: Sequence) -> int:
        """Takes a sequence out of decoding before its end; the KV tokens it had."""
        generated = sequence.output_tokens - (sequence.finish - self._iteration)
        kv = sequence.prompt_tokens + generated - 1
        if sequence in self._fresh:
            self._fresh.remove(sequence)
        self._marks = [mark for mark in self._marks if mark[2] is not sequence]
        heapify(self._marks)
        self._context -= kv
        self._phases.counts[(self._iteration - kv) % self.block_tokens] -= 1
        self._ranks -= sequence.rank
        sequence.finish = 0
        return kv

    def _stop_filling(self, sequence: Sequence) -> None:
        self._filling.remove(sequence)
        self._set_aside -= sequence.blocks

    # Prefixes

    def _trim_prefixes(self, begun: int) -> None:
        """Forgets prompts' blocks whose room sequences have taken, `begun` as in `_free`.

        Room in use only grows between two times that some becomes free, so that this need be done
        only before those, and before a look at what is there.
        """
        prefixes, size = self._prefixes, self.block_tokens
        idle_tokens = prefixes.idle_tokens
        if idle_tokens and idle_tokens > (self.kv_blocks - self._promised) * size:
            prefixes.trim(self._free(begun) * size)

    def _cached(self, sequence: Sequence) -> int:
        """Tokens that need no prefill, in whole blocks; at least one token is computed."""
        self._trim_prefixes(1)
        size = sequence.prefix_block_tokens
        most = (sequence.prompt_tokens + sequence.generated - 1) // size
        prefix = sequence.prefix
        return size * self._prefixes.leading(prefix, min(most, len(prefix)))

    def _kept_for_the_next(self) -> int:
        """Blocks of prompts that, once taken, change what the first in the queue finds here, and
        so perhaps whether it fits."""
        if not self._waiting or not self._waiting[0].prefix:
            return 0
        return self._blocks(self._prefixes.idle_tokens)

    def _share(self, sequence: Sequence, kv: int) -> None:
        """The whole blocks in the first `kv` tokens can be found from here on."""
        if self.prefix_cache_share:
            shared = sequence.shared
            sequence.shared = min(kv // sequence.prefix_block_tokens, len(sequence.prefix))
            self._prefixes.use(sequence.prefix[shared : sequence.shared])

    def _unshare(self, sequence: Sequence) -> None:
        blocks = sequence.prefix[: sequence.shared]
        self._prefixes.leave(blocks, sequence.prefix_block_tokens)
        sequence.shared = 0

    # At a boundary

    def _seat_joining(self, at: float) -> None:
        if self._prefixes.idle_tokens:
            self._trim_prefixes(0)
        for sequence in self._joining:
            if sequence.prefix:
                self._share(sequence, sequence.prefilled)
            self._running[sequence.request] = sequence
            if sequence.scheduled_at != sequence.scheduled_at:  # nan
                sequence.scheduled_at = at
            if sequence.decodes:
                self._set_aside -= sequence.blocks
                left = sequence.output_tokens - sequence.generated
                self._decode(sequence, left, sequence.prefilled)
                self._fresh.append(sequence)
            else:
                self._filling.append(sequence)
        self._joining.clear()

    def _make_room(self, at: float) -> bool:
        """A block for each decoding sequence that needs one; whether that took preemptions."""
        iteration, size = self._iteration, self.block_tokens
        free = self._free(0)
        if self._phases.due(iteration) <= free:
            return False
        for sequence in list(self._running.values()):
            # The phase of its KV tokens follows from those at its end.
            last_kv = sequence.prompt_tokens + sequence.output_tokens - 1
            if not sequence.finish or (sequence.finish - last_kv - iteration) % size:
                continue
            while free == 0:
                victim = next(reversed(self._running.values()))
                free += self._preempt(victim, at)
                if victim is sequence:
                    break
            else:
                free -= 1
        return True

    def _preempt(self, sequence: Sequence, at: float) -> int:
        """Back to the front of the queue, its KV to be computed again; the blocks that frees."""
        del self._running[sequence.request]
        self._prefixes.trim(0)  # it is preempted because nothing is free
        if sequence.shared:
            self._unshare(sequence)
        if sequence.finish:
            self._settle(sequence, at)
            freed = self._blocks(self._withdraw(sequence))
        else:
            self._stop_filling(sequence)
            freed = sequence.blocks
        sequence.prefilled = sequence.blocks = 0
        self._waiting.appendleft(sequence)
        self.preemptions += 1
        return freed

    def _schedule(self, at: float) -> tuple[list[Sequence], int]:
        """Gives prefills their tokens of the next iteration; who got some, and how many."""
        budget = self._budget - len(self._marks)
        taken: list[Sequence] = []
        if not self._filling:
            return taken, self._admit(at, taken, 0, budget)
        tokens = 0
        blocked = False
        for sequence in self._filling:
            missing = sequence.prompt_tokens + sequence.generated - sequence.prefilled
            chunk = min(missing, budget - tokens)
            if chunk > 0 and self._fill(sequence, chunk):
                taken.append(sequence)
                tokens += chunk
            else:
                blocked = True
        if self._waiting and not blocked:
            tokens = self._admit(at, taken, tokens, budget)
        return taken, tokens

    def _fill(self, sequence: Sequence, chunk: int) -> bool:
        need = self._blocks(sequence.prefilled + chunk) - sequence.blocks
        if need > 0:
            if need > self._free(1):
                return False
            sequence.blocks += need
            self._set_aside += need
        sequence.prefilled += chunk
        if sequence.prefix:
            self._trim_prefixes(1)
            self._share(sequence, sequence.prefilled)
        return True

    def _admit(self, at: float, taken: list[Sequence], tokens: int, budget: int) -> int:
        """Admits from the queue while seats, budget and blocks last; prefill tokens in all."""
        waiting, running, size = self._waiting, self._running, self.block_tokens
        seats = self.max_sequences - len(running) - len(self._reserved)
        free = self.kv_blocks if self._promised <= self.kv_blocks else self._free(1)
        while waiting and seats > 0 and tokens < budget:
            sequence = waiting[0]
            cached = self._cached(sequence) if sequence.prefix else 0
            kv = min(sequence.prompt_tokens + sequence.generated, cached + budget - tokens)
            need = -(-kv // size)
            if need > free:
                break
            waiting.popleft()
            seats -= 1
            tokens += kv - cached
            free -= need
            self._set_aside += need
            sequence.blocks = need
            sequence.prefilled = kv
            if sequence.scheduled_at != sequence.scheduled_at:
                sequence.scheduled_at = at
                sequence.cached_tokens = cached
            if sequence.prefix:
                self._share(sequence, kv)
            running[sequence.request] = sequence
            self._filling.append(sequence)
            taken.append(sequence)
        return tokens


def _note_pause(sequence: Sequence, at: float) -> None:
    """The gap between the last token before an interruption and the first after it."""
    gap_s = at - sequence.last_token_at
    sequence.gaps = gaps.add(sequence.gaps, gap_s)
    sequence.longest_gap_s = max(sequence.longest_gap_s, gap_s)
