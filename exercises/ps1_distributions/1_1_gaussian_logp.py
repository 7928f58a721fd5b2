"""1.1 Log-density of a diagonal Gaussian

A policy for continuous actions is a normal distribution whose dimensions are independent. Learning
needs the logarithm of its density at the actions that were taken:

    log N(x; μ, σ) = Σ_j ( −½ ((x_j − μ_j) / σ_j)² − log σ_j − ½ log 2π )

j counts the D dimensions of one action: they are one event, and its log-density is one number. The
rows of a batch are different events, and stay apart. Networks give log σ instead of σ: it may be
any number (here from −10 to 2), and σ = exp(log σ) is never 0, so nothing has to be added to σ. The
result can be differentiated with respect to x, μ and log σ.
"""

import math

import torch


def gaussian_logp(x, mu, log_std):
    """log N(x; μ, σ) of each row, (B,)."""
    # x and mu (B, D); log_std (B, D), or (D,) if all rows have the same
    raise NotImplementedError("1.1: write gaussian_logp")
