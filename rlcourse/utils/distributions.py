"""The two distributions over actions, as torch.distributions has them and a third faster.

Shapes: B rows; `sample` and `mode` are (B, dim) or, if categorical, (B,); the others are (B,).
"""

from math import e, isnan, log, pi
from typing import NamedTuple

import torch
from torch import Tensor


class Normal(NamedTuple):
    """Independent normals in each of the dimensions.

    >>> pi = Normal(torch.zeros(2, 3), torch.zeros(3))
    >>> tuple(pi.sample().shape), tuple(pi.log_prob(pi.mode).shape)
    ((2, 3), (2,))
    """

    mean: Tensor  # (B, dim)
    log_std: Tensor  # (dim,) or (B, dim)

    @property
    def mode(self) -> Tensor:
        """The likeliest action, which is the mean: (B, dim)."""
        return self.mean

    def sample(self) -> Tensor:
        """A draw without a gradient: (B, dim)."""
        return self.rsample().detach()

    def rsample(self) -> Tensor:
        """A sample that the mean and the deviation can be differentiated through."""
        return self.mean + self.log_std.exp() * torch.randn_like(self.mean)

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density of each row of x, summed over the dimensions: (B, dim) to (B,)."""
        z = (x - self.mean) * (-self.log_std).exp()
        return (-0.5 * z**2 - self.log_std - 0.5 * log(2 * pi)).sum(-1)

    def entropy(self) -> Tensor:
        """In nats, summed over the dimensions: (B,). It can be negative."""
        return (self.log_std + 0.5 * log(2 * pi * e)).sum(-1).expand(self.mean.shape[:-1])


class Categorical(NamedTuple):
    """One of n classes, from the log-probability of each.

    >>> pi = Categorical(torch.tensor([[0.25, 0.75]]).log())
    >>> pi.mode, pi.log_prob(torch.tensor([0])).exp()
    (tensor([1]), tensor([0.2500]))
    """

    logp: Tensor  # (B, n)

    @property
    def mode(self) -> Tensor:
        """The likeliest class: (B,)."""
        return self.logp.argmax(-1)

    def sample(self) -> Tensor:
        """A draw: (B,) of whole numbers; FloatingPointError where a probability is no number.

        Of exponential clocks with rates p the i-th rings first with probability p_i: a third of
        the time of torch.multinomial.
        """
        if isnan(self.logp.max().item()):  # argmax would take it for the largest
            raise FloatingPointError(f"the policy has log-probabilities that are nan: {self.logp}")
        clocks = torch.empty_like(self.logp).exponential_()
        return (self.logp - clocks.log_()).argmax(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-probability of the class that each row of x names: (B,) to (B,)."""
        return self.logp.gather(-1, x.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """In nats, between 0 and log n: (B,)."""
        return -(self.logp.exp() * self.logp).sum(-1)
