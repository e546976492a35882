"""AlpaServe's integer programme over replica counts, by HiGHS (scipy). It knows no nodes."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: How much the sum counts beside the least share, as AlpaServe weighs them.
SUM_WEIGHT = 1e-4
#: Of the branch-and-bound tree: a bound in nodes, not in seconds, so that a run can be repeated.
MOST_NODES = 10_000


def replica_counts(
    worth: Sequence[float], cards: Sequence[float], places: Sequence[int], most_cards: float
) -> list[int]:
    """max min_i n_i * worth_i + 1e-4 * sum_i n_i * worth_i, sum_i n_i * cards_i <= `most_cards`.

    `worth` is throughput over rate of one replica, `cards` what it takes, `places` how many fit at
    all, each of shape (models,). Where the tree's bound ran out it is the best found, if any. It
    takes seconds for hundreds of models: a matter for a timer.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # slow to import, rarely asked for

    n = len(worth)
    if not n:
        return []
    shares = np.array(worth)
    objective = -np.concatenate([SUM_WEIGHT * shares, [1.0]])  # counts, then the least share
    below_share = np.hstack([np.diag(shares), -np.ones((n, 1))])
    constraints = [
        LinearConstraint(below_share, lb=0.0),
        LinearConstraint(np.concatenate([cards, [0.0]])[None, :], ub=most_cards + 1e-9),
    ]
    found = milp(
        objective,
        integrality=np.concatenate([np.ones(n), [0.0]]),
        bounds=Bounds(np.zeros(n + 1), np.concatenate([places, [np.inf]])),
        constraints=constraints,
        options={"node_limit": MOST_NODES, "mip_rel_gap": 0.0},
    )
    solution: npt.NDArray[np.float64] | None = found.x
    return [0] * n if solution is None else [round(x) for x in solution[:n]]
