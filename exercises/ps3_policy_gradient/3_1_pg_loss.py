"""3.1 A loss whose gradient is the policy gradient

An optimiser wants a loss and goes down its gradient. We want to go up the expected return U(θ),
which we cannot differentiate: the rewards come from an environment. But its gradient is an
expectation over the steps that π_θ takes (Williams 1992; docs/algorithms/vpg.md derives it),

    ∇U = E[ Σ_t ∇log π_θ(a_t|s_t) Ψ_t ]

and the mean over sampled steps estimates it, up to the length of an episode. Ψ_t is the weight of
step t: the return that followed, or the advantage. So build an objective of B sampled steps with
that gradient, and turn it into a loss:

    J(θ) = 1/B Σ_i log π_θ(a_i|s_i) Ψ_i            loss = −J(θ)

Ψ is a constant: no gradient flows through it, even if it was computed by a network and comes with
a graph. Other losses have the same gradient; here it is this one, whose value is compared too.
"""

import torch


def pg_loss(logp, weight):
    """The loss, a scalar tensor: its negative gradient is the estimate of the policy gradient."""
    # logp (B,) are log π_θ(a_i|s_i) with their graph, weight (B,) are Ψ_i
    raise NotImplementedError("3.1: write pg_loss")


def loss_pi(pi, b):
    """Given: the same for a policy and a batch, as the algorithm wants it."""
    return pg_loss(pi(b.obs).log_prob(b.act), b.adv)
