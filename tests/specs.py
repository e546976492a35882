"""Small specs that several suites build their fleets from; each has its own sizes."""

from fleet.domain import AdapterId, AdapterSpec, ArtifactId, ModelId, ModelSpec, Share, Whole


def model(
    number: int = 0,
    need: Share = Whole(1),  # noqa: B008 - frozen
    *,
    weight_bytes: int,
    stages: int = 1,
    slots: int = 2,
    adapters: int = 0,
    kv_bytes_per_token: int = 0,
    shape: str = "",
) -> ModelSpec:
    """A model called m`number`: so many sequences at once (slots), so many adapter slots."""
    return ModelSpec(
        ModelId(ArtifactId(number)),
        f"m{number}",
        weight_bytes,
        need,
        stages=stages,
        max_sequences=slots,
        max_adapters=adapters,
        kv_bytes_per_token=kv_bytes_per_token,
        shape=shape,
    )


def adapter(number: int, base: int = 0, *, weight_bytes: int) -> AdapterSpec:
    """An adapter of rank 8, called a`number`."""
    parent = ModelId(ArtifactId(base))
    return AdapterSpec(AdapterId(ArtifactId(number)), f"a{number}", parent, weight_bytes, 8)
