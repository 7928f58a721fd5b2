from functools import wraps

import torch
from torch import nn

from exercises.given import mlp
from exercises.lab import Record, call, check, expect


def quiet(m):
    """The learner's function without what it returns, as nothing need be returned."""

    @wraps(m.track)
    def track(targ, net, rho):
        m.track(targ, net, rho)

    return track


def moved(m, targ, net, rho):
    """The copy after one step, named by its ρ."""
    for r in call(quiet(m), targ, net, rho, changes=("targ",)):
        yield Record(f"{r.label} (ρ = {rho})", r.got, context=r.context)


def pair(*sizes):
    return mlp(list(sizes)), mlp(list(sizes))


def vector(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def flatten(net):
    """One vector of which all parameters are views."""
    theta, start = vector(net), 0
    for p in net.parameters():
        p.data = theta[start : start + p.numel()].view(p.shape)
        start += p.numel()
    return theta


@check("T1", "one weight and one bias")
def smallest(m):
    targ, net = pair(1, 1)
    yield from moved(m, targ, net, 0.9)


@check("T1", "three layers of unequal sizes, ρ from 0 to 1")
def layers(m):
    for rho in (0.995, 0.3, 0.0, 1.0):
        targ, net = pair(3, 5, 4, 2)
        yield from moved(m, targ, net, rho)


@check("T1", "a copy that needs no gradient; scalars and parameters of three dimensions")
def odd(m):
    targ, net = ({"gain": torch.randn(()), "w": 1e3 * torch.randn(2, 3, 4)} for _ in range(2))
    targ, net = (nn.ParameterDict({k: nn.Parameter(v) for k, v in d.items()}) for d in (targ, net))
    yield from moved(m, targ.requires_grad_(False), net, 0.8)


@check("T2", "the same tensors, and no graph behind them")
def identity(m):
    targ, net = pair(2, 3, 1)
    kept, theta = list(targ.parameters()), flatten(targ)
    want = 0.9 * theta + 0.1 * vector(net)
    m.track(targ, net, 0.9)
    says = "targ has other parameters now than before: whoever holds the old ones sees no change"
    alike = [p is q for p, q in zip(targ.parameters(), kept, strict=True)]
    yield expect("same parameter objects", alike, [True] * len(kept), says=says)
    says = "The parameters' memory was replaced and not written to, so views of it see no change"
    yield expect("memory that the parameters are views of", theta, want, says=says)
    says = "Autograd has recorded the step, and will keep all steps before it as well"
    yield expect("parameters without a graph", [p.is_leaf for p in kept], [True] * 4, says=says)


@check("T2", "many steps are a weighted mean of the past")
def average(m):
    targ, net = pair(2, 3, 1)
    rho, want = 0.7, vector(targ)
    want = rho**5 * want
    for k in range(5):
        with torch.no_grad():
            for p in net.parameters():
                p.copy_(torch.randn_like(p))
        m.track(targ, net, rho)
        want = want + (1 - rho) * rho ** (4 - k) * vector(net)
    yield expect("copy after 5 steps", vector(targ), want)
