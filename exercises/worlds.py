"""Environments that tell whether code is right: by a script, or solved only by what is right.

All have Gymnasium's interface (reset(seed=), step) and spaces, and none needs Gymnasium's registry.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete


class Script(gym.Env):
    """Plays episodes by a script, whatever is done, and remembers what was done in `acts`.

    An episode is a list of (reward, terminated, truncated). The observation is [episode, step] in
    one array that is used again and again, as some environments do: who keeps it must copy it.
    """

    def __init__(self, episodes: list[list[tuple[float, bool, bool]]], act_space: Any = None):
        self.episodes = episodes
        self.action_space = act_space or Discrete(3)
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.acts: list[Any] = []
        self.resets = 0
        self.obs = np.zeros(2, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.obs[:] = self.resets, 0
        self.resets += 1
        self.over = False
        return self.obs, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.over or not self.resets:
            raise RuntimeError("step after the end of an episode: reset comes first")
        self.acts.append(np.array(action))
        script = self.episodes[(self.resets - 1) % len(self.episodes)]
        rew, term, trunc = script[int(self.obs[1])]
        self.obs[1] += 1
        self.over = term or trunc
        return self.obs, rew, term, trunc, {}


class Probe(gym.Env):
    """Episodes of `length` steps with random observations of ±1 and rewards by a rule.

    rule(obs, act, step) is the reward of a step; `trunc` ends the episode by a time limit instead
    of by a terminal state. An agent can do a rule only if the part that this needs works.
    """

    def __init__(
        self,
        rule: Callable,
        length: int = 1,
        discrete: bool = True,
        trunc: bool = False,
        blind: bool = False,
    ):
        self.rule, self.length, self.trunc, self.blind = rule, length, trunc, blind
        self.observation_space = Box(-1, 1, (1,), np.float32)
        self.action_space = Discrete(2) if discrete else Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        act = np.asarray(action, np.float64).reshape(-1)[0]
        rew = float(self.rule(float(self.obs[0]), float(act), self.t))
        self.t += 1
        over = self.t == self.length
        return self._observe(), rew, over and not self.trunc, over and self.trunc, {}

    def _observe(self) -> np.ndarray:
        self.obs = np.float32([0.0 if self.blind else self.np_random.choice([-1.0, 1.0])])
        return self.obs.copy()


PROBES = {  # what each needs of an agent; a value of V or Q, or the best action, is known
    "constant": lambda **kw: Probe(lambda s, a, t: 1.0, blind=True, **kw),  # V = 1
    "observed": lambda **kw: Probe(lambda s, a, t: s, **kw),  # V(s) = s
    # blind, so that V = 1 / (2 − γ) in both steps
    "delayed": lambda **kw: Probe(lambda s, a, t: float(t == 1), 2, blind=True, **kw),
    "action": lambda **kw: Probe(lambda s, a, t: a, blind=True, **kw),  # a = 1
    "matching": lambda **kw: Probe(lambda s, a, t: float((a > 0.5) == (s > 0)), **kw),  # discrete
    "pulled": lambda **kw: Probe(
        lambda s, a, t: -((a - 0.5 * s) ** 2), discrete=False, **kw
    ),  # a = s/2
    "endless": lambda **kw: Probe(
        lambda s, a, t: 1.0, 5, trunc=True, blind=True, **kw
    ),  # V = 1/(1−γ)
}


class Mixed(gym.Env):
    """Three numbers that actions push about; ends by chance and by a time limit of seven steps.

    For comparing two versions of an algorithm: everything that one of them can get wrong occurs.
    """

    def __init__(self, discrete: bool = False):
        self.observation_space = Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = Discrete(3) if discrete else Box(-2, 2, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.obs = self.np_random.normal(size=3).astype(np.float32)
        return self.obs.copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        push = np.resize(np.asarray(action, np.float32), 3)
        noise = self.np_random.normal(size=3).astype(np.float32)
        self.obs = 0.8 * self.obs + 0.3 * push + 0.2 * noise
        rew = float(1 - abs(self.obs).sum())
        return self.obs.copy(), rew, bool(self.np_random.random() < 0.15), False, {}


gym.register("Mixed-v0", Mixed, max_episode_steps=7)
gym.register("MixedDiscrete-v0", lambda **kw: Mixed(True, **kw), max_episode_steps=7)
