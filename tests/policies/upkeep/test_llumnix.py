"""Freeness and pairs by hand; what migration between instances of a model is good and bad for."""

from math import inf, isclose

import pytest
from msgspec import structs

from fleet.commands import By, Migrate
from fleet.domain import Tier, Whole
from policies import recipes
from policies.keep_alive.idle_time import KeepForever
from policies.scaling.queue import FixedReplicas
from policies.upkeep.llumnix import LlumnixMigration, free_blocks, freeness
from tests.policies.bench import Bench, model, node
from tests.policies.clusters import spec
from tests.policies.duels import (
    GB,
    Played,
    Setting,
    a40,
    arrival,
    gains,
    loses,
    replace_fields,
    with_,
)
from tests.policies.room.settings import longest_gap_s, mean_e2e_s


def uneven(prompts: tuple[int, ...] = (480, 480, 320), other: tuple[int, ...] = (160,)) -> Bench:
    """Two instances with 1920 tokens (120 blocks) of KV each, and requests of these lengths."""
    big = structs.replace(model(0, slots=8), kv_bytes_per_token=1)
    cards = replace_fields(node(0, 2), {"gpu_bytes": 2000})
    bench = Bench([cards], [big])
    for own in (prompts, other):
        bench.aim.at = bench.run(0, 0)
        for prompt in own:
            bench.ask(0, prompt)
    bench.aim.at = None
    return bench


def moves(bench: Bench, policy: LlumnixMigration) -> list[Migrate]:
    found = [step.command for plan in policy.tend(bench.view) for step in plan.steps]
    assert all(isinstance(c, Migrate) for c in found)
    return [c for c in found if isinstance(c, Migrate)]


def test_freeness_is_the_blocks_left_per_request() -> None:
    full, roomy = uneven().state.instances.values()
    view = uneven().view
    assert isclose(free_blocks(full, view), (1920 - 1280) / 16)
    assert isclose(freeness(free_blocks(full, view), full.load), 40 / 3)
    assert isclose(freeness(free_blocks(roomy, view), roomy.load), 110.0)
    assert freeness(120.0, 0) == inf


def test_llumnix_migration_by_hand_moves_the_shortest_from_the_fullest_to_the_freest() -> None:
    """F is 40 / 3 and 110 blocks a request; after it (40 + 20) / 2 = 30 and (110 - 20) / 2 = 45."""
    (move,) = moves(uneven(), LlumnixMigration(least=20.0))
    assert (move.request, move.source, move.target, move.by) == (2, 0, 1, By.KV)


@pytest.mark.parametrize(("choice", "leaves"), [("SR", 2), ("LR", 0), ("LCR", 2)])
def test_the_request_that_leaves_is_chosen_as_asked(choice: str, leaves: int) -> None:
    policy = LlumnixMigration(least=20.0, choice=choice, pairing="defrag")  # type: ignore[arg-type]
    assert [m.request for m in moves(uneven(), policy)] == [leaves]


def test_a_pair_is_balanced_only_if_the_difference_shrinks_without_turning_round() -> None:
    """The longest would leave (40 + 30) / 2 = 35 and (110 - 30) / 2 = 40: fine. Of two requests,
    one of 960 tokens would leave 60 blocks + 60 for one, and 10 for two elsewhere: turned round."""
    assert moves(uneven(), LlumnixMigration(least=20.0, choice="LR"))
    lopsided = uneven((960, 960), (800,))  # 0 blocks for two, 70 for one
    assert not moves(lopsided, LlumnixMigration(least=1.0))
    assert moves(lopsided, LlumnixMigration(least=1.0, pairing="defrag"))


def test_nobody_moves_while_all_are_free_enough_or_one_is_moving() -> None:
    assert not moves(uneven(), LlumnixMigration(least=3.0))
    bench = uneven()
    policy = LlumnixMigration(least=20.0)
    (plan,) = policy.tend(bench.view)
    bench.begin(plan)
    assert not moves(bench, policy)


def test_what_waits_counts_as_taken() -> None:
    """Five wait, of 360 tokens as the mean of those that run: 56 blocks for each instance."""
    bench = uneven()
    policy = LlumnixMigration(least=5.0, pairing="defrag")
    assert not moves(bench, policy)
    for _ in range(5):
        bench.ask(0, 10)
    assert moves(bench, policy)


# In the simulator: requests in turn long and short, so that one of two instances gets all the long.

BASE = with_(recipes.serverlessllm(), scaling=FixedReplicas(2), keep_alive=KeepForever())


def in_turn(pairs: int, prompt_tokens: int = 1000, peer_bytes_per_s: float = 1.25e9) -> Setting:
    """Requests that decode 1500 tokens and 20, in turn; an instance has KV for 32,000."""
    big = structs.replace(spec(0, 26 * GB, Whole(1), slots=32))
    links = structs.replace(a40(0).links, peer_bytes_per_s=peer_bytes_per_s)
    rows = [arrival(999, 0.0, 0, 10)]
    for i in range(pairs):
        rows.append(arrival(2 * i, 20.0, 0, 1500, prompt_tokens=prompt_tokens))
        rows.append(arrival(2 * i + 1, 20.0, 0, 20, prompt_tokens=50))
    return Setting(
        nodes=tuple(replace_fields(a40(i, gpus=1), {"links": links}) for i in range(2)),
        models=(big,),
        resident=((0, 0, Tier.DRAM), (0, 1, Tier.DRAM)),
        arrivals=tuple(rows),
    )


def moved(played: Played) -> int:
    return played.summary.migrations.moved


def test_llumnix_migration_gains_where_one_instance_got_all_the_long_requests() -> None:
    """Without it the full engine throws sequences out and computes them again."""
    llumnix = with_(BASE, upkeep=(LlumnixMigration(least=50.0),))
    ours, _ = gains(in_turn(16), llumnix, BASE, mean_e2e_s, by=1.05)
    assert moved(ours) > 1
    gains(in_turn(16), llumnix, BASE, longest_gap_s, by=4.0)


def test_llumnix_migration_loses_smoothness_where_memory_would_have_sufficed() -> None:
    """Six requests fit; over a slow network each move ends in a pause of half a second."""
    eager = with_(BASE, upkeep=(LlumnixMigration(least=400.0, pairing="defrag"),))
    ours, _ = loses(in_turn(6, 100, 0.1e9), eager, BASE, longest_gap_s, by=1.2)
    assert moved(ours)
