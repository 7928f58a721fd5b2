import json
from pathlib import Path

import numpy as np

from exercises._author.ps8_statistics import parts
from exercises.lab import Wrong, check, expect

ROW = json.loads(Path(__file__).with_name("row.json").read_text(encoding="utf-8"))
PACKAGES = ("torch", "gymnasium")
WAYS = (  # to compute something else
    "these are the numbers of the published row: the claim is about your own runs",
    "these numbers are those of AverageEpRet, the return of training, with random actions in it",
    "these numbers are those of each run's best evaluation: a maximum is luck that was picked",
    "the interval is that of the runs (a standard deviation), not that of their mean",
    "the interval is one standard error to either side, which holds less than it says",
    "the interval goes from the lowest to the highest run, which grows with more of them",
)


def settled(m):
    """The claim's own numbers: mean, low, high."""
    found = parts.numbers(m, "mean", "interval")
    if found[1] > found[2]:
        raise Wrong("interval is [low, high], with the lower number first")
    for package in PACKAGES:
        said = getattr(m, package, None)
        if not isinstance(said, str) or said in ("", "?"):
            raise Wrong(f'{package} is the version that the runs were made with, such as "1.2.3"')
    return found


def honest(m):
    """The runs, if they were trained as the row was."""
    settled(m)
    runs = parts.runs_of(m)
    for run in runs:
        wanted = {k: v for k, v in ROW["config"].items() if k not in parts.SPREAD}
        parts.configured([run], **wanted)
    parts.alike(runs)
    for package in PACKAGES:
        mine, theirs = getattr(m, package), str(parts.versions(runs[0]).get(package))
        if mine not in (theirs, theirs.partition("+")[0]):  # 2.1.0+cpu is 2.1.0 as well
            raise Wrong(f"the runs were made with another {package} than the claim says")
    return runs


def counted(m):
    """The same, if there are enough seeds, and others than those of the row."""
    runs = honest(m)
    known = {str(seed) for seed in ROW["seeds"]}
    for run in runs:
        if str(run.seed) in known:
            raise Wrong(f"seed {run.seed} is one of the row's: that repeats a run, not a result")
    parts.seeds_of(runs)
    return runs


def logged(m):
    """The same, if their logs can be true."""
    runs = counted(m)
    for run in runs:
        parts.whole(run)
        for total in run["AverageTestEpRet"] * run.cfg["eval_episodes"]:
            if not abs(total - np.round(total)) < 1e-2:  # nor if it is empty
                raise Wrong(f"{run.name}: no {run.cfg['eval_episodes']} episodes have this mean")
    parts.apart(runs)
    return runs


def mean(scores):
    """A mean and its interval."""
    return [float(np.mean(scores)), *parts.between(parts.drawn(scores))]


def mistakes(runs):
    """WAYS, and what a claim would say by each of them."""
    test = [run["AverageTestEpRet"] for run in runs]
    scores = [column[-1] for column in test]
    said = (
        mean(ROW["scores"]),
        mean([run["AverageEpRet"][-1] for run in runs]),
        mean([column.max() for column in test]),
        parts.around(scores),
        parts.around(scores, len(scores) ** -0.5),
        [float(np.mean(scores)), min(scores), max(scores)],
    )
    return scores, dict(zip(WAYS, said, strict=True))


@check("T7", "the claim is filled in")
def claim(m):
    settled(m)
    yield expect("mean, interval and versions", True, True)


@check("T7", "runs with the settings of the row")
def settings(m):
    honest(m)
    yield expect("runs", True, True)


@check("T7", "at least five seeds, none of the row's, none left out")
def seeds(m):
    counted(m)
    yield expect("seeds", True, True)


@check("T7", "logs of finished runs, as they were written")
def logs(m):
    logged(m)
    yield expect("logs", True, True)


@check("T7", "mean and interval, computed again from the logs")
def again(m):
    scores, known = mistakes(logged(m))
    parts.told(settled(m), mean(scores), known)
    yield expect("mean and interval", True, True)


@check("T7", "the interval meets that of the row")
def met(m):
    scores, _ = mistakes(logged(m))
    _, low, high = mean(scores)
    _, least, most = mean(ROW["scores"])
    if high < least or low > most:
        side = "below" if high < least else "above"
        raise Wrong(f"your interval lies {side} the row's: the runs do not reproduce it")
    yield expect("they overlap", True, True)
