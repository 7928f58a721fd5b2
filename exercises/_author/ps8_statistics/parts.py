"""What the checks of this set share: runs read from their folders, and what must be true of them.

Every complaint is a Wrong that names the run, because no other words can be known before somebody
else's runs are there.
"""

import csv
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import yaml

from exercises.course import ROOT
from exercises.lab import Wrong
from rlcourse.utils.config import Settings

SPREAD = {"seed", "exp_name", "data_dir", "save_every", "mpi_timeout", "about"}  # may differ
DRAWS = 20_000
NEEDED = 5  # seeds
SHARE, ROUNDED = 0.05, 0.05  # by so much of the interval's width and by rounding a claim may be off


class Run:
    """One run's folder: its configuration, and the columns of its log as arrays, nan if empty."""

    def __init__(self, name):
        self.name = name.rstrip("/").rpartition("/")[2] or name
        folder = Path(name) if Path(name).is_absolute() else ROOT / name
        self.place = folder.resolve()
        self.cfg = self._config(folder / "config.yaml")
        self.rows = self._log(folder / "progress.csv")

    def _config(self, path):
        try:
            cfg = yaml.safe_load(self._read(path))
        except yaml.YAMLError:
            raise Wrong(f"{self.name}: config.yaml is not YAML") from None
        numbers = ("seed", "epochs", "num_envs", "horizon")
        if not isinstance(cfg, dict) or not all(type(cfg.get(n)) is int for n in numbers):
            raise Wrong(f"{self.name}: config.yaml is not that of a run")
        return asdict(Settings()) | cfg  # it may be older than a setting

    def _log(self, path):
        rows = list(csv.DictReader(self._read(path).splitlines()))
        try:
            columns = rows[0].keys() if rows else []
            return {c: np.array([float(r[c] or "nan") for r in rows]) for c in columns}
        except (TypeError, ValueError):
            raise Wrong(f"{self.name}: progress.csv has a cell that is no number") from None

    def _read(self, path):
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise Wrong(f"{self.name} is no folder of a run: no {path.name} was read") from None

    def __getitem__(self, column):
        if column not in self.rows:
            raise Wrong(f"{self.name}: progress.csv has no column {column}")
        return self.rows[column]

    @property
    def seed(self):
        return self.cfg["seed"]


# ---- the runs of a claim


def runs_of(m):
    """The runs that a claim names; they are read once."""
    if not hasattr(m, "read_runs"):
        m.read_runs = _runs_of(m)
    return m.read_runs


def _runs_of(m):
    names = getattr(m, "runs", None)
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise Wrong("runs is a list of folders: `python -m exercises submit` writes it")
    if not names:
        raise Wrong("runs is empty: train, then `python -m exercises submit` writes the folders in")
    found = [Run(n) for n in names]
    for i, run in enumerate(found):
        if run.place in [other.place for other in found[:i]]:
            raise Wrong(f"{run.name} is named twice: a run counts once")
    return found


def configured(runs, **wanted):
    """Each run has these settings."""
    for run in runs:
        for field, value in wanted.items():
            have = run.cfg.get(field)
            if have != value:
                raise Wrong(f"{run.name} has {field}: {have}, but {value} is asked for")


def alike(runs, *varied):
    """The runs differ in these fields only, and in what does not change the numbers."""
    first = runs[0]
    for run in runs:
        for field in sorted((set(first.cfg) | set(run.cfg)) - SPREAD - set(varied)):
            one, other = first.cfg.get(field), run.cfg.get(field)
            if one != other:
                pair = f"{first.name} has {field}: {one}, {run.name} has {field}: {other}"
                raise Wrong(f"{pair}. Then a difference has two explanations")
    for run in runs:
        if not versions(run):
            raise Wrong(f"{run.name}: config.yaml does not say with which versions it was made")
        if versions(run) != versions(first):
            raise Wrong(f"{first.name} and {run.name} were made with different versions")


def versions(run):
    about = run.cfg.get("about")
    found = about.get("versions") if isinstance(about, dict) else None
    return found if isinstance(found, dict) else {}


