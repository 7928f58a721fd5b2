"""6.1 The soft Bellman target

SAC pays for randomness: to be in a state is worth Q of the action that is drawn there, minus α
times its log-probability. One sample of that, with a new action from the present policy, is the
target of both critics (Haarnoja et al. 2018, arXiv:1812.05905):

    y    = r + γ (1 − d) (min_i Q̄_i(s', ã) − α log π(ã|s'))       ã ~ π(·|s')
    L(φ) = Σ_i E[(Q_i(s, a) − y)²]

Q_1 and Q_2 are the two critics, Q̄_1 and Q̄_2 their slow copies, φ the parameters of Q_1 and Q_2.
The mean E is over the rows of the batch, the sum over the two critics. d is 1 where s' is terminal:
nobody acts there, so nothing is paid there.

y is a number that Q is moved towards: a step down L must move φ alone, so the gradient of L with
respect to the slow copies, π and α is zero.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    obs: Tensor  # s   (B, obs_dim)
    act: Tensor  # a   (B, act_dim)
    rew: Tensor  # r   (B,)
    next_obs: Tensor  # s'  (B, obs_dim)
    term: Tensor  # d   (B,)  1 if s' is terminal, else 0


def loss_q(q, q_targ, pi, alpha, b, gamma):
    """L(φ), of shape (); Q_i(s, a) of both critics (2, B), and y (B,), both without gradient."""
    # q(obs, act) and q_targ(obs, act) give the values of both critics, (2, B)
    # pi(obs) draws an action for each row and gives it with its log π: (B, act_dim), (B,)
    # alpha is α, a tensor of shape (); b is a Batch; gamma is γ, a float
    raise NotImplementedError("6.1: write loss_q")
