"""5.3 Slow copies

Q learns from targets that are made of Q. If each step of learning moved the targets as well,
errors could feed themselves. So the targets come from a copy that follows the network slowly
(Lillicrap et al. 2015, arXiv:1509.02971). After each step of the network with parameters θ, every
parameter of the copy is moved a little towards it:

    θ̄ ← ρ θ̄ + (1 − ρ) θ

θ̄ is the copy's parameter, θ the network's. ρ (rho), between 0 and 1 and mostly near 1, is the
share of the copy that stays. After many steps it is an average of the network's past, with weights
that fall by ρ per step.

The copy must stay the same network with the same parameter tensors: others may hold them, or views
of them. And autograd must not see the step: θ̄ is not computed from θ, it is moved.
"""

import torch


def track(targ, net, rho):
    """Move all parameters of targ towards those of net, in place; nothing is returned."""
    # targ and net: two nn.Module of the same build, without buffers; rho: ρ, a float
    raise NotImplementedError("5.3: write track")
