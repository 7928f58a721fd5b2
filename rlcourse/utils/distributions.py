"""The two distributions over actions, as torch.distributions has them and a third faster.

Shapes: B rows; `sample` and `mode` are (B, dim) or, if categorical, (B,); the others are (B,).
"""

from math import e, log, pi
from typing import NamedTuple

import torch
from torch import Tensor


class Normal(NamedTuple):
    """Independent normals in each of the dimensions."""

    mean: Tensor  # (B, dim)
    log_std: Tensor  # (dim,) or (B, dim)

    @property
    def mode(self) -> Tensor:
        return self.mean

    def sample(self) -> Tensor:
        return self.rsample().detach()

    def rsample(self) -> Tensor:
        """A sample that the mean and the deviation can be differentiated through."""
        return self.mean + self.log_std.exp() * torch.randn_like(self.mean)

    def log_prob(self, x: Tensor) -> Tensor:
        z = (x - self.mean) * (-self.log_std).exp()
        return (-0.5 * z**2 - self.log_std - 0.5 * log(2 * pi)).sum(-1)

    def entropy(self) -> Tensor:
        return (self.log_std + 0.5 * log(2 * pi * e)).sum(-1).expand(self.mean.shape[:-1])


class Categorical(NamedTuple):
    """One of n classes, from the log-probability of each."""

    logp: Tensor  # (B, n)

    @property
    def mode(self) -> Tensor:
        return self.logp.argmax(-1)

    def sample(self) -> Tensor:
        return torch.multinomial(self.logp.exp(), 1).squeeze(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        return self.logp.gather(-1, x.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logp.exp() * self.logp).sum(-1)
