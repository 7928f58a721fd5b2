import math

import torch

from exercises.lab import call, check, expect

BOTH = ("logp", "ent")


@check("T1", "two rows of three actions")
def two_rows(m):
    logits = torch.tensor([[1.0, 0.0, -1.0], [0.5, 2.0, 0.0]])
    yield from call(m.categorical, logits, torch.tensor([1, 0]), names=BOTH)


@check("T1", "one action only")
def smallest(m):
    yield from call(m.categorical, torch.tensor([[0.7]]), torch.tensor([0]), names=BOTH)


@check("T1", "six rows of four actions, each action taken")
def random(m):
    a = torch.tensor([0, 1, 2, 3, 3, 1])
    yield from call(m.categorical, 2 * torch.randn(6, 4), a, names=BOTH)


@check("T1", "logits of ±10 000")
def huge(m):
    logits = 1e4 * torch.tensor([[1.0, -1, 0], [-1, -1, -1], [1, 1, 1], [1, 1, -1], [-1, 0, 0]])
    yield from call(m.categorical, logits, torch.tensor([0, 2, 1, 1, 2]), names=BOTH)
    yield from call(m.categorical, logits[:1], torch.tensor([1]), names=BOTH)


@check("T1", "forbidden actions")
def forbidden(m):
    no = -torch.inf
    logits = torch.tensor([[0.5, no, 1.0, -0.3], [no, 2.0, 1.0, 0.0], [no, no, 0.4, no]])
    yield from call(m.categorical, logits, torch.tensor([2, 1, 2]), names=BOTH)


@check("T2", "a number added to all logits of a row changes nothing")
def shifted(m):
    logits, a = torch.randn(3, 5), torch.tensor([4, 0, 2])
    plain = m.categorical(logits, a)
    moved = m.categorical(logits + torch.tensor([[7.0], [-30.0], [500.0]]), a)
    yield expect("logp of shifted logits", moved[0], plain[0])
    yield expect("ent of shifted logits", moved[1], plain[1])


@check("T2", "probabilities sum to 1; the entropy is the mean of −logp")
def sums(m):
    z = torch.randn(1, 4)
    logp, ent = m.categorical(z.expand(4, 4), torch.arange(4))
    yield expect("sum of the probabilities", logp.exp().sum(), 1.0)
    yield expect("ent", ent, -(logp.exp() * logp).sum().expand(4))


@check("T2", "the entropy is log n where all n are alike, 0 where one is certain")
def extremes(m):
    ent = m.categorical(torch.tensor([[3.0, 3, 3, 3, 3]]), torch.tensor([1]))[1]
    yield expect("ent of five alike", ent, torch.tensor([math.log(5)]))
    ent = m.categorical(torch.tensor([[900.0, 0, 0]]), torch.tensor([0]))[1]
    yield expect("ent of a certain one", ent, torch.zeros(1))
