"""1.4 The density of a squashed Gaussian

Where actions have bounds, a draw u of a Gaussian is squashed into them: a = tanh u lies within ±1.
Squashing moves probability together: equal amounts lie in du and in da, π(a) da = N(u) du. With
da/du = 1 − tanh² u in each of D dimensions (Haarnoja et al. 2018, arXiv:1812.05905),

    log π(a) = log N(u; μ, σ) − Σ_j log(1 − tanh² u_j)

`squashed_logp` is this. It has to hold, with its gradients, for any u up to ±1000. There tanh u is
1 to a computer, 1 − tanh² u is 0, and e^u is inf. But log(1 − tanh² u) has a form without these
difficulties: begin with tanh u = (e^u − e^−u) / (e^u + e^−u).

`tanh_gaussian` draws for a Box of ±limit. It takes standard normal noise ε from outside,

    u = μ + σ ε,   a = limit · tanh u

and gives a with the log of its density. That density is per unit of a: in each dimension the limit
stretches da/du once more. Both a and its log-density can be differentiated by μ and log σ, through
u: that is how SAC's policy learns from Q.
"""

import math

import torch
from torch.nn import functional as F

from exercises.given import use

Normal = use("1.3").Normal  # Normal(mean, log_std).log_prob(u) is (B,)


def squashed_logp(gaussian, u):
    """log π(a) of a = tanh u, where u is drawn from gaussian, a Normal: (B,)."""
    # u (B, D); gaussian.log_prob(u) is log N(u; μ, σ) of each row, (B,)
    raise NotImplementedError("1.4: write squashed_logp")


def tanh_gaussian(mu, log_std, noise, limit):
    """An action (B, D) and its log-density (B,)."""
    # mu, log_std and noise are (B, D); limit is a number above 0, the same in all dimensions
    raise NotImplementedError("1.4: write tanh_gaussian")
