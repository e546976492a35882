"""A continuous-batching engine in virtual time: exact to the iteration, yet nothing per token.

Iterations of identical composition form a *run*. Every decoding sequence grows by one token an
iteration, so iteration i of a run takes first_s + i * rise_s, and the run ends where the
composition may change: a sequence ends, a block is missing, an arrival could be admitted, a
prefill completes. `sim.batch` says who runs, this module how long. It knows no requests of the
fleet, no policy and no calendar: its owner calls `wake` at `next_at`, and at equal times wakes
come before everything else.
"""

from math import inf, sqrt
from typing import TYPE_CHECKING

from sim.batch import Batch
from sim.pace import EnginePace
from sim.prefixes import Block
from sim.sequence import Sequence

if TYPE_CHECKING:
    from sim.card import Card


class NeverFits(ValueError):  # noqa: N818 - says what is the case, as the events do
    """The sequence is larger than the engine's whole KV cache."""


class NoRoom(ValueError):  # noqa: N818
    """A seat or KV blocks that must be free at once are not."""


class Engine(Batch):
    """One engine. `next_at` is when it must be woken: no sequence ends before; inf while idle.

    Boundaries before `next_at` are passed by the next call, whichever it is. `next_at` may change
    in `add`, `reserve`, `unreserve`, `remove`, `close` and `wake`, and engines on the same `card`
    may change with it (`Card.take_moved`). Times are absolute seconds and never go back.
    """

    __slots__ = (
        "_adapter_rank_s",
        "_adapter_step_s",
        "_first_s",
        "_per_context_token_s",
        "_per_prefill_token_s",
        "_per_sequence_s",
        "_rise_s",
        "_slowdown",
        "_started_at",
        "_step_s",
        "_steps",
        "_until",
        "card",
        "next_at",
        "pace",
    )

    def __init__(
        self, pace: EnginePace, max_sequences: int, kv_blocks: int, card: "Card | None" = None
    ) -> None:
        """`card` is given where other engines share it; None is an engine alone on its cards."""
        super().__init__(max_sequences, kv_blocks, pace)
        self.pace = pace
        self.card = card
        self.next_at = inf
        self._until = inf  # end of the run
        self._steps = 0  # iterations of the run; 0 while nothing runs
        self._started_at = self._first_s = self._rise_s = 0.0
        self.slow_down(1)
        if card is not None:
            card.engines.append(self)

    def slow_down(self, slowdown: int) -> None:
        """Every iteration that starts from here on takes `slowdown` times its work."""
        pace = self.pace
        self._slowdown = slowdown
        self._step_s = pace.step_s * slowdown
        self._per_sequence_s = pace.per_sequence_s * slowdown
        self._per_context_token_s = pace.per_context_token_s * slowdown
        self._per_prefill_token_s = pace.per_prefill_token_s * slowdown
        self._adapter_step_s = pace.adapter_step_s * slowdown
        self._adapter_rank_s = pace.adapter_rank_s * slowdown

    # What it holds

    def __contains__(self, request: int) -> bool:
        return self._find(request) is not None

    def __len__(self) -> int:
        """Sequences here, waiting ones included."""
        seated = len(self._running) - len(self._leaving)
        return seated + len(self._joining) + len(self._waiting)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sequences that hold a seat: decoding, being prefilled, or leaving with this iteration."""
        return len(self._running) + len(self._joining)

    @property
    def busy(self) -> bool:
        """An iteration is in progress."""
        return self._steps > 0

    def context(self, at: float) -> int:
        """KV tokens of the decoding sequences, by iterations complete at `at`."""
        self._look(at)
        return self._context + len(self._marks) * self._complete(at)

    def free_blocks(self, at: float) -> int:
        """KV blocks that nobody holds; those of the iteration in progress are held."""
        self._look(at)
        return self._free(self._begun(at))

    def unused_prefixes(self, at: float) -> list[Block]:
        """Blocks of prompts that are kept for nobody yet, least recently used first."""
        self._look(at)
        self._trim_prefixes(self._begun(at))
        return self._prefixes.idle

    def generated(self, at: float, request: int) -> int:
        """Tokens of a request by iterations complete at `at`. Raises KeyError if it is not here."""
        self._look(at)
        sequence = self._here(request)
        if not sequence.finish:
            return sequence.generated
        return sequence.output_tokens - (sequence.finish - self._iteration - self._complete(at))

    # What its owner does to it

    def add(self, at: float, sequence: Sequence) -> None:
        """Queues a sequence; one with `prefilled` tokens takes its seat and its blocks at once.

        A reservation of the same request is used up. Raises `NeverFits`, or `NoRoom` for a
        sequence with `prefilled` tokens; the engine and the reservation are then as before.
        """
        prompt_tokens, output_tokens = sequence.prompt_tokens, sequence.output_tokens
        odd = sequence.generated or sequence.prefilled or sequence.prefix
        if odd or prompt_tokens < 1 or output_tokens < 1:
            sequence.check()
        whole = -(-(prompt_tokens + output_tokens) // self.block_tokens)
        if whole > self.kv_blocks:
            raise NeverFits(
                f"request {sequence.request}: its {sequence.prompt_tokens} + "
                f"{sequence.output_tokens} tokens need {whole} of {self.kv_blocks} KV blocks"
            )
        if self._until <= at:
            self._pass(at)
        if sequence.prefilled or self._reserved:
            self._take_place(at, sequence)
            return
        self._promised += whole
        if self._steps:
            self._queue(at, sequence)
        else:
            self._waiting.append(sequence)
            self._changed(at)

    def _queue(self, at: float, sequence: Sequence) -> None:
        """Lets an arrival in at the next boundary; `next_at` stays where it is no end before."""
        steps = self._steps
        if steps > 1 and not self._waiting and len(self._running) < self.max_sequences:
            begun = self._complete(at) + 1
            if begun < steps:
                steps = self._steps = begun
                self._until = self._started_at + self._lasted(steps)
        self._waiting.append(sequence)
        # An arrival only delays the others; it could itself end before all of them.
        own_end = self._iteration + steps + sequence.output_tokens - sequence.generated
        marks = self._marks
        if not marks or own_end < marks[0][0] or self._promised > self.kv_blocks:
            self.next_at = self._until

    def _take_place(self, at: float, sequence: Sequence) -> None:
        if self._prefixes.idle_tokens:  # spelled out: most workloads have none
            self._trim_prefixes(self._begun(at))
        held = self._reserved.get(sequence.request)
        if sequence.prefilled:
            # One that decodes takes the block of its next token in its turn.
            missing = 0 if sequence.decodes else sequence.prompt_tokens + sequence.generated
            need = self._blocks(max(missing, sequence.prefilled))
            if not self._grants(at, need, held):
                raise NoRoom(f"request {sequence.request}: no seat, or not {need} KV blocks free")
            sequence.blocks = need
            self._set_aside += need
            self._joining.append(sequence)
        else:
            self._waiting.append(sequence)
        self._promised += self._whole(sequence)
        self._let_go(sequence.request)
        self._changed(at)

    def reserve(self, at: float, request: int, tokens: int) -> bool:
        """Holds a seat and the blocks of `tokens` for a sequence on its way here.

        A second call for the same request changes its blocks. False: not free, nothing changed.
        """
        self._pass(at)
        self._trim_prefixes(self._begun(at))
        need = self._blocks(tokens)
        held = self._reserved.get(request)
        if not self._grants(at, need, held):
            return False
        self._set_aside += need - (held or 0)
        self._promised += need - (held or 0)
        self._reserved[request] = need
        self._changed(at)
        return True

    def _grants(self, at: float, need: int, held: int | None) -> bool:
        """Whether `need` blocks and a seat are free to one who holds `held` and perhaps a seat."""
        seated = held is not None or self._seats() > 0
        return seated and need <= self.free_blocks(at) + (held or 0)

    def unreserve(self, at: float, request: int) -> None:
        """Gives a reservation back; none is no error."""
        self._pass(at)
        if request in self._reserved:
            self._trim_prefixes(self._begun(at))
            self._let_go(request)
            self._changed(at)

    def remove(self, at: float, request: int) -> Sequence:
        """Takes a sequence out; the answer can be added to another engine.

        Its tokens and gaps are those of iterations complete at `at`. A running sequence stays in
        the iteration in progress, as a real engine aborts at step boundaries, and gets no token
        from it. Raises KeyError if the request is not here.
        """
        self._pass(at)
        self._trim_prefixes(self._begun(at))
        sequence = self._here(request)
        if self._running.get(request) is sequence:
            self._catch_up(at)
            if sequence.finish:
                self._settle(sequence, self._started_at)
            self._leaving.append(sequence)
            if not self._steps:
                self._leave()
        else:
            self._unqueue(sequence)
        self._changed(at)
        return sequence.handed_over()

    def close(self, at: float) -> None:
        """Everything in it is lost, and the others on its card are faster for it."""
        busy = self._steps > 0
        self._empty()
        self._steps = 0
        self.next_at = self._until = inf
        if self.card is not None:
            self.card.engines.remove(self)
            if busy:
                self.card.leave(at)

    def wake(self, at: float) -> list[Sequence]:
        """At exactly `next_at`: the sequences that end there, in order of their first tokens.

        There may be none. `ended_at` differs from `at` by rounding at most.
        """
        ended: list[Sequence] = []
        while self._until <= at:
            self._finish_run(ended)
        if self.next_at <= at:
            self.next_at = self._until
        return ended

    # Runs

    def _pass(self, at: float) -> None:
        """Passes boundaries up to `at` where nothing can end."""
        while self._until <= at and self._until < self.next_at:
            self._finish_run([])

    def _look(self, at: float) -> None:
        """Passes boundaries for a question, which moves no wake-up."""
        next_at = self.next_at
        self._pass(at)
        self.next_at = next_at

    def _finish_run(self, ended: list[Sequence]) -> None:
        at = self._until
        steps = self._steps
        marks = self._marks
        if self._prefixes.idle_tokens:
            self._trim_prefixes(steps)
        iteration = self._iteration = self._iteration + steps
        if steps > 1:  # decoding only: nobody leaves or gets a first token
            self._context += len(marks) * steps
            self._line.run(self._first_s, self._rise_s, steps, iteration)
        else:
            if marks:
                self._context += len(marks)
                self._line.one(self._first_s, iteration)
            if self._leaving:
                self._leave()
                marks = self._marks
            if self._filling or self._fresh:
                self._land(at)
        while marks and marks[0][0] <= iteration:
            ended.append(self._end(at))
        if (
            not marks
            or self._waiting
            or self._filling
            or self._joining
            or self._promised > self.kv_blocks
        ):
            self._plan(at)
        else:
            self._started_at = at
            self._run_decode(at, False)

    def _changed(self, at: float) -> None:
        """What may run next changed: starts if idle, else looks again at the next boundary."""
        if self._steps:
            self._cut(at)
        elif self._waiting or self._joining or self._filling:
            if self.card is not None:
                self.card.enter(self, at)
            self._plan(at)

    def _plan(self, at: float) -> None:
        """Composes the run that starts at this boundary."""
        self._started_at = at
        if self._joining:
            self._seat_joining(at)
        preempted = False
        if self._promised > self.kv_blocks:
            preempted = self._make_room(at)
        if (self._waiting or self._filling) and not preempted:
            taken, tokens = self._schedule(at)
            if taken:
                self._run_prefill(at, taken, tokens)
                return
        if self._marks:
            self._run_decode(at, preempted)
        elif preempted:
            self._plan(at)  # an empty iteration takes no time
        else:
            self._rest(at)

    def _run_prefill(self, at: float, taken: list[Sequence], tokens: int) -> None:
        """One iteration with prefill tokens."""
        first_s = (
            self._step_s
            + self._per_sequence_s * (len(self._marks) + len(taken))
            + self._per_context_token_s * self._context
            + self._per_prefill_token_s * tokens
        )
        ranks = self._ranks
        for sequence in taken:
            ranks += sequence.rank
        if ranks:
            first_s += self._adapter_step_s + self._adapter_rank_s * ranks
        self._steps = 1
        self._first_s = first_s
        self._rise_s = 0.0
        until = self._until = at + first_s
        # Where no end was possible before next_at, none is with more to do.
        if not until < self.next_at < inf or self._promised > self.kv_blocks:
            self.next_at = until

    def _run_decode(self, at: float, preempted: bool) -> None:
        """Decoding only, until the first sequence ends or a block is missing."""
        decoding, context = len(self._marks), self._context
        steps: int = self._marks[0][0] - self._iteration
        if preempted or self._fresh:
            steps = 1
        elif self._promised > self.kv_blocks:
            free = self._free(0) - self._kept_for_the_next()
            steps = max(1, min(steps, self._phases.lasts(free, self._iteration, decoding)))
        per_context_token_s = self._per_context_token_s
        first_s = self._step_s + self._per_sequence_s * decoding + per_context_token_s * context
        if self._ranks:
            first_s += self._adapter_step_s + self._adapter_rank_s * self._ranks
        self._steps = steps
        self._first_s = first_s
        self._rise_s = rise_s = per_context_token_s * decoding
        self.next_at = self._until = at + steps * first_s + rise_s * (steps * (steps - 1) / 2)

    def _rest(self, at: float) -> None:
        self._steps = 0
        self.next_at = self._until = inf
        self._line.clear()
        if self.card is not None:
            self.card.leave(at)

    def _lasted(self, steps: int) -> float:
        """Seconds from the start of the run to the end of its first `steps` iterations."""
        return steps * self._first_s + self._rise_s * (steps * (steps - 1) / 2)

    def _begun(self, at: float) -> int:
        """Iterations of the run begun at `at`; 0 while nothing runs."""
        return self._complete(at) + 1 if self._steps else 0

    def _complete(self, at: float) -> int:
        """Iterations of the run complete at `at`; the last is complete only when woken."""
        last = self._steps - 1
        if last < 1:
            return 0
        since_s = at - self._started_at
        first_s = self._first_s
        half = self._rise_s * 0.5
        slope = first_s - half
        # The root of half * x^2 + slope * x = since_s in the form that half = 0 does not hurt.
        done = int(2.0 * since_s / (slope + sqrt(slope * slope + 4.0 * half * since_s)))
        if done > last:  # noqa: PLR1730 - no call in most cases
            done = last
        while done > 0 and done * first_s + half * (done * (done - 1)) > since_s:
            done -= 1
        while done < last and (done + 1) * first_s + half * (done * (done + 1)) <= since_s:
            done += 1
        return done

    def _cut(self, at: float) -> None:
        """Ends the run with the iteration in progress."""
        if self._steps > 1:
            steps = self._steps = self._complete(at) + 1
            self._until = self._started_at + self._lasted(steps)
        self.next_at = self._until

    def _catch_up(self, at: float) -> None:
        """Accounts for complete iterations: the run then starts with the one in progress."""
        done = self._complete(at)
        if done:
            self._iteration += done
            self._line.run(self._first_s, self._rise_s, done, self._iteration)
            self._started_at += self._lasted(done)
            self._first_s += self._rise_s * done
            self._context += len(self._marks) * done
            self._steps -= done

    def stretch(self, at: float, slowdown: int) -> None:
        """For `Card`: from `at` on, work takes `slowdown` times as long, this iteration's too."""
        self._pass(at)
        self._catch_up(at)
        rest_s = max(self._started_at + self._first_s - at, 0.0) * slowdown / self._slowdown
        self.slow_down(slowdown)
        self._steps = 1
        self.next_at = self._until = at + rest_s
        self._first_s = self._until - self._started_at
