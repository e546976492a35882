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

CLAIMS: Final = (
    Claim(
        what="P99 start-up latency over ServerlessLLM's",
        size="opt-6.7b",
        data="gsm8k",
        rps=1.4,
        policy="shepherd_star",
        measure="p99_ratio",
        value=1.27,
        unit="x",
        tag="[N]",
        higher="what a preempted request loses depends on output lengths, which are fits here",
        lower=_BURSTS,
    ),
    Claim(
        what="P99 start-up latency over ServerlessLLM's",
        size="opt-6.7b",
        data="gsm8k",
        rps=1.4,
        policy="serverless",
        measure="p99_ratio",
        value=1.95,
        unit="x",
        tag="[N]",
        higher="a random node has the checkpoint with chance 1/4: our SSDs hold one copy of most",
        lower=_BURSTS,
    ),
    Claim(
        what="mean start-up latency",
        size="opt-6.7b",
        data="gsm8k",
        rps=None,
        policy="serverlessllm",
        measure="mean_s",
        value=0.8,
        unit="s",
        tag="[N]",
        higher=_RATE,
        lower=_RATE,
    ),
    Claim(
        what="mean start-up latency",
        size="opt-6.7b",
        data="gsm8k",
        rps=None,
        policy="ray_serve",
        measure="mean_s",
        value=12.1,
        unit="s",
        tag="[N]",
        higher=_SHARED,
        lower=_RATE,
    ),
    Claim(
        what="mean start-up latency",
        size="opt-6.7b",
        data="gsm8k",
        rps=None,
        policy="ray_serve_cached",
        measure="mean_s",
        value=8.2,
        unit="s",
        tag="[N]",
        higher=_RATE,
        lower=_FITS,
    ),
    Claim(
        what="mean start-up latency",
        size="opt-30b",
        data="gsm8k",
        rps=None,
        policy="serverlessllm",
        measure="mean_s",
        value=7.5,
        unit="s",
        tag="[N]",
        higher=_CARDS,
        lower=_RATE,
    ),
    Claim(
        what="mean start-up latency",
        size="opt-30b",
        data="gsm8k",
        rps=None,
        policy="ray_serve",
        measure="mean_s",
        value=213.0,
        unit="s",
        tag="[N]",
        higher=_RATE,
        lower=_RATE,
    ),
    Claim(
        what="mean start-up latency",
        size="opt-30b",
        data="gsm8k",
        rps=None,
        policy="ray_serve_cached",
        measure="mean_s",
        value=199.2,
        unit="s",
        tag="[N]",
        higher=_RATE,
        lower=_FITS,
    ),
    Claim(
        what="mean start-up latency",
        size="opt-13b",
        data="sharegpt",
        rps=None,
        policy="serverlessllm",
        measure="mean_s",
        value=1.6,
        unit="s",
        tag="[N] (a class, read off a figure)",
        higher=_RATE,
        lower=_RATE,
    ),
    Claim(
        what="requests served within 300 s",
        size="opt-30b",
        data="sharegpt",
        rps=None,
        policy="serverlessllm",
        measure="served",
        value=0.89,
        unit="share",
        tag="[N]",
        higher=_RATE,
        lower=_RATE,
    ),
    Claim(
        what="requests served within 300 s",
        size="opt-30b",
        data="sharegpt",
        rps=None,
        policy="ray_serve_cached",
        measure="served",
        value=0.26,
        unit="share",
        tag="[N]",
        higher="our cached Ray Serve reads at the SSD's speed; theirs read safetensors",
        lower=_RATE,
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
