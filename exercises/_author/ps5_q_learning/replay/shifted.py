"""A deque of limited length, of copies."""

from collections import deque, namedtuple

import numpy as np
import torch

Batch = namedtuple("Batch", "obs act rew next_obs term")


class Replay:
    def __init__(self, size, obs_dim, act_dim):
        self.rows = deque(maxlen=size)

    def __len__(self):
        return len(self.rows)

    def add(self, obs, act, rew, next_obs, term):
        self.rows.append((obs.copy(), act.copy(), rew, next_obs.copy(), term))

    def draw(self, n):
        return torch.from_numpy(np.random.choice(len(self), n))

    def sample(self, index):
        columns = zip(*[self.rows[i] for i in index], strict=True)
        return Batch(*(torch.as_tensor(np.array(c), dtype=torch.float32) for c in columns))
