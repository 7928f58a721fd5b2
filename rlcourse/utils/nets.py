"""Networks whose parameters are one flat vector, and the running normaliser of what enters them."""

from copy import deepcopy
from itertools import pairwise
from typing import TypeVar

import numpy as np
import torch
from gymnasium.spaces import Box, Space
from torch import Tensor, nn
from torch.nn.functional import linear

from rlcourse.utils import mpi
from rlcourse.utils.config import UserError

Module = TypeVar("Module", bound=nn.Module)
ACTIVATIONS = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


class Twins(nn.Module):
    """n linear layers as one: (n, B, inputs), or (B, inputs) for all, to (n, B, outputs)."""

    def __init__(self, n: int, inputs: int, outputs: int):
        super().__init__()
        limit = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(n, outputs, inputs).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.empty(n, 1, outputs).uniform_(-limit, limit))

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(len(self.weight), *x.shape[-2:])
        return torch.baddbmm(self.bias, x, self.weight.mT)


class MLP(nn.Sequential):
    """Layers one after the other, called past nn.Module: its look for hooks would take a quarter of
    the time of a small network. So hooks of single layers are not called."""

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer.forward(x)
        return x


def mlp(sizes: list[int], activation: str, gain: float = 0.0, n: int = 1) -> MLP:
    """Linear layers of these sizes with the activation between them; n > 1 such networks as one.

    With a gain, weights are orthogonal of gain √2, the last of `gain`, and biases 0 (Saxe et al.
    2013, arXiv:1312.6120; for policy gradients Engstrom et al. 2020, arXiv:2005.12729). Without,
    all are uniform within 1/√inputs, as in torch.nn.Linear.

    >>> tuple(mlp([4, 64, 2], "tanh")(torch.zeros(8, 4)).shape)
    (8, 2)
    >>> tuple(mlp([4, 64, 2], "relu", n=2)(torch.zeros(8, 4)).shape)
    (2, 8, 2)
    """
    layers = []
    for inputs, outputs in pairwise(sizes):
        layer = nn.Linear(inputs, outputs) if n == 1 else Twins(n, inputs, outputs)
        if gain:
            nn.init.orthogonal_(layer.weight, 2**0.5)
            nn.init.zeros_(layer.bias)
        layers += [layer, ACTIVATIONS[activation]()]
    if gain:
        nn.init.orthogonal_(layers[-2].weight, gain)
    return MLP(*layers[:-1])


def nth(net: MLP, i: int, x: Tensor) -> Tensor:
    """One of n networks that were made as one: (B, inputs) to (B, outputs)."""
    for layer in net:
        twins = isinstance(layer, Twins)
        x = linear(x, layer.weight[i], layer.bias[i, 0]) if twins else layer(x)
    return x


def width(act: Space, *kinds: type[Space]) -> int:
    """The numbers that an action is for a network: those of a Box, or n of a one-hot row.

    UserError unless the space is one of these kinds and, if a Box, has finite bounds.

    >>> width(Box(-2, 2, (3,)), Box)
    3
    """
    if not isinstance(act, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise UserError(
            f"actions are {type(act).__name__}, but {wanted} is needed: ppo, vpg and sac take both"
        )
    if not isinstance(act, Box):
        return int(act.n)
    if not (np.isfinite(act.low).all() and np.isfinite(act.high).all()):
        raise UserError(
            "actions have no finite bounds, which are needed here: ppo and vpg do without"
        )
    return act.shape[0]


def flat(net: Module) -> Module:
    """Lay parameters and gradients out as views of two vectors, `net.theta` and its `.grad`.

    An optimiser step, a target update, a gradient's norm or its mean over processes is then one
    operation. What would break the views (deepcopy, .to, zero_grad) has to come before this call.

    >>> net = flat(nn.Linear(2, 1))
    >>> tuple(net.theta.shape)
    (3,)
    >>> _ = net.theta.fill_(0.5)
    >>> net.weight.tolist(), net.bias.tolist()
    ([[0.5, 0.5]], [0.5])
    """
    params = list(net.parameters())
    theta = torch.cat([p.detach().flatten() for p in params])
    theta.grad = torch.zeros_like(theta)
    start = 0
    for p in params:
        part = slice(start, start := start + p.numel())
        p.data = theta[part].view(p.shape)
        p.grad = theta.grad[part].view(p.shape)
    net.theta = theta  # a plain attribute: it must not be counted among the parameters
    return net


def clone(net: Module) -> Module:
    """The same network with parameters of its own, flat again.

    >>> q = flat(nn.Linear(2, 1))
    >>> q_targ = clone(q)
    >>> q_targ.theta.equal(q.theta), q_targ.theta is q.theta
    (True, False)
    """
    return flat(deepcopy(net))


class Scalar(nn.Module):
    """One number that is learnt."""

    def __init__(self, value: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self) -> Tensor:
        return self.value


class Normaliser(nn.Module):
    """(x − mean) / std, with the mean and standard deviation of all x that it has been shown.

    x is (..., dim). `on=False` keeps mean 0 and std 1. The moments are pooled over all processes.

    >>> norm = Normaliser(1)
    >>> norm.update(torch.tensor([[1.0], [3.0]]))
    >>> round(norm(torch.tensor([[5.0]])).item(), 3)
    3.0
    """

    def __init__(self, dim: int, on: bool = True, limit: float = 10.0):
        super().__init__()
        self.dim, self.on, self.limit = dim, on, limit
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.register_buffer("exact", torch.zeros(2, dim, dtype=torch.float64))  # mean and variance
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        if not self.on:
            return x
        return (x - self.mean).div_(self.std).clamp_(-self.limit, self.limit)

    def restore(self, x: Tensor) -> Tensor:
        """The inverse of the call: from mean 0 and std 1 to the units of x."""
        return x * self.std + self.mean

    def update(self, x: Tensor) -> None:
        """Add the rows of x to the moments (Chan, Golub & LeVeque 1983, pairwise update)."""
        if not self.on:
            return
        mean, var, count = mpi.column_moments(x.reshape(-1, len(self.mean)))
        mean, var = self.exact.new_tensor(mean), self.exact.new_tensor(var)
        self.count += count
        share = count / self.count  # of the new rows in all rows
        gap = mean - self.exact[0]
        self.exact[0] += share * gap
        self.exact[1] += share * (var - self.exact[1] + (1 - share) * gap**2)
        self.mean.copy_(self.exact[0])
        self.std.copy_((self.exact[1] + 1e-8).sqrt())
