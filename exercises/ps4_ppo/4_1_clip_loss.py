"""4.1 The clipped objective

The data of an update come from the policy as it was before, π_old. With the weight w they are good
for a policy near it as well. PPO takes many steps on them, so a sample that has moved far enough in
the wanted direction must stop pushing, and one that has moved the wrong way must still be able to
come back. The minimum of two terms does both (Schulman et al. 2017, arXiv:1707.06347):

    w    = π_θ(a|s) / π_old(a|s)
    J(θ) = mean of  min(w Â, clip(w, 1 − ε, 1 + ε) Â) + β H(π_θ(·|s))
    KL   ≈ mean of  w − 1 − log w

J is to be maximised, so the loss is −J. H is the entropy of the whole distribution. KL estimates
how far π_θ has moved from π_old; it is only looked at, so it carries no gradient. Take the
difference of log-probabilities first and then the exponential: densities overflow, their logarithms
do not.
"""

import torch


def loss_pi(pi, b, clip, beta):
    """−J, a scalar to descend; and the estimate of KL, a scalar without gradient."""
    # pi(b.obs) is a distribution: its log_prob(act) and entropy() are (B,)
    # b.obs s (B, obs_dim); b.act a (B, act_dim), or (B,) if discrete;
    # b.logp_old log π_old(a|s) (B,); b.adv Â (B,); clip ε and beta β are numbers
    raise NotImplementedError("4.1: write loss_pi")
