"""6.4 SAC from scratch

All of soft actor-critic for continuous actions (Haarnoja et al. 2018, arXiv:1812.05905), in eight
parts. Each is a milestone: the checks go through them in the order of this file, so run them as
soon as a part is written. Each part rests on those above it only.

The equations. Q_1, Q_2 are the critics with parameters φ, Q̄_1, Q̄_2 their slow copies, θ the
parameters of π; means E are over the rows of a batch (s, a, r, s', d), with one draw ã in each row.

    Eq. 1   y = r + γ (1 − d) (min_i Q̄_i(s', ã) − α log π(ã|s'))        ã ~ π(·|s')
    Eq. 2   L(φ) = Σ_i E[(Q_i(s, a) − y)²]                               y is a number
    Eq. 3   J(θ) = E[min_i Q_i(s, ã) − α log π_θ(ã|s)]                   ã ~ π_θ(·|s)
    Eq. 4   φ̄ ← ρ φ̄ + (1 − ρ) φ
    Eq. 5   L(α) = −α E[log π(ã|s) + H]                                  log π is a number
    Eq. 6   log π(a|s) = log N(u; μ, σ) − Σ log(1 − tanh² u)             a = tanh u

In Eq. 6, log N is the sum over the dimensions of −(u − μ)²/(2σ²) − log σ − log(2π)/2. The logarithm
behind it must be right for every u; 1 − tanh² u = 4 / (e^u + e^−u)² helps.

Networks, memory and losses know actions in [−1, 1] only; the environment has bounds of its own.
Draw the noise of π by torch, and whatever else is random by torch or numpy.
"""

import copy
from dataclasses import dataclass
from math import log
from math import pi as PI
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from exercises.given import mlp


@dataclass(frozen=True)
class Config:
    steps: int = 5000  # of the environment
    random_steps: int = 1000  # the first of them, with uniform actions and without learning
    gamma: float = 0.99  # γ of Eq. 1
    rho: float = 0.995  # ρ of Eq. 4
    lr: float = 1e-3  # learning rate of π and Q
    alpha: float = 1.0  # α at the start
    lr_alpha: float = 1e-3  # learning rate of log α
    entropy: float = -1.0  # H of Eq. 5, for each dimension of the action
    batch: int = 64  # transitions behind one gradient
    hidden: int = 64  # units in each of the two hidden layers


class Batch(NamedTuple):
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim), in [−1, 1]
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1 if s' is terminal, else 0; 0 where only the time was over


# ---- 1. the policy


class Squashed(nn.Module):
    """π: a normal squashed by tanh into [−1, 1]."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim, cfg.hidden, cfg.hidden, 2 * act_dim], nn.ReLU)

    def forward(self, obs):
        """One action for each row, that can be differentiated through, and its log π."""
        # obs (B, obs_dim) -> a (B, act_dim), log π(a|s) (B,), Eq. 6
        # the first half of the outputs of net is μ, the second log σ, which is cut to [−10, 2]
        raise NotImplementedError("6.4: write Squashed.forward")

    def mode(self, obs):
        return self.net(obs).chunk(2, dim=-1)[0].tanh()


# ---- 2. the critics


class TwinQ(nn.Module):
    """Q_1 and Q_2."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.q1 = mlp([obs_dim + act_dim, cfg.hidden, cfg.hidden, 1], nn.ReLU)
        self.q2 = mlp([obs_dim + act_dim, cfg.hidden, cfg.hidden, 1], nn.ReLU)

    def forward(self, obs, act):
        """Both values of each row."""
        # obs (B, obs_dim), act (B, act_dim) -> (2, B); the networks take both side by side
        raise NotImplementedError("6.4: write TwinQ.forward")


# ---- 3. the losses


def loss_q(q, q_targ, pi, alpha, b, gamma):
    """Eq. 2, a tensor of shape (); Q_i(s, a) of both critics (2, B); and y of Eq. 1 (B,)."""
    # q and q_targ are TwinQ, pi is Squashed, alpha a tensor of shape (), b a Batch, gamma a float;
    # only q gets a gradient
    raise NotImplementedError("6.4: write loss_q")


