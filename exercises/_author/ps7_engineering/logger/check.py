import math
from dataclasses import is_dataclass
from types import ModuleType

import numpy as np
import torch

from exercises.lab import Record, call, check, expect

CELLS = ("Average", "Std", "Max", "Min")


def parts(label, s):
    """The five numbers of a Stats, a record each."""
    for name, value in zip(("count", "mean", "dev", "low", "high"), s, strict=True):
        yield Record(f"{name} of {label}", value)


def cell(row, name):
    """A number of a row; a word where that is nan, which does not even equal itself."""
    value = row.get(name, "missing")
    return "nan" if value != value else value


def names(label, row, *columns):
    """The names that a row lacks and those that it has too many; no cells are compared."""
    want, got = {kind + c for c in columns for kind in CELLS}, set(row)
    lacks, more = (", ".join(sorted(s)) or "none" for s in (want - got, got - want))
    yield expect(f"names that are missing {label}", lacks, "none")
    yield expect(f"names of other columns {label}", more, "none")


def cells(label, row, *columns):
    for column in columns:
        for kind in CELLS:
            yield Record(f"{kind}{column} {label}", cell(row, kind + column))


@check("T1", "the numbers of one batch")
def one(m):
    yield from parts("[2, 5, 11]", m.stats([2.0, 5.0, 11.0]))
    yield from parts("a (2, 3) tensor", m.stats(torch.tensor([[1.0, -4, 2], [0, 8, -1]])))
    yield from parts("the number 3", m.stats(3))
    yield from parts("a tensor of no dimension", m.stats(torch.tensor(-2.5)))
    yield from parts("whole numbers", m.stats(torch.tensor([7, 2, 2, 9])))
    yield from parts("flags", m.stats(torch.tensor([True, False, False, True, True])))
    yield from parts("an empty list", m.stats([]))
    yield from parts("an empty tensor", m.stats(torch.zeros(0, 2)))


@check("T1", "two batches of unequal size")
def two(m):
    S = m.Stats
    yield from parts("2 and 1 numbers", m.merge(S(2, 3.0, 2.0, 2.0, 4.0), S(1, 6.0, 0.0, 6.0, 6.0)))
    yield from parts("1 and 3", m.merge(S(1, -9.0, 0.0, -9.0, -9.0), S(3, 1.0, 6.0, -1.0, 3.0)))
    yield from parts("an empty batch and 2", m.merge(S(), S(2, 3.0, 2.0, 2.0, 4.0)))
    yield from parts("2 and an empty batch", m.merge(S(2, 3.0, 2.0, 2.0, 4.0), S()))
    yield from parts("two empty batches", m.merge(S(), S()))


@check("T1", "a row of three columns")
def row(m):
    log = m.Logger()
    log.store(EpRet=[21.0, 9.0, 30.0], LossPi=torch.tensor(0.25), EpLen=torch.zeros(0).long())
    log.store(EpRet=50.0)
    log.store(EpRet=torch.tensor([[-2.0, 4.0]]), LossPi=-1.5)
    first = log.summary()
    yield from cells("after three stores", first, "EpRet", "LossPi")
    yield from cells("of a column that got nothing", first, "EpLen")
    yield from names("in the row", first, "EpRet", "LossPi", "EpLen")
    log.store(EpRet=[1.0, 2.0])
    second = log.summary()
    yield from cells("in the epoch after", second, "EpRet")
    yield from names("in the row of the epoch after", second, "EpRet")
    yield expect("the row when nothing was stored", log.summary(), {})


