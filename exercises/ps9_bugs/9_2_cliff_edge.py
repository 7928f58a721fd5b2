"""9.2 The cliff's edge

PPO was trained on CartPole, where 500 is the most. It learns, and then it falls off a cliff, at
times more than once:

seed 0    AverageEpRet with the bug: 20 185 77 299 500 194 500 415 136 194 115 82 108
seed 0    AverageEpRet as it is: 20 47 143 327 369 498 500 500 500 500 500 500 500

seed 1    AverageEpRet with the bug: 23 42 13 16 28 35 55 48 37 29 15 25 22
seed 1    AverageEpRet as it is: 23 46 165 212 231 238 472 500 500 500 500 500 500

seed 0    column               with the bug       as it is
          TotalEnvInteracts           51200          51200
          AverageEpRet                107.7            500
          AverageTestEpRet             20.3            500
          EpLen                       107.7            500
          LossPi                    0.03345      -0.004036
          LossV                     0.04526       2.99e-05
          Entropy                   0.02152         0.2673
          KL                          18.54       0.003731
          ClipFrac                   0.4722        0.05029
          VarExplained               0.9257        -0.6327
          GradNorm                    5.763         0.1301
          GradSteps                     160            160
seed 1    column               with the bug       as it is
          TotalEnvInteracts           51200          51200
          AverageEpRet                 22.1            500
          AverageTestEpRet             33.8            500
          EpLen                        22.1            500
          LossPi                    0.05961      -0.005289
          LossV                     0.07008      0.0001436
          Entropy                  0.008395         0.2998
          KL                          18.91       0.003303
          ClipFrac                   0.4282        0.04688
          VarExplained                0.894         0.6288
          GradNorm                    8.279         0.1702
          GradSteps                     160            160

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

The fix changes at most three lines. `python -m exercises trace 9.2` shows where your file begins
to differ from the course's, `python -m exercises diff 9.2` what you have changed so far.
"""

LINE = 0
MECHANISM = ""

