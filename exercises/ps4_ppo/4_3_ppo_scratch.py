"""4.3 PPO from a blank file

Seven milestones, each with a check of its own, in the order in which the numbers arise. The
formulas are here; what is peculiar to a function stands at its signature.

    1  Actor, Critic   the networks: a distribution over actions for each state, and V
    2  collect         T steps of π in one environment
    3  gae             δ_t = r_t + γ (1 − d_t) V(s'_t) − V(s_t)          d: s' is terminal
                       A_t = δ_t + γ λ (1 − e_t) A_{t+1}                 e: the episode is over
                       R_t = A_t + V(s_t)
    4  prepare         values, advantages and returns of a rollout; Â = (A − mean A) / std A
    5  losses          w = π_θ(a|s) / π_old(a|s),   KL ≈ mean of w − 1 − log w
                       J = mean of min(w Â, clip(w, 1 − ε, 1 + ε) Â) + β H(π_θ(·|s))
                       L = mean of (V(s) − R)²
    6  update          passes over the data in minibatches, each a step down −J + L
    7  ppo             everything, until so many steps are done

Sources: Schulman et al. 2017, arXiv:1707.06347 (PPO); 2015, arXiv:1506.02438 (GAE).
"""

from dataclasses import dataclass
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, Normal

from exercises.given import mlp


@dataclass
class Config:
    steps: int = 20_480  # of the environment, in all
    horizon: int = 1024  # T, steps between two updates
    gamma: float = 0.99  # γ
    lam: float = 0.95  # λ
    clip: float = 0.2  # ε
    entropy: float = 0.0  # β
    lr: float = 2e-3  # of Adam
    passes: int = 8  # times that each step of a rollout is used
    minibatch: int = 128  # rows behind one gradient
    max_kl: float = 0.03  # an update ends once KL is above this
    max_norm: float = 0.5  # a longer gradient is scaled down to this


class Rollout(NamedTuple):
    """All are float32, but for the actions of a Discrete space: these are int64."""

    obs: Tensor  # s           (T, obs_dim)
    act: Tensor  # a           (T, act_dim), or (T,) if discrete
    logp: Tensor  # log π(a|s)  (T,)
    rew: Tensor  # r           (T,)
    next_obs: Tensor  # s'          (T, obs_dim), the true successor, also where an episode ends
    term: Tensor  # d           (T,), 1 where s' is terminal
    done: Tensor  # e           (T,), 1 where the episode is over for any reason


class Batch(NamedTuple):
    obs: Tensor  # s               (B, obs_dim)
    act: Tensor  # a               (B, act_dim), or (B,) if discrete
    logp_old: Tensor  # log π_old(a|s)  (B,)
    adv: Tensor  # Â               (B,)
    ret: Tensor  # R               (B,)


class Watched(gym.Wrapper):
    """Keeps the return of each episode that has ended in `returns`."""

    def __init__(self, env):
        super().__init__(env)
        self.returns, self.total = [], 0.0

    def reset(self, **kwargs):
        self.total = 0.0
        return self.env.reset(**kwargs)

    def step(self, action):
        obs, rew, term, trunc, info = self.env.step(action)
        self.total += float(rew)
        if term or trunc:
            self.returns.append(self.total)
        return obs, rew, term, trunc, info


def standardise(adv):
    """Mean 0 and standard deviation 1 over all that is given."""
    return (adv - adv.mean()) / (adv.std(correction=0) + 1e-8)


# ---- 1


class Actor(nn.Module):
    """π(·|s) over a Discrete space (a softmax), or a Box (a normal in each dimension)."""

    def __init__(self, obs_dim, act_space):
        # mlp(sizes) with two hidden layers of 64. A Box has act_space.shape = (act_dim,): its stds
        # are exp(log_std), and log_std, a parameter of the module, starts at -0.5
        super().__init__()
        raise NotImplementedError("4.3: write Actor.__init__")

    def forward(self, obs):
        """obs (B, obs_dim) to a distribution over actions, such as those of torch.distributions."""
        # with sample(), log_prob(act) and entropy(); the last two are (B,)
        raise NotImplementedError("4.3: write Actor.forward")


class Critic(nn.Module):
    """V(s)."""

    def __init__(self, obs_dim):
        # two hidden layers of 64
        super().__init__()
        raise NotImplementedError("4.3: write Critic.__init__")

    def forward(self, obs):
        """obs (B, obs_dim) to (B,)."""
        raise NotImplementedError("4.3: write Critic.forward")


# ---- 2


@torch.no_grad()
def collect(env, obs, pi, steps):
    """A Rollout of so many steps from obs on, and the observation to go on from next time."""
    # actions are drawn by pi(obs).sample(), obs (1, obs_dim); env.reset() where an episode is over.
    # A Discrete env gets an int. A Box env gets an array within its bounds, so clip; the rollout
    # keeps the action as it was drawn. env may use its observation's array again: copy it
    raise NotImplementedError("4.3: write collect")


# ---- 3


def gae(rew, val, next_val, term, done, gamma, lam):
    """Advantages and returns of a rollout; every argument and result is (T,)."""
    raise NotImplementedError("4.3: write gae")


# ---- 4


@torch.no_grad()
def prepare(roll, v, gamma, lam):
    """The Batch of a Rollout; advantages are standardised over all of it, returns are not."""
    raise NotImplementedError("4.3: write prepare")


# ---- 5


def loss_pi(pi, b, clip, beta):
    """−J, a scalar to descend; and the estimate of KL, a scalar without gradient."""
    raise NotImplementedError("4.3: write loss_pi")


def loss_v(v, b):
    """L, a scalar; v(obs) is (B,)."""
    raise NotImplementedError("4.3: write loss_v")


# ---- 6


def update(pi, v, opt, data, cfg):
    """cfg.passes times over the data, in minibatches of cfg.minibatch rows."""
    # opt has the parameters of pi and v. Each pass has one torch.randperm(B) as its order, cut from
    # the front; nothing else is drawn. Before each step: if KL is above cfg.max_kl, the update is
    # over. The gradients of both networks as one vector are cut to the length cfg.max_norm
    raise NotImplementedError("4.3: write update")


# ---- 7


def ppo(env_fn, seed, cfg):
    """Train on the environment that env_fn() makes; pi, v and the returns of all episodes."""
    # torch.manual_seed(seed), then Actor, then Critic, and env.reset(seed=seed) once, at the start;
    # one torch.optim.Adam with cfg.lr and eps=1e-5; cfg.steps // cfg.horizon rounds, through which
    # the environment just goes on. Watched(env).returns has the returns
    raise NotImplementedError("4.3: write ppo")
