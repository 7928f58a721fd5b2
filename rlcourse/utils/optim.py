"""One step down a gradient."""

from math import inf, isfinite
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from rlcourse.utils import mpi


class Adam:
    """Adam (Kingma & Ba 2014, arXiv:1412.6980) on the flat parameter vector of a network.

    The step is torch's own fused one. torch.optim.Adam wraps it into bookkeeping for many tensors,
    which takes longer than the step itself does for one small vector.
    """

    def __init__(self, net: nn.Module, lr: float, eps: float = 1e-8):
        self.lr, self.eps = lr, eps
        self.net, self.params = type(net).__name__, list(net.parameters())
        self.theta = net.theta
        self.moments = torch.zeros_like(self.theta), torch.zeros_like(self.theta)
        self.steps = torch.zeros((), device=self.theta.device)

    def step(self) -> None:
        """One step along the gradient that is in `theta.grad`."""
        m, v = self.moments
        adam(
            *([self.theta], [self.theta.grad], [m], [v], [], [self.steps]),
            **dict(lr=self.lr, eps=self.eps, beta1=0.9, beta2=0.999, weight_decay=0.0),
            **dict(fused=True, amsgrad=False, maximize=False),
        )

    def state_dict(self) -> dict[str, Any]:
        """Learning rate, both moments and the number of steps."""
        m, v = self.moments
        return {"lr": self.lr, "m": m, "v": v, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.lr = state["lr"]
        for mine, theirs in zip(self.moments, (state["m"], state["v"]), strict=True):
            mine.copy_(theirs)
        self.steps.copy_(state["steps"])


def descend(opt: Adam, loss: Tensor, max_norm: float = inf) -> float:
    """One gradient step on the parameters of `opt` alone, and the norm of its gradient.

    The gradient is the mean over all processes, scaled down to `max_norm` where it is longer.

    FloatingPointError, and no step, where the gradient is not finite.

    >>> from rlcourse.utils.nets import flat
    >>> net = flat(nn.Linear(1, 1, bias=False))
    >>> opt = Adam(net, lr=0.1)
    >>> before = net.theta.clone()
    >>> norm = descend(opt, 3 * net(torch.ones(1, 1)).sum())
    >>> round(norm, 3), round(float(net.theta - before), 3)
    (3.0, -0.1)
    """
    grad = opt.theta.grad
    grad.zero_()
    loss.backward(inputs=opt.params)  # other networks in the loss get no gradient
    mpi.average_(grad)
    norm = float(grad.norm())
    if not isfinite(norm):
        where = f", process {mpi.rank()}" if mpi.size() > 1 else ""
        raise FloatingPointError(
            f"the gradient of {opt.net} is {norm} and the loss {loss.item()} in its step "
            f"{int(opt.steps) + 1}{where}; its parameters were kept"
        )
    if norm > max_norm:
        grad.mul_(max_norm / norm)
    opt.step()
    return norm