@check("T1", "explained variance")
def variance(m):
    target = torch.tensor([1.0, 4.0, -2.0, 5.0, 0.0])
    for label, predicted in (
        ("half of the target", 0.5 * target),
        ("the target", target),
        ("the target and 3", target + 3),
        ("a constant", torch.full((5,), 2.0)),
        ("noise", 4 * torch.randn(5)),
        ("the opposite", -target),
    ):
        names = (f"explained, if V is {label}",)
        yield from call(m.explained, predicted, target, names=names, grads=())
    flat = torch.full((4,), 7.0)
    yield from call(m.explained, flat + 1, flat, names=("explained, if all are alike",), grads=())
    yield from call(
        m.explained, torch.ones(1), torch.zeros(1), names=("explained of one",), grads=()
    )


@check("T2", "batches together equal all numbers at once")
def together(m):
    x = torch.randn(303) * 3 - 5
    for sizes in ([3, 300], [300, 3], [1] * 20 + [283], [101, 0, 101, 101]):
        log = m.Logger()
        for part in x.split(sizes):
            log.store(EpRet=part)
        want = x.mean(), x.std(correction=0), x.max(), x.min()
        got = log.summary()
        for kind, value in zip(CELLS, want, strict=True):
            label = f"{kind} of batches of {sizes if len(sizes) < 5 else '1, 1, 1, ...'}"
            yield expect(label, cell(got, f"{kind}EpRet"), value.item())


@check("T2", "returns near ten million")
def large(m):
    torch.set_default_dtype(torch.float32)  # torch's own, to which it rounds Python's floats
    x = [1e7 + 0.25 * k for k in (0, 3, 1, 1, 2, 7)]
    for label, batches in (("at once", [x]), ("one by one", x)):
        log = m.Logger()
        for part in batches:
            log.store(EpRet=part)
        row = log.summary()
        mean = cell(row, "AverageEpRet")
        over = mean - 1e7 if isinstance(mean, float | torch.Tensor) else mean
        yield expect(f"Average less 1e7, {label}", over, 0.25 * 14 / 6)
        std = 0.25 * (64 / 6 - (14 / 6) ** 2) ** 0.5
        yield expect(f"Std, {label}", cell(row, "StdEpRet"), std)


@check("T2", "a nan is seen, in its own column only")
def bad(m):
    log = m.Logger()
    log.store(LossV=[1.0, float("nan"), 2.0], EpRet=[3.0, 5.0])
    log.store(LossV=4.0, EpRet=7.0)
    row = log.summary()
    yield expect("the average of LossV is nan", math.isnan(row["AverageLossV"]), True)
    yield from cells("beside a nan", row, "EpRet")


@check("T2", "memory and graphs")
def memory(m):
    net, log, sizes = torch.nn.Linear(3, 2), m.Logger(), []
    for i in range(120):
        loss = (net(torch.ones(4, 3)) ** 2).mean()
        log.store(LossV=loss, QVals=loss * torch.ones(5), EpRet=[1.0, float(i)])
        if i in (20, 119):
            sizes.append(held(vars(log)))
    says = "The logger keeps tensors that hang on the graph of the loss: all of it stays in memory."
    yield expect("tensors with a graph that are kept", sizes[1][1], 0, says=says)
    says = "What is kept grows with every store. The five numbers of Stats are enough."
    grown = sizes[1][0] > sizes[0][0] + 500
    yield expect("more bytes are kept after 120 stores than after 20", grown, False, says=says)


def held(x):
    """About how many bytes a value holds, and how many of its tensors need a gradient."""
    if isinstance(x, torch.Tensor):
        return x.untyped_storage().nbytes() + 64, int(x.requires_grad)
    if isinstance(x, np.ndarray):
        return x.nbytes + 64, 0
    if callable(x) or isinstance(x, ModuleType):
        return 8, 0
    if isinstance(x, dict):
        inner = [*x.values()]
    elif isinstance(x, list | tuple | set) or hasattr(x, "popleft"):
        inner = [*x]
    elif is_dataclass(x) or hasattr(x, "__dict__"):
        inner = [*vars(x).values()]
    else:
        return 8, 0
    sizes = [held(v) for v in inner]
    return 8 + sum(s for s, _ in sizes), sum(g for _, g in sizes)
