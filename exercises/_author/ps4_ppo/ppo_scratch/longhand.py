"""An answer to 4.3 that is written out at length."""

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
        super_init = [obs_dim, 64, 64]
        self.space = act_space
        if isinstance(act_space, Box):
            self.mean = mlp([*super_init, act_space.shape[0]])
            self.log_std = nn.Parameter(-0.5 * torch.ones(act_space.shape))
        else:
            self.logits = mlp([*super_init, act_space.n])

    def forward(self, obs):
        """obs (B, obs_dim) to a distribution over actions, such as those of torch.distributions."""
        # with sample(), log_prob(act) and entropy(); the last two are (B,)
        if isinstance(self.space, Box):
            return Independent(Normal(self.mean(obs), torch.exp(self.log_std)), 1)
        return Categorical(logits=self.logits(obs).log_softmax(-1))


class Critic(nn.Module):
    """V(s)."""

    def __init__(self, obs_dim):
        # two hidden layers of 64
        super().__init__()
        self.a, self.b = nn.Linear(obs_dim, 64), nn.Linear(64, 64)
        self.c = nn.Linear(64, 1)

    def forward(self, obs):
        """obs (B, obs_dim) to (B,)."""
        return self.c(self.b(self.a(obs).tanh()).tanh())[..., 0]


# ---- 2


@torch.no_grad()
def collect(env, obs, pi, steps):
    """A Rollout of so many steps from obs on, and the observation to go on from next time."""
    # actions are drawn by pi(obs).sample(), obs (1, obs_dim); env.reset() where an episode is over.
    # A Discrete env gets an int. A Box env gets an array within its bounds, so clip; the rollout
    # keeps the action as it was drawn. env may use its observation's array again: copy it
    columns = [[] for _ in range(7)]
    for _ in range(steps):
        here = torch.from_numpy(np.array(obs, dtype=np.float32))
        dist = pi(here.unsqueeze(0))
        act = dist.sample().squeeze(0)
        logp = dist.log_prob(act.unsqueeze(0)).squeeze(0)
        if isinstance(env.action_space, Box):
            low, high = env.action_space.low, env.action_space.high
            obs, rew, term, trunc, _ = env.step(act.numpy().clip(low, high))
        else:
            obs, rew, term, trunc, _ = env.step(act.item())
        there = torch.from_numpy(np.array(obs, dtype=np.float32))
        done = bool(term) or bool(trunc)
        row = here, act, logp, float(rew), there, float(term), float(done)
        for column, x in zip(columns, row, strict=True):
            column.append(x if isinstance(x, torch.Tensor) else torch.tensor(x))
        if done:
            obs, _ = env.reset()
    return Rollout(*[torch.stack(c) for c in columns]), obs


# ---- 3


def gae(rew, val, next_val, term, done, gamma, lam):
    """Advantages and returns of a rollout; every argument and result is (T,)."""
    rows, later = [], torch.zeros(())
    for t in range(len(rew) - 1, -1, -1):
        delta = rew[t] - val[t]
        if not term[t]:
            delta = delta + gamma * next_val[t]
        later = delta if done[t] else delta + gamma * lam * later
        rows.append(later)
    adv = torch.stack(rows[::-1])
    return adv, val + adv


# ---- 4


@torch.no_grad()
def prepare(roll, v, gamma, lam):
    """The Batch of a Rollout; advantages are standardised over all of it, returns are not."""
    val = v(roll.obs)
    adv, ret = gae(roll.rew, val, v(roll.next_obs), roll.term, roll.done, gamma, lam)
    return Batch(obs=roll.obs, act=roll.act, logp_old=roll.logp, adv=standardise(adv), ret=ret)


# ---- 5


def loss_pi(pi, b, clip, beta):
    """−J, a scalar to descend; and the estimate of KL, a scalar without gradient."""
    dist = pi(b.obs)
    logp = dist.log_prob(b.act)
    w = torch.exp(logp - b.logp_old)
    limit = torch.where(b.adv > 0, (1 + clip) * b.adv, (1 - clip) * b.adv)
    loss = -torch.minimum(w * b.adv, limit).mean() - beta * dist.entropy().mean()
    with torch.no_grad():
        kl = (w - 1 - (logp - b.logp_old)).mean().item()
    return loss, kl


def loss_v(v, b):
    """L, a scalar; v(obs) is (B,)."""
    return nn.functional.mse_loss(v(b.obs), b.ret)


# ---- 6


def update(pi, v, opt, data, cfg):
    """cfg.passes times over the data, in minibatches of cfg.minibatch rows."""
    # opt has the parameters of pi and v. Each pass has one torch.randperm(B) as its order, cut from
    # the front; nothing else is drawn. Before each step: if KL is above cfg.max_kl, the update is
    # over. The gradients of both networks as one vector are cut to the length cfg.max_norm
    orders = [torch.randperm(len(data.adv)) for _ in range(cfg.passes)]
    params = [p for group in opt.param_groups for p in group["params"]]
    for order in orders:
        for start in range(0, len(order), cfg.minibatch):
            rows = order[start : start + cfg.minibatch]
            b = Batch._make(x[rows] for x in data)
            loss, kl = loss_pi(pi, b, cfg.clip, cfg.entropy)
            if kl > cfg.max_kl:
                return
            opt.zero_grad(set_to_none=False)
            loss.backward()
            loss_v(v, b).backward()
            norm = torch.cat([p.grad.flatten() for p in params]).norm()
            if norm > cfg.max_norm:
                for p in params:
                    p.grad.mul_(cfg.max_norm / norm)
            opt.step()


# ---- 7


def ppo(env_fn, seed, cfg):
    """Train on the environment that env_fn() makes; pi, v and the returns of all episodes."""
    # torch.manual_seed(seed), then Actor, then Critic, and env.reset(seed=seed) once, at the start;
    # one torch.optim.Adam with cfg.lr and eps=1e-5; cfg.steps // cfg.horizon rounds, through which
    # the environment just goes on. Watched(env).returns has the returns
    env = Watched(env_fn())
    torch.manual_seed(seed)
    actor = Actor(*env.observation_space.shape, env.action_space)
    critic = Critic(*env.observation_space.shape)
    groups = [{"params": net.parameters()} for net in (actor, critic)]
    opt = torch.optim.Adam(groups, lr=cfg.lr, eps=1e-5)
    obs = env.reset(seed=seed)[0]
    done = 0
    while done + cfg.horizon <= cfg.steps:
        roll, obs = collect(env, obs, actor, cfg.horizon)
        data = prepare(roll, critic, cfg.gamma, cfg.lam)
        update(actor, critic, opt, data, cfg)
        done += cfg.horizon
    return actor, critic, env.returns
