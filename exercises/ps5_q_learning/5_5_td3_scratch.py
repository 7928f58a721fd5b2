"""5.5 TD3 from scratch

The whole algorithm, written by you: seven milestones, whose checks turn green in this order. The
formulas are those of 5.2 to 5.4 (Fujimoto et al. 2018, arXiv:1802.09477).

    1. explore    a = clip(π(s) + σ ε, −1, 1)                   ε normal: mean 0, deviation 1
    2. smooth     ã = clip(π̄(s') + clip(σ̃ ε, −c, c), −1, 1)
    3. loss_q     y = r + γ (1 − d) min_i Q̄_i(s', ã)            d: s' is terminal
                  L = Σ_i mean of (Q_i(s, a) − y)²              y is a constant
    4. loss_pi    J = mean of Q_1(s, π(s)), negated
    5. Agent      π, Q and their copies; one step of Q in every update, and after it in every
                  κ-th (the κ-th, 2κ-th, ...) one of π, and θ̄ ← ρ θ̄ + (1 − ρ) θ for all copies
    6. collect    one step of the environment, into the memory
    7. td3        steps of collecting and learning in turn

Means are over the batch. Each loss has an optimiser of its own, torch.optim.Adam with cfg.lr and
all else as it comes.

All actions are in [−1, 1], in π, in Q and in the memory. An environment has bounds of its own, low
and high, one pair for each dimension; −1 stands for low, 1 for high, linearly, and only what goes
into env.step is mapped to them.

Whole runs are tried on tiny worlds whose values are known, and with --full on Pendulum-v1.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from exercises.given import mlp, use

Replay = use("5.1").Replay  # Replay(size, obs_dim, act_dim), with add, draw, sample and len: yours
track = use("5.3").track  # track(targ, net, rho): yours, if it passes


class Config(NamedTuple):
    random_steps: int = 500  # steps of uniform actions before π acts and anything is learnt
    noise: float = 0.1  # σ
    smooth: float = 0.2  # σ̃
    smooth_clip: float = 0.5  # c
    delay: int = 2  # κ
    gamma: float = 0.99  # γ
    rho: float = 0.99  # ρ
    lr: float = 1e-3  # of both Adams
    minibatch: int = 64  # transitions behind one gradient
    memory: int = 100_000  # transitions kept
    hidden: int = 64  # units in each of two hidden layers


class Batch(NamedTuple):  # what memory.sample returns has these fields
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim)
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1.0 or 0.0


class Policy(nn.Module):
    """π(s) in [−1, 1]: (..., obs_dim) to (..., act_dim)."""

    def __init__(self, obs_dim, act_dim, hidden):
        super().__init__()
        self.net = mlp([obs_dim, hidden, hidden, act_dim], nn.ReLU)

    def forward(self, obs):
        return self.net(obs).tanh()


class TwinQ(nn.Module):
    """Q_1(s, a) and Q_2(s, a), stacked: (2, B)."""

    def __init__(self, obs_dim, act_dim, hidden):
        super().__init__()
        sizes = [obs_dim + act_dim, hidden, hidden, 1]
        self.nets = nn.ModuleList([mlp(sizes, nn.ReLU), mlp(sizes, nn.ReLU)])

    def forward(self, obs, act):
        x = torch.cat([obs, act], dim=-1)
        return torch.stack([net(x).squeeze(-1) for net in self.nets])

    def first(self, obs, act):
        """Q_1(s, a) alone: (B,)."""
        return self.nets[0](torch.cat([obs, act], dim=-1)).squeeze(-1)


def explore(pi, obs, sigma):
    """a of formula 1, of the shape of pi(obs); one draw of torch for ε."""
    raise NotImplementedError("5.5: write explore")


def smooth(pi, obs, sigma, c):
    """ã of formula 2, of the shape of pi(obs); one draw of torch for ε."""
    raise NotImplementedError("5.5: write smooth")


def loss_q(q, q_targ, pi_targ, b, gamma, sigma, c):
    """L, Q_i(s, a), (2, B), and y, (B,): (loss, val, y); only loss has a gradient."""
    raise NotImplementedError("5.5: write loss_q")


def loss_pi(q, pi, b):
    """−J and π(s), (B, act_dim): (loss, act); only loss has a gradient."""
    raise NotImplementedError("5.5: write loss_pi")


class Agent:
    """Everything that learns; its networks are called pi, q, pi_targ and q_targ."""

    def __init__(self, obs_dim, act_dim, cfg):
        """A Policy and a TwinQ of cfg.hidden units, their copies, and what else update needs."""
        raise NotImplementedError("5.5: write Agent.__init__")

    def update(self, b, cfg):
        """One update with the Batch b, in which one loss_q is computed."""
        raise NotImplementedError("5.5: write Agent.update")


def collect(env, obs, pi, memory, cfg):
    """One step of env, a Gymnasium environment, from obs; returns the observation to go on from.

    As long as memory has fewer than cfg.random_steps transitions the action is uniform in [−1, 1],
    afterwards it is that of `explore` with cfg.noise. The transition is given to
    memory.add(obs, act, rew, next_obs, term), as arrays, a float and a bool. If the episode is over
    for any reason, env is reset, and the observation to go on from is that of the new episode.
    An environment may return one and the same array in every step, with new numbers in it.
    """
    # obs: array (obs_dim,), as env.reset or this function returned it; pi: Policy
    raise NotImplementedError("5.5: write collect")


def td3(env, steps, cfg, seed):
    """Train an Agent for so many steps of env and return it; the same seed gives the same run.

    The memory keeps cfg.memory transitions. After each step, if there are at least cfg.random_steps
    of them, one update with cfg.minibatch transitions follows. The first reset of env is with the
    seed, later ones without any; from where else numbers are drawn is up to you, but seed it too.
    """
    raise NotImplementedError("5.5: write td3")