def loss_pi(q, pi, alpha, b):
    """−J of Eq. 3, a tensor of shape (); the actions ã (B, act_dim); and log π(ã|s), (B,)."""
    # the gradient with respect to π counts; that of q and α is used by nobody
    raise NotImplementedError("6.4: write loss_pi")


def loss_alpha(log_alpha, logp, H):
    """Eq. 5, a tensor of shape (), to be differentiated with respect to log α."""
    # log_alpha a tensor of shape (), logp (B,), H a float
    raise NotImplementedError("6.4: write loss_alpha")


# ---- 4. the slow copies


def track(targ, net, rho):
    """Eq. 4: moves each parameter of targ towards that of net, in place; returns nothing."""
    raise NotImplementedError("6.4: write track")


# ---- 5. one update


class Agent(nn.Module):
    """Everything that learns, and one step of learning."""

    def __init__(self, obs_dim, act_dim, cfg):
        """Still to be made: the slow copies self.q_targ, equal to q and with parameters of their
        own, and three optimisers, torch.optim.Adam: self.opt_q and self.opt_pi with the rate
        cfg.lr, self.opt_alpha with the rate cfg.lr_alpha."""
        super().__init__()
        self.pi = Squashed(obs_dim, act_dim, cfg)
        self.q = TwinQ(obs_dim, act_dim, cfg)
        self.log_alpha = nn.Parameter(torch.tensor(log(cfg.alpha)))
        self.H = cfg.entropy * act_dim
        raise NotImplementedError("6.4: write Agent.__init__")

    def update(self, b, cfg):
        """One step of everything, in this order: α is read, as a number; both critics take a step
        down Eq. 2; π takes one down −J, with the critics that have just moved; α takes one, with
        the log-probabilities that −J was made of; the slow copies follow.

        Returns a dict with y, loss_q, loss_pi, loss_alpha and alpha, the α that was read.
        """
        raise NotImplementedError("6.4: write Agent.update")

    @torch.no_grad()
    def act(self, obs):
        """An action that is drawn, for one observation: numpy (obs_dim,) to numpy (act_dim,)."""
        return self.pi(torch.as_tensor(obs)[None])[0][0].numpy()

    @torch.no_grad()
    def best(self, obs):
        """The same without noise, for evaluation."""
        return self.pi.mode(torch.as_tensor(obs)[None])[0].numpy()


# ---- 6. the memory


class Replay:
    """The newest `size` transitions."""

    def __init__(self, size, obs_dim, act_dim):
        self.size, self.count = size, 0  # count: transitions ever
        self.obs = torch.zeros(size, obs_dim)
        self.act = torch.zeros(size, act_dim)
        self.rew = torch.zeros(size)
        self.next_obs = torch.zeros(size, obs_dim)
        self.term = torch.zeros(size)

    def add(self, obs, act, rew, next_obs, term):
        """Keep one transition; if the memory is full the oldest one goes."""
        # obs, next_obs numpy (obs_dim,); act numpy (act_dim,); rew a float; term a bool
        raise NotImplementedError("6.4: write Replay.add")

    def sample(self, n):
        """A Batch of n transitions, each drawn uniformly from those that are kept."""
        raise NotImplementedError("6.4: write Replay.sample")


# ---- 7. one step of the environment


def interact(env, memory, obs, act):
    """Act once, keep the transition by memory.add, and return the observation to act on next."""
    # env has Gymnasium's interface, and finite bounds env.action_space.low and .high, (act_dim,):
    # act is in [−1, 1], numpy (act_dim,); −1 stands for low, 1 for high, and it is linear between.
    # The memory keeps act as it is. d is 1 if the episode ended by a terminal state (terminated), 0
    # if only by a time limit (truncated); after either, the next action is for a new episode.
    # Some environments write each observation into the same array, obs is then that array
    raise NotImplementedError("6.4: write interact")


# ---- 8. the whole


def sac(env, agent, memory, cfg):
    """Train agent for cfg.steps steps of env; returns nothing.

    Steps are counted from 0. Those before cfg.random_steps have uniform actions in [−1, 1]. In each
    from cfg.random_steps on, agent.act chooses, and after the step there is one agent.update with
    cfg.batch transitions from the memory.
    """
    raise NotImplementedError("6.4: write sac")
