"""1.3 A Gaussian policy

A policy for continuous actions is a distribution for each state: π(·|s) = N(μ(s), σ), independent
in each of D dimensions. A network makes μ(s). log σ is the same in all states, but it is learnt
like any weight: one number for each dimension, −0.5 at the start. With ε from N(0, 1), anew for
each row and dimension, a draw is

    a = μ + σ ε

and how random the policy is, in nats, says its entropy

    H = Σ_j ( log σ_j + ½ log 2πe )

`Normal` is the distribution, of a batch of B states; `Gaussian` is the module that makes it. Its
network is an `mlp` from as many inputs as an observation has, over hidden layers of the sizes
`cfg.hidden`, to D outputs, with tanh between the layers and nothing behind the last: a mean may be
any number. `norm` is a module that standardises observations before the network sees them.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from exercises.given import mlp, use

gaussian_logp = use("1.1").gaussian_logp


class Normal(NamedTuple):
    """Independent normals in each of D dimensions, B of them."""

    mean: Tensor  # (B, D)
    log_std: Tensor  # (D,) or (B, D)

    @property
    def mode(self):
        """The likeliest action."""
        return self.mean

    def log_prob(self, x):
        """The log-density of actions (B, D): (B,)."""
        return gaussian_logp(x, self.mean, self.log_std)

    def sample(self):
        """An action for each row, (B, D); it need not be differentiable."""
        raise NotImplementedError("1.3: write Normal.sample")

    def entropy(self):
        """H of each row, (B,)."""
        raise NotImplementedError("1.3: write Normal.entropy")


class Gaussian(nn.Module):
    """π(·|s); its parts are `norm`, `mu` (the network) and `log_std`."""

    def __init__(self, norm, act_space, cfg):
        # norm.dim: length of an observation; act_space.shape: (D,); cfg.hidden: such as (64, 64)
        super().__init__()
        self.norm = norm
        raise NotImplementedError("1.3: write Gaussian.__init__")

    def forward(self, obs):
        """The Normal of each observation; obs is (B, norm.dim)."""
        raise NotImplementedError("1.3: write Gaussian.forward")
