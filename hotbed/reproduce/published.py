"""What ServerlessLLM's paper and repository say they measured, as our notes have it.

Every number has the tag of the notes: [N] reading notes of the paper, [M] memory, not checked again
against the text. Nothing here is used to run anything.
"""

from typing import Final

import msgspec


class Claim(msgspec.Struct, frozen=True):
    """One published number: of which experiment, which system, and how well it is known.

    `higher` and `lower` say why our number is likely the larger or the smaller one.
    """

    what: str
    size: str
    data: str
    rps: float | None  # None: the notes do not say
    policy: str
    measure: str
    value: float
    unit: str
    tag: str
    higher: str
    lower: str


_BURSTS = (
    "with gaps of CV 8 a burst is dozens of requests for one model, and what they wait for is free "
    "cards, which is the same under every scheduler; the rows with CV 4, 2 and 1 show it"
)
_RATE = (
    "the rate of that figure is not in our notes; at another rate the queue, and the share that "
    "runs into the 300 s timeout, differ more than the systems do"
)
_SHARED = "concurrent downloads share the server's 10 Gbps here, and a burst pays for all of them"
_FITS = "an SSD of 2 TB holds every checkpoint after its first load, so that ours mostly hits"
_CARDS = f"eight models of two cards fill sixteen cards, so that a queue lasts; {_RATE}"


def _ratio(policy: str, value: float, higher: str) -> Claim:
    """Of P99s, on the experiment that the paper names."""
    return Claim(
        what="P99 start-up latency over ServerlessLLM's",
        size="opt-6.7b",
        data="gsm8k",
        rps=1.4,
        policy=policy,
        measure="p99_ratio",
        value=value,
        unit="x",
        tag="[N]",
        higher=higher,
        lower=_BURSTS,
    )


def _mean(
    size: str, policy: str, value: float, *, higher: str = _RATE, lower: str = _RATE
) -> Claim:
    """Mean start-up latency, at a rate that the notes do not have."""
    return Claim(
        what="mean start-up latency",
        size=size,
        data="gsm8k",
        rps=None,
        policy=policy,
        measure="mean_s",
        value=value,
        unit="s",
        tag="[N]",
        higher=higher,
        lower=lower,
    )


def _served(policy: str, value: float, *, higher: str = _RATE) -> Claim:
    """The share of OPT-30B's requests on ShareGPT that began within the timeout."""
    return Claim(
        what="requests served within 300 s",
        size="opt-30b",
        data="sharegpt",
        rps=None,
        policy=policy,
        measure="served",
        value=value,
        unit="share",
        tag="[N]",
        higher=higher,
        lower=_RATE,
    )


_13B: Final = msgspec.structs.replace(
    _mean("opt-13b", "serverlessllm", 1.6), data="sharegpt", tag="[N] (a class, off a figure)"
)

CLAIMS: Final = (
    _ratio(
        "shepherd_star",
        1.27,
        "what a preempted request loses depends on output lengths, which are fits here",
    ),
    _ratio(
        "serverless",
        1.95,
        "a random node has the checkpoint with chance 1/4: our SSDs hold one copy of most",
    ),
    _mean("opt-6.7b", "serverlessllm", 0.8),
    _mean("opt-6.7b", "ray_serve", 12.1, higher=_SHARED),
    _mean("opt-6.7b", "ray_serve_cached", 8.2, lower=_FITS),
    _mean("opt-30b", "serverlessllm", 7.5, higher=_CARDS),
    _mean("opt-30b", "ray_serve", 213.0),
    _mean("opt-30b", "ray_serve_cached", 199.2, lower=_FITS),
    _13B,
    _served("serverlessllm", 0.89),
    _served(
        "ray_serve_cached",
        0.26,
        higher="our cached Ray Serve reads at the SSD's speed; theirs read safetensors",
    ),
)


class Bound(msgspec.Struct, frozen=True):
    """The published error of the load-time estimate, from a source, at most."""

    source: str
    at_most_s: float
    tag: str


ESTIMATOR: Final = (
    Bound("remote", 0.005, "[N]"),
    Bound("dram", 0.005, "[N] (GPU)"),
    Bound("ssd", 0.040, "[N]"),
)
