import numpy as np

from exercises._author.ps8_statistics import parts
from exercises.lab import Wrong, check, expect

FEW, MANY, LAST = 1, 40, 5
KEYS = ("guess", "effect", "interval", "seeds")
WAYS = (  # to compute something else
    "the effect is that of 1 pass minus that of 40: the other way round is asked for",
    "these numbers are those of the last epoch: its luck is in them",
    "these numbers are those of AverageTestEpRet, which the most likely action earns",
    "the interval is that of the runs (a standard deviation), not that of their mean",
    "the interval is one standard error to either side, which holds less than it says",
    "the interval is drawn from epochs as if each were a run: those of a run share its luck",
)


def settled(m):
    """The claim's own numbers: effect, low, high, seeds."""
    _, effect, low, high, seeds = parts.numbers(m, *KEYS)
    if low > high:
        raise Wrong("interval is [low, high], with the lower number first")
    return effect, low, high, seeds


def honest(m):
    """The runs with few passes and those with many, if nothing else is different."""
    settled(m)
    runs = parts.runs_of(m)
    parts.configured(runs, algo="vpg", env="CartPole-v1", lam=0, minibatch=1024, epochs=20)
    for run in runs:
        if run.cfg.get("passes") not in (FEW, MANY):
            raise Wrong(f"{run.name} has passes: {run.cfg.get('passes')}, neither {FEW} nor {MANY}")
    parts.alike(runs, "passes")
    return [[r for r in runs if r.cfg["passes"] == passes] for passes in (FEW, MANY)]


def counted(m):
    """The same, if there are enough seeds, and the same on both sides."""
    few, many = honest(m)
    seeds = parts.seeds_of(few, f"passes {FEW}"), parts.seeds_of(many, f"passes {MANY}")
    if seeds[0] != seeds[1]:
        raise Wrong("the two sides have different seeds: was one of them chosen by its result?")
    if settled(m)[3] != len(few):
        raise Wrong("seeds is the number of seeds on each side, and the runs have another number")
    return few, many


def logged(m):
    """The same, if their logs can be true."""
    few, many = counted(m)
    for run in few + many:
        parts.whole(run)
    parts.apart(few + many)
    return few, many


def scores(runs, column="AverageEpRet", last=LAST):
    """One number of each run."""
    return np.array([np.nanmean(r[column][-last:]) for r in runs])


def difference(few, many):
    """Effect, low and high, from a score of each run."""
    means = parts.drawn(many, 1) - parts.drawn(few, 0)
    return [float(np.mean(many) - np.mean(few)), *parts.between(means)]


def mistakes(few, many):
    """WAYS, and what a claim would say by each of them."""
    x, y = scores(few), scores(many)
    effect, low, high = difference(x, y)
    last = [scores(side, last=1) for side in (few, many)]
    test = [scores(side, "AverageTestEpRet") for side in (few, many)]
    std = float(np.hypot(x.std(ddof=1), y.std(ddof=1)))
    err = std / len(x) ** 0.5
    epochs = [np.concatenate([r["AverageEpRet"][-LAST:] for r in side]) for side in (few, many)]
    epochs = [side[~np.isnan(side)] for side in epochs]
    said = (
        [-effect, -high, -low],
        difference(*last),
        difference(*test),
        [effect, effect - std, effect + std],
        [effect, effect - err, effect + err],
        [effect, *difference(*epochs)[1:]],
    )
    return dict(zip(WAYS, said, strict=True))


@check("T7", "the claim is filled in")
def claim(m):
    settled(m)
    yield expect("guess, effect, interval and seeds", True, True)


@check("T7", "runs of vpg that differ in passes only")
def one_variable(m):
    honest(m)
    yield expect("runs", True, True)


@check("T7", "at least five seeds on each side, the same ones, none left out")
def seeds(m):
    counted(m)
    yield expect("seeds", True, True)


@check("T7", "logs of finished runs, as they were written")
def logs(m):
    logged(m)
    yield expect("logs", True, True)


@check("T7", "effect and interval, computed again from the logs")
def again(m):
    few, many = logged(m)
    want = difference(scores(few), scores(many))
    parts.told(settled(m)[:3], want, mistakes(few, many), "effect")
    yield expect("effect and interval", True, True)


@check("T7", "the interval does not hold 0")
def decided(m):
    few, many = logged(m)
    _, low, high = difference(scores(few), scores(many))
    if low <= 0 <= high:
        raise Wrong("the interval holds 0: these runs do not show that passes changes anything")
    yield expect("0 is outside", True, True)
