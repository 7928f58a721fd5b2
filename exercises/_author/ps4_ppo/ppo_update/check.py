from types import SimpleNamespace

import torch

from exercises._author.ps4_ppo.parts import Adam, Gaussian, Softmax, sampled
from exercises.given import mlp
from exercises.lab import Record, Wrong, check, expect

FIELDS = ("obs", "act", "logp_old", "adv", "ret")
TOL = 1e-5  # clip_grad_norm_ adds 1e-6 to the norm; whoever scales by hand need not


def agent(pi, lr=0.02):
    v = mlp([pi.net[0].in_features, 4, 1])
    return SimpleNamespace(pi=pi, v=v, opt=Adam(lr, pi=pi, v=v))


def settings(**changed):
    usual = dict(passes=1, minibatch=64, clip=0.2, entropy=0.0, max_kl=1e9, max_norm=1e9)
    return SimpleNamespace(**usual | changed)


def data(m, a, n):
    return sampled(m.Batch, a.pi, torch.randn(n, a.pi.net[0].in_features))


def updated(m, a, b, cfg, case="update"):
    """One update, and how many steps it took, and all that these were made of."""
    kept = [x.clone() for x in b]
    a.opt.seen.clear()
    steps = m.update(a, b, cfg)
    if steps is None:
        raise Wrong("update returned None: it returns how many steps it took")
    yield Record(f"{case}: steps taken", len(a.opt.seen))
    for i, (grads, params) in enumerate(a.opt.seen, 1):
        yield Record(f"{case}: gradient in step {i}", grads, tol=TOL)
        yield Record(f"{case}: parameters after step {i}", params, tol=TOL)
    yield Record(f"{case}: steps returned", int(steps))
    now, old = dict(zip(FIELDS, b, strict=True)), dict(zip(FIELDS, kept, strict=True))
    yield expect("data afterwards", now, old, says="The data are not to be changed.")


@check("T2", "minibatches: rows stay together, and each is used once in a pass")
def rows(m):
    for n, size, passes in ((6, 2, 1), (10, 4, 3), (3, 8, 2)):
        row = torch.arange(n)
        numbers = [row.double() * k for k in (1.0, 2.0, 3.0)]
        b = m.Batch(torch.stack([row.double(), -row.double()], 1), row, *numbers)
        got = list(m.minibatches(b, settings(passes=passes, minibatch=size)))
        per_pass = -(-n // size)
        at = f"({n} rows, {size} at a time, passes = {passes})"
        yield expect(f"number of minibatches {at}", len(got), per_pass * passes)
        for i, part in enumerate(got):
            where = f"of minibatch {i + 1} {at}"
            last = n - size * (per_pass - 1)
            yield expect(f"rows {where}", len(part.obs), last if (i + 1) % per_pass == 0 else size)
            says = "The fields of one step have to go to the same place."
            yield expect(f"act {where}", part.act.double(), part.obs[:, 0], says=says)
            for k, name in enumerate(FIELDS[2:], 1):
                yield expect(f"{name} {where}", getattr(part, name), k * part.obs[:, 0], says=says)
        for i in range(passes):
            used = torch.cat([p.act for p in got[i * per_pass : (i + 1) * per_pass]])
            says = "Each row is used once in each pass."
            yield expect(f"rows used in pass {i + 1} {at}", used.sort().values, row, says=says)


@check("T2", "minibatches: the orders are those of torch.randperm, one for each pass")
def orders(m):
    row = torch.arange(7)
    b = m.Batch(torch.randn(7, 2), row, *torch.randn(3, 7))
    torch.manual_seed(3)
    want = torch.cat([torch.randperm(7) for _ in range(3)])
    torch.manual_seed(3)
    got = torch.cat([p.act for p in m.minibatches(b, settings(passes=3, minibatch=3))])
    yield expect("rows, in the order in which they come", got, want)


@check("T4", "update: a single step on all the data")
def single(m):
    a = agent(Softmax(3, 4))
    yield from updated(m, a, data(m, a, 9), settings(entropy=0.1))


@check("T4", "update: a single step on one row")
def one_row(m):
    a = agent(Softmax(2, 3))
    yield from updated(m, a, data(m, a, 1), settings())


@check("T4", "update: three passes in minibatches, each step of them")
def passes(m):
    a = agent(Softmax(3, 4))
    yield from updated(m, a, data(m, a, 11), settings(passes=3, minibatch=4))


@check("T4", "update: long gradients are cut, those of both networks as one")
def cut(m):
    for norm in (0.5, 3.0):
        torch.manual_seed(0)
        a = agent(Gaussian(3, 2))
        cfg = settings(passes=2, minibatch=3, max_norm=norm)
        yield from updated(m, a, data(m, a, 7), cfg, f"max_norm = {norm}")


@check("T4", "update: it ends once KL is above max_kl")
def stop(m):
    for max_kl in (0.001, 0.02, 0.1):
        torch.manual_seed(0)
        a = agent(Softmax(3, 4), lr=0.05)
        cfg = settings(passes=5, minibatch=5, max_kl=max_kl, max_norm=0.5)
        yield from updated(m, a, data(m, a, 13), cfg, f"max_kl = {max_kl}")


@check("T4", "update: parameters after 1, 2 and 20 updates")
def twenty(m):
    a = agent(Gaussian(3, 2), lr=0.003)
    cfg = settings(passes=1, minibatch=8, entropy=0.01, max_kl=0.03, max_norm=0.5)
    for i in range(1, 21):
        torch.manual_seed(i)  # whoever draws all orders at first draws more before a stop
        steps = m.update(a, data(m, a, 13), cfg)
        yield Record(f"steps of update {i}", int(steps))
        if i in (1, 2, 20):
            yield Record(f"parameters after update {i}", a.opt.now(), tol=TOL)
