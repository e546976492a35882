"""ServerlessLLM's estimate, as published and as released."""

from dataclasses import replace
from math import isclose

from fleet.domain import Tier, Whole
from fleet.estimates import NOT_HERE_S, Belief, SlowestHop, load_of
from policies import recipes
from policies.estimation.bandwidth_share import BandwidthShare
from tests.policies.bench import model, node
from tests.policies.clusters import spec
from tests.policies.duels import GB, Setting, a40, arrivals, gains, with_
from tests.policies.estimation.test_bandwidth_share import PASSING
from tests.policies.estimation.witness import believing, start_error_s

NODE = node(0)  # 10 bytes/s from the remote store, 40 from SSD, 80 over PCIe


def test_slowest_hop_by_hand_as_published_and_as_released() -> None:
    paper, code, belief = SlowestHop(), SlowestHop("code"), Belief(startup_s=1.0)
    whole = model(0, weight_bytes=80)
    of = {tier: load_of(whole, tier, 1) for tier in (Tier.REMOTE, Tier.SSD, Tier.DRAM)}
    published = [paper.load_s(of[tier], NODE, belief) for tier in of]
    assert published == [9.0, 3.0, 2.0]
    released = [code.load_s(of[tier], NODE, belief) for tier in of]
    assert released == [NOT_HERE_S + 2.0, 2.0, 80 / 25e9]
    assert paper.ready_at(2.0, 5.0, 7.0, 1.0) == 9.0


def test_slowest_hop_by_hand_released_counts_one_link_however_many_cards() -> None:
    wide = load_of(model(0, Whole(4), weight_bytes=int(100e9)), Tier.DRAM, 1)
    assert isclose(SlowestHop("code").load_s(wide, NODE, Belief()), 4.0)


COPIES = Setting(
    nodes=(a40(0), a40(1)),
    models=(*(spec(n, 60 * GB, Whole(2)) for n in range(3)), spec(9, 13 * GB, Whole(1))),
    resident=((0, 0, Tier.DRAM), (1, 1, Tier.DRAM), (2, 0, Tier.DRAM), (9, 0, Tier.SSD)),
    arrivals=arrivals([(120.0 * n, n % 3) for n in range(6)]),
)


def test_slowest_hop_gains_as_published_over_as_released_where_cards_load_at_once() -> None:
    """Two cards take half each over links of their own: 1.2 s, which the code takes for 2.4."""
    paper = start_error_s(COPIES, believing(SlowestHop()))
    code = start_error_s(COPIES, believing(SlowestHop("code"), online_estimates=False))
    assert paper * 2 < code


def test_slowest_hop_gains_where_a_queue_is_longer_than_the_way_to_the_store() -> None:
    """As released, a node without a copy is out of question, however long the queue beside it is.

    Four models of 70 GB lie on one slow SSD: the other node fetches two of them in 56 s, while here
    the four share the disk for 280 s.
    """
    slow = a40(0).links
    links = type(slow)(slow.remote_bytes_per_s, 1e9, slow.pcie_bytes_per_s, slow.peer_bytes_per_s)
    setting = Setting(
        nodes=(a40(0, links=links), a40(1)),
        models=tuple(spec(n, 40 * GB, Whole(1)) for n in range(4)),
        resident=tuple((n, 0, Tier.SSD) for n in range(4)),
        arrivals=arrivals([(0.1 * n, n) for n in range(4)]),
    )
    mean_ttft_s = "mean_ttft_s"
    paper = with_(recipes.serverlessllm_no_migration(), estimation=SlowestHop())
    code = with_(paper, estimation=SlowestHop("code"), online_estimates=False)
    gains(setting, paper, code, lambda p: float(getattr(p, mean_ttft_s)))


def test_slowest_hop_loses_where_a_small_load_would_pass_a_large_one() -> None:
    """It believes that 5 GB wait for the end of 100 GB; fair links let them pass."""
    one = replace(PASSING, nodes=PASSING.nodes[:1])
    assert start_error_s(one, believing(SlowestHop())) > 2 * start_error_s(
        one, believing(BandwidthShare())
    )
