"""Soft actor-critic with a learned temperature (Haarnoja et al. 2018, arXiv:1812.05905).

The derivation is docs/algorithms/sac.md, whose equations these are:

    Eq. 1   y = r + γ (1 − d) (min_i Q̄_i(s', ã) − α log π(ã|s'))    ã ~ π(·|s'), d: s' is terminal
    Eq. 2   L(φ) = Σ_i E[(Q_i(s, a) − y)²]
    Eq. 3   J(θ) = E[min_i Q_i(s, ã) − α log π_θ(ã|s)]                  ã ~ π_θ(·|s)
    Eq. 4   φ̄ ← ρ φ̄ + (1 − ρ) φ                                        for Q̄
    Eq. 5   L(α) = −α E[log π(ã|s) + H]                                 H: entropy to keep
    Eq. 6   log π(a|s) = log N(u; μ, σ) − Σ log(1 − tanh² u)            a = tanh u

    python -m rlcourse.run sac --env Pendulum-v1 --seed 1
"""

from copy import deepcopy
from dataclasses import dataclass
from math import log as ln
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from rlcourse.utils import mpi
from rlcourse.utils.distributions import Normal
from rlcourse.utils.envs import Envs
from rlcourse.utils.nets import flat, mlp
from rlcourse.utils.optim import Adam, descend
from rlcourse.utils.replay import Replay
from rlcourse.utils.run import Run


# ------------------------------------------------------------------------ hyper-parameters


@dataclass(frozen=True)
class Config:
    env: str                               # Gymnasium id, or module:id
    seed: int = 0                          # of everything that is drawn
    epochs: int = 40                       # rounds of `horizon` steps
    num_envs: int = 4                      # N, environments stepped side by side
    horizon: int = 250                     # T, steps of each environment in an epoch
    random_steps: int = 1_000              # steps of uniform actions before π acts and learns
    utd: float = 1.0                       # updates to data: gradient steps for each step
    gamma: float = 0.99                    # γ of Eq. 1, discount
    rho: float = 0.995                     # ρ of Eq. 4
    lr: float = 1e-3                       # learning rate of π and Q
    alpha: float = 1.0                     # α of Eq. 1, temperature at the start
    lr_alpha: float = 1e-3                 # learning rate of α; 0 keeps it fixed
    target: float = -1.0                   # H of Eq. 5 for each dimension of a
    minibatch: int = 256                   # transitions behind one gradient
    memory: int = 1_000_000                # transitions kept
    hidden: tuple[int, ...] = (256, 256)   # sizes of the hidden layers
    activation: str = "relu"               # between the layers: tanh, relu, elu, gelu or silu


# ------------------------------------------------------------------------ data


class Batch(NamedTuple):
    obs: Tensor       # s   (B, obs_dim)
    act: Tensor       # a   (B, act_dim)
    rew: Tensor       # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor      # d   (B,)  1 if s' is terminal, 0 also where only the time was over


# ------------------------------------------------------------------------ networks


class Policy(nn.Module):
    """π(·|s): a Gaussian squashed by tanh into [−1, 1]."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim, *cfg.hidden, 2 * act_dim], cfg.activation)

    def forward(self, obs):
        """A differentiable sample a, and log π(a|s)."""
        mu, log_std = self.net(obs).chunk(2, dim=-1)
        gaussian = Normal(mu, log_std.clamp(-20, 2))
        u = gaussian.rsample()
        return u.tanh(), squashed_logp(gaussian, u)

    def mode(self, obs):
        mu, _ = self.net(obs).chunk(2, dim=-1)
        return mu.tanh()


class TwinQ(nn.Module):
    """Q_1(s, a) and Q_2(s, a), stacked: (2, B)."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim + act_dim, *cfg.hidden, 1], cfg.activation, n=2)

    def forward(self, obs, act):
        return self.net(torch.cat([obs, act], dim=-1)).squeeze(-1)


class Temperature(nn.Module):
    """log α, so that α stays positive."""

    def __init__(self, alpha):
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(alpha).log())


# ------------------------------------------------------------------------ equations


