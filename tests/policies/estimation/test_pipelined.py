"""A pipeline of tiers: its formula, and where the chunks at its further hops count."""

from dataclasses import replace
from math import isclose

from fleet.domain import Tier, Whole
from fleet.estimates import Belief, SlowestHop, load_of
from policies.estimation.pipelined import Pipelined
from tests.policies.bench import model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrivals
from tests.policies.estimation.witness import believing, start_error_s

NODE = node(0)  # 10 bytes/s from the remote store, 40 from SSD, 80 over PCIe


def test_pipelined_by_hand_adds_a_chunk_at_every_further_hop() -> None:
    rule, belief = Pipelined(chunk_bytes=8.0), Belief(startup_s=1.0, attach_s=0.5)
    whole = model(0, weight_bytes=80)
    assert rule.load_s(load_of(whole, Tier.DRAM, 1), NODE, belief) == 1.0 + 80 / 80
    assert isclose(rule.load_s(load_of(whole, Tier.SSD, 1), NODE, belief), 1.0 + 88 / 40)
    assert isclose(rule.load_s(load_of(whole, Tier.REMOTE, 1), NODE, belief), 1.0 + 88 / 10)


def test_pipelined_by_hand_cards_share_the_ssd_and_have_a_link_each() -> None:
    """Two cards of 40 bytes each: 20 bytes/s from SSD, 80 over PCIe; a chunk is 8 of 40 bytes."""
    rule, wide = Pipelined(chunk_bytes=8.0), model(0, Whole(2), weight_bytes=80)
    assert isclose(rule.load_s(load_of(wide, Tier.SSD, 1), NODE, Belief()), 48 / 20)
    assert isclose(rule.load_s(load_of(wide, Tier.DRAM, 1), NODE, Belief()), 40 / 80)


def test_pipelined_by_hand_a_chunk_is_never_larger_than_what_is_loaded() -> None:
    rule, tiny = Pipelined(chunk_bytes=1000.0), model(0, weight_bytes=40)
    assert rule.load_s(load_of(tiny, Tier.SSD, 1), NODE, Belief()) == 80 / 40


BIG_CHUNKS = Setting(
    nodes=(a40(0),),
    models=tuple(spec(n, 2 * GB, Whole(1)) for n in range(4)),
    resident=tuple((n, 0, Tier.SSD) for n in range(4)),
    arrivals=arrivals([(60.0 * n, n) for n in range(4)]),
)


def test_pipelined_gains_where_the_first_chunk_of_a_small_model_counts() -> None:
    """Small models from SSD: the 32 MiB that fill the pipeline are 1.7 % of 2 GB, and systematic.

    Both keep to their priors, so that no correction hides what the formula leaves out.
    """
    ours = believing(Pipelined(), online_estimates=False)
    simplest = believing(SlowestHop(), online_estimates=False)
    assert start_error_s(BIG_CHUNKS, ours) * 1.1 < start_error_s(BIG_CHUNKS, simplest)


def test_pipelined_loses_where_a_loader_has_smaller_chunks_than_it_believes() -> None:
    """Told of chunks of 512 MiB where the loader has 32: filling is believed to take 0.1 s more."""
    ours = believing(Pipelined(chunk_bytes=512 * 2**20), online_estimates=False)
    simplest = believing(SlowestHop(), online_estimates=False)
    assert start_error_s(BIG_CHUNKS, ours) > 1.1 * start_error_s(BIG_CHUNKS, simplest)


def test_corrected_online_the_two_formulas_come_to_the_same() -> None:
    again = replace(BIG_CHUNKS, arrivals=arrivals([(60.0 * n, n % 4) for n in range(16)]))
    ours = start_error_s(again, believing(Pipelined()))
    assert abs(ours - start_error_s(again, believing(SlowestHop()))) < 0.01
