"""How much is measured: all of it on a GPU, a rehearsal of a few seconds elsewhere."""

from dataclasses import dataclass
from typing import Final

from runtime.bench.gpu.shapes import LLAMA_8B, QWEN_14B, QWEN_32B, TINY, Shape


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of everything. `adapters` are ranks on `adapted`'s linear layers.

    `prompts` are tokens of one sequence, `batches` sequences that decode together at `context`
    tokens each; `margin` is the share of free disk and memory that one checkpoint may take.
    """

    name: str
    shapes: tuple[Shape, ...]
    adapted: Shape
    adapters: tuple[int, ...]
    link_bytes: int
    prompts: tuple[int, ...]
    batches: tuple[int, ...]
    context: int
    repetitions: int
    margin: float = 0.8


FULL: Final = Scale(
    name="full",
    shapes=(LLAMA_8B, QWEN_14B, QWEN_32B),
    adapted=LLAMA_8B,
    adapters=(8, 16, 64),
    link_bytes=4 << 30,
    prompts=(128, 512, 2048, 4096),
    batches=(1, 8, 32, 64),
    context=512,
    repetitions=3,
)

REHEARSAL: Final = Scale(
    name="rehearsal",
    shapes=(TINY,),
    adapted=TINY,
    adapters=(8,),
    link_bytes=16 << 20,
    prompts=(8, 32),
    batches=(1, 2),
    context=16,
    repetitions=2,
)

SCALES: Final = {scale.name: scale for scale in (FULL, REHEARSAL)}
