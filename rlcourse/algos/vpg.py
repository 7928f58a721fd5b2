"""Vanilla policy gradient with a learned baseline (Sutton et al. 2000; A of arXiv:1506.02438).

The derivation is docs/algorithms/vpg.md, whose equations these are:

    Eq. 1   δ_t = r_t + γ (1 − d_t) V(s'_t) − V(s_t)                d: s' is terminal
    Eq. 2   A_t = δ_t + γ λ (1 − e_t) A_{t+1}                       e: the episode is over
    Eq. 3   R_t = A_t + V(s_t)
    Eq. 4   Â = (A − mean A) / std A                                over the whole rollout
    Eq. 5   L(φ) = E[((V_φ(s) − R) / σ)²]                           σ: running std of R
    Eq. 6   J(θ) = E[log π_θ(a|s) Â]                                ∇J is the policy gradient

Logged, beside returns and times; what is healthy is on the same page:

    LossPi, LossV   Eq. 6 negated before the step, and Eq. 5 after the update
    Entropy         mean of H(π(·|s)) after the update; 0 is a policy that is certain
    VarExplained    share of the variance of R that V had predicted; 1 is all of it
    GradNorm        length of the gradient of π

    python -m rlcourse.run vpg --env CartPole-v1 --seed 1
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from rlcourse.utils import mpi
from rlcourse.utils.distributions import Categorical, Normal
from rlcourse.utils.envs import Envs
from rlcourse.utils.logger import explained
from rlcourse.utils.nets import Normaliser, flat, mlp
from rlcourse.utils.optim import Adam, descend
from rlcourse.utils.run import Run


# ------------------------------------------------------------------------ hyper-parameters


@dataclass(frozen=True)
class Config:
    env: str                             # Gymnasium id, or module:id
    seed: int = 0                        # of everything that is drawn
    epochs: int = 100                    # K, rounds of collecting and learning
    num_envs: int = 8                    # N, environments stepped side by side
    horizon: int = 128                   # T, steps of each environment in an epoch
    gamma: float = 0.99                  # γ of Eq. 1, discount
    lam: float = 0.95                    # λ of Eq. 2
    lr: float = 3e-3                     # learning rate of π
    lr_v: float = 1e-3                   # learning rate of V
    passes: int = 4                      # times that an update of V uses each step; π uses it once
    minibatch: int = 64                  # steps behind one gradient of V
    norm_obs: bool = True                # show the networks observations of mean 0 and std 1
    norm_ret: bool = True                # let V learn returns of mean 0 and std 1
    hidden: tuple[int, ...] = (64, 64)   # sizes of the hidden layers
    activation: str = "tanh"             # between the layers: tanh, relu, elu, gelu or silu


# ------------------------------------------------------------------------ data


class Batch(NamedTuple):
    obs: Tensor       # s               (B, obs_dim)
    act: Tensor       # a               (B, act_dim), or (B,) if discrete
    adv: Tensor       # Â               (B,)
    ret: Tensor       # R               (B,)


# ------------------------------------------------------------------------ networks


class Gaussian(nn.Module):
    """π(·|s) over a Box of actions: independent normals, each with its own std."""

    def __init__(self, norm, act_space, cfg):
        super().__init__()
        self.norm = norm
        self.mu = mlp([norm.dim, *cfg.hidden, *act_space.shape], cfg.activation, gain=0.01)
        self.log_std = nn.Parameter(torch.full(act_space.shape, -0.5))

    def forward(self, obs):
        return Normal(self.mu(self.norm(obs)), self.log_std)


class Softmax(nn.Module):
    """π(·|s) over a Discrete set of actions."""

    def __init__(self, norm, act_space, cfg):
        super().__init__()
        self.norm = norm
        self.logits = mlp([norm.dim, *cfg.hidden, int(act_space.n)], cfg.activation, gain=0.01)

    def forward(self, obs):
        return Categorical(self.logits(self.norm(obs)).log_softmax(-1))


class Value(nn.Module):
    """V(s): the network learns normalised returns, V is in the units of the rewards."""

    def __init__(self, norm, cfg):
        super().__init__()
        self.norm = norm
        self.net = mlp([norm.dim, *cfg.hidden, 1], cfg.activation, gain=1)
        self.ret = Normaliser(1, cfg.norm_ret)

    def forward(self, obs):
        return self.ret.restore(self.net(self.norm(obs)).squeeze(-1))


# ------------------------------------------------------------------------ equations


def gae(rew, val, next_val, term, done, gamma, lam):
    """Advantages and returns of a rollout; every argument and result is (T, N)."""
    delta = rew + gamma * (1 - term) * next_val - val                            # Eq. 1
    decay = gamma * lam * (1 - done)  # beyond the end of an episode nothing counts
    adv, carry = torch.zeros_like(delta), 0.0
    for t in reversed(range(len(delta))):
        adv[t] = carry = delta[t] + decay[t] * carry                             # Eq. 2
    return adv, adv + val                                                        # Eq. 3


def standardise(adv):
    """Advantages of mean 0 and standard deviation 1; constant ones become 0."""
    mean, std = mpi.moments(adv)  # over all processes
    return (adv - mean) / (std + 1e-8)                                           # Eq. 4


def loss_v(v, b):
    return (((v(b.obs) - b.ret) / v.ret.std) ** 2).mean()                        # Eq. 5


def loss_pi(pi, b):
    """−J: its gradient is the policy gradient as long as π is what the data came from."""
    objective = (pi(b.obs).log_prob(b.act) * b.adv).mean()                       # Eq. 6
    return -objective


# ------------------------------------------------------------------------ algorithm


class Agent(nn.Module):
    """Everything that learns, and one round of learning."""

    def __init__(self, obs_dim, act_space, cfg):
        super().__init__()
        norm = Normaliser(obs_dim, cfg.norm_obs)
        Policy = Gaussian if isinstance(act_space, Box) else Softmax
        self.pi = flat(Policy(norm, act_space, cfg))
        self.v = flat(Value(norm, cfg))
        self.opt_pi = Adam(self.pi, cfg.lr)
        self.opt_v = Adam(self.v, cfg.lr_v)

    def act(self, obs):
        """What evaluation plays: the most likely action."""
        return self.pi(obs).mode

    def update(self, data, cfg):
        """One step of π on all the data, then several passes over it for V."""
        fit = explained(self.v(data.obs), data.ret)  # before V has seen these returns
        self.v.ret.update(data.ret)
        lpi = loss_pi(self.pi, data)
        norm = descend(self.opt_pi, lpi)
        for b in minibatches(data, cfg):
            descend(self.opt_v, loss_v(self.v, b))

        log = measure(self, data)
        self.pi.norm.update(data.obs)  # last: a change before it would move π away from its data
        return log | dict(LossPi=lpi, VarExplained=fit, GradNorm=norm)


def minibatches(data, cfg):
    """Every pass deals all the data out in a new order."""
    for _ in range(cfg.passes):
        order = torch.randperm(len(data.obs))
        yield from map(Batch, *(x[order].split(cfg.minibatch) for x in data))


@torch.no_grad()
def measure(agent, b):
    """Where an update ended, over all its data."""
    return dict(LossV=loss_v(agent.v, b), Entropy=agent.pi(b.obs).entropy())


@torch.no_grad()
def collect(envs, agent, cfg):
    """T steps of π in each of N environments, as one batch of T·N steps."""
    steps = []
    for _ in range(cfg.horizon):
        obs = envs.reset_done()
        act = agent.pi(obs).sample()
        next_obs, rew, term, done = envs.step(act)
        steps.append((obs, act, rew, next_obs, term, done))

    obs, act, rew, next_obs, term, done = map(torch.stack, zip(*steps))          # (T, N, ...)
    adv, ret = gae(rew, agent.v(obs), agent.v(next_obs), term, done, cfg.gamma, cfg.lam)
    return Batch(*(x.flatten(0, 1) for x in (obs, act, standardise(adv), ret)))


def train(cfg, run=None):
    """Train an agent; nothing is written unless `run` has a folder."""
    run = run or Run(cfg)  # seeds, folder, log, evaluation: what is not mathematics
    cfg = mpi.divide(cfg)  # environments and minibatches are shared out over the processes
    envs = Envs(cfg, run.settings)
    agent = run.build(Agent, envs, cfg)  # with the same parameters in all processes

    for _ in run.epochs(agent, envs):  # continues where an interrupted run stopped
        data = collect(envs, agent, cfg)
        run.store(**agent.update(data, cfg))
    return agent
