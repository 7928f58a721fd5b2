"""2.4 The rollout buffer

An epoch of a policy gradient has `size` steps of one environment. They fall into paths: a path ends
where its episode is over, and the last one where the epoch is. The buffer takes one step at a time,
and learns at the end of each path what it needs for the advantages:

    δ_t = r_t + γ V(s_{t+1}) − V(s_t)
    A_t = δ_t + γ λ A_{t+1}
    R_t = A_t + V(s_t)

V(s_{t+1}) is the value stored with the next step of the same path. Behind the last step of a path
it is `last_val`, and A is 0 there. `gae` of 2.3 does this sum.

`store` keeps a step. The array obs may be used again by the caller, who writes the next observation
into it: keep a copy. `finish_path` is told the value behind the path's last step: 0 if the episode
was terminated, V(s') if it was truncated or cut. `get` is called when `size` steps are stored and
their last path is finished. It gives, in the order of the steps,

    obs (size, obs_dim) float32, act (size,) int64, adv (size,) and ret (size,)

with ret = R and adv = (A − mean A) / (std A + 1e-8). Mean and standard deviation are over all steps
of the epoch, and std² is the mean of the squared deviations (divided by size, not size − 1). After
`get` the buffer is empty, ready for the next epoch. What `get` gave is not changed by later epochs.
"""

import torch

from exercises.given import use

gae = use("2.3").gae  # gae(rew, val, next_val, term, done, gamma, lam) -> adv, ret; all are (T, N)


class Rollout:
    def __init__(self, size, obs_dim, gamma, lam):
        self.size, self.obs_dim, self.gamma, self.lam = size, obs_dim, gamma, lam
        raise NotImplementedError("2.4: write Rollout.__init__")

    def store(self, obs, act, rew, val):
        """Keep one step: obs a float32 array (obs_dim,), act an int, rew and val Python floats."""
        raise NotImplementedError("2.4: write Rollout.store")

    def finish_path(self, last_val):
        """The path ends with the step that was stored last; last_val is the value behind it."""
        raise NotImplementedError("2.4: write Rollout.finish_path")

    def get(self):
        """obs, act, adv and ret of the epoch; the buffer is empty afterwards."""
        raise NotImplementedError("2.4: write Rollout.get")
