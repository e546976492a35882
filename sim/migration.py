"""Live migration of running requests: by tokens in rounds, or by staged copies of KV blocks.

By tokens (ServerlessLLM, OSDI'24, section 5.3): the target recomputes the KV cache of what the
source has so far, while the source goes on; rounds repeat on the tokens that came meanwhile until
they are few; then the source stops and the last ones are recomputed: that is the pause.
By KV (Llumnix, OSDI'24): blocks are copied while decoding goes on, stage by stage, until few are
left; those are copied in the pause. Recomputation is timed by the target's pace as if it were
alone there. Blocks are reserved on the target for what there is so far, round by round.

Whatever comes between leaves the request where it was: at its end, with its source (whose loss is
reported and places it again), or on the source.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import simpy

from fleet import commands as c
from fleet import events as e
from fleet.domain import CommandId, NodeId
from sim.served import Served, Stream

if TYPE_CHECKING:
    from sim.cluster import Cluster

#: Tokens few enough to stop for (ServerlessLLM's `migration_delta`).
LAST_ROUND_TOKENS: Final = 20
#: KV blocks few enough to stop for, and stages before giving up (Llumnix's defaults).
LAST_STAGE_BLOCKS: Final = 16
MOST_STAGES: Final = 3
BYTES_PER_TOKEN: Final = 4
#: Telling the source to stop and the target to go on.
HANDSHAKE_S: Final = 0.001

Work = Generator[simpy.Event, Any, None]
#: Answers whether the request can be stopped at the source.
Rounds = Generator[simpy.Event, Any, bool]


class Move:
    """One migration. `done` tokens are on the target after `rounds` rounds."""

    __slots__ = ("command", "dispatch", "done", "rounds", "source", "target")

    def __init__(
        self, command: c.Migrate, dispatch: CommandId, source: Served, target: Served
    ) -> None:
        self.command = command
        self.dispatch = dispatch
        self.source = source
        self.target = target
        self.done = 0
        self.rounds = 0

    @property
    def nodes(self) -> tuple[NodeId, ...]:
        return (*self.source.nodes, *self.target.nodes)


class Migration:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env
        self.requests = cluster.requests
        self.kv = cluster.kv

    def migrate(self, command: c.Migrate) -> None:
        stream = self.requests.live.get(command.request)
        source = self.requests.engines.get(command.source)
        target = self.requests.engines.get(command.target)
        if stream is None or stream.over or source is None or target is None:
            return  # it ended, or an engine was lost: the report of that answers this too
        move = Move(command, stream.command, source, target)
        if stream.engine is not source:
            return self._failed(move, "not_running")
        self.env.process(self._migrate(move))

    def _migrate(self, move: Move) -> Work:
        rounds = self._rounds if move.command.by is c.By.TOKENS else self._stages
        if (yield from rounds(move)):
            yield from self._switch(move)

    # While the source goes on

    def _rounds(self, move: Move) -> Rounds:
        """Recompute on the target until few tokens are missing."""
        while (have := self._reserve(move)) is not None:
            if move.rounds and have - move.done <= LAST_ROUND_TOKENS:
                return True
            yield self.env.timeout(prefill_s(move.target, have - move.done))
            move.done = have
            move.rounds += 1
        return False

    def _stages(self, move: Move) -> Rounds:
        """Copy blocks until few are left, or give up after too many stages."""
        last_tokens = LAST_STAGE_BLOCKS * move.source.pace.block_tokens
        while (have := self._reserve(move)) is not None:
            if move.rounds and have - move.done <= last_tokens:
                return True
            if move.rounds == MOST_STAGES:
                self._give_up(move, "too_many_stages")
                return False
            yield from self.kv.between(move.source, move.target, have - move.done)
            move.done = have
            move.rounds += 1
        return False

    def _reserve(self, move: Move) -> int | None:
        """Tokens of prompt and output so far, with blocks for them on the target.

        None once the migration is over: there is nothing to move, nowhere to go, or no room.
        """
        stream = self.requests.live.get(move.command.request)
        if stream is None or stream.engine is not move.source or stream.command != move.dispatch:
            self._release(move)
            return None
        if not self._alive(move.target):
            return None  # the report of its loss answers
        now = self.env.now
        have = stream.prompt_tokens + move.source.generated(now, move.command.request)
        if not move.target.reserve(now, move.command.request, have):
            self._give_up(move, "no_kv_room")
            return None
        self.requests.arm(move.target)
        return have

    # The pause

    def _switch(self, move: Move) -> Work:
        stopped_at = self.env.now
        stream = self.requests.take_out(self.requests.live[move.command.request])
        have = stream.prompt_tokens + stream.generated
        left = have - move.done
        if move.command.by is c.By.TOKENS:
            yield self.env.timeout(HANDSHAKE_S + prefill_s(move.target, left))
            moved_bytes = have * BYTES_PER_TOKEN
        else:
            yield self.env.timeout(HANDSHAKE_S)
            yield from self.kv.between(move.source, move.target, left)
            moved_bytes = have * move.target.model.kv_bytes_per_token
        move.rounds += 1
        self._land(move, stream, self.env.now - stopped_at, moved_bytes)

    def _land(self, move: Move, stream: Stream, pause_s: float, moved_bytes: int) -> None:
        """Go on at the target; or back at the source, if the target was lost in the pause."""
        source, target = move.source, move.target
        if not self._alive(source) or stream.command != move.dispatch:
            return self._release(move)  # the report of the source's loss places it again
        if self.requests.told_meanwhile(stream, source):
            return self._release(move)
        if not self._alive(target):
            self.requests.add(stream, source)
        elif self.requests.enter(stream, target, stream.prompt_tokens + stream.generated - 1):
            answer = move.command.id, move.command.request, pause_s, moved_bytes, move.rounds
            self.cluster.answer(lambda now: e.Migrated(now, *answer), move.nodes)
        else:
            self._give_up(move, "no_kv_room")
            self.requests.add(stream, source)

    # Its end

    def _alive(self, engine: Served) -> bool:
        return self.requests.engines.get(engine.instance) is engine

    def _release(self, move: Move) -> None:
        if self._alive(move.target):
            move.target.unreserve(self.env.now, move.command.request)
            self.requests.arm(move.target)

    def _give_up(self, move: Move, reason: str) -> None:
        self._release(move)
        self._failed(move, reason)

    def _failed(self, move: Move, reason: str) -> None:
        self.cluster.answer(lambda now: e.CommandFailed(now, move.command.id, reason), move.nodes)


def prefill_s(engine: Served, tokens: int) -> float:
    """One iteration that prefills so many tokens and nothing else."""
    pace = engine.pace
    return pace.step_s + pace.per_prefill_token_s * tokens