def loss_q(q, q_targ, pi, alpha, b, gamma):
    with torch.no_grad():
        next_act, next_logp = pi(b.next_obs)
        next_q = q_targ(b.next_obs, next_act).amin(0)
        y = b.rew + gamma * (1 - b.term) * (next_q - alpha * next_logp)          # Eq. 1
    val = q(b.obs, b.act)
    return ((val - y) ** 2).mean(-1).sum(), val.detach(), y                      # Eq. 2


def loss_pi(q, pi, alpha, b):
    act, logp = pi(b.obs)
    objective = (q(b.obs, act).amin(0) - alpha * logp).mean()                    # Eq. 3
    return -objective, act.detach(), logp.detach()


@torch.no_grad()
def track(targ, net, rho):
    targ.theta.lerp_(net.theta, 1 - rho)                                         # Eq. 4


def loss_alpha(log_alpha, logp, target):
    return -(log_alpha.exp() * (logp + target)).mean()                           # Eq. 5


def squashed_logp(gaussian, u):
    """log π(a|s) of a = tanh u, in a form that holds for large u as well."""
    log_jacobian = 2 * (ln(2) - u - softplus(-2 * u)).sum(-1)    # Σ log(1 − tanh² u)
    return gaussian.log_prob(u) - log_jacobian                                   # Eq. 6


# ------------------------------------------------------------------------ algorithm


class Agent(nn.Module):
    """Everything that learns, and one step of learning."""

    def __init__(self, obs_dim, act_space, cfg):
        super().__init__()
        act_dim, = act_space.shape
        self.pi = flat(Policy(obs_dim, act_dim, cfg))
        self.q = flat(TwinQ(obs_dim, act_dim, cfg))
        self.q_targ = flat(deepcopy(self.q))
        self.temperature = flat(Temperature(cfg.alpha))
        self.opt_pi = Adam(self.pi, cfg.lr)
        self.opt_q = Adam(self.q, cfg.lr)
        self.opt_alpha = Adam(self.temperature, cfg.lr_alpha)

    def act(self, obs):
        """What evaluation plays: the action of the mean."""
        return self.pi.mode(obs)

    def update(self, b, cfg):
        alpha = self.temperature.log_alpha.exp().detach()
        lq, val, y = loss_q(self.q, self.q_targ, self.pi, alpha, b, cfg.gamma)
        norm = descend(self.opt_q, lq)
        td = (val - y).abs().mean()
        info = dict(LossQ=lq.detach(), QVals=val.mean(), Target=y.mean(), TDError=td, GradNorm=norm)

        lpi, act, logp = loss_pi(self.q, self.pi, alpha, b)
        descend(self.opt_pi, lpi)
        target = cfg.target * act.shape[-1]
        descend(self.opt_alpha, loss_alpha(self.temperature.log_alpha, logp, target))
        track(self.q_targ, self.q, cfg.rho)
        saturated = (act.abs() > 0.99).float().mean()
        info |= dict(Alpha=alpha, Entropy=-logp.mean())
        return info | dict(LossPi=lpi.detach(), Saturated=saturated)


@torch.no_grad()
def collect(envs, agent, memory, cfg):
    """One step of every environment, into memory."""
    obs = envs.reset_done()
    warm = len(memory) >= cfg.random_steps
    act = agent.pi(obs)[0] if warm else envs.random_act()
    next_obs, rew, term, _ = envs.step(act)
    memory.add(obs, act, rew, next_obs, term)


def train(cfg, run=None):
    """Train an agent; nothing is written unless `run` has a folder."""
    run = run or Run(cfg)  # seeds, folder, log, evaluation: what is not mathematics
    updates = round(cfg.num_envs * cfg.utd)
    cfg = mpi.divide(cfg)  # environments, minibatches and memory are shared out over the processes
    envs = Envs(cfg, run.settings)
    memory = Replay(cfg.memory, envs)
    with run.device:
        agent = mpi.sync(Agent(envs.obs_dim, envs.act_space, cfg))

    for _ in run.epochs(agent, envs, memory):  # continues where an interrupted run stopped
        for _ in range(cfg.horizon):
            collect(envs, agent, memory, cfg)
            if len(memory) >= cfg.random_steps:
                for b in memory.sample(updates, cfg.minibatch):
                    run.store(**agent.update(Batch(*b), cfg))
    return agent
