import torch
from torch import nn

from exercises.given import mlp
from exercises.lab import Wrong, call, check, expect


class Value(nn.Module):
    """Q as the losses expect it: (B,)."""

    def __init__(self, obs_dim, act_dim, hidden=3):
        super().__init__()
        self.net = mlp([obs_dim + act_dim, hidden, 1])

    def forward(self, obs, act):
        return self.net(torch.cat([obs, act], dim=-1)).squeeze(-1)


class Policy(nn.Module):
    def __init__(self, obs_dim, act_dim, hidden=4):
        super().__init__()
        self.net = mlp([obs_dim, hidden, act_dim])

    def forward(self, obs):
        return self.net(obs).tanh()


def batch(m, B, obs_dim, act_dim, term=None):
    term = (torch.rand(B) < 0.5).double() if term is None else torch.tensor(term)
    obs, next_obs = torch.randn(2, B, obs_dim)
    return m.Batch(obs, torch.rand(B, act_dim) * 2 - 1, torch.randn(B), next_obs, term)


def critic(m, b, gamma):
    dims = b.obs.shape[-1], b.act.shape[-1]
    q, q_targ, pi_targ = Value(*dims), Value(*dims), Policy(*dims)
    args, names = (q, q_targ, pi_targ, b, gamma), ("loss", "val", "y")
    found = list(call(m.loss_q, *args, names=names, grads=("loss",)))
    yield from reversed(found[:3])  # as they arise
    yield from found[3:]
    says = "It is for the log, and whoever keeps it would keep all that led to it in memory"
    for name, value in zip(names[1:], m.loss_q(*args)[1:], strict=True):
        yield expect(f"{name} has a gradient", value.requires_grad, False, says=says)


def policy(m, b):
    """loss_pi with all but the gradient of q, which may be switched off on the way."""
    q, pi = Value(b.obs.shape[-1], b.act.shape[-1]), Policy(b.obs.shape[-1], b.act.shape[-1])
    before = [p.detach().clone() for p in q.parameters()]

    def loss_pi(pi, b):
        return m.loss_pi(q, pi, b)

    yield from call(loss_pi, pi, b, names=("loss", "act"))
    says = "q is frozen afterwards, and its own loss can move it no more"
    yield expect("q can learn", [p.requires_grad for p in q.parameters()], [True] * 4, says=says)
    says = "q was given a gradient, which the next step of q would take as its own"
    grads = [p.grad is not None for p in q.parameters()]
    yield expect("q has a gradient", grads, [False] * 4, says=says)
    if any(not torch.equal(p, old) for p, old in zip(q.parameters(), before, strict=True)):
        raise Wrong("loss_pi changed the parameters of q: it computes a loss and steps nothing")


def forward(q, obs, act):
    return q(obs, act)


@check("T1", "Q of one row and of five")
def joined(m):
    for B, obs_dim, act_dim in ((1, 1, 1), (5, 3, 2), (1, 2, 4)):
        torch.manual_seed(B)
        q = m.Q(obs_dim, act_dim, 3)
        obs, act = torch.randn(B, obs_dim), torch.randn(B, act_dim)
        yield from call(forward, q, obs, act, names=("Q(s, a)",))


@check("T1", "L of one transition in one dimension")
def smallest_q(m):
    for term in (0.0, 1.0):
        yield from critic(m, batch(m, 1, 1, 1, [term]), 0.9)


@check("T1", "L of seven transitions, some of them terminal")
def random_q(m):
    yield from critic(m, batch(m, 7, 3, 2), 0.97)
    yield from critic(m, batch(m, 4, 2, 5, [1.0, 0.0, 0.0, 1.0]), 0.5)


@check("T1", "L with large rewards, with γ = 0 and γ = 1")
def extreme_q(m):
    b = batch(m, 3, 2, 1, [0.0, 1.0, 0.0])
    yield from critic(m, b._replace(rew=torch.tensor([-1e3, 250.0, 0.0])), 0.9)
    for gamma in (0.0, 1.0):
        yield from critic(m, b, gamma)


@check("T1", "−J of one state in one dimension, then of six")
def smallest_pi(m):
    yield from policy(m, batch(m, 1, 1, 1))
    yield from policy(m, batch(m, 6, 3, 2))


class Hill(nn.Module):
    """Q(s, a) = −(a − top)², for all states alike."""

    def __init__(self):
        super().__init__()
        self.top = nn.Parameter(torch.tensor(0.5))

    def forward(self, obs, act):
        return -((act.squeeze(-1) - self.top) ** 2)


@check("T2", "a Q that is right has no loss; π follows the slope of Q")
def known(m):
    b, q, pi = batch(m, 6, 2, 1, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]), Hill(), Policy(2, 1)
    with torch.no_grad():
        b = b._replace(rew=q(b.obs, b.act) - 0.9 * (1 - b.term) * q(b.next_obs, pi(b.next_obs)))
    yield expect("L where Q(s, a) = y in every row", m.loss_q(q, q, pi, b, 0.9)[0], torch.zeros(()))
    params = list(pi.parameters())
    want = torch.autograd.grad(((pi(b.obs) - 0.5) ** 2).mean(), params)
    got = torch.autograd.grad(m.loss_pi(q, pi, b)[0], params)
    yield expect("gradient of mean (π(s) − 0.5)²", list(got), list(want))
