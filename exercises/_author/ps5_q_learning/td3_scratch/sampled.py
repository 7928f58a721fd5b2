"""The loop with NumPy, and with draws of the action space."""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from exercises.given import mlp, use

Replay = use("5.1").Replay  # Replay(size, obs_dim, act_dim), with add, draw, sample and len: yours
track = use("5.3").track  # track(targ, net, rho): yours, if it passes


class Config(NamedTuple):
    random_steps: int = 500  # steps of uniform actions before π acts and anything is learnt
    noise: float = 0.1  # σ
    smooth: float = 0.2  # σ̃
    smooth_clip: float = 0.5  # c
    delay: int = 2  # κ
    gamma: float = 0.99  # γ
    rho: float = 0.99  # ρ
    lr: float = 1e-3  # of both Adams
    minibatch: int = 64  # transitions behind one gradient
    memory: int = 100_000  # transitions kept
    hidden: int = 64  # units in each of two hidden layers


class Batch(NamedTuple):  # what memory.sample returns has these fields
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim)
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1.0 or 0.0


class Policy(nn.Module):
    """π(s) in [−1, 1]: (..., obs_dim) to (..., act_dim)."""

    def __init__(self, obs_dim, act_dim, hidden):
        super().__init__()
        self.net = mlp([obs_dim, hidden, hidden, act_dim], nn.ReLU)

    def forward(self, obs):
        return self.net(obs).tanh()


class TwinQ(nn.Module):
    """Q_1(s, a) and Q_2(s, a), stacked: (2, B)."""

    def __init__(self, obs_dim, act_dim, hidden):
        super().__init__()
        sizes = [obs_dim + act_dim, hidden, hidden, 1]
        self.nets = nn.ModuleList([mlp(sizes, nn.ReLU), mlp(sizes, nn.ReLU)])

    def forward(self, obs, act):
        x = torch.cat([obs, act], dim=-1)
        return torch.stack([net(x).squeeze(-1) for net in self.nets])

    def first(self, obs, act):
        """Q_1(s, a) alone: (B,)."""
        return self.nets[0](torch.cat([obs, act], dim=-1)).squeeze(-1)


def explore(pi, obs, sigma):
    """a of formula 1, of the shape of pi(obs); one draw of torch for ε."""
    act = pi(obs)
    return (act + sigma * torch.randn_like(act)).clamp(-1, 1)


def smooth(pi, obs, sigma, c):
    """ã of formula 2, of the shape of pi(obs); one draw of torch for ε."""
    act = pi(obs)
    noise = (sigma * torch.randn_like(act)).clamp(-c, c)
    return (act + noise).clamp(-1, 1)


def loss_q(q, q_targ, pi_targ, b, gamma, sigma, c):
    """L, Q_i(s, a), (2, B), and y, (B,): (loss, val, y); only loss has a gradient."""
    with torch.no_grad():
        next_act = smooth(pi_targ, b.next_obs, sigma, c)
        y = b.rew + gamma * (1 - b.term) * q_targ(b.next_obs, next_act).amin(0)
    val = q(b.obs, b.act)
    return ((val - y) ** 2).mean(-1).sum(), val.detach(), y


def loss_pi(q, pi, b):
    """−J and π(s), (B, act_dim): (loss, act); only loss has a gradient."""
    act = pi(b.obs)
    return -q.first(b.obs, act).mean(), act.detach()


class Agent:
    """Everything that learns; its networks are called pi, q, pi_targ and q_targ."""

    def __init__(self, obs_dim, act_dim, cfg):
        """A Policy and a TwinQ of cfg.hidden units, their copies, and what else update needs."""
        self.pi, self.q = Policy(obs_dim, act_dim, cfg.hidden), TwinQ(obs_dim, act_dim, cfg.hidden)
        self.pi_targ, self.q_targ = copy.deepcopy(self.pi), copy.deepcopy(self.q)
        self.opt_pi = torch.optim.Adam(self.pi.parameters(), lr=cfg.lr)
        self.opt_q = torch.optim.Adam(self.q.parameters(), lr=cfg.lr)
        self.steps = 0

    def update(self, b, cfg):
        """One update with the Batch b, in which one loss_q is computed."""
        sigma, c = cfg.smooth, cfg.smooth_clip
        loss, _, _ = loss_q(self.q, self.q_targ, self.pi_targ, b, cfg.gamma, sigma, c)
        self.opt_q.zero_grad()
        loss.backward()
        self.opt_q.step()
        self.steps += 1
        if self.steps % cfg.delay == 0:
            self.opt_pi.zero_grad()
            loss_pi(self.q, self.pi, b)[0].backward()
            self.opt_pi.step()
            track(self.q_targ, self.q, cfg.rho)
            track(self.pi_targ, self.pi, cfg.rho)


def collect(env, obs, pi, memory, cfg):
    space = env.action_space
    half, middle = (space.high - space.low) / 2, (space.high + space.low) / 2
    before = np.copy(obs)
    if len(memory) < cfg.random_steps:
        played = space.sample()
        act = (played - middle) / half
    else:
        with torch.no_grad():
            act = explore(pi, torch.as_tensor(before), cfg.noise).numpy()
        played = middle + half * act
    obs, rew, terminated, truncated, _ = env.step(played)
    after = np.copy(obs)
    if terminated or truncated:
        obs, _ = env.reset()
    memory.add(before, act, rew, after, terminated)
    return obs


def td3(env, steps, cfg, seed):
    torch.manual_seed(seed)
    env.action_space.seed(seed)
    obs = env.reset(seed=seed)[0]
    dims = env.observation_space.shape[0], env.action_space.shape[0]
    agent, memory = Agent(*dims, cfg), Replay(cfg.memory, *dims)
    for t in range(1, steps + 1):
        obs = collect(env, obs, agent.pi, memory, cfg)
        if t >= cfg.random_steps:
            agent.update(memory.sample(memory.draw(cfg.minibatch)), cfg)
    return agent
