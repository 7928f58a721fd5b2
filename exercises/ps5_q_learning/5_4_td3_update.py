"""5.4 One update of TD3

The policy of DDPG climbs Q, errors included, and the target passes what is overrated on to other
states. TD3 has three remedies (Fujimoto et al. 2018, arXiv:1802.09477):

    twins      y = r + γ (1 − d) min_i Q̄_i(s', ã)             the lower of two values
               L(φ) = Σ_i mean of (Q_i(s, a) − y)²            both learn the same y
    smoothing  ã = clip(π̄(s') + clip(σ ε, −c, c), −1, 1)      ε normal: mean 0, deviation 1
    delay      J(θ) = mean of Q_1(s, π_θ(s))                  in every κ-th update only,
               θ̄ ← ρ θ̄ + (1 − ρ) θ                            and then for π̄ and both Q̄_i

The means are over the batch, the sum is over the two values. d is 1 where s' is terminal. y is a
constant. L goes down in every update and moves φ only, J goes up and moves θ only. Updates are
counted from 1: with κ = 3, π and the copies move in the third, the sixth and so on, after Q and
with the new Q. In all the other updates only Q moves.

Each loss has an optimiser of its own, torch.optim.Adam with the learning rate cfg.lr and all else
as it comes. Both losses contain Q, so mind whose gradients are there when an optimiser steps.
ε is drawn by torch, once per update and as one tensor of the shape of the actions.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from exercises.given import mlp, use

track = use("5.3").track  # track(targ, net, rho): yours, if it passes


class Config(NamedTuple):
    gamma: float = 0.99  # γ
    rho: float = 0.995  # ρ
    lr: float = 1e-3
    smooth: float = 0.2  # σ
    smooth_clip: float = 0.5  # c
    delay: int = 2  # κ


class Batch(NamedTuple):
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim)
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1.0 or 0.0


class Policy(nn.Module):
    """π(s) in [−1, 1]: (B, act_dim)."""

    def __init__(self, obs_dim, act_dim, hidden=64):
        super().__init__()
        self.net = mlp([obs_dim, hidden, hidden, act_dim])

    def forward(self, obs):
        return self.net(obs).tanh()


class TwinQ(nn.Module):
    """Q_1(s, a) and Q_2(s, a), stacked: (2, B)."""

    def __init__(self, obs_dim, act_dim, hidden=64):
        super().__init__()
        sizes = [obs_dim + act_dim, hidden, hidden, 1]
        self.nets = nn.ModuleList([mlp(sizes), mlp(sizes)])

    def forward(self, obs, act):
        x = torch.cat([obs, act], dim=-1)
        return torch.stack([net(x).squeeze(-1) for net in self.nets])

    def first(self, obs, act):
        """Q_1(s, a) alone: (B,)."""
        return self.nets[0](torch.cat([obs, act], dim=-1)).squeeze(-1)


def smooth(pi, obs, sigma, c):
    """ã with the policy pi in the states obs: (B, act_dim)."""
    raise NotImplementedError("5.4: write smooth")


def loss_q(q, q_targ, pi_targ, b, gamma, sigma, c):
    """L, and for the log Q_i(s, a), (2, B), and y, (B,): (loss, val, y), both without gradients."""
    # q, q_targ: TwinQ; pi_targ: Policy; b: Batch
    raise NotImplementedError("5.4: write loss_q")


def loss_pi(q, pi, b):
    """−J, and for the log π(s), (B, act_dim) and without a gradient: (loss, act)."""
    raise NotImplementedError("5.4: write loss_pi")


class Agent:
    """Everything that learns; its networks are called pi, q, pi_targ and q_targ."""

    def __init__(self, pi, q, cfg):
        """Take these two networks; copies, optimisers and what else an update needs come here."""
        raise NotImplementedError("5.4: write Agent.__init__")

    def update(self, b, cfg):
        """One update with the Batch b."""
        raise NotImplementedError("5.4: write Agent.update")
