"""8.1 What a few seeds can say

Two algorithms, a few runs of each: which is better, and how sure is it? Ask first what one
independent draw is. It is a run with its seed. The evaluations of one run are not independent: they
share a network, its start and its luck. So a run has one score, the mean of its evaluations.

The interquartile mean (IQM) is the mean of the middle half of n scores. One failed run does not
drag it down as it does the mean, and it uses more of the data than the median does. A score on the
border counts by its share. With the scores sorted, x_0 the lowest,

    IQM = Σ_k w_k x_k        w_k = 2 · length of the part of [k/n, (k + 1)/n] that is in [1/4, 3/4]

so three scores have weights 1/6, 2/3, 1/6 and four have 0, 1/2, 1/2, 0.

The percentile bootstrap asks what other runs might have given. From the n runs that there are it
draws n, with replacement, and takes the statistic of them; it does so many times. The interval at
level 0.95 goes from the 2.5 to the 97.5 percentile of what came. With several tasks the runs of
each are drawn by themselves, independently of the others (stratified): chance is in the runs, not
in the choice of the tasks.

The probability of improvement is that of a run of X being better than one of Y, ties counted half:

    P(X > Y) + 1/2 P(X = Y) = mean over all pairs (i, j) of p_ij

where p_ij is 1 if x_i > y_j, 1/2 if x_i = y_j, and 0 if x_i < y_j.

After Agarwal et al. 2021, arXiv:2108.13264.
"""

import numpy as np


def iqm(x):
    """The interquartile mean over the last axis of an array: (..., n) to (...)."""
    raise NotImplementedError("8.1: write iqm")


def interval(tasks, statistic, rng, draws=2000, level=0.95):
    """The bootstrap interval (low, high) of a statistic of all runs of all tasks.

    tasks is a list of arrays (runs, evaluations), which may differ in both numbers. statistic takes
    an array (..., n), as iqm does: n is the number of runs in all tasks together, which it sees in
    one row, a score each. All that is drawn comes from rng, a np.random.Generator.
    """
    raise NotImplementedError("8.1: write interval")


def improvement(x, y):
    """The probability of improvement of the scores x (n,) over the scores y (m,)."""
    raise NotImplementedError("8.1: write improvement")
