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
        # BEGIN SOLUTION
        mu, log_std = self.net(obs).chunk(2, dim=-1)
        log_std = log_std.clamp(-10, 2)
        noise = torch.randn_like(mu)
        u = mu + log_std.exp() * noise
        logp = (-0.5 * noise**2 - log_std - 0.5 * log(2 * PI)).sum(-1)
        change = 2 * (log(2) - u - nn.functional.softplus(-2 * u))
        return u.tanh(), logp - change.sum(-1)
        # END SOLUTION

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
        # BEGIN SOLUTION
        x = torch.cat([obs, act], dim=-1)
        return torch.stack([self.q1(x)[:, 0], self.q2(x)[:, 0]])
        # END SOLUTION


# ---- 3. the losses


def loss_q(q, q_targ, pi, alpha, b, gamma):
    """Eq. 2, a tensor of shape (); Q_i(s, a) of both critics (2, B); and y of Eq. 1 (B,)."""
    # q and q_targ are TwinQ, pi is Squashed, alpha a tensor of shape (), b a Batch, gamma a float;
    # only q gets a gradient
    # BEGIN SOLUTION
    with torch.no_grad():
        next_act, next_logp = pi(b.next_obs)
        next_q = q_targ(b.next_obs, next_act).amin(0)
        y = b.rew + gamma * (1 - b.term) * (next_q - alpha * next_logp)
    val = q(b.obs, b.act)
    return ((val - y) ** 2).sum(0).mean(), val.detach(), y
    # END SOLUTION


def loss_pi(q, pi, alpha, b):
    """−J of Eq. 3, a tensor of shape (); the actions ã (B, act_dim); and log π(ã|s), (B,)."""
    # the gradient with respect to π counts; that of q and α is used by nobody
    # BEGIN SOLUTION
    act, logp = pi(b.obs)
    objective = (q(b.obs, act).amin(0) - alpha * logp).mean()
    return -objective, act.detach(), logp.detach()
    # END SOLUTION


def loss_alpha(log_alpha, logp, H):
    """Eq. 5, a tensor of shape (), to be differentiated with respect to log α."""
    # log_alpha a tensor of shape (), logp (B,), H a float
    # BEGIN SOLUTION
    return -(log_alpha.exp() * (logp + H)).mean()
    # END SOLUTION


# ---- 4. the slow copies


def track(targ, net, rho):
    """Eq. 4: moves each parameter of targ towards that of net, in place; returns nothing."""
    # BEGIN SOLUTION
    with torch.no_grad():
        for slow, fast in zip(targ.parameters(), net.parameters(), strict=True):
            slow.lerp_(fast, 1 - rho)
    # END SOLUTION


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
        # BEGIN SOLUTION
        self.q_targ = copy.deepcopy(self.q)
        self.opt_q = torch.optim.Adam(self.q.parameters(), cfg.lr)
        self.opt_pi = torch.optim.Adam(self.pi.parameters(), cfg.lr)
        self.opt_alpha = torch.optim.Adam([self.log_alpha], cfg.lr_alpha)
        # END SOLUTION

    def update(self, b, cfg):
        """One step of everything, in this order: α is read, as a number; both critics take a step
        down Eq. 2; π takes one down −J, with the critics that have just moved; α takes one, with
        the log-probabilities that −J was made of; the slow copies follow.

        Returns a dict with y, loss_q, loss_pi, loss_alpha and alpha, the α that was read.
        """
        # BEGIN SOLUTION
        alpha = self.log_alpha.exp().detach()
        loss_1, _, y = loss_q(self.q, self.q_targ, self.pi, alpha, b, cfg.gamma)
        self.opt_q.zero_grad()
        loss_1.backward()
        self.opt_q.step()

        loss_2, _, logp = loss_pi(self.q, self.pi, alpha, b)
        self.opt_pi.zero_grad()
        loss_2.backward()
        self.opt_pi.step()

        loss_3 = loss_alpha(self.log_alpha, logp, self.H)
        self.opt_alpha.zero_grad()
        loss_3.backward()
        self.opt_alpha.step()

        track(self.q_targ, self.q, cfg.rho)
        return dict(y=y, loss_q=loss_1, loss_pi=loss_2, loss_alpha=loss_3, alpha=alpha)
        # END SOLUTION

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
        # BEGIN SOLUTION
        i = self.count % self.size
        self.obs[i] = torch.as_tensor(obs)
        self.act[i] = torch.as_tensor(act)
        self.rew[i] = float(rew)
        self.next_obs[i] = torch.as_tensor(next_obs)
        self.term[i] = float(term)
        self.count += 1
        # END SOLUTION

    def sample(self, n):
        """A Batch of n transitions, each drawn uniformly from those that are kept."""
        # BEGIN SOLUTION
        i = torch.randint(min(self.count, self.size), (n,))
        return Batch(self.obs[i], self.act[i], self.rew[i], self.next_obs[i], self.term[i])
        # END SOLUTION


# ---- 7. one step of the environment


def interact(env, memory, obs, act):
    """Act once, keep the transition by memory.add, and return the observation to act on next."""
    # env has Gymnasium's interface, and finite bounds env.action_space.low and .high, (act_dim,):
    # act is in [−1, 1], numpy (act_dim,); −1 stands for low, 1 for high, and it is linear between.
    # The memory keeps act as it is. d is 1 if the episode ended by a terminal state (terminated), 0
    # if only by a time limit (truncated); after either, the next action is for a new episode.
    # Some environments write each observation into the same array, obs is then that array
    # BEGIN SOLUTION
    low, high = env.action_space.low, env.action_space.high
    obs = np.array(obs)
    next_obs, rew, term, trunc, _ = env.step(low + (act + 1) / 2 * (high - low))
    memory.add(obs, act, rew, next_obs, term)
    if term or trunc:
        next_obs, _ = env.reset()
    return next_obs
    # END SOLUTION


# ---- 8. the whole


def sac(env, agent, memory, cfg):
    """Train agent for cfg.steps steps of env; returns nothing.

    Steps are counted from 0. Those before cfg.random_steps have uniform actions in [−1, 1]. In each
    from cfg.random_steps on, agent.act chooses, and after the step there is one agent.update with
    cfg.batch transitions from the memory.
    """
    # BEGIN SOLUTION
    obs, _ = env.reset()
    for t in range(cfg.steps):
        if t < cfg.random_steps:
            act = np.random.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        else:
            act = agent.act(obs)
        obs = interact(env, memory, obs, act)
        if t >= cfg.random_steps:
            agent.update(memory.sample(cfg.batch), cfg)
    # END SOLUTION
