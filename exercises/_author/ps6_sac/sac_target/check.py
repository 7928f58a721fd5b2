import torch
from torch import nn

from exercises.lab import Record, call, check, expect

ORDER = ("y", "val", "loss")  # as they arise


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


class Both(nn.Module):
    """The same two values in every row."""

    def __init__(self, one, two):
        super().__init__()
        self.values = nn.Parameter(torch.tensor([[one], [two]]))

    def forward(self, obs, act):
        return self.values.expand(2, len(obs))


class Sure(nn.Module):
    """Always the action 0.3, with this log-probability."""

    def __init__(self, logp):
        super().__init__()
        self.logp = nn.Parameter(torch.tensor(logp))

    def forward(self, obs):
        return torch.full((len(obs), 1), 0.3), self.logp.expand(len(obs))


def batch(m, B, obs_dim, act_dim, term):
    obs, next_obs = torch.randn(2, B, obs_dim)
    act = torch.rand(B, act_dim) * 2 - 1
    return m.Batch(obs, act, 2 * torch.randn(B), next_obs, torch.tensor(term))


def losses(m, obs_dim, act_dim, term, alpha, gamma):
    """y before the loss, and the gradients of the loss."""
    b = batch(m, len(term), obs_dim, act_dim, term)
    q, q_targ, pi = Twins(obs_dim, act_dim), Twins(obs_dim, act_dim), Policy(obs_dim, act_dim)
    args = q, q_targ, pi, torch.tensor(alpha), b, gamma
    found = list(call(m.loss_q, *args, names=("loss", "val", "y"), grads=("loss",)))
    yield from sorted(found[:3], key=lambda r: ORDER.index(r.label))
    yield from found[3:]
    says = "It is for the log, and whoever keeps it would keep all that led to it in memory."
    for name, value in zip(("val", "y"), m.loss_q(*args)[1:], strict=True):
        yield expect(f"{name} has a gradient", value.requires_grad, False, says=says)


@check("T1", "a batch of one in numbers")
def numbers(m):
    b = m.Batch(*torch.tensor([[[0.5]], [[-0.7]]]), torch.ones(1), torch.ones(1, 1), torch.zeros(1))
    for term, y in ((0.0, 3.25), (1.0, 1.0)):
        args = Both(4.0, 5.0), Both(3.0, 2.0), Sure(-1.0), torch.tensor(0.5)
        loss, val, got = m.loss_q(*args, b._replace(term=torch.tensor([term])), 0.9)
        case = f"r = 1, d = {term:.0f}, γ = 0.9, α = 0.5, log π = -1, Q̄ = 3 and 2, Q = 4 and 5"
        for label, value, want in (
            ("y", got, torch.tensor([y])),
            ("val", val, torch.tensor([[4.0], [5.0]])),
            ("loss", loss, torch.tensor((4 - y) ** 2 + (5 - y) ** 2)),
        ):
            yield Record(label, value, want, context=[f"loss_q with {case}"])


@check("T1", "a batch of one with one dimension, s' not terminal")
def one(m):
    yield from losses(m, 1, 1, [0.0], alpha=0.2, gamma=0.9)


@check("T1", "a batch of one, s' terminal")
def terminal(m):
    yield from losses(m, 2, 1, [1.0], alpha=0.2, gamma=0.9)


@check("T1", "five rows, some terminal")
def five(m):
    yield from losses(m, 3, 2, [0.0, 1.0, 0.0, 0.0, 1.0], alpha=1.7, gamma=0.97)


@check("T1", "two rows, as many as there are critics")
def square(m):
    yield from losses(m, 1, 3, [0.0, 0.0], alpha=0.5, gamma=0.8)


@check("T2", "what α adds; terminal states; critics that are right already")
def identities(m):
    b = batch(m, 6, 3, 2, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0])
    q, q_targ, pi = Twins(3, 2), Twins(3, 2), Policy(3, 2)

    def target(alpha, b):
        torch.manual_seed(5)  # the same actions each time
        return m.loss_q(q, q_targ, pi, torch.tensor(alpha), b, 0.9)[2].detach()

    torch.manual_seed(5)
    logp = pi(b.next_obs)[1].detach()
    bonus = target(0.5, b) - target(0.0, b)
    yield expect("y with α = 0.5 minus y with α = 0", bonus, -0.9 * 0.5 * (1 - b.term) * logp)
    ends = b._replace(term=torch.ones(6))
    yield expect("y if every s' is terminal", target(0.5, ends), b.rew)
    right = b._replace(rew=torch.full((6,), 2.0), term=torch.ones(6))
    loss = m.loss_q(Both(2.0, 2.0), q_targ, pi, torch.tensor(0.5), right, 0.9)[0]
    yield expect("L of critics that give y", loss, torch.tensor(0.0))
