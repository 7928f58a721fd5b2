"""An answer to 4.3 with columns, and distributions of its own."""

from dataclasses import dataclass
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.distributions import Categorical

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


class Softmax(Categorical):
    """From logits."""

    def __init__(self, logits):
        super().__init__(logits=logits, validate_args=False)


class Gauss:
    """Normals in each dimension, made by hand."""

    def __init__(self, mean, log_std):
        self.mean, self.log_std = mean, log_std

    def sample(self):
        return torch.normal(self.mean, self.log_std.exp().expand_as(self.mean)).detach()

    def log_prob(self, act):
        z = (act - self.mean) / self.log_std.exp()
        return -(0.5 * z**2 + self.log_std + 0.5 * np.log(2 * np.pi)).sum(-1)

    def entropy(self):
        each = (self.log_std + 0.5 * np.log(2 * np.pi * np.e)).sum()
        return each.expand(len(self.mean))


# ---- 1


class Actor(nn.Module):
    """π(·|s) over a Discrete space (a softmax), or a Box (a normal in each dimension)."""

    def __init__(self, obs_dim, act_space):
        # mlp(sizes) with two hidden layers of 64. A Box has act_space.shape = (act_dim,): its stds
        # are exp(log_std), and log_std, a parameter of the module, starts at -0.5
        super().__init__()
        self.box = isinstance(act_space, Box)
        self.body = mlp([obs_dim, 64, 64])
        self.head = nn.Linear(64, act_space.shape[0] if self.box else act_space.n)
        if self.box:
            self.register_parameter("log_std", nn.Parameter(torch.full(act_space.shape, -0.5)))

    def forward(self, obs):
        """obs (B, obs_dim) to a distribution over actions, such as those of torch.distributions."""
        # with sample(), log_prob(act) and entropy(); the last two are (B,)
        out = self.head(self.body(obs).tanh())
        return Gauss(out, self.log_std) if self.box else Softmax(out)


class Critic(nn.Module):
    """V(s)."""

    def __init__(self, obs_dim):
        # two hidden layers of 64
        super().__init__()
        self.net = mlp([obs_dim, 64, 64, 1])

    def forward(self, obs):
        """obs (B, obs_dim) to (B,)."""
        return self.net(obs).squeeze(-1)


# ---- 2


@torch.no_grad()
def collect(env, obs, pi, steps):
    """A Rollout of so many steps from obs on, and the observation to go on from next time."""
    # actions are drawn by pi(obs).sample(), obs (1, obs_dim); env.reset() where an episode is over.
    # A Discrete env gets an int. A Box env gets an array within its bounds, so clip; the rollout
    # keeps the action as it was drawn. env may use its observation's array again: copy it
    discrete = not isinstance(env.action_space, Box)
    obs_dim = env.observation_space.shape
    states = torch.zeros(steps, *obs_dim)
    after = torch.zeros(steps, *obs_dim)
    act = (
        torch.zeros(steps, dtype=torch.int64)
        if discrete
        else torch.zeros(steps, *env.action_space.shape)
    )
    rew, term, done = torch.zeros(3, steps)
    for t in range(steps):
        states[t] = torch.as_tensor(obs)
        act[t] = pi(states[t : t + 1]).sample()[0]
        move = int(act[t]) if discrete else np.clip(act[t].numpy(), -1, 1)
        obs, rew[t], term[t], trunc, _ = env.step(move)
        after[t] = torch.as_tensor(obs)
        done[t] = max(term[t], trunc)
        if done[t]:
            obs, _ = env.reset()
    logp = pi(states).log_prob(act)
    return Rollout(states, act, logp, rew, after, term, done), obs


# ---- 3


def gae(rew, val, next_val, term, done, gamma, lam):
    """Advantages and returns of a rollout; every argument and result is (T,)."""
    delta = rew + gamma * torch.where(term == 1, 0.0, next_val) - val
    adv = []
    for d, e in zip(delta.flip(0), done.flip(0), strict=True):
        adv.insert(0, d + gamma * lam * (1 - e) * (adv[0] if adv else 0.0))
    adv = torch.stack(adv)
    return adv, adv + val


# ---- 4


@torch.no_grad()
def prepare(roll, v, gamma, lam):
    """The Batch of a Rollout; advantages are standardised over all of it, returns are not."""
    val, next_val = v(roll.obs), v(roll.next_obs)
    adv, ret = gae(roll.rew, val, next_val, roll.term, roll.done, gamma, lam)
    return Batch(roll.obs, roll.act, roll.logp, standardise(adv), ret)


# ---- 5


def loss_pi(pi, b, clip, beta):
    """−J, a scalar to descend; and the estimate of KL, a scalar without gradient."""
    dist = pi(b.obs)
    diff = dist.log_prob(b.act) - b.logp_old.detach()
    w = diff.exp()
    worst = torch.max(-w * b.adv, -b.adv * torch.clamp(w, min=1 - clip, max=1 + clip))
    kl = (torch.expm1(diff) - diff).mean().detach()
    return (worst - beta * dist.entropy()).mean(), kl


def loss_v(v, b):
    """L, a scalar; v(obs) is (B,)."""
    error = v(b.obs) - b.ret
    return error.pow(2).sum() / len(error)


# ---- 6


def update(pi, v, opt, data, cfg):
    """cfg.passes times over the data, in minibatches of cfg.minibatch rows."""
    # opt has the parameters of pi and v. Each pass has one torch.randperm(B) as its order, cut from
    # the front; nothing else is drawn. Before each step: if KL is above cfg.max_kl, the update is
    # over. The gradients of both networks as one vector are cut to the length cfg.max_norm
    over = False
    for _ in range(cfg.passes):
        order = torch.randperm(len(data.obs))
        shuffled = [x[order].split(cfg.minibatch) for x in data]
        for parts in zip(*shuffled, strict=True):
            b = Batch(*parts)
            loss, kl = loss_pi(pi, b, cfg.clip, cfg.entropy)
            over = over or float(kl) > cfg.max_kl
            if not over:
                total = loss + loss_v(v, b)
                opt.zero_grad()
                total.backward()
                both = nn.ModuleList([pi, v])
                nn.utils.clip_grad_norm_(both.parameters(), cfg.max_norm)
                opt.step()


# ---- 7


def ppo(env_fn, seed, cfg):
    """Train on the environment that env_fn() makes; pi, v and the returns of all episodes."""
    # torch.manual_seed(seed), then Actor, then Critic, and env.reset(seed=seed) once, at the start;
    # one torch.optim.Adam with cfg.lr and eps=1e-5; cfg.steps // cfg.horizon rounds, through which
    # the environment just goes on. Watched(env).returns has the returns
    torch.manual_seed(seed)
    env = Watched(env_fn())
    obs, _ = env.reset(seed=seed)
    obs_dim = env.observation_space.shape[0]
    pi, v = Actor(obs_dim, env.action_space), Critic(obs_dim)
    opt = torch.optim.Adam([*pi.parameters(), *v.parameters()], lr=cfg.lr, eps=1e-5)
    for _ in range(cfg.steps // cfg.horizon):
        roll, obs = collect(env, obs, pi, cfg.horizon)
        update(pi, v, opt, prepare(roll, v, cfg.gamma, cfg.lam), cfg)
    return pi, v, env.returns
