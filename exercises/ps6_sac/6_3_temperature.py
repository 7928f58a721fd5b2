"""6.3 The temperature

Which price α of entropy is right depends on the unit of the rewards. How random π should be does
not. So α is learnt: it rises while the entropy of π is below the number H that is asked for, and
falls while it is above. The entropy is the mean of −log π(ã|s), and

    L(α) = −α E[log π(ã|s) + H]

is stepped down, with log π taken as a number. E is the mean over the rows of a batch. The parameter
is log α, so that α stays positive (Haarnoja et al. 2018, arXiv:1812.05905).

An update of SAC uses one α throughout, in the target and in the loss of π, as a number: α is read
before it is stepped, and neither of those losses may have a gradient with respect to it.
"""

import torch


def loss_alpha(log_alpha, logp, H):
    """L(α), a tensor of shape (); its gradient with respect to log_alpha is what is needed."""
    # log_alpha is log α, a tensor of shape (); logp is log π(ã|s), (B,); H is a float
    raise NotImplementedError("6.3: write loss_alpha")


def step_alpha(log_alpha, opt, logp, H):
    """One step of opt, an optimiser of log_alpha alone, down L(α); returns α as it was before."""
    # logp still hangs on π, whose parameters must get no gradient from this; the returned α, a
    # tensor of shape () or a float, has none either. The last gradient is still in log_alpha.grad
    raise NotImplementedError("6.3: write step_alpha")
