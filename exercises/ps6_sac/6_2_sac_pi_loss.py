"""6.2 The policy's loss

What is best in a state is a distribution: it balances Q, which wants the best action, against the
entropy, which wants many. SAC climbs

    J(θ) = E[min_i Q_i(s, ã) − α log π_θ(ã|s)]                    ã ~ π_θ(·|s)

where Q_1 and Q_2 are the critics, α is the price of entropy and θ are the parameters of π. The mean
E is over the rows of the batch, with one action drawn in each. What is returned is a loss, which an
optimiser steps down (Haarnoja et al. 2018, arXiv:1801.01290).

The policy draws ã as a function of θ and of noise that has no θ in it: ã = tanh(μ_θ(s) + σ_θ(s) ε).
So the gradient goes from Q through ã into θ, and from log π into θ as well: leave both ways open.

Only the gradient with respect to θ is used. Whether the critics' parameters or α get one too makes
no difference here, since the optimiser of π does not step them. But the critics go on learning
from their own loss: leave them as you found them.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim)
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1 if s' is terminal, else 0


def loss_pi(q, pi, alpha, b):
    """−J(θ), a tensor of shape (); and without gradient ã, (B, act_dim), and log π_θ(ã|s), (B,)."""
    # q(obs, act) gives the values of both critics, (2, B)
    # pi(obs) draws an action for each row and gives it with its log π: (B, act_dim), (B,)
    # alpha is α, a tensor of shape (); b is a Batch
    raise NotImplementedError("6.2: write loss_pi")
