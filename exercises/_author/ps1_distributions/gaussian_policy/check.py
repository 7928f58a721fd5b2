from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import nn

from exercises.lab import Wrong, at_most, call, check, expect

OUT = ("mode", "logp", "entropy")


class Norm(nn.Module):
    """Observations in other units, by fixed numbers."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, obs):
        return (obs - 0.5) / 2


def made(m, obs_dim, act_dim, hidden):
    """A policy as the learner makes it."""
    space = Box(-1, 1, (act_dim,), np.float32)
    norm = Norm(obs_dim)
    pi = m.Gaussian(norm, space, SimpleNamespace(hidden=hidden)).double()
    for part in ("mu", "log_std"):
        if not hasattr(pi, part):
            raise Wrong(f"Gaussian has no self.{part}: it is one of the parts that it is to have")
    return pi


def filled(m, *sizes):
    """The same, with numbers for parameters that do not depend on how it was initialised."""
    pi = made(m, *sizes)
    with torch.no_grad():
        for p in pi.mu.parameters():
            p.copy_(torch.randn(p.shape) / 2)
        pi.log_std.copy_(torch.randn(sizes[1]) / 2)
    return pi


def shapes(pi):
    return sorted(tuple(p.shape) for p in pi.parameters())


def entropy(m, mean, log_std):
    def entropy(mean, log_std):
        return m.Normal(mean, log_std).entropy()

    yield from call(entropy, mean=mean, log_std=log_std)


def judged(pi, obs, act):
    """What a policy says of observations and actions."""
    dist = pi(obs)
    return dist.mode, dist.log_prob(act), dist.entropy()


@check("T1", "the entropy of one dimension, and of three")
def entropies(m):
    yield from entropy(m, torch.tensor([[1.5]]), torch.tensor([-0.7]))
    yield from entropy(m, torch.tensor([[1.0, 0.0, -2.0]]), torch.tensor([-0.7, 0.3, 1.1]))


@check("T1", "the entropies of a batch, one log_std for all rows or one for each")
def batch(m):
    yield from entropy(m, torch.randn(4, 2), torch.tensor([-1.2, 0.4]))
    yield from entropy(m, torch.randn(2, 5), torch.randn(2, 5))


@check("T1", "the parameters of a policy")
def parameters(m):
    for sizes in ((3, 2, (4,)), (1, 1, (5, 6)), (4, 3, (7, 2))):
        pi = made(m, *sizes)
        widths = [sizes[0], *sizes[2], sizes[1]]
        want = [(o,) for o in widths[1:]] + [(o, i) for i, o in pairwise(widths)]
        says = "the optimiser is given what parameters() lists: the network's, and log_std"
        want = sorted([*want, (sizes[1],)])
        yield expect("shapes of parameters()", str(shapes(pi)), str(want), says=says)
        yield expect("log_std at the start", pi.log_std.tolist(), [-0.5] * sizes[1])


@check("T1", "one observation, one hidden layer")
def one(m):
    yield from call(judged, filled(m, 2, 1, (3,)), torch.randn(1, 2), torch.randn(1, 1), names=OUT)


@check("T1", "five observations of three numbers, actions of two")
def five(m):
    pi = filled(m, 3, 2, (4, 6))
    yield from call(judged, pi, 3 * torch.randn(5, 3), torch.randn(5, 2), names=OUT)


@check("T1", "the noise of 10 000 samples")
def samples(m):
    n = 10_000
    mean = torch.randn(n, 2)
    for log_std in (torch.tensor([-1.0, 0.6]), torch.randn(n, 2) / 2):
        act = m.Normal(mean.clone(), log_std.clone()).sample().detach()
        yield expect("shape of a sample", tuple(act.shape), (n, 2))
        z = (act - mean) / log_std.exp()
        says = "each row has noise of its own, also where all rows have one log_std"
        shared = bool((z.std(0) < 1e-9).any() and z.abs().max() > 1e-9)
        yield expect("all rows have the same noise", shared, False, says=says)
        yield at_most("|mean| of (a − μ) / σ", z.mean(0).abs().max(), 0.06, "it should be 0")
        off = (z.std(0) - 1).abs().max()
        yield at_most("|std − 1| of (a − μ) / σ", off, 0.05, "its deviation should be 1")
        off = ((z**4).mean(0) - 3).abs().max()
        says = "the fourth moment of a normal is 3: is the noise normal?"
        yield at_most("|4th moment − 3| of (a − μ) / σ", off, 0.6, says)
        says = "each dimension has noise of its own"
        yield at_most("|mean product of both dimensions|", z.prod(1).mean().abs(), 0.06, says)
        says, off = "each row has noise of its own", (z[1:] * z[:-1]).mean(0).abs().max()
        yield at_most("|mean product of a row and the next|", off, 0.06, says)


@check("T2", "the entropy is the mean of −log π of the samples")
def estimate(m):
    dist = m.Normal(torch.zeros(20_000, 3), torch.tensor([-1.0, 0.5, 0.2]))
    says = "with 20 000 samples the two differ by less than 0.05"
    off = (dist.log_prob(dist.sample()).mean() + dist.entropy()[0]).abs().detach()
    yield at_most("|H + mean log π|", off, 0.05, says)
