"""7.1 A logger that counts right

An epoch's row in progress.csv says in four numbers what thousands were. They arrive in batches of
unequal size: three episodes from one process, three hundred from another. The mean of the two means
is not the mean of the episodes, and the spread between the batches belongs to the spread as well.

A batch of n numbers x_i is kept as five: n, its mean, S = Σ (x_i − mean)², the lowest and the
highest. Two such batches a and b make one, exactly (Chan, Golub and LeVeque 1979):

    n = n_a + n_b        δ = mean_b − mean_a
    mean = mean_a + δ n_b / n
    S = S_a + S_b + δ² n_a n_b / n

This stays exact where Σ x² − n mean² does not: for returns near ten million that differ by one, the
two terms of that agree in all digits that count. Compute in float64 whatever comes.

For V there is the explained variance: how much of the spread of the returns R was predicted.

    explained = 1 − Var(R − V) / (Var(R) + 1e-8)        Var divides by n

1 is all of it, 0 is a constant guess, less than 0 is worse than that. A constant error is not seen
by it. The 1e-8 is for returns that are all alike.
"""

from typing import NamedTuple

import torch


class Stats(NamedTuple):
    """A batch of numbers; Stats() is the empty one."""

    count: int = 0
    mean: float = 0.0
    dev: float = 0.0  # S
    low: float = float("inf")
    high: float = float("-inf")


def stats(x):
    """The Stats of x: a number, a list of numbers, or a tensor of any shape and dtype.

    All five are numbers of Python. An x without elements gives the empty Stats. A nan in x makes
    mean and dev nan, so that it is seen.
    """
    raise NotImplementedError("7.1: write stats")


def merge(a, b):
    """The Stats of two batches together, either of which may be empty."""
    raise NotImplementedError("7.1: write merge")


class Logger:
    """The columns of an epoch.

    However much is stored, it takes no more memory, and no tensor's graph is kept.
    """

    def __init__(self):
        self.columns = {}  # name to Stats

    def store(self, **values):
        """Add to the columns named: store(EpRet=[21.0, 9.0], LossPi=loss)."""
        raise NotImplementedError("7.1: write Logger.store")

    def summary(self):
        """The row of what was stored since the last call, which it forgets.

        Each column X gives AverageX, StdX (which divides by n), MaxX and MinX. If all that was
        stored in it was empty, the four are None: an epoch in which no episode ended has a row
        nevertheless. A column in which nothing was stored since the last call is not in the row.
        """
        raise NotImplementedError("7.1: write Logger.summary")


def explained(predicted, target):
    """The explained variance, a tensor of no dimension; predicted V and target R are (B,)."""
    raise NotImplementedError("7.1: write explained")
