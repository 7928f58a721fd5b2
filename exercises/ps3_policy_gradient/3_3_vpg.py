"""3.3 A whole algorithm: vanilla policy gradient

Collect T steps with the policy, learn from them, throw them away, and again. The parts are there:
networks, optimisers, GAE from exercise 2.3, and the loop `vpg` around it. You write the two halves
of an epoch (Eq. 1 to 6 of docs/algorithms/vpg.md).

collect(env, agent, cfg) plays cfg.horizon = T steps. It begins with env.reset(), without a seed,
and resets again whenever an episode is over, which is after a terminal state or at a time limit.
The action is drawn with agent.pi(obs).sample(), and env.step wants it as an int. For each step keep

    obs          s_t, what the action was drawn for
    act          a_t
    rew          r_t
    next_obs     s'_t, what env.step returned, also at the end of an episode
    term         1 where s'_t is terminal, else 0
    done         1 where the episode is over for any reason, else 0

Observations come as numpy arrays, and an environment may write the next one into the same array.

update(agent, b, cfg) learns from such a rollout b:

    1. A_t and R_t from V as it is before this update, as numbers without a graph: `advantages`
    2. Â = `standardise`(A)
    3. one step of opt_pi down  −1/T Σ_t log π(a_t|s_t) Â_t
    4. cfg.passes steps of opt_v down  1/T Σ_t (V(s_t) − R_t)², each on all T steps
"""

from dataclasses import dataclass
from typing import NamedTuple

import gymnasium as gym
import torch
from torch.distributions import Categorical

from exercises.given import mlp, use


@dataclass
class Config:
    horizon: int = 500  # T, steps in an epoch
    gamma: float = 0.99
    lam: float = 0.95
    lr: float = 2e-2  # of π
    lr_v: float = 1e-2  # of V
    passes: int = 10  # steps of V in an epoch


class Rollout(NamedTuple):
    """T steps, in their order; all float32 but act, which is int64."""

    obs: torch.Tensor  # (T, obs_dim)
    act: torch.Tensor  # (T,)
    rew: torch.Tensor  # (T,)
    next_obs: torch.Tensor  # (T, obs_dim)
    term: torch.Tensor  # (T,)
    done: torch.Tensor  # (T,)


class Agent:
    """A policy over discrete actions and a value, with an optimiser each."""

    def __init__(self, obs_dim, actions, cfg):
        self.logits = mlp([obs_dim, 32, actions])
        self.value = mlp([obs_dim, 32, 1])
        self.opt_pi = torch.optim.Adam(self.logits.parameters(), cfg.lr)
        self.opt_v = torch.optim.Adam(self.value.parameters(), cfg.lr_v)

    def pi(self, obs):
        """π(.|s), a distribution: obs (..., obs_dim), samples and log-probabilities (...)."""
        return Categorical(logits=self.logits(obs), validate_args=False)

    def v(self, obs):
        """V(s): (..., obs_dim) to (...)."""
        return self.value(obs).squeeze(-1)


def advantages(b, val, next_val, cfg):
    """A and R of Eq. 1 to 3, each (T,), from V(s_t) and V(s'_t): GAE of exercise 2.3."""
    columns = (x[:, None] for x in (b.rew, val, next_val, b.term, b.done))
    adv, ret = use("2.3").gae(*columns, cfg.gamma, cfg.lam)
    return adv[:, 0], ret[:, 0]


def standardise(adv):
    """Mean 0 and standard deviation 1."""
    return (adv - adv.mean()) / (adv.std(correction=0) + 1e-8)


def collect(env, agent, cfg):
    """A Rollout of cfg.horizon steps."""
    raise NotImplementedError("3.3: write collect")


def update(agent, b, cfg):
    """One step of the policy and cfg.passes steps of the value; returns nothing."""
    raise NotImplementedError("3.3: write update")


class Returns(gym.Wrapper):
    """Given: an environment that notes the return of each episode that was played to its end."""

    def __init__(self, env):
        super().__init__(env)
        self.all, self.sum = [], 0.0

    def reset(self, **how):
        self.sum = 0.0
        return self.env.reset(**how)

    def step(self, action):
        step = self.env.step(action)
        self.sum += float(step[1])
        if step[2] or step[3]:
            self.all.append(self.sum)
        return step


def vpg(env_fn, seed, steps, cfg=None):
    """Given: trains for so many steps; the agent, and the return of each episode."""
    cfg = cfg or Config()
    torch.manual_seed(seed)
    env = Returns(env_fn())
    env.reset(seed=seed)
    agent = Agent(env.observation_space.shape[0], int(env.action_space.n), cfg)
    for _ in range(steps // cfg.horizon):
        update(agent, collect(env, agent, cfg), cfg)
    return agent, env.all
