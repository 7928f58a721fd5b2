"""5.2 The two losses of DDPG

With continuous actions nobody can try them all, so DDPG learns two networks (Lillicrap et al. 2015,
arXiv:1509.02971). Q says what an action is worth, π names the best one. Each has a slow copy, Q̄
and π̄, of which the target of Q is made:

    y = r + γ (1 − d) Q̄(s', π̄(s'))
    L(φ) = mean of (Q_φ(s, a) − y)²         φ: the parameters of Q
    J(θ) = mean of Q(s, π_θ(s))             θ: the parameters of π

The means are over the batch. d is 1 where s' is terminal: nothing is earned behind it. L is to go
down and moves φ only: y is a constant, so no gradient goes through it. J is to go up and moves θ
only, by the slope of Q in the action. φ is in J too, but the optimiser of π steps θ alone, so you
need not care. What you return are losses: nothing is stepped here, no parameter is left with a
gradient, and Q must still be open to the gradient of its own loss.

Q(s, a) has the shape (B,), like r and d. With (B, 1) in one of them, NumPy's and torch's rules of
broadcasting make a (B, B) matrix of the difference, without any error.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from exercises.given import mlp


class Batch(NamedTuple):
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim)
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1.0 or 0.0


class Q(nn.Module):
    """Q(s, a): (B,)."""

    def __init__(self, obs_dim, act_dim, hidden=16):
        super().__init__()
        self.net = mlp([obs_dim + act_dim, hidden, 1])  # (B, obs_dim + act_dim) to (B, 1)

    def forward(self, obs, act):
        """The net's output, (B,), for obs and act joined in this order."""
        # obs (B, obs_dim), act (B, act_dim)
        raise NotImplementedError("5.2: write Q.forward")


def loss_q(q, q_targ, pi_targ, b, gamma):
    """L, and for the log Q(s, a) and y, each (B,) and without a gradient: (loss, val, y)."""
    # q, q_targ: Q and Q̄, called with obs and act, give (B,); pi_targ: π̄, called with obs, gives
    # (B, act_dim); b: a Batch; gamma: γ, a float
    raise NotImplementedError("5.2: write loss_q")


def loss_pi(q, pi, b):
    """−J, and for the log π(s), (B, act_dim) and without a gradient: (loss, act)."""
    raise NotImplementedError("5.2: write loss_pi")