def seeds_of(runs, side=""):
    """The seeds, sorted: enough of them, none twice, none left out between two."""
    behind = f" with {side}" if side else ""
    found = sorted(run.seed for run in runs)
    if len(set(found)) < len(found):
        raise Wrong(f"two of the runs{behind} have the same seed: they are the same run")
    if len(found) < NEEDED:
        raise Wrong(f"there are {len(found)} runs{behind}, but at least {NEEDED} are needed")
    if found[-1] - found[0] != len(found) - 1:
        gone = sorted(set(range(found[0], found[-1])) - set(found))
        raise Wrong(f"of the runs{behind} seed {gone[0]} is missing: what came of it?")
    return found


def whole(run):
    """The log of a finished run, as it was written."""
    epochs, cfg = run["Epoch"], run.cfg
    if len(epochs) < cfg["epochs"]:
        raise Wrong(f"{run.name} has {len(epochs)} of {cfg['epochs']} epochs: it is not finished")
    steps = epochs * cfg["num_envs"] * cfg["horizon"]
    right = np.arange(1, cfg["epochs"] + 1)
    if not np.array_equal(epochs, right) or not np.array_equal(steps, run["TotalEnvInteracts"]):
        raise Wrong(f"{run.name}: Epoch and TotalEnvInteracts do not count as a run counts")
    for pre in ("", "Test"):
        mean, low, high = (run[f"{kind}{pre}EpRet"] for kind in ("Average", "Min", "Max"))
        length = run["EpLen" if not pre else "TestEpLen"]
        on = ~np.isnan(mean)
        inside = (low[on] <= mean[on] + 1e-3) & (mean[on] <= high[on] + 1e-3)
        paid = np.abs(mean[on] - length[on]) < 1e-3  # CartPole pays 1 for each step
        for epoch in np.flatnonzero(on)[~(inside & paid)]:
            why = "on CartPole every return is the length of its episode, between Min and Max"
            raise Wrong(f"{run.name}, epoch {epoch + 1}: {pre}EpRet cannot be: {why}")


def apart(runs):
    """No two logs are the same."""
    for i, run in enumerate(runs):
        for other in runs[:i]:
            same = {c for c in run.rows if "EpRet" in c} & set(other.rows)
            if all(np.array_equal(run[c], other[c], equal_nan=True) for c in same):
                raise Wrong(f"{other.name} and {run.name} have the same log: one is a copy")


# ---- numbers


def numbers(m, *keys):
    """The claim's own numbers, flat; Wrong if one was not filled in."""
    found = []
    for key in keys:
        value = getattr(m, key, None)
        listed = value if isinstance(value, list) else [value]
        plain = [x for x in listed if type(x) in (int, float)]
        if not listed or "?" in listed or "" in listed:
            raise Wrong(f"{key} is not filled in yet")
        if len(plain) != len(listed) or not all(map(math.isfinite, plain)):
            raise Wrong(f"{key} is not what the claim asks for: {value!r}")
        if len(plain) != (2 if key == "interval" else 1):
            raise Wrong(f"{key} has {len(plain)} numbers")
        found += plain
    return found


def drawn(scores, seed=0):
    """Means of bootstrap samples of these scores."""
    x, rng = np.asarray(scores, dtype=float), np.random.default_rng(seed)
    return x[rng.integers(len(x), size=(DRAWS, len(x)))].mean(-1)


def between(means):
    return [float(q) for q in np.quantile(means, [0.025, 0.975])]


def near(got, want):
    """Are these three numbers, a mean and its interval, those, but for the chance of the draws?"""
    return all(abs(g - w) <= slack(want) for g, w in zip(got, want, strict=True))


def slack(want):
    return SHARE * (want[2] - want[1]) + ROUNDED


def around(scores, times=1.0):
    """A mean and so many standard deviations to either side of it."""
    mean, std = float(np.mean(scores)), float(np.std(scores, ddof=1))
    return [mean, mean - times * std, mean + times * std]


def told(claim, want, mistakes, name="mean"):
    """Wrong if a claimed mean and interval are not those wanted; says so if they are known ones."""
    if near(claim, want):
        return
    for what, numbers in mistakes.items():
        if near(claim, numbers):
            raise Wrong(what)
    part = name if abs(claim[0] - want[0]) > slack(want) else "interval"
    raise Wrong(f"{part} is not what these runs give, computed as the claim's text says")
