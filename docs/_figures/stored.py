"""Figures of runs that are stored in experiments/results. Nothing is smoothed."""

from pathlib import Path

import numpy as np
from _figures.panel import Panel, Points, nice

from rlcourse.utils.plot import RETURN, STEPS, TEST, curves

RESULTS = Path(__file__).parents[2] / "experiments/results"
opened: list[Path] = []  # what a figure has read, for Sphinx to see when it has to be drawn anew
LOOKS = {"vpg": "c1 dash", "ppo": "c0", "ddpg": "c1 dash", "td3": "c0", "sac": "c2 dot"}
Runs = dict[str, list[dict[str, np.ndarray]]]


def read(name: str) -> Runs:
    """The columns of all runs below experiments/results/NAME, by algorithm."""
    opened.extend((RESULTS / name).rglob("progress.csv"))
    found = curves([RESULTS / name])
    return {key.partition("_")[0]: [run.columns for run in runs] for key, runs in found.items()}


def seeds(runs: Runs, column: str, ylabel: str, y: tuple[float, float]) -> Panel:
    """A thin line for each seed, and their mean where all of them have a value."""
    last = max(run[STEPS][-1] for group in runs.values() for run in group)
    ticks = [(at, f"{at / 1000:g}k" if at else "0") for at in nice(0, last, 5)]
    panel = Panel((0, last), y, "environment steps", ylabel, xticks=ticks)
    for algo, group in runs.items():
        rows = np.array([run[column] for run in group])
        x, look = group[0][STEPS], LOOKS[algo]
        for values in rows:  # NaN where no episode has ended, or nothing was evaluated
            panel.add(known(x, values), f"{look[:2]} thin")
        text = f"{algo.upper()}, mean of {len(rows)} seeds"
        panel.add(known(x, rows.mean(0)), f"{look} mean", text)
        if column == TEST:
            panel.add(known(x, rows.mean(0)), look[:2], kind="dots")
    return panel


def known(x: np.ndarray, y: np.ndarray) -> Points:
    fine = ~np.isnan(y)
    return zip(x[fine].tolist(), y[fine].tolist(), strict=True)


def results_cartpole() -> list[Panel]:
    runs = read("cartpole")
    return [
        seeds(runs, RETURN, "return of an episode, training", (0, 500)),
        seeds(runs, TEST, "return of an episode, evaluation", (0, 500)),
    ]


def results_pendulum() -> list[Panel]:
    runs = read("pendulum")
    return [
        seeds(runs, RETURN, "return of an episode, training", (-1800, 0)),
        seeds(runs, TEST, "return of an episode, evaluation", (-1800, 0)),
    ]


def results_walker2d() -> list[Panel]:
    runs = read("walker2d")
    top = [max(np.nanmax(r[c]) for g in runs.values() for r in g) for c in (TEST, "QVals")]
    return [
        seeds(runs, TEST, "return of an episode, evaluation", (0, float(top[0]))),
        seeds(runs, "QVals", "QVals: what the critics believe", (0, float(top[1]))),
    ]
