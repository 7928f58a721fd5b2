import math
from typing import NamedTuple

import torch
from torch import Tensor

from exercises.lab import call, check, expect

BOTH = ("a", "logp")
TABLE = {  # log(1 − tanh² u), computed with 1000 digits
    0.0: 0.0,
    0.5: -0.24022901391655504926,
    3.0: -4.6186570091555702802,
    10.0: -18.613705643002416622,
    20.0: -38.613705638880109390,
    1000.0: -1998.6137056388801094,
}


class Normal(NamedTuple):
    mean: Tensor
    log_std: Tensor

    def log_prob(self, x):
        z = (x - self.mean) / self.log_std.exp()
        return (-0.5 * z**2 - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


def drawn(*shape, scale=1.0):
    mu, log_std, noise = torch.randn(3, *shape)
    return dict(mu=scale * mu, log_std=log_std / 2, noise=noise)


@check("T1", "log π of one number")
def smallest(m):
    gaussian = Normal(torch.tensor([[0.2]]), torch.tensor([[-0.7]]))
    yield from call(m.squashed_logp, gaussian=gaussian, u=torch.tensor([[0.6]]))


@check("T1", "log π of four rows of two dimensions, and of one row of three")
def batch(m):
    for shape in ((4, 2), (1, 3)):
        gaussian = Normal(torch.randn(shape), torch.randn(shape) / 2)
        yield from call(m.squashed_logp, gaussian=gaussian, u=torch.randn(shape))


@check("T1", "the correction at u = 0 to ±1000, from a table of 20 digits")
def table(m):
    for size, value in TABLE.items():
        u = torch.tensor([[size], [-size]])
        x = u.clone().requires_grad_()
        gaussian = Normal(u.clone(), torch.zeros(2, 1))
        logp = m.squashed_logp(gaussian, x) + 0.5 * math.log(2 * math.pi)
        says = "this is −log(1 − tanh² u) alone: μ = u and σ = 1 add a constant"
        yield expect(f"correction at u = ±{size:g}", logp, torch.tensor([-value] * 2), 1e-9, says)
        (slope,) = torch.autograd.grad(logp.sum(), x)
        yield expect("its slope", slope, 2 * torch.tanh(u))


@check("T1", "an action of one dimension, limit 1")
def action(m):
    args = (torch.tensor([[x]]) for x in (0.3, -0.4, 0.8))
    yield from call(m.tanh_gaussian, *args, 1.0, names=BOTH)


@check("T1", "five actions of three dimensions, limit 2")
def actions(m):
    yield from call(m.tanh_gaussian, **drawn(5, 3), limit=2.0, names=BOTH)


@check("T1", "means far outside, limit 0.4")
def saturated(m):
    yield from call(m.tanh_gaussian, **drawn(3, 2, scale=30.0), limit=0.4, names=BOTH)


@check("T2", "the density integrates to 1 between the limits")
def integral(m):
    noise = torch.linspace(-8, 8, 4001)[:, None]
    says = "a density per unit of a integrates to 1 over a from −limit to limit"
    for limit in (1.0, 3.0):
        mu, log_std = torch.full_like(noise, 0.3), torch.full_like(noise, -0.4)
        a, logp = m.tanh_gaussian(mu, log_std, noise, limit)
        area = torch.trapezoid(logp.exp(), a[:, 0])
        yield expect(f"integral with limit {limit:g}", area, 1.0, 1e-5, says)


@check("T2", "another limit stretches the actions and thins the density")
def stretched(m):
    args = drawn(4, 3)
    a, logp = m.tanh_gaussian(**args, limit=1.0)
    wide, thin = m.tanh_gaussian(**args, limit=2.5)
    yield expect("a with limit 2.5", wide, 2.5 * a)
    yield expect("logp with limit 2.5", thin, logp - 3 * math.log(2.5))
