"""Twin delayed deep deterministic policy gradient (Fujimoto et al. 2018, arXiv:1802.09477).

The derivation is docs/algorithms/td3.md, whose equations these are:

    Eq. 1   y = r + γ (1 − d) min_i Q̄_i(s', ã)          d: s' is terminal
    Eq. 2   L(φ) = Σ_i E[(Q_i(s, a) − y)²]
    Eq. 3   J(θ) = E[Q_1(s, π_θ(s))]                    every κ-th step only, and Eq. 4 with it
    Eq. 4   θ̄ ← ρ θ̄ + (1 − ρ) θ                         for π̄ and Q̄ alike
    Eq. 5   a = clip(π(s) + σ ε, −1, 1)                 ε ~ N(0, I)
    Eq. 6   ã = clip(π̄(s') + clip(σ̃ ε, −c, c), −1, 1)

Logged, beside returns and times; what is healthy is on the same page:

    LossQ, LossPi   Eq. 2, and Eq. 3 negated
    QVals, Target   means of Q_i(s, a) and y; beyond what the task can pay: overestimation
    TDError         mean of |Q_i(s, a) − y|
    GradNorm        length of the gradient of both Q_i
    Saturated       share of π's actions beyond ±0.99, where tanh is flat; near 1 π cannot learn

    python -m rlcourse.run td3 --env Pendulum-v1 --seed 1
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from rlcourse.utils import mpi
from rlcourse.utils.envs import Envs
from rlcourse.utils.nets import clone, flat, mlp, nth, width
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
    noise: float = 0.1                     # σ of Eq. 5
    smooth: float = 0.2                    # σ̃ of Eq. 6
    smooth_clip: float = 0.5               # c of Eq. 6
    delay: int = 2                         # κ, steps of Q for each of π
    utd: float = 1.0                       # updates to data: gradient steps for each step
    gamma: float = 0.99                    # γ of Eq. 1, discount
    rho: float = 0.995                     # ρ of Eq. 4
    lr: float = 1e-3                       # learning rate
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
    """π(s) in [−1, 1]."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim, *cfg.hidden, act_dim], cfg.activation)

    def forward(self, obs):
        return self.net(obs).tanh()


class TwinQ(nn.Module):
    """Q_1(s, a) and Q_2(s, a), stacked: (2, B)."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim + act_dim, *cfg.hidden, 1], cfg.activation, n=2)

    def forward(self, obs, act):
        return self.net(torch.cat([obs, act], dim=-1)).squeeze(-1)

    def first(self, obs, act):
        """Q_1(s, a) alone: (B,)."""
        return nth(self.net, 0, torch.cat([obs, act], dim=-1)).squeeze(-1)


# ------------------------------------------------------------------------ equations


def loss_q(q, q_targ, pi_targ, b, gamma, sigma, c):
    with torch.no_grad():
        next_act = smooth(pi_targ, b.next_obs, sigma, c)
        next_q = q_targ(b.next_obs, next_act).amin(0)
        y = b.rew + gamma * (1 - b.term) * next_q                                # Eq. 1
    val = q(b.obs, b.act)
    return ((val - y) ** 2).mean(-1).sum(), val.detach(), y                      # Eq. 2


def loss_pi(q, pi, b):
    act = pi(b.obs)
    objective = q.first(b.obs, act).mean()                                       # Eq. 3
    return -objective, act.detach()


@torch.no_grad()
def track(targ, net, rho):
    targ.theta.lerp_(net.theta, 1 - rho)                                         # Eq. 4


def explore(pi, obs, sigma):
    act = pi(obs)
    return (act + sigma * torch.randn_like(act)).clamp(-1, 1)                    # Eq. 5


def smooth(pi, obs, sigma, c):
    act = pi(obs)
    return (act + (sigma * torch.randn_like(act)).clamp(-c, c)).clamp(-1, 1)     # Eq. 6


# ------------------------------------------------------------------------ algorithm


class Agent(nn.Module):
    """Everything that learns, and one step of learning."""

    def __init__(self, obs_dim, act_space, cfg):
        super().__init__()
        act_dim = width(act_space, Box)
        self.pi = flat(Policy(obs_dim, act_dim, cfg))
        self.q = flat(TwinQ(obs_dim, act_dim, cfg))
        self.pi_targ = clone(self.pi)
        self.q_targ = clone(self.q)
        self.opt_pi = Adam(self.pi, cfg.lr)
        self.opt_q = Adam(self.q, cfg.lr)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def act(self, obs):
        """What evaluation plays: the action without noise."""
        return self.pi(obs)

    def update(self, b, cfg):
        sigma, c = cfg.smooth, cfg.smooth_clip
        lq, val, y = loss_q(self.q, self.q_targ, self.pi_targ, b, cfg.gamma, sigma, c)
        norm = descend(self.opt_q, lq)
        info = dict(LossQ=lq, QVals=val, Target=y, TDError=(val - y).abs(), GradNorm=norm)
        self.steps += 1
        if self.steps % cfg.delay:  # π and the copies wait
            return info

        lpi, act = loss_pi(self.q, self.pi, b)
        descend(self.opt_pi, lpi)
        track(self.q_targ, self.q, cfg.rho)
        track(self.pi_targ, self.pi, cfg.rho)
        return info | dict(LossPi=lpi, Saturated=act.abs() > 0.99)


@torch.no_grad()
def collect(envs, agent, memory, cfg):
    """One step of every environment, into memory."""
    obs = envs.reset_done()
    act = envs.random_act() if len(memory) < cfg.random_steps else explore(agent.pi, obs, cfg.noise)
    next_obs, rew, term, _ = envs.step(act)
    memory.add(obs, act, rew, next_obs, term)


def train(cfg, run=None):
    """Train an agent; nothing is written unless `run` has a folder."""
    run = run or Run(cfg)  # seeds, folder, log, evaluation: what is not mathematics
    updates = round(cfg.num_envs * cfg.utd)
    cfg = mpi.divide(cfg)  # environments, minibatches and memory are shared out over the processes
    envs = Envs(cfg, run.settings)
    memory = Replay(cfg.memory, envs)
    agent = run.build(Agent, envs, cfg)  # with the same parameters in all processes

    for _ in run.epochs(agent, envs, memory):  # continues where an interrupted run stopped
        for _ in range(cfg.horizon):
            collect(envs, agent, memory, cfg)
            if len(memory) >= cfg.random_steps:
                for b in memory.sample(updates, cfg.minibatch):
                    run.store(**agent.update(Batch(*b), cfg))
    return agent
