from itertools import product

import torch

from exercises.lab import call, check, expect

S, A, T = 2, 2, 3  # states, actions, steps of an episode


def world():
    """A random start, random moves and rewards, and a policy: p(s), P(s'|s,a), r(s,a), θ."""
    start, move = torch.rand(S) + 0.1, torch.rand(S, A, S) + 0.1
    theta = torch.randn(S, A, requires_grad=True)
    return start / start.sum(), move / move.sum(-1, keepdim=True), torch.randn(S, A), theta


def gradient_of_return(start, move, rew, theta):
    """∇U by dynamic programming, with no sample and no log-derivative."""
    value = torch.zeros(S)
    for _ in range(T):
        value = (theta.softmax(-1) * (rew + move @ value)).sum(-1)
    return torch.autograd.grad(start @ value, theta)[0]


def trajectories(start, move, rew, theta):
    """All of them: probability, states, actions and rewards of each."""
    pi = theta.detach().softmax(-1)
    for states in product(range(S), repeat=T):
        for acts in product(range(A), repeat=T):
            p = start[states[0]]
            for t, (s, a) in enumerate(zip(states, acts, strict=True)):
                p = p * pi[s, a] * (move[s, a, states[t + 1]] if t + 1 < T else 1)
            yield p, list(states), list(acts), rew[list(states), list(acts)]


@check("T1", "a batch of one")
def one(m):
    yield from call(
        m.pg_loss, logp=torch.tensor([-0.5]), weight=torch.tensor([2.0]), names=("loss",)
    )


@check("T1", "three steps: good, bad and neither")
def three(m):
    logp, weight = torch.tensor([[-0.1, -1.2, -2.0], [1.5, -0.5, 0.0]])
    yield from call(m.pg_loss, logp=logp, weight=weight, names=("loss",))


@check("T1", "bad steps only")
def bad(m):
    logp, weight = torch.tensor([[-0.3, -0.9], [-1.0, -4.0]])
    yield from call(m.pg_loss, logp=logp, weight=weight, names=("loss",))


@check("T1", "seven steps, unlikely actions, densities above 1, large weights")
def large(m):
    logp = torch.tensor([-800.0, -30.0, -0.01, 0.0, 1.3, -2.0, -5.0])
    weight = torch.tensor([1.0, -2e4, 300.0, 7.0, -0.5, 1e4, -3.0])
    yield from call(m.pg_loss, logp=logp, weight=weight, names=("loss",))


@check("T2", "the mean over all trajectories of a small world is the exact gradient")
def exact(m):
    start, move, rew, theta = w = world()
    want = gradient_of_return(*w)
    for name in ("the whole return", "the reward to go"):
        mean = torch.zeros(S, A)
        for p, states, acts, r in trajectories(*w):
            whole = r.sum().expand(T)
            weight = whole if name == "the whole return" else whole - r.cumsum(0) + r
            logp = theta.log_softmax(-1)[states, acts]
            mean -= T * p * torch.autograd.grad(m.pg_loss(logp, weight), theta)[0]
        yield expect(f"T · E[−∇loss] with {name} as weight", mean, want)
