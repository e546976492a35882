"""As few as needed, in the order given."""

from hypothesis import given
from hypothesis import strategies as st

from fleet.domain import ArtifactId, Tier
from fleet.pools import Pool
from policies.retention.victims import OnTiers, enough, take
from tests.policies.retention.caches import VIEW, laid


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(0, 20))
def test_as_few_as_needed_are_taken_in_their_order(sizes: list[int], need: int) -> None:
    pool = Pool(Tier.SSD, 100)
    entries = laid(pool, *sizes)
    taken = take(entries, need)
    assert enough(pool, need) == (taken is not None)
    if taken is None:
        assert sum(sizes) < need
    else:
        assert list(taken) == entries[: len(taken)]
        assert sum(e.size for e in taken) >= need
        assert sum(e.size for e in taken[:-1]) < need or not taken


def test_what_is_pinned_cannot_make_room() -> None:
    pool = Pool(Tier.SSD, 10)
    laid(pool, 3, 4)[0].pins = 1
    assert enough(pool, 4)
    assert not enough(pool, 5)


def test_a_copy_stays_in_the_tiers_that_are_named() -> None:
    artifact = ArtifactId(0)
    assert OnTiers().keeps(artifact, Tier.SSD, VIEW)
    assert OnTiers().keeps(artifact, Tier.DRAM, VIEW)
    assert not OnTiers(("dram",)).keeps(artifact, Tier.SSD, VIEW)
