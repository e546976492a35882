"""Live migration of running requests: by tokens in rounds, or by staged copies of KV blocks.

By tokens (ServerlessLLM, OSDI'24, section 5.3): the target recomputes the KV cache of what the
source has so far, while the source goes on; rounds repeat on the tokens that came meanwhile until
they are few; then the source stops and the last ones are recomputed: that is the pause.
By KV (Llumnix, OSDI'24): blocks are copied while decoding goes on, stage by stage, until few are
left; those are copied in the pause. Recomputation is timed by the target's pace as if it were
alone there.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import simpy

from fleet import commands as c
from fleet import events as e
from fleet.domain import CommandId, InstanceId
from sim.engine import NoRoom
from sim.links import Transfer
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


class Migration:
    def __init__(self, cluster: "Cluster") -> None:
        self.cluster = cluster
        self.env = cluster.env

    def migrate(self, command: c.Migrate) -> None:
        self.env.process(self._migrate(command))

    def _migrate(self, command: c.Migrate) -> Work:
        source = self._engine(command.source)
        target = self._engine(command.target)
        stream = self.cluster.live.get(command.request)
        if stream is None or source is None or stream.engine is not source:
            return  # it ended, or its engine was lost: that report answers this too
        if target is None:
            return self._failed(command, "target_lost")
        tokens = stream.prompt_tokens + stream.output_tokens
        if not target.reserve(self.env.now, command.request, tokens):
            return self._failed(command, "no_kv_room")
        self.cluster.arm(target)
        by_tokens = command.by is c.By.TOKENS
        rounds = yield from (self._rounds if by_tokens else self._stages)(command, source, target)
        if rounds is None:
            self._give_up(command, target)
            return
        yield from self._switch(command, source, target, rounds)

    # While the source goes on

    def _rounds(
        self, command: c.Migrate, source: Served, target: Served
    ) -> Generator[simpy.Event, Any, tuple[int, int] | None]:
        """Recompute on the target until few tokens are missing: (rounds, tokens done there)."""
        done, rounds = 0, 0
        while True:
            have = self._tokens(command, source, target)
            if have is None:
                return None
            if rounds and have - done <= LAST_ROUND_TOKENS:
                return rounds, done
            yield self.env.timeout(prefill_s(target, have - done))
            done, rounds = have, rounds + 1

    def _stages(
        self, command: c.Migrate, source: Served, target: Served
    ) -> Generator[simpy.Event, Any, tuple[int, int] | None]:
        """Copy blocks until few are left: (stages, tokens copied). None when there are too many."""
        done, stages = 0, 0
        last = LAST_STAGE_BLOCKS * source.pace.block_tokens
        while True:
            have = self._tokens(command, source, target)
            if have is None:
                return None
            if stages and have - done <= last:
                return stages, done
            if stages == MOST_STAGES:
                self._failed(command, "too_many_stages")
                return None
            yield self._copy(source, target, have - done)
            done, stages = have, stages + 1

    def _tokens(self, command: c.Migrate, source: Served, target: Served) -> int | None:
        """Tokens of prompt and output so far; None once there is nothing to move, or nowhere."""
        stream = self.cluster.live.get(command.request)
        if stream is None or stream.engine is not source:
            return None
        if self._engine(command.target) is not target:
            return None  # the loss of the target is reported; the request stays where it is
        return stream.prompt_tokens + source.generated(self.env.now, command.request)

    # The pause

    def _switch(
        self, command: c.Migrate, source: Served, target: Served, rounds: tuple[int, int]
    ) -> Work:
        stream = self.cluster.live.get(command.request)
        if self._tokens(command, source, target) is None or stream is None:
            return self._give_up(command, target)
        stopped_at = self.env.now
        stream = self.cluster.take_out(stream)
        have = stream.prompt_tokens + stream.generated
        left = have - rounds[1]
        if command.by is c.By.TOKENS:
            yield self.env.timeout(HANDSHAKE_S + prefill_s(target, left))
            moved_bytes = have * BYTES_PER_TOKEN
        else:
            yield self.env.timeout(HANDSHAKE_S)
            yield self._copy(source, target, left)
            moved_bytes = have * target.model.kv_bytes_per_token
        pause_s = self.env.now - stopped_at
        self._land(command, source, target, stream, (pause_s, moved_bytes, rounds[0] + 1))

    def _land(
        self,
        command: c.Migrate,
        source: Served,
        target: Served,
        stream: Stream,
        moved: tuple[float, int, int],
    ) -> None:
        """Go on at the target; or back to the source, if the target was lost in the pause."""
        if stream.cancelled:
            del self.cluster.live[command.request]
            self._give_up(command, target)
            return self.cluster.fail(command.request, CommandId(stream.command), stream.cancelled)
        if self._engine(command.target) is target:
            if self._enter(stream, target, stream.prompt_tokens + max(0, stream.generated - 1)):
                answer = command.id, command.request
                pause_s, moved_bytes, rounds = moved
                self.cluster.answer(
                    lambda now: e.Migrated(now, *answer, pause_s, moved_bytes, rounds)
                )
                return
            self._failed(command, "no_kv_room")
        if self._engine(command.source) is source:
            self._enter(stream, source, 0)

    def _enter(self, stream: Stream, engine: Served, prefilled: int) -> bool:
        stream.prefilled = prefilled if stream.generated else 0
        try:
            engine.add(self.env.now, stream)
        except NoRoom:
            stream.prefilled = 0
            return False
        stream.engine = engine
        self.cluster.arm(engine)
        return True

    def _copy(self, source: Served, target: Served, tokens: int) -> Transfer:
        """KV bytes over the network, or within the node when both are on one."""
        storage = self.cluster.storage
        here, there = source.shards[0].node, target.shards[0].node
        a, b = storage.nodes[here], storage.nodes[there]
        links = (a.peer_out, b.peer_nic) if here != there else (a.pcie[source.shards[0].gpus[0]],)
        return storage.network.transfer(tokens * target.model.kv_bytes_per_token, links)

    # Its end

    def _engine(self, instance: InstanceId) -> Served | None:
        return self.cluster.engines.get(instance)

    def _give_up(self, command: c.Migrate, target: Served) -> None:
        if self._engine(command.target) is target:
            target.unreserve(self.env.now, command.request)
            self.cluster.arm(target)

    def _failed(self, command: c.Migrate, reason: str) -> None:
        self.cluster.answer(lambda now: e.CommandFailed(now, command.id, reason))


def prefill_s(engine: Served, tokens: int) -> float:
    """One iteration that prefills so many tokens and nothing else."""
    pace = engine.pace
    return pace.step_s + pace.per_prefill_token_s * tokens