"""Proximal policy optimisation with a clipped objective (Schulman et al. 2017, arXiv:1707.06347).

The derivation is docs/algorithms/ppo.md, whose equations these are:

    Eq. 1   δ_t = r_t + γ (1 − d_t) V(s'_t) − V(s_t)                d: s' is terminal
    Eq. 2   A_t = δ_t + γ λ (1 − e_t) A_{t+1}                       e: the episode is over
    Eq. 3   R_t = A_t + V(s_t)
    Eq. 4   Â = (A − mean A) / std A                                over the whole rollout
    Eq. 5   L(φ) = E[((V_φ(s) − R) / σ)²]                           σ: running std of R
    Eq. 6   w = π_θ(a|s) / π_old(a|s)
    Eq. 7   J(θ) = E[min(w Â, clip(w, 1 − ε, 1 + ε) Â) + β H(π_θ(·|s))]
    Eq. 8   KL(π_old, π_θ) ≈ E[w − 1 − log w]                       never negative
    Eq. 9   η_k = η (1 − (1 − ζ) k / K)                             k: epoch, of K

Logged, beside returns and times; what is healthy is on the same page:

    LossPi, LossV   Eq. 7 negated, and Eq. 5, after the update
    Entropy, KL     mean of H(π), and Eq. 8: how far the update went
    ClipFrac        share of the steps whose w is outside of 1 ± ε
    VarExplained    share of the variance of R that V had predicted; 1 is all of it
    GradNorm        mean length of the gradients, before they are cut
    GradSteps       minibatches used before max_kl ended the update

    python -m rlcourse.run ppo --env CartPole-v1 --seed 1
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
    epochs: int = 50                     # K, rounds of collecting and learning
    num_envs: int = 8                    # N, environments stepped side by side
    horizon: int = 256                   # T, steps of each environment in an epoch
    gamma: float = 0.99                  # γ of Eq. 1, discount
    lam: float = 0.95                    # λ of Eq. 2
    clip: float = 0.2                    # ε of Eq. 7
    entropy: float = 0.0                 # β of Eq. 7, bonus for staying random
    max_kl: float = 0.03                 # an update ends once Eq. 8 is above this
    lr: float = 3e-4                     # η of Eq. 9, learning rate
    lr_end: float = 1.0                  # ζ of Eq. 9, share of η that is left at the end
    passes: int = 10                     # times that an update uses each step
    minibatch: int = 256                 # steps behind one gradient
    max_norm: float = 0.5                # longer gradients are scaled down to this
    norm_obs: bool = True                # show the networks observations of mean 0 and std 1
    norm_ret: bool = True                # let V learn returns of mean 0 and std 1
    hidden: tuple[int, ...] = (64, 64)   # sizes of the hidden layers
    activation: str = "tanh"             # between the layers: tanh, relu, elu, gelu or silu


# ------------------------------------------------------------------------ data


class Batch(NamedTuple):
    obs: Tensor       # s               (B, obs_dim)
    act: Tensor       # a               (B, act_dim), or (B,) if discrete
    logp_old: Tensor  # log π_old(a|s)  (B,)
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


def loss_pi(pi, b, clip, beta):
    """−J of the clipped objective, and how far π has moved from where the data came from."""
    dist = pi(b.obs)
    log_ratio = dist.log_prob(b.act) - b.logp_old
    ratio = log_ratio.exp()                                                      # Eq. 6
    clipped = ratio.clamp(1 - clip, 1 + clip)
    surrogate = torch.min(ratio * b.adv, clipped * b.adv)
    objective = (surrogate + beta * dist.entropy()).mean()                       # Eq. 7
    kl = (ratio - 1 - log_ratio).mean()                                          # Eq. 8
    return -objective, kl.detach()


# ------------------------------------------------------------------------ algorithm


class Agent(nn.Module):
    """Everything that learns, and one round of learning."""

    def __init__(self, obs_dim, act_space, cfg):
        super().__init__()
        norm = Normaliser(obs_dim, cfg.norm_obs)
        Policy = Gaussian if isinstance(act_space, Box) else Softmax
        self.pi = Policy(norm, act_space, cfg)
        self.v = Value(norm, cfg)
        self.opt = Adam(flat(self), cfg.lr, eps=1e-5)  # a larger ε calms steps along tiny gradients

    def act(self, obs):
        """What evaluation plays: the most likely action."""
        return self.pi(obs).mode

    def loss(self, b, cfg):
        """What a gradient step descends, and how far π has moved before it."""
        b = b._replace(logp_old=self.pi(b.obs).log_prob(b.act).detach())
        lpi, kl = loss_pi(self.pi, b, cfg.clip, cfg.entropy)
        return lpi + loss_v(self.v, b), kl

    def update(self, data, cfg):
        """Several passes over the data in minibatches, ended early once π has moved far."""
        fit = explained(self.v(data.obs), data.ret)  # before V has seen these returns
        self.v.ret.update(data.ret)
        norms = []
        for b in minibatches(data, cfg):
            loss, kl = self.loss(b, cfg)
            if mpi.mean(kl) > cfg.max_kl:  # the mean, so that all processes stop together
                break
            norms.append(descend(self.opt, loss, cfg.max_norm))

        log = measure(self, data, cfg) | dict(VarExplained=fit, GradSteps=len(norms))
        self.pi.norm.update(data.obs)  # last: a change before it would move π, and w with it
        return log | dict(GradNorm=sum(norms) / max(len(norms), 1))


def minibatches(data, cfg):
    """Every pass deals all the data out in a new order."""
    for _ in range(cfg.passes):
        order = torch.randperm(len(data.obs))
        yield from map(Batch, *(x[order].split(cfg.minibatch) for x in data))


@torch.no_grad()
def measure(agent, b, cfg):
    """Where an update ended, over all its data."""
    dist = agent.pi(b.obs)
    far = ((dist.log_prob(b.act) - b.logp_old).exp() - 1).abs() > cfg.clip
    lpi, kl = loss_pi(agent.pi, b, cfg.clip, cfg.entropy)
    return dict(LossPi=lpi, LossV=loss_v(agent.v, b), Entropy=dist.entropy(), KL=kl, ClipFrac=far)


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
    logp_old = agent.pi(obs).log_prob(act)
    return Batch(*(x.flatten(0, 1) for x in (obs, act, logp_old, standardise(adv), ret)))


def train(cfg, run=None):
    """Train an agent; nothing is written unless `run` has a folder."""
    run = run or Run(cfg)  # seeds, folder, log, evaluation: what is not mathematics
    cfg = mpi.divide(cfg)  # environments and minibatches are shared out over the processes
    envs = Envs(cfg, run.settings)
    agent = run.build(Agent, envs, cfg)  # with the same parameters in all processes

    for epoch in run.epochs(agent, envs):  # continues where an interrupted run stopped
        agent.opt.lr = cfg.lr * (1 - (1 - cfg.lr_end) * epoch / cfg.epochs)      # Eq. 9
        data = collect(envs, agent, cfg)
        run.store(**agent.update(data, cfg))
    return agent
