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
        raise NotImplementedError("5.1: write Replay.__init__")

    def __len__(self):
        """How many slots are filled."""
        raise NotImplementedError("5.1: write Replay.__len__")

    def add(self, obs, act, rew, next_obs, term):
        """Keep one transition."""
        # obs, next_obs: arrays (obs_dim,), act: array (act_dim,), of any float dtype of NumPy;
        # rew: a float; term: a bool
        raise NotImplementedError("5.1: write Replay.add")

    def draw(self, n):
        """n filled slots, a tensor (n,) of int64: each uniform, independent of the others."""
        raise NotImplementedError("5.1: write Replay.draw")

    def sample(self, index):
        """The Batch of what is in the slots `index`, a tensor (B,) of int64; all are float32."""
        raise NotImplementedError("5.1: write Replay.sample")
