"""Routing to the holder of nearly the whole prompt, however busy it is."""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from fleet.domain import Request
from fleet.holders import Instance
from fleet.policy import Routing
from fleet.view import View
from policies.routing.hashing import SessionHash
from policies.routing.prefix_index import WATCHED, PrefixIndex
from policies.routing.prefixes import holders


@dataclass(frozen=True)
class KvAware:
    """Where all but `most_missing` tokens of the prompt are cached; else as `otherwise` has it.

    Load is not looked at: of equally long matches the least loaded serves. A holder without a free
    slot is passed over.
    """

    source: ClassVar[str] = (
        "vLLM production-stack, src/vllm_router/routers/routing_logic.py (kvaware)"
    )
    departs: ClassVar[str] = (
        "The stack asks LMCache's controller what is cached; here it is what was sent there. The "
        "64 longest matches are looked at."
    )
    observes: ClassVar = WATCHED

    most_missing: Annotated[int, Meta(ge=0)] = 2000
    otherwise: Routing = field(default_factory=SessionHash)
    _index: PrefixIndex = field(default_factory=PrefixIndex, init=False, repr=False, compare=False)

    def observe(self, fact: Any, view: View) -> None:
        self._index.observe(fact, view)

    def route(self, request: Request, view: View) -> Instance | None:
        held = holders(request, view, self._index) if request.prefix else []
        if held:
            longest, blocks = held[0]
            if request.prompt_tokens - blocks * request.block_tokens <= self.most_missing:
                return longest
        return self.otherwise.route(request, view)
