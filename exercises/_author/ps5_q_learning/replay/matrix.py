"""The solution by one matrix of NumPy, a row for each transition."""

import random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Batch(NamedTuple):
    obs: Tensor
    act: Tensor
    rew: Tensor
    next_obs: Tensor
    term: Tensor


class Replay:
    def __init__(self, size, obs_dim, act_dim):
        self.ends = np.cumsum([obs_dim, act_dim, 1, obs_dim])
        self.rows = np.empty((size, 2 * obs_dim + act_dim + 2), np.float32)
        self.slot, self.full = 0, False

    def __len__(self):
        return len(self.rows) if self.full else self.slot

    def add(self, obs, act, rew, next_obs, term):
        self.rows[self.slot] = np.concatenate([obs, act, [rew], next_obs, [term]])
        self.slot += 1
        if self.slot == len(self.rows):
            self.slot, self.full = 0, True

    def draw(self, n):
        return torch.tensor([random.randrange(len(self)) for _ in range(n)])

    def sample(self, index):
        parts = np.split(self.rows[index.numpy()], self.ends, axis=1)
        obs, act, rew, next_obs, term = (torch.from_numpy(p.copy()) for p in parts)
        return Batch(obs, act, rew.squeeze(-1), next_obs, term.squeeze(-1))
