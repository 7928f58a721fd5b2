"""`faulty:Faulty-v0`: an environment with one fault, in one step of one episode, in one process.

    --env faulty:Faulty-v0 --env-kwargs fault=nan_reward at_step=30 rank=1

It counts its own steps over all its episodes, so that a fault happens once and at a known moment.
What it does otherwise is a ball on a line that is pushed; episodes are cut after 20 steps.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete

LIMIT = 20


def _rank() -> int:
    return int(os.environ.get("PMI_RANK", os.environ.get("OMPI_COMM_WORLD_RANK", "0")))


class Faulty(gym.Env):
    """`fault` is a key of FAULTS below, or of how observations, rewards and ends are changed."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float32)

    def __init__(self, fault="none", at_step=30, rank=0, discrete=False, low=-1.0, high=1.0):
        bounds = float(low), float(high)
        self.action_space = Discrete(3, start=-1) if discrete else Box(*bounds, (1,), np.float32)
        self.fault, self.at_step, self.rank, self.steps = fault, at_step, rank, 0
        self.buffer = np.zeros(3, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.speed, self.time = self.np_random.uniform(-1, 1), 0.0, 0
        return self._obs(), {}

    def step(self, action):
        self.steps += 1
        self.time += 1
        push = float(np.asarray(action).reshape(-1)[0])
        self.speed += 0.1 * push
        self.x += 0.1 * self.speed
        hit = self.steps == self.at_step and self.rank == _rank()
        if hit and self.fault != "none":
            Path("fault.time").write_text(str(time.time()))
            FAULTS.get(self.fault, int)()
        reward = self._reward(-(self.x**2), hit)
        term = self.fault == "short" or (self.fault == "drop" and abs(self.x) > 1.2)
        return self._obs(hit), reward, term, False, {}

    def _reward(self, value, hit):
        if self.fault == "array_reward":
            return np.array([value])
        if self.fault == "integer_reward":
            return np.int64(round(value))
        if not hit:
            return value
        changed = {"nan_reward": np.nan, "inf_reward": -np.inf, "huge_reward": 1e39}
        return str(value) if self.fault == "text_reward" else changed.get(self.fault, value)

    def _obs(self, hit=False):
        obs = np.array([self.x, self.speed, self.time / LIMIT], np.float32)
        if self.fault == "same_array":  # handed out again and again
            self.buffer[:] = obs
            return self.buffer
        if self.fault == "float64":
            return obs.astype(np.float64)
        if self.fault == "list":
            return obs.tolist()
        if not hit:
            return obs
        if self.fault in ("nan_obs", "inf_obs"):
            obs[1] = np.nan if self.fault == "nan_obs" else np.inf
        return obs[:2] if self.fault == "shape" else obs


def _raise():
    raise ZeroDivisionError("the motor is broken")


def _kill():
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze():
    os.kill(os.getpid(), signal.SIGSTOP)


FAULTS = {
    "raise": _raise,
    "exit": lambda: sys.exit(3),
    "vanish": lambda: os._exit(5),
    "kill": _kill,
    "segfault": lambda: ctypes.string_at(0),
    "freeze": _freeze,
    "sleep": lambda: time.sleep(60),
}

gym.register("Faulty-v0", entry_point=Faulty, max_episode_steps=LIMIT)
gym.register("Unlimited-v0", entry_point=Faulty)
