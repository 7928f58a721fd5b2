"""9.3 The optimist

SAC was trained on Pendulum, where no reward is above 0, so no return can be:

seed 0    AverageEpRet with the bug: -1176 -1286 -1290 -1225 -1304 -1341
seed 0    AverageEpRet as it is: -1176 -1308 -1594 -1090 -228 -214

seed 1    AverageEpRet with the bug: -1362 -1343 -1326 -1113 -1237 -1190
seed 1    AverageEpRet as it is: -1362 -1380 -1528 -1101 -267 -155

seed 0    column               with the bug       as it is
          TotalEnvInteracts            6000           6000
          AverageEpRet                -1341         -214.2
          AverageTestEpRet            -1285         -226.8
          LossQ                     1791100          3.086
          LossPi                     -17370          84.93
          QVals                       12708         -86.17
          Target                      12801         -86.18
          TDError                     590.7         0.8808
          GradNorm                   796060          89.58
          Saturated                 0.00252        0.08248
          Alpha                        6811         0.2259
          Entropy                    0.6832        -0.9194
seed 1    column               with the bug       as it is
          TotalEnvInteracts            6000           6000
          AverageEpRet                -1190         -155.4
          AverageTestEpRet            -1359         -180.9
          LossQ                     1835300          3.083
          LossPi                     -17320          92.49
          QVals                       12652         -93.54
          Target                      12760         -93.54
          TDError                     572.4         0.8788
          GradNorm                   807790          85.58
          Saturated                  0.0025        0.06804
          Alpha                        6813         0.2282
          Entropy                     0.683        -0.9378

Below is the whole algorithm with one mistake in it. Find it, mend it, and say where and what it
was:

    LINE        the line of this file, as it was given, where the mistake is, or the one beside
    MECHANISM   what happens there, one of

    sign       something has the opposite sign, or a comparison is turned round
    shape      two shapes broadcast into something that was not meant
    end        ends of episodes: a time limit taken for a terminal state, or an end not seen
    time       a quantity of one step is taken from another: s for s', an old observation
    data       what belongs together is torn apart, or replaced by something newer or other
    gradient   a gradient is cut where it should flow, or flows where it should not
    network    the wrong network or parameters are used, copied, fitted or left out
    sampling   actions or noise come from the wrong distribution, or its density is wrong
    term       a term, factor or limit of an equation is missing or another one
    order      the right steps in the wrong order, or in the wrong units

The fix changes at most three lines. `python -m exercises trace 9.3` shows where your file begins
to differ from the course's, `python -m exercises diff 9.3` what you have changed so far.
"""

LINE = 0
MECHANISM = ""

"""Soft actor-critic with a learned temperature (Haarnoja et al. 2018, arXiv:1812.05905).

The derivation is docs/algorithms/sac.md, whose equations these are:

    Eq. 1   y = r + γ (1 − d) (min_i Q̄_i(s', ã) − α log π(ã|s'))    ã ~ π(·|s'), d: s' is terminal
    Eq. 2   L(φ) = Σ_i E[(Q_i(s, a) − y)²]
    Eq. 3   J(θ) = E[min_i Q_i(s, ã) − α log π_θ(ã|s)]                  ã ~ π_θ(·|s)
    Eq. 4   φ̄ ← ρ φ̄ + (1 − ρ) φ                                        for Q̄
    Eq. 5   L(α) = −α E[log π(ã|s) + H]                                 H: entropy to keep
    Eq. 6   log π(a|s) = log N(u; μ, σ) − Σ log(1 − tanh² u)            a = tanh u

With Discrete actions ã is E[a] and log π(ã|s) its mean: the expectations are exact.

Logged, beside returns and times; what is healthy is on the same page:

    LossQ, LossPi   Eq. 2, and Eq. 3 negated
    QVals, Target   means of Q_i(s, a) and y; beyond what the task can pay: overestimation
    TDError         mean of |Q_i(s, a) − y|
    GradNorm        length of the gradient of both Q_i
    Saturated       share of π's actions beyond ±0.99, where tanh is flat; near 1 π cannot learn
    Alpha, Entropy  α of Eq. 1, and the mean of −log π(ã|s), which ends near H

    python -m rlcourse.run sac --env Pendulum-v1 --seed 1
"""

from dataclasses import dataclass
from math import log as ln
from typing import NamedTuple

import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from rlcourse.utils import mpi
from rlcourse.utils.distributions import Normal
from rlcourse.utils.envs import Envs
from rlcourse.utils.nets import Scalar, clone, flat, mlp, width
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
    target_entropy: float = -1.0           # H of Eq. 5 for each dimension of a Box of actions
    target_share: float = 0.5              # H of Eq. 5 in shares of log n, for n Discrete actions
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


