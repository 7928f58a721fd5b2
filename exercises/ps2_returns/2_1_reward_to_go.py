"""2.1 The reward to go

What followed an action is what the action can be praised or blamed for. Rewards before it were
there already, and rewards after it count less, by a factor γ for each step between:

    G_t = Σ_{k ≥ t} γ^(k−t) r_k

k runs to the last step of the episode, T − 1; the reward of step t itself counts in full. γ is from
0 to 1, both included. Episodes may have thousands of steps, so γ^T may be 0 in floating point, and
a sum over the rest of the episode for each step anew takes too long: one pass is enough.
"""

import torch


def discount_cumsum(rew, gamma):
    """G_t of every step of one episode; rew is r_t, (T,), and so is the result, a new tensor."""
    raise NotImplementedError("2.1: write discount_cumsum")
