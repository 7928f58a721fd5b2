"""5.1 Replay memory

Q-learning may learn from any transition, however old, so each one goes into a memory and is drawn
from there many times (Lin 1992; Mnih et al. 2015). The memory has a fixed number of slots, 0 to
size − 1. The first transition goes into slot 0, the next into slot 1, and so on; behind the last
slot comes slot 0 again, whose old content is lost: a ring.

A transition is one step of an environment: s, a, r, s' and d. d (term) is 1 if s' is a terminal
state. All five of them are kept as they came. s' is the observation that the step returned. At the
end of an episode it is not the s of the next slot, which belongs to a new episode. And the caller
may use his arrays again after `add`: what is in the memory must not change with them.

Learning takes two steps: `draw` chooses slots at random, `sample` returns what is in given slots.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim)
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1.0 or 0.0


class Replay:
    """The newest `size` transitions."""

    def __init__(self, size, obs_dim, act_dim):
        # BEGIN SOLUTION
        self.size, self.added = size, 0  # added: transitions ever
        self.obs = torch.zeros(size, obs_dim)
        self.act = torch.zeros(size, act_dim)
        self.rew = torch.zeros(size)
        self.next_obs = torch.zeros(size, obs_dim)
        self.term = torch.zeros(size)
        # END SOLUTION

    def __len__(self):
        """How many slots are filled."""
        # BEGIN SOLUTION
        return min(self.added, self.size)
        # END SOLUTION

    def add(self, obs, act, rew, next_obs, term):
        """Keep one transition."""
        # obs, next_obs: arrays (obs_dim,), act: array (act_dim,), of any float dtype of NumPy;
        # rew: a float; term: a bool
        # BEGIN SOLUTION
        slot = self.added % self.size
        self.obs[slot] = torch.as_tensor(obs)
        self.act[slot] = torch.as_tensor(act)
        self.rew[slot] = float(rew)
        self.next_obs[slot] = torch.as_tensor(next_obs)
        self.term[slot] = float(term)
        self.added += 1
        # END SOLUTION

    def draw(self, n):
        """n filled slots, a tensor (n,) of int64: each uniform, independent of the others."""
        # BEGIN SOLUTION
        return torch.randint(len(self), (n,))
        # END SOLUTION

    def sample(self, index):
        """The Batch of what is in the slots `index`, a tensor (B,) of int64; all are float32."""
        # BEGIN SOLUTION
        next_obs, term = self.next_obs[index], self.term[index]
        return Batch(self.obs[index], self.act[index], self.rew[index], next_obs, term)
        # END SOLUTION
