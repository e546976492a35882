"""Times prefill and decode of a decoder whose weights are on a device.

Each figure is the median of a few repetitions after a warm-up; a repetition ends when the device
has done all its work. Random tokens: the time of a step does not depend on what they say.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch

from runtime.bench.gpu.decoder import Decoder
from runtime.bench.gpu.record import Result
from runtime.bench.gpu.shapes import Shape

REPETITIONS = 5


def prefill_and_decode(
    shape: Shape,
    weights: Mapping[str, torch.Tensor],
    *,
    prompts: Sequence[int],
    batches: Sequence[int],
    context: int,
) -> Result:
    """Seconds of a prefill of each length (one sequence) and of a step of each batch.

    A step is measured at `context` tokens a sequence.
    """
    prefill = [{"tokens": n, "seconds": _prefill(shape, weights, n)} for n in prompts]
    decode = [
        {"sequences": n, "context": context, "seconds": _step(shape, weights, n, context)}
        for n in batches
    ]
    return {
        "shape": shape.name,
        "weight_bytes": shape.weight_bytes,
        "kv_bytes_per_token": shape.kv_bytes_per_token,
        "prefill": prefill,
        "decode": decode,
    }


def _prefill(shape: Shape, weights: Mapping[str, torch.Tensor], count: int) -> float:
    decoder = Decoder(shape, weights, sequences=1, max_tokens=count)
    tokens = _tokens(shape, weights, (1, count))
    return timed(lambda: decoder.forward(tokens, 0), tokens.device)


def _step(shape: Shape, weights: Mapping[str, torch.Tensor], sequences: int, context: int) -> float:
    decoder = Decoder(shape, weights, sequences=sequences, max_tokens=context + 1)
    tokens = _tokens(shape, weights, (sequences, 1))
    return timed(lambda: decoder.forward(tokens, context), tokens.device)


def _tokens(
    shape: Shape, weights: Mapping[str, torch.Tensor], size: tuple[int, int]
) -> torch.Tensor:
    device = weights["model.norm.weight"].device
    return torch.randint(shape.vocabulary, size, device=device)


def timed(work: Callable[[], object], device: torch.device) -> float:
    """The median of some repetitions, in seconds, each waited for; one more goes before them."""
    work()
    seconds = []
    for _ in range(REPETITIONS):
        settle(device)
        begun_at = time.perf_counter()
        work()
        settle(device)
        seconds.append(time.perf_counter() - begun_at)
    return median(seconds)


def settle(device: torch.device) -> None:
    """Wait until a device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
