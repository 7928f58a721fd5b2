"""Arrays of NumPy, indexed by a tensor."""

from collections import namedtuple

import numpy as np
import torch

Batch = namedtuple("Batch", "obs act rew next_obs term")


class Replay:
    def __init__(self, size, obs_dim, act_dim):
        self.size, self.added = size, 0
        self.obs, self.next_obs = np.zeros((2, size, obs_dim), np.float32)
        self.act = np.zeros((size, act_dim), np.float32)
        self.rew, self.term = np.zeros((2, size), np.float32)

    def __len__(self):
        return min(self.added, self.size)

    def add(self, obs, act, rew, next_obs, term):
        slot = self.added % self.size
        self.obs[slot], self.act[slot], self.rew[slot] = obs, act, rew
        self.next_obs[slot], self.term[slot] = next_obs, term
        self.added += 1

    def draw(self, n):
        return torch.from_numpy(np.random.randint(0, len(self), n))

    def sample(self, index):
        fields = self.obs, self.act, self.rew, self.next_obs, self.term
        return Batch(*(torch.tensor(x[index]) for x in fields))
