"""The least sum of a matrix with one entry from each row and at most one from each column.

The Hungarian method with potentials (Kuhn 1955, Munkres 1957), one augmenting path a row:
O(rows^2 * columns). It knows nothing of what rows and columns stand for.
"""

from math import inf

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def least_sum(cost: Floats) -> float:
    """inf where an entry may not be taken; inf if no row-to-column assignment is left."""
    rows, columns = cost.shape
    if rows > columns:
        return inf
    row_of: Ints = np.full(columns + 1, -1)  # the last column stands for the row being assigned
    over_rows: Floats = np.zeros(rows)
    over_columns: Floats = np.zeros(columns + 1)
    for row in range(rows):
        row_of[columns] = row
        came_from = _shortest_path(cost, row_of, over_rows, over_columns)
        if came_from is None:
            return inf
        column, back = came_from
        while column != columns:
            row_of[column] = row_of[back[column]]
            column = int(back[column])
    return float(sum(cost[row_of[c], c] for c in range(columns) if row_of[c] >= 0))


def _shortest_path(
    cost: Floats, row_of: Ints, over_rows: Floats, over_columns: Floats
) -> tuple[int, Ints] | None:
    """The free column that ends the cheapest path from the last one, and the way back to it."""
    last = len(row_of) - 1
    slack: Floats = np.full(last, inf)
    back: Ints = np.zeros(last, np.int64)
    used: npt.NDArray[np.bool_] = np.zeros(last + 1, np.bool_)
    column = last
    while row_of[column] >= 0:
        used[column] = True
        row = row_of[column]
        reduced = cost[row] - over_rows[row] - over_columns[:last]
        nearer = ~used[:last] & (reduced < slack)
        slack[nearer] = reduced[nearer]
        back[nearer] = column
        open_slack = np.where(used[:last], inf, slack)
        column = int(open_slack.argmin())
        step = open_slack[column]
        if step == inf:
            return None
        over_rows[row_of[used]] += step
        over_columns[used] -= step
        slack[~used[:last]] -= step
    return column, back
