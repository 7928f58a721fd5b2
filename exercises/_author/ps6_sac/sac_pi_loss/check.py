from math import log, pi

import torch
from torch import nn

from exercises.lab import Record, call, check, expect

ORDER = ("act", "logp", "loss")  # as they arise


class Twins(nn.Module):
    """Two critics with a hidden layer each."""

    def __init__(self, obs_dim, act_dim):
        super().__init__()
        self.w = nn.Parameter(torch.randn(2, obs_dim + act_dim, 4))
        self.v = nn.Parameter(3 * torch.randn(2, 4, 1))

    def forward(self, obs, act):
        return (torch.tanh(torch.cat([obs, act], -1) @ self.w) @ self.v).squeeze(-1)


class Policy(nn.Module):
    """A squashed normal."""

    def __init__(self, obs_dim, act_dim):
        super().__init__()
        self.mu = nn.Parameter(torch.randn(obs_dim, act_dim))
        self.log_std = nn.Parameter(torch.linspace(-1, 0.5, act_dim))

    def forward(self, obs):
        noise = torch.randn(len(obs), len(self.log_std))
        act = torch.tanh(obs @ self.mu + self.log_std.exp() * noise)
        logp = -0.5 * noise**2 - self.log_std - 0.92 - torch.log(1.001 - act**2)
        return act, logp.sum(-1)


class Coin(nn.Module):
    """A normal whose noise is 1 in even rows and -1 in odd ones: exact moments."""

    def __init__(self, mu, std):
        super().__init__()
        self.mu, self.log_std = nn.Parameter(torch.tensor(mu)), nn.Parameter(torch.tensor(log(std)))

    def forward(self, obs):
        noise = 1.0 - 2 * (torch.arange(len(obs)) % 2)
        act = self.mu + self.log_std.exp() * noise
        return act[:, None], -0.5 * noise**2 - self.log_std - 0.5 * log(2 * pi)


class Peak(nn.Module):
    """Q_1 = -(a - 0.7)², and Q_2 is greater by 1."""

    def __init__(self):
        super().__init__()
        self.height = nn.Parameter(torch.tensor([[0.0], [1.0]]))

    def forward(self, obs, act):
        return self.height - (act[:, 0] - 0.7) ** 2


def batch(m, B, obs_dim, act_dim):
    obs, next_obs = torch.randn(2, B, obs_dim)
    act = torch.rand(B, act_dim) * 2 - 1
    return m.Batch(obs, act, torch.randn(B), next_obs, (torch.arange(B) % 2).double())


def losses(m, B, obs_dim, act_dim, alpha):
    """The loss, what it is made of, and the gradient with respect to the policy's parameters."""
    q, policy, b = Twins(obs_dim, act_dim), Policy(obs_dim, act_dim), batch(m, B, obs_dim, act_dim)
    args = q, policy, torch.tensor(alpha), b
    found = list(call(m.loss_pi, *args, names=("loss", "act", "logp"), grads=("loss",)))
    yield from sorted(found[:3], key=lambda r: ORDER.index(r.label))
    yield from (r for r in found[3:] if " pi." in r.label)
    says = "Whoever uses it afterwards would send a gradient into π, or keep its graph in memory."
    for name, value in zip(("act", "logp"), m.loss_pi(*args)[1:], strict=True):
        yield expect(f"{name} has a gradient", value.requires_grad, False, says=says)


@check("T1", "two rows in numbers")
def numbers(m):
    b = batch(m, 2, 1, 1)
    loss, act, logp = m.loss_pi(Peak(), Coin(0.7, 1.0), torch.tensor(0.5), b)
    context = ["loss_pi with α = 0.5, Q = -1 and 0 for both actions, log π = -1.4189 for both"]
    for label, value, want in (
        ("act", act, torch.tensor([[1.7], [-0.3]])),
        ("logp", logp, torch.full((2,), -0.5 - 0.5 * log(2 * pi))),
        ("loss", loss, torch.tensor(1.0 + 0.5 * (-0.5 - 0.5 * log(2 * pi)))),
    ):
        yield Record(label, value, want, context=context)


@check("T1", "a batch of one with one dimension")
def one(m):
    yield from losses(m, 1, 1, 1, alpha=0.2)


@check("T1", "five rows, α = 1.7")
def five(m):
    yield from losses(m, 5, 3, 2, alpha=1.7)


@check("T1", "six rows, α = 0")
def greedy(m):
    yield from losses(m, 6, 2, 3, alpha=0.0)


@check("T1", "the critics learn from their own loss afterwards")
def untouched(m):
    q, policy, b = Twins(3, 2), Policy(3, 2), batch(m, 4, 3, 2)
    m.loss_pi(q, policy, torch.tensor(0.3), b)
    yield expect(
        "requires_grad of the critics' parameters afterwards",
        [p.requires_grad for p in q.parameters()],
        [True, True],
        says="The critics are left frozen: their own loss can no longer be differentiated.",
    )


@check("T2", "the best normal under -(a - 0.7)² has the mean 0.7 and the variance α/2")
def best(m):
    b = batch(m, 8, 3, 1)
    for mu, std, alpha in ((0.0, 1.0, 0.5), (0.7, 0.5, 0.5), (0.7, 0.1, 0.02), (1.0, 0.3, 2.0)):
        policy = Coin(mu, std)
        loss = m.loss_pi(Peak(), policy, torch.tensor(alpha), b)[0]
        entropy = 0.5 + log(std) + 0.5 * log(2 * pi)
        want = (mu - 0.7) ** 2 + std**2 - alpha * entropy
        case = f"for mean {mu}, deviation {std}, α = {alpha}"
        yield expect(f"loss {case}", loss, torch.tensor(want))
        grads = torch.autograd.grad(loss, list(policy.parameters()), allow_unused=True)
        slopes = [0.0 if g is None else g.item() for g in grads]
        yield expect(f"slope in the mean {case}", slopes[0], 2 * (mu - 0.7))
        yield expect(f"slope in log σ {case}", slopes[1], 2 * std**2 - alpha)
