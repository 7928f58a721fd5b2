"""Copies and networks in a chain, which is at its end after one round."""

import copy
import itertools
from typing import NamedTuple

import torch
from torch import Tensor, nn

from exercises.given import mlp


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
    act = pi(obs)
    noise = (sigma * torch.randn_like(act)).clamp(-c, c)
    return (act + noise).clamp(-1, 1)


def loss_q(q, q_targ, pi_targ, b, gamma, sigma, c):
    """L, and for the log Q_i(s, a), (2, B), and y, (B,): (loss, val, y), both without gradients."""
    # q, q_targ: TwinQ; pi_targ: Policy; b: Batch
    with torch.no_grad():
        next_act = smooth(pi_targ, b.next_obs, sigma, c)
        next_q = q_targ(b.next_obs, next_act).amin(0)
        y = b.rew + gamma * (1 - b.term) * next_q
    val = q(b.obs, b.act)
    return ((val - y) ** 2).mean(-1).sum(), val.detach(), y


def loss_pi(q, pi, b):
    """−J, and for the log π(s), (B, act_dim) and without a gradient: (loss, act)."""
    act = pi(b.obs)
    loss = -q.first(b.obs, act).mean()
    return loss, act.detach()


class Agent:
    """Everything that learns; its networks are called pi, q, pi_targ and q_targ."""

    def __init__(self, pi, q, cfg):
        """Take these two networks; copies, optimisers and what else an update needs come here."""
        self.pi, self.q = pi, q
        self.pi_targ, self.q_targ = copy.deepcopy(pi), copy.deepcopy(q)
        self.opt_pi = torch.optim.Adam(pi.parameters(), lr=cfg.lr)
        self.opt_q = torch.optim.Adam(q.parameters(), lr=cfg.lr)
        self.steps = 0
        copies = itertools.chain(self.q_targ.parameters(), self.pi_targ.parameters())
        self.pairs = zip(copies, itertools.chain(q.parameters(), pi.parameters()), strict=True)

    def update(self, b, cfg):
        """One update with the Batch b."""
        lq, _, _ = loss_q(
            self.q, self.q_targ, self.pi_targ, b, cfg.gamma, cfg.smooth, cfg.smooth_clip
        )
        self.opt_q.zero_grad()
        lq.backward()
        self.opt_q.step()
        self.steps += 1
        if self.steps % cfg.delay == 0:
            lpi, _ = loss_pi(self.q, self.pi, b)
            self.opt_pi.zero_grad()
            lpi.backward()
            self.opt_pi.step()
            with torch.no_grad():
                for targ, net in self.pairs:
                    targ.lerp_(net, 1 - cfg.rho)
