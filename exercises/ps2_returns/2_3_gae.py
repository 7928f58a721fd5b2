"""2.3 Generalised advantage estimation

How much better was an action than what V expected? One step says δ_t = r_t + γ V(s_{t+1}) − V(s_t),
with much bias and little noise; the whole return says it with no bias and much noise. GAE takes all
lengths between them, weighted by λ (Schulman et al. 2015, arXiv:1506.02438):

    δ_t = r_t + γ (1 − d_t) V(s'_t) − V(s_t)
    A_t = δ_t + γ λ (1 − e_t) A_{t+1}
    R_t = A_t + V(s_t)

d_t is 1 where s' is terminal: there is no value behind it. e_t is 1 where the episode is over for
any reason, a time limit too: the next row of the rollout belongs to another episode. Behind the
last step of the rollout, A is 0.
"""

import torch


def gae(rew, val, next_val, term, done, gamma, lam):
    """Advantages and returns of a rollout; every argument and result is (T, N)."""
    # rew r_t, val V(s_t), next_val V(s'_t), term d_t, done e_t; T steps of N environments
    raise NotImplementedError("2.3: write gae")