class Squashed(nn.Module):
    """π(·|s) over a Box of actions: a Gaussian squashed by tanh into [−1, 1]."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim, *cfg.hidden, 2 * act_dim], cfg.activation)
        self.H = cfg.target_entropy * act_dim

    def forward(self, obs):
        """A differentiable sample a, and log π(a|s)."""
        mu, log_std = self.net(obs).chunk(2, dim=-1)
        gaussian = Normal(mu, log_std.clamp(-10, 2))
        u = gaussian.rsample()
        return u.tanh(), squashed_logp(gaussian, u)

    def sample(self, obs):
        return self(obs)[0]

    def mode(self, obs):
        return self.net(obs).chunk(2, dim=-1)[0].tanh()


class Softmax(nn.Module):
    """π(·|s) over a Discrete set of actions, which are one-hot rows for the critics."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim, *cfg.hidden, act_dim], cfg.activation)
        self.H = cfg.target_share * ln(act_dim)

    def forward(self, obs):
        """E[a], which is the probability of each action, and E[log π(a|s)]; no sample is needed."""
        logp = self.net(obs).log_softmax(-1)
        return logp.exp(), (logp.exp() * logp).sum(-1)

    def sample(self, obs):
        return self(obs)[0].multinomial(1).squeeze(-1)

    def mode(self, obs):
        return self.net(obs).argmax(-1)


class TwinQ(nn.Module):
    """Q_1(s, a) and Q_2(s, a), stacked: (2, B)."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim + act_dim, *cfg.hidden, 1], cfg.activation, n=2)

    def forward(self, obs, act):
        return self.net(torch.cat([obs, act], dim=-1)).squeeze(-1)


class DiscreteQ(nn.Module):
    """The same for one-hot rows a; linear in them, so that Q(s, E[a]) = E[Q(s, a)]."""

    def __init__(self, obs_dim, act_dim, cfg):
        super().__init__()
        self.net = mlp([obs_dim, *cfg.hidden, act_dim], cfg.activation, n=2)

    def forward(self, obs, act):
        return (self.net(obs) * act).sum(-1)


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


def loss_alpha(log_alpha, logp, H):
    return (log_alpha.exp() * (logp + H)).mean()                                 # Eq. 5


def squashed_logp(gaussian, u):
    """log π(a|s) of a = tanh u, in a form that holds for large u as well."""
    log_jacobian = 2 * (ln(2) - u - nn.functional.softplus(-2 * u)).sum(-1)    # Σ log(1 − tanh² u)
    return gaussian.log_prob(u) - log_jacobian                                   # Eq. 6


# ------------------------------------------------------------------------ algorithm


class Agent(nn.Module):
    """Everything that learns, and one step of learning."""

    def __init__(self, obs_dim, act_space, cfg):
        super().__init__()
        Policy, Critic = (Squashed, TwinQ) if isinstance(act_space, Box) else (Softmax, DiscreteQ)
        act_dim = width(act_space, Box, Discrete)
        self.pi = flat(Policy(obs_dim, act_dim, cfg))
        self.q = flat(Critic(obs_dim, act_dim, cfg))
        self.q_targ = clone(self.q)
        self.log_alpha = flat(Scalar(ln(cfg.alpha)))
        self.opt_pi = Adam(self.pi, cfg.lr)
        self.opt_q = Adam(self.q, cfg.lr)
        self.opt_alpha = Adam(self.log_alpha, cfg.lr_alpha)

    def act(self, obs):
        """What evaluation plays: the action of the mean, or the likeliest one."""
        return self.pi.mode(obs)

    def update(self, b, cfg):
        alpha = self.log_alpha().exp().detach()
        lq, val, y = loss_q(self.q, self.q_targ, self.pi, alpha, b, cfg.gamma)
        norm = descend(self.opt_q, lq)
        info = dict(LossQ=lq, QVals=val, Target=y, TDError=(val - y).abs(), GradNorm=norm)

        lpi, act, logp = loss_pi(self.q, self.pi, alpha, b)
        descend(self.opt_pi, lpi)
        descend(self.opt_alpha, loss_alpha(self.log_alpha(), logp, self.pi.H))
        track(self.q_targ, self.q, cfg.rho)
        return info | dict(LossPi=lpi, Saturated=act.abs() > 0.99, Alpha=alpha, Entropy=-logp)


@torch.no_grad()
def collect(envs, agent, memory, cfg):
    """One step of every environment, into memory."""
    obs = envs.reset_done()
    act = envs.random_act() if len(memory) < cfg.random_steps else agent.pi.sample(obs)
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
