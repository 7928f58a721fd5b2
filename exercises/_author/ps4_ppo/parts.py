"""What the checks of this set share: policies to try a function on, an optimiser that remembers."""

import torch
from torch import nn

from exercises.given import mlp
from rlcourse.utils.distributions import Categorical, Normal


class Softmax(nn.Module):
    def __init__(self, obs_dim, actions):
        super().__init__()
        self.net = mlp([obs_dim, 5, actions])

    def forward(self, obs):
        return Categorical(self.net(obs).log_softmax(-1))


class Gaussian(nn.Module):
    def __init__(self, obs_dim, act_dim, log_std=-0.5):
        super().__init__()
        self.net = mlp([obs_dim, 5, act_dim])
        self.log_std = nn.Parameter(torch.full((act_dim,), float(log_std)))

    def forward(self, obs):
        return Normal(self.net(obs), self.log_std)


class Adam(torch.optim.Adam):
    """Adam that writes down the gradients it is given, and where they led, in `seen`."""

    def __init__(self, lr, **nets):
        named = {f"{n}.{k}": p for n, net in nets.items() for k, p in net.named_parameters()}
        super().__init__(named.values(), lr=lr)
        self.named, self.seen = named, []

    def step(self, closure=None):
        grads = {
            k: torch.zeros_like(p) if p.grad is None else p.grad for k, p in self.named.items()
        }
        before = {k: g.clone() for k, g in grads.items()}
        loss = super().step(closure)
        self.seen.append((before, self.now()))
        return loss

    def now(self):
        return {k: p.detach().clone() for k, p in self.named.items()}


def sampled(Batch, pi, obs):
    """Steps of this policy: the first ratio is 1. Advantages and returns have any scale."""
    n = len(obs)
    with torch.no_grad():
        dist = pi(obs)
        act = dist.sample()
        logp = dist.log_prob(act)
    return Batch(obs, act, logp, 3 * torch.randn(n) + 2, 2 * torch.randn(n) + 1)


def moved(Batch, pi, obs, act, w, adv):
    """Steps whose ratio is w."""
    logp_old = pi(obs).log_prob(act).detach() - torch.as_tensor(w).log()
    return Batch(obs, act, logp_old, torch.as_tensor(adv), torch.randn(len(obs)))


def loss_of(m, Batch):
    """The learner's loss_pi; the batch is data, so nothing is differentiated by it."""

    def loss_pi(pi, b, clip, beta):
        out = m.loss_pi(pi, Batch(*(x.detach() for x in b)), clip, beta)
        if isinstance(out, tuple | list):  # a KL that is a plain number is as good
            return tuple(torch.tensor(x) if isinstance(x, float) else x for x in out)
        return out

    return loss_pi
