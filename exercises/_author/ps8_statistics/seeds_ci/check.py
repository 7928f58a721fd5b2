import numpy as np
import torch

from exercises.lab import Record, at_least, at_most, check, expect


def mean(x):
    return np.asarray(x).mean(-1)


def tensor(x):
    return torch.as_tensor(np.asarray(x, dtype=np.float64))


def same(label, array, before):
    return expect(f"{label} is as it was", bool(np.array_equal(array, before)), True)


@check("T1", "the interquartile mean of a few scores")
def few(m):
    for scores in (
        [4.0, 1.0, 3.0, 100.0],
        [6.0, 0.0, 3.0],
        [5.0],
        [2.0, 9.0],
        [7.0, -50.0, 2.0, 1.0, 4.0],
        [8.0, 1.0, 6.0, 2.0, 90.0, -3.0],
        [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0],
        [0, 5, 1, 1000, 2, -7, 3, 4],
    ):
        x = np.array(scores)
        yield Record(f"iqm of {scores}", tensor(m.iqm(x)))
        yield same("the array given", x, np.array(scores))


@check("T1", "the interquartile mean of arrays")
def arrays(m):
    rng = np.random.default_rng(0)
    for size in ((2, 5), (6, 3), (3, 2, 7), (4, 1), (5, 11)):
        yield Record(f"iqm of an array {size}", tensor(m.iqm(rng.normal(size=size) * 10)))


@check("T1", "the interval of a mean")
def of_mean(m):
    # The bounds are those of all n^n equally likely draws; the percentiles asked for are far from a
    # step of their distribution, so that it does not matter which draws come.
    for scores, level, low, high in (
        ([3.0, 3.0, 3.0], 0.95, 3.0, 3.0),
        ([0.0, 0.0, 1.0], 0.99, 0.0, 1.0),
        ([0.0, 0.0, 1.0], 0.8, 0.0, 2 / 3),
        ([0.0, 1.0, 0.0, 0.0, 0.0], 0.95, 0.0, 0.6),
        ([0.0, 1.0, 0.0, 0.0, 0.0], 0.8, 0.0, 0.4),
        ([0.0, -1.0, 0.0, 0.0, 0.0], 0.95, -0.6, 0.0),
    ):
        evals, rng = np.array(scores)[:, None], np.random.default_rng(1)
        found = m.interval([evals], mean, rng, level=level)
        yield from bounds(f"{level} interval of the mean of {scores}", found, low, high)
        yield same("the array given", evals, np.array(scores)[:, None])


@check("T1", "the interval of an interquartile mean")
def of_iqm(m):
    for level, low, high in ((0.6, 1.0, 5.5), (0.95, 0.0, 10.0)):
        evals, rng = np.array([[10.0], [0.0], [2.0], [1.0]]), np.random.default_rng(1)
        found = m.interval([evals], m.iqm, rng, draws=3000, level=level)
        yield from bounds(f"{level} interval of the iqm of 10, 0, 2, 1", found, low, high)


@check("T1", "several evaluations of each run")
def several(m):
    rng = np.random.default_rng(2)
    alike = np.array([[0.0, 9.0, 3.0], [4.0, 5.0, 3.0], [12.0, 0.0, 0.0], [1.0, 2.0, 9.0]])
    found = m.interval([alike], mean, rng)
    yield from bounds("interval of runs with the mean 4", found, 4.0, 4.0)
    evals = np.array([[5.0, -5.0], [1.0, -1.0], [0.0, 2.0], [-3.0, 3.0], [7.0, -7.0]])
    found = m.interval([evals], mean, rng)
    yield from bounds("interval of runs with the means 0, 0, 1, 0, 0", found, 0.0, 0.6)


@check("T1", "several tasks")
def tasks(m):
    rng = np.random.default_rng(3)
    levels = [np.zeros((2, 3)), np.full((6, 1), 100.0)]
    found = m.interval(levels, mean, rng)
    yield from bounds("interval of 2 runs of 0 and 6 of 100", found, 75.0, 75.0)
    mirrored = [np.array([[0.0], [1.0]]), np.array([[0.0], [-1.0]])]
    found = m.interval(mirrored, mean, rng)
    yield from bounds("interval of the runs 0, 1 and 0, -1", found, -0.5, 0.5)
    skewed = [np.array([[0.0], [1.0]]), np.array([[0.0, 0.0], [0.0, 0.0], [300.0, 300.0]])]
    found = m.interval(skewed, m.iqm, rng, level=0.87)
    yield from bounds("0.87 interval of the iqm of 0, 1 and 0, 0, 300", found, 0.0, 90.7)


def bounds(label, found, low, high):
    if np.size(found) != 2:
        yield expect(f"numbers in the {label}", int(np.size(found)), 2)
    yield expect(f"lower bound of the {label}", float(found[0]), low)
    yield expect(f"upper bound of the {label}", float(found[1]), high)


@check("T1", "the probability of improvement")
def better(m):
    for x, y in (
        ([1.0, 5.0], [0.0, 2.0, 3.0]),
        ([4.0], [3.0]),
        ([2.0, 2.0], [2.0, 2.0, 2.0]),
        ([1.0, 2.0, 9.0], [2.0, 1.0]),
        ([100.0, 0.0, 0.0], [1.0, 1.0]),
        ([-3.0, -1.0, 4.0, 4.0], [4.0, -2.0, 4.0]),
        ([0.0, 3.0, 5.0], [4.0, 2.0, 9.0]),
    ):
        got = m.improvement(np.array(x), np.array(y))
        yield Record(f"improvement of {x} over {y}", float(got))


@check("T2", "identities of the probability of improvement")
def order(m):
    rng = np.random.default_rng(4)
    x, y = rng.integers(0, 6, 7).astype(float), rng.integers(1, 8, 4).astype(float)
    one, two = float(m.improvement(x, y)), float(m.improvement(y, x))
    yield expect("X over Y and Y over X together", one + two, 1.0)
    scaled = float(m.improvement(np.exp(x), np.exp(y)))
    yield expect("improvement on another scale of the same order", scaled, one)


@check("T2", "the same draws give the same interval")
def repeated(m):
    evals = np.random.default_rng(5).normal(size=(6, 2))
    found = []
    for entropy in (7, 8):
        np.random.seed(entropy)
        pair = m.interval([evals], mean, np.random.default_rng(9), draws=50)
        found.append([float(v) for v in pair])
    says = "Something is drawn from elsewhere than rng."
    yield expect("interval with an equal rng", found[1], found[0], says=says)


@check("T2", "how often the interval holds the truth")
def coverage(m):
    # 200 experiments of 100 runs, whose true mean is 0. The set is one of which bootstraps with
    # many draws hold 95 %, so that the luck of the set does not decide.
    data = np.random.default_rng(13)
    experiments = data.normal(size=(200, 100, 1)) + 0.3 * data.normal(size=(200, 100, 4))
    rng, held = np.random.default_rng(6), 0
    for evals in experiments:
        low, high = m.interval([evals], mean, rng, draws=250)
        held += bool(low <= 0 <= high)
    yield at_least("share of 0.95 intervals that hold the true mean", held / 200, 0.93)
    yield at_most("share of 0.95 intervals that hold the true mean", held / 200, 0.97)
