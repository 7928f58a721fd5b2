"""One step down a gradient."""

from math import inf, isfinite

import torch
from torch import Tensor, nn

from rlcourse.utils import mpi


class adam(torch.optim.Adam):
    """Adam (Kingma & Ba 2014, arXiv:1412.6980) on the flat parameter vector of a network."""

    def __init__(self, net: nn.Module, lr: float, eps: float = 1e-8):
        super().__init__([net.theta], lr=lr, eps=eps, fused=True)
        self.params = list(net.parameters())
        self.name = type(net).__name__

    @property
    def lr(self) -> float:
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, lr: float) -> None:
        self.param_groups[0]["lr"] = lr


def descend(opt: adam, loss: Tensor, max_norm: float = inf) -> float:
    """One gradient step on the parameters of `opt` alone, and the norm of its gradient.

    The gradient is the mean over all processes, scaled down to `max_norm` where it is longer.
    """
    (theta,) = opt.param_groups[0]["params"]
    theta.grad.zero_()
    loss.backward(inputs=opt.params)  # other networks in the loss get no gradient
    mpi.average_(theta.grad)
    norm = float(theta.grad.norm())
    if not isfinite(norm):
        raise FloatingPointError(f"the gradient of {opt.name} is {norm}; its parameters were kept")
    if norm > max_norm:
        theta.grad.mul_(max_norm / norm)
    opt.step()
    return norm
