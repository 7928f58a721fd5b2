"""Reports on many runs: tables with intervals, a figure of every run, the cost and the commands.

    report("data")                        data/report.md, report.svg and scores.csv
    report("experiments/results")         the same for each folder of experiments in there

A **study** is a folder of experiments, which are folders of runs: <study>/<exp>/<exp>_s<seed>. The
score of a run is the mean of its last LAST evaluations of the deterministic policy, never a
maximum. What the statistics mean is told in docs/guide/statistics.md; all are from Agarwal et al.
2021, arXiv:2108.13264.

In experiments/, results/NAME has its grid NAME.yaml beside results/: the comment at its top with
`# Question:` and `# Answer:` opens the report. results/published.csv has the results of others:
env, algo, steps, runs, score, spread, source; `random` and `goal` among its algorithms are what
scores are normalised with. If README.md beside results/ has the two lines of MARKS, the index of
all studies goes between them.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np

from rlcourse import ALGOS
from rlcourse.utils import plot
from rlcourse.utils.config import Settings, UserError, default
from rlcourse.utils.logger import table
from rlcourse.utils.plot import STEPS, TEST, Run

LAST = 10  # evaluations behind a score
RESAMPLES = 2000
ENOUGH = 5  # runs; of fewer no interval is shown, for it would promise too much
TOLD = ("rlcourse", "stable-baselines3", "torch", "gymnasium", "mujoco", "box2d", "numpy")
MARKS = "<!-- report -->", "<!-- end of report -->"
NOT_TOLD = {"seed", "epochs", "env", "algo", "about", "exp_name", "data_dir"}
Statistic = Callable[[np.ndarray], np.ndarray]  # of the last axis


# ------------------------------------------------------------------------------------- statistics


def mean(scores: np.ndarray) -> np.ndarray:
    """What one can expect of a run: (..., n) to (...)."""
    return scores.mean(-1)


def iqm(scores: np.ndarray) -> np.ndarray:
    """The mean of the middle half of the scores (..., n).

    >>> iqm(np.array([0.0, 1.0, 2.0, 99.0])).item()
    1.5
    """
    return plot.middle(scores[..., None], "iqm")[..., 0]


def interval(tasks: Sequence[np.ndarray], statistic: Statistic) -> tuple[float, float]:
    """The stratified bootstrap: 95 % of the statistic of all scores, where runs are drawn anew.

    Each task's (n,) scores are drawn among themselves, for chance is in the runs and not in the
    list of tasks. The same scores have the same interval.

    >>> interval([np.array([1.0, 1.0]), np.array([4.0, 4.0])], mean)
    (2.5, 2.5)
    """
    rng = np.random.default_rng(0)
    drawn = [rng.choice(scores, (RESAMPLES, len(scores))) for scores in tasks]
    low, high = np.percentile(statistic(np.concatenate(drawn, 1)), [2.5, 97.5])
    return float(low), float(high)


def improvement(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """P(X > Y) + P(X = Y) / 2 of scores (..., n) and (m,), and the ends of its interval.

    It is the share of pairs in which x is better: U / (n m), with U of Mann and Whitney's test.

    >>> improvement(np.array([1.0, 2.0]), np.array([0.0, 1.0]))[0]
    0.875
    """

    def better(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        gap = x[..., :, None] - y[..., None, :]
        return (0.5 + 0.5 * np.sign(gap)).mean((-2, -1))

    rng = np.random.default_rng(0)
    drawn = (rng.choice(scores, (RESAMPLES, len(scores))) for scores in (x, y))
    low, high = np.percentile(better(*drawn), [2.5, 97.5])
    return float(better(x, y)), float(low), float(high)


def profile(tasks: Sequence[np.ndarray], taus: np.ndarray) -> np.ndarray:
    """The share of runs whose score is above each τ (k,), averaged over the tasks: (k,).

    >>> profile([np.array([0.2, 0.9]), np.array([0.9])], np.array([0.0, 0.5, 1.0])).tolist()
    [1.0, 0.75, 0.0]
    """
    return np.mean([(scores > taus[:, None]).mean(1) for scores in tasks], axis=0)


# ---------------------------------------------------------------------------------------- studies


class Experiment(NamedTuple):
    """Runs that differ in their seeds alone."""

    name: str  # of its folder
    twin: str  # the first by name that has the same settings: itself, if no other has
    label: str
    algo: str
    env: str
    base: bool  # the one that others of its environment are compared with
    runs: list[Run]
    scores: np.ndarray  # (n,) means of the last evaluations
    whole: np.ndarray  # (n,) means of all evaluations: how early it was good

    @property
    def row(self) -> str:
        """Its label over several environments: that of its algorithm, for a base."""
        return self.algo.upper() if self.base else self.label

    @property
    def steps(self) -> int:
        """Environment steps of a run."""
        return int(min(run.columns[STEPS][-1] for run in self.runs))

    @property
    def seconds(self) -> float:
        """Of all runs together."""
        return sum(run.columns["Time"][-1] for run in self.runs)


class Study(NamedTuple):
    """A folder of experiments, and what is asked of it."""

    folder: Path
    about: dict[str, str]  # question, answer, notes
    experiments: list[Experiment]
    published: list[dict[str, str]]

    @property
    def envs(self) -> dict[str, list[Experiment]]:
        """The experiments by environment."""
        found: dict[str, list[Experiment]] = {}
        for each in self.experiments:
            found.setdefault(each.env, []).append(each)
        return found

    @property
    def cost(self) -> str:
        """Of all runs together, on one core."""
        return clock(sum(each.seconds for each in self.experiments))

    @property
    def commands(self) -> list[str]:
        """The grid, if there is one, and what else started runs."""
        each = (command(run) for experiment in self.experiments for run in experiment.runs)
        found = list(dict.fromkeys(filter(None, each)))
        if self.about["question"]:
            place = f"{self.folder.parents[1].name}/"
            grid = f"python -m rlcourse.run {place}{self.folder.name}.yaml"
            return [grid, *(line for line in found if line.startswith(f"python {place}"))]
        return found


def studies(root: Path) -> list[Study]:
    """All studies at or below a folder, by name; UserError if there are no evaluated runs."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name one with runs in it, such as data")
    root = root.resolve()
    runs = [file.parent for file in root.rglob("progress.csv")]
    runs = [run for run in runs if run.name.startswith(f"{run.parent.name}_s")]
    folders = {run.parents[1] for run in runs}
    found = []
    for folder in sorted(folder for folder in folders if folder.is_relative_to(root)):
        if experiments := list(_experiments(folder)):
            about = header(folder.parents[1] / f"{folder.name}.yaml")
            found.append(Study(folder, about, experiments, _published(root, folder)))
    if not found and folders:
        raise UserError(f"{root}: name the folder that holds the experiments, above this one")
    if not found:
        raise UserError(f"{root}: no run in there has ended with an evaluation")
    return found


def _published(*folders: Path) -> list[dict[str, str]]:
    """What others published: published.csv in one of the folders, or above the last."""
    for folder in (*folders, folders[-1].parent):
        if (folder / "published.csv").exists():
            with (folder / "published.csv").open(encoding="utf-8", newline="") as file:
                return [*csv.DictReader(file)]
    return []


def header(grid: Path) -> dict[str, str]:
    """What the comment at the top of a grid says: question, answer, and the rest as notes."""
    about = {"question": "", "answer": "", "notes": ""}
    key = "notes"
    for line in grid.read_text("utf-8").splitlines() if grid.exists() else []:
        if not line.startswith("#"):
            break
        text = line[1:].strip()
        if match := re.match(r"(Question|Answer|Notes): *(.*)", text):
            key, text = match[1].lower(), match[2]
        about[key] = f"{about[key]} {text}".strip()
    return about


def _experiments(folder: Path) -> Iterator[Experiment]:
    """Those of a study, by environment and algorithm, each with a label of its own."""
    try:
        found = plot.curves([folder])
    except UserError:  # no run has finished an epoch yet
        return
    groups = {name: list(filter(_ended, runs)) for name, runs in found.items() if "/" not in name}
    groups = {name: runs for name, runs in groups.items() if runs}
    usual = asdict(Settings())  # a run may be older than a setting
    first = {name: usual | runs[0].config for name, runs in groups.items()}
    several = len({config["algo"] for config in first.values()}) > 1

    def place(name: str) -> tuple[Any, ...]:
        return first[name]["env"], ALGOS.index(first[name]["algo"]), list(groups).index(name)

    for name in sorted(groups, key=place):
        algo, env = first[name]["algo"], first[name]["env"]
        alike = [n for n in groups if (first[n]["algo"], first[n]["env"]) == (algo, env)]
        vary = _varied([first[n] for n in alike])
        like = {n: [first[n].get(k) for k in vary] for n in alike}
        twins = {n: min(m for m in alike if like[m] == like[n]) for n in alike}
        base = _base([n for n in alike if twins[n] == n], groups, first)
        parts = _parts(name, base, twins[name], first, vary)
        label = ", ".join(parts) if parts and not several else " ".join([algo.upper(), *parts])
        tests = [_tests(run)[1] for run in groups[name]]
        scores = np.array([values[-LAST:].mean() for values in tests])
        whole = np.array([values.mean() for values in tests])
        yield Experiment(
            name, twins[name], label, algo, env, name == base, groups[name], scores, whole
        )


def _ended(run: Run) -> bool:
    """Whether it can be compared: one of ours, to its end, and evaluated."""
    epochs, config = run.columns.get("Epoch", np.zeros(1)), run.config
    known = config.get("algo") in ALGOS and "env" in config and "Time" in run.columns
    return known and len(_tests(run)[0]) > 0 and epochs[-1] >= config.get("epochs", 0)


def _tests(run: Run) -> plot.Series:
    return plot.series(run, TEST)


def _changes(config: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters that are not the algorithm's defaults."""
    module = import_module(f"rlcourse.algos.{config['algo']}")
    usual = {f.name: default(f) for f in fields(module.Config)}
    given = {name: config[name] for name in usual if name in config and name not in NOT_TOLD}
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    return {name: value for name, value in given.items() if value != usual[name]}


def _varied(configs: list[dict[str, Any]]) -> list[str]:
    """The settings that are not the same in all; an old run may lack some."""
    keys = dict.fromkeys(k for config in configs for k in config if k not in NOT_TOLD)
    return [k for k in keys if len({str(config.get(k)) for config in configs}) > 1]


def _base(names: list[str], groups: dict[str, list[Run]], first: dict[str, dict[str, Any]]) -> str:
    """The one with the most steps, the most runs and the fewest changes, in this order."""
    steps = {n: groups[n][0].columns[STEPS][-1] for n in names}

    def rank(n: str) -> tuple[Any, ...]:
        short = steps[n] < 0.95 * max(steps.values())
        return short, -len(groups[n]), len(_changes(first[n])), n

    return min(names, key=rank)


def _parts(
    name: str, base: str, twin: str, first: dict[str, dict[str, Any]], vary: list[str]
) -> list[str]:
    """In what an experiment differs from those alike; the end of its name, if in no setting."""
    here, there = first[name], first[base]
    told = [k for k in vary if k in here and (len(vary) < 3 or here[k] != there.get(k))]
    own = name.removeprefix(twin).strip("_").replace("-", " ")
    return [f"{k} {_text(here[k])}" for k in told] + [own] * bool(own)


def _text(value: Any) -> str:
    return "×".join(map(str, value)) if isinstance(value, list | tuple) else f"{value}".lower()


# ----------------------------------------------------------------------------------------- tables


def number(value: float) -> str:
    """Three or more digits: 3,214, 98.4, 0.512.

    >>> number(3214.2), number(-98.44), number(0.5123)
    ('3,214', '-98.4', '0.512')
    """
    size = abs(value)
    return f"{value:,.{0 if size >= 999.5 or value == int(value) else 1 if size >= 10 else 3}f}"


def span(middle: float, ends: tuple[float, float] | None) -> str:
    """A number and its interval, unless all runs agree."""
    known = ends is not None and ends[0] < ends[1]
    return number(middle) + (
        f" [{number(ends[0])},\N{NO-BREAK SPACE}{number(ends[1])}]" if known else ""
    )


def rows(experiments: list[Experiment], goal: float | None) -> Iterator[list[str]]:
    """A row for each experiment of an environment; the bases are in bold."""
    for each in experiments:
        n, other = len(each.scores), rival(each, experiments)
        spans = [
            span(float(f(each.scores)), interval([each.scores], f) if n >= ENOUGH else None)
            for f in (mean, iqm)
        ]
        yield [
            f"**{each.label}**" if each.base else each.label,
            f"{each.steps:,}",
            str(n),
            *spans,
            f"{number(each.scores.min())} to {number(each.scores.max())}",
            number(each.whole.mean()),
            "–" if other is None else probability(each, other),
            *([reached(each, goal)] if goal is not None else []),
            clock(each.seconds / n),
        ]


def rival(each: Experiment, experiments: list[Experiment]) -> Experiment | None:
    """What it is held against, with as many steps: its twin, else its algorithm's base.

    A base is held against the first one.
    """
    for other in experiments:
        equal = abs(other.steps - each.steps) < 0.05 * each.steps
        if each.twin != each.name:
            match = other.name == each.twin
        else:
            match = other.base and (each.base or other.algo == each.algo)
        if match and equal:
            return None if other is each else other
    return None


def probability(each: Experiment, other: Experiment) -> str:
    """That a run is better; without an interval where all pairs agree, which hides their number."""
    p, low, high = improvement(each.scores, other.scores)
    enough = min(len(each.scores), len(other.scores)) >= ENOUGH and 0 < p < 1
    return f"{p:.2f}" + f" [{low:.2f},\N{NO-BREAK SPACE}{high:.2f}]" * enough


def reached(each: Experiment, goal: float) -> str:
    """The median time of training until an evaluation is at the goal; how many runs get there."""
    times = []
    for run in each.runs:
        time, tests = run.columns["Time"], run.columns.get("TestTime", np.zeros(1))
        there = np.flatnonzero(run.columns[TEST] >= goal)
        times.append((time - np.nancumsum(tests))[there[0]] if len(there) else np.inf)
    count, median = int(np.isfinite(times).sum()), float(np.median(times))
    said = clock(median) if np.isfinite(median) else "–"
    return said + f" ({count} of {len(times)})" * (count < len(times))


def clock(seconds: float) -> str:
    """3.4 s, 12 s, 3.4 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.{seconds < 9.95:d}f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


HEAD = ["", "steps", "runs", "mean", "IQM", "lowest to highest", "whole curve", "better"]


def markdown(head: list[str], body: Iterable[list[str]]) -> str:
    """A table of cells as text."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def settings(experiments: list[Experiment]) -> str:
    """What the rows in bold have that is not the default; '' for nothing."""
    said = []
    for each in filter(lambda each: each.base, experiments):
        changes = _changes(each.runs[0].config).items()
        if changes:
            said.append(f"{each.algo.upper()} " + ", ".join(f"{k} {_text(v)}" for k, v in changes))
    return f"Not the defaults: {'; '.join(said)}." if said else ""


def beside(study: Study, env: str, experiments: list[Experiment]) -> str:
    """What others published, and our bases after as many steps; '' if none can be compared.

    Of a source that has nothing as early as our runs end, its first.
    """
    lines, sources, equal = [], [], False
    for each in filter(lambda each: each.base, experiments):
        begun = 0.95 * _tests(each.runs[0])[0][0]  # no evaluation of ours is earlier
        found = [row for row in study.published if (row["env"], row["algo"]) == (env, each.algo)]
        told = set()
        for row in sorted(found, key=lambda row: int(row["steps"])):
            steps, source = int(row["steps"]), row["source"]
            here = steps < 1.05 * each.steps
            if not begun < steps <= 10 * each.steps or (source in told and not here):
                continue
            told.add(source)
            equal |= here
            ours = number(at(each, steps)) if here else "–"
            score = number(float(row["score"])) + (f" ± {row['spread']}" if row["spread"] else "")
            sources += [source] * (source not in sources)
            place = str(sources.index(source) + 1)
            lines.append([each.algo.upper(), f"{steps:,}", score, row["runs"], ours, place])
    head = ["", "steps", "published", "runs", "ours there", "source"]
    listed = "\n".join(f"{i}. {source}" for i, source in enumerate(sources, 1))
    return f"{markdown(head, lines)}\n\n{listed}" if equal else ""


def at(each: Experiment, steps: int) -> float:
    """The mean over runs of the evaluation that is nearest to so many steps."""
    found = []
    for run in each.runs:
        x, y = _tests(run)
        found.append(y[np.abs(x - steps).argmin()])
    return float(np.mean(found))


def known(study: Study, name: str) -> dict[str, float]:
    """The scores of `random` or `goal` by environment."""
    return {row["env"]: float(row["score"]) for row in study.published if row["algo"] == name}


def normalised(study: Study) -> dict[str, dict[str, np.ndarray]]:
    """Scores by algorithm and environment, 0 for random actions and 1 at the goal.

    Of those that have the same environments, two or more, and as many steps in each: where there
    are several such groups, of that with the most environments, then steps; {} if there is none.
    """
    low, high = known(study, "random"), known(study, "goal")
    found: dict[str, dict[str, np.ndarray]] = {}
    steps: dict[str, dict[str, int]] = {}
    for each in study.experiments:
        if each.env in low and each.env in high:
            share = (each.scores - low[each.env]) / (high[each.env] - low[each.env])
            found.setdefault(each.row, {})[each.env] = share
            steps.setdefault(each.row, {})[each.env] = each.steps
    for most in sorted(steps.values(), key=lambda s: (len(s), sum(s.values())), reverse=True):
        alike = [
            label
            for label, s in steps.items()
            if s.keys() == most.keys() and all(abs(s[e] - most[e]) < 0.05 * most[e] for e in s)
        ]
        if len(most) > 1 and len(alike) > 1:
            return {label: {env: found[label][env] for env in sorted(most)} for label in alike}
    return {}


def together(shares: dict[str, dict[str, np.ndarray]]) -> str:
    """The table over all tasks."""
    lines = []
    for label, tasks in shares.items():
        scores = list(tasks.values())
        flat = np.concatenate(scores)
        lines.append(
            [
                label,
                str(len(flat)),
                *(span(float(f(flat)), interval(scores, f)) for f in (iqm, mean)),
            ]
        )
    envs = ", ".join(next(iter(shares.values())))
    said = "0 is what random actions get, 1 the goal; both are in `published.csv`."
    return f"{envs}. {said}\n\n" + markdown(["", "runs", "IQM", "mean"], lines)


def text(study: Study) -> str:
    """The report of a study, as Markdown."""
    about, runs = study.about, [run for each in study.experiments for run in each.runs]
    parts = [f"# {study.folder.name.replace('_', ' ').capitalize()}"]
    parts += [f"**{about['question']}** {about['answer']}".strip()] * bool(about["question"])
    parts += [about["notes"]] * bool(about["notes"])
    parts.append(f"![every run of {study.folder.name}](report.svg)")
    for env, experiments in study.envs.items():
        goal = known(study, "goal").get(env)
        if not any((_tests(run)[1] >= goal).any() for e in experiments for run in e.runs if goal):
            goal = None  # nobody gets there
        head = [*HEAD, *([f"to {number(goal)}"] if goal is not None else []), "a run"]
        parts += [f"## {env}", markdown(head, rows(experiments, goal))]
        parts += filter(None, [settings(experiments), beside(study, env, experiments)])
    if shares := normalised(study):
        parts += ["## All tasks", together(shares), "![performance profiles](profile.svg)"]
    parts += ["## How", how(study, runs)]
    return "\n\n".join(parts) + "\n"


def how(study: Study, runs: list[Run]) -> str:
    """What the numbers are, what they cost, and the commands that give them again."""
    counts = sorted({len(_tests(run)[0]) for run in runs})
    episodes = sorted({run.config.get("eval_episodes", 0) for run in runs})
    lines = ["```sh\n" + "\n".join(study.commands) + "\n```"]
    abouts = [run.config.get("about", {}) for run in runs]
    machines = dict.fromkeys(about["machine"] for about in abouts if "machine" in about)
    versions = [about.get("versions", {}) for about in abouts]
    found = {name: sorted({v[name] for v in versions if name in v}) for name in TOLD}
    said = ", ".join(f"{name} {' and '.join(some)}" for name, some in found.items() if some)
    cost = f"{len(runs)} runs, {study.cost} of one core."
    lines += [
        f"{cost} {'; '.join(filter(None, [*machines, said]))}.",
        f"A score is the mean of the last {LAST} (or all) of a run's {_range(counts)} evaluations "
        f"of the deterministic policy, {_range(episodes)} episodes each.",
        "<!-- the columns -->",
        f"*Whole curve* is the mean of all evaluations. In brackets, from {ENOUGH} runs on: 95 % "
        "stratified bootstrap. *Better*: the probability that a run is better than one of the row "
        "in bold; rows in bold are held against the first with as many steps, and a change that is "
        "no setting against the row without it. *To ...*: the median time of training, without "
        "evaluations, to the first evaluation that is so good, and how many runs get there. "
        "*A run*: time on one core, which other programs used too.",
    ]
    return "\n\n".join(lines)


def _range(numbers: list[int]) -> str:
    return f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def command(run: Run) -> str:
    """What started it, without what changes nothing in its numbers."""
    words = run.config.get("about", {}).get("command", "")
    words = re.sub(r"^\S*/(python|rlcourse)\S*", r"\1", words.strip())
    return re.sub(r" --(jobs|part)[ =]\S+", "", words)


def scores(study: Study) -> str:
    """A row for each run, as CSV."""
    return table(
        [
            {
                "experiment": run.folder.parent.name,
                "environment": each.env,
                "label": each.label,
                "seed": run.config.get("seed"),
                "steps": int(run.columns[STEPS][-1]),
                "score": float(f"{score:.6g}"),
                "whole": float(f"{whole:.6g}"),
                "seconds": float(f"{run.columns['Time'][-1]:.3g}"),
            }
            for each in study.experiments
            for run, score, whole in zip(each.runs, each.scores, each.whole, strict=True)
        ]
    )


# ---------------------------------------------------------------------------------------- figures


def draw(study: Study, out: Path) -> None:
    """A panel for each experiment: every run, their mean, and in grey the mean of its rival."""
    from matplotlib.figure import Figure

    count = len(study.experiments)
    columns = min(4, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(2.9 * columns, 2.1 * lines + 0.2), layout="constrained")
    shared: dict[str, Any] = {}
    lengths = len({each.steps for each in study.experiments})
    for i, each in enumerate(study.experiments, 1):
        axes = figure.add_subplot(lines, columns, i, sharey=shared.get(each.env))
        shared.setdefault(each.env, axes)
        title = fill(each.label, 30) + f"\n{each.env}" * (len(study.envs) > 1)
        plot.framed(axes, title, TEST, STEPS).set(xlabel="", ylabel="")
        if len(study.envs) == 1:
            axes.tick_params(
                labelbottom=i > count - columns or lengths > 1, labelleft=i % columns == 1 % columns
            )
        for run in each.runs:
            x, y = _tests(run)
            axes.plot(x, y, lw=0.6, alpha=0.5, color=plot.COLOURS[0], marker="o" * (len(x) == 1))
        if other := rival(each, study.envs[each.env]):
            axes.plot(*_mean(other), lw=1.2, color=plot.GREY, ls=plot.DASHES[2])
        axes.plot(*_mean(each), lw=1.8, color=plot.COLOURS[0])
    figure.supxlabel(plot.WORDS[STEPS])
    figure.supylabel(plot.WORDS[TEST])
    save(figure, out)


def save(figure: Any, out: Path) -> None:
    """As SVG, which has neither a date nor a version in it."""
    figure.savefig(out, metadata={"Date": None, "Creator": None})


def _mean(each: Experiment) -> plot.Series:
    x, ys = plot.resample([_tests(run) for run in each.runs])
    return x, ys.mean(0)


def draw_profile(shares: dict[str, dict[str, np.ndarray]], out: Path) -> None:
    """The share of runs above each normalised score."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = plot.framed(figure.add_subplot(), "", "share of runs above", "normalised score")
    scores = np.concatenate([s for tasks in shares.values() for s in tasks.values()])
    taus = np.linspace(min(0.0, scores.min()), max(1.0, scores.max()), 201)
    for i, (label, tasks) in enumerate(shares.items()):
        look = {"color": plot.COLOURS[i % 7], "ls": plot.DASHES[i % 4]}
        axes.step(taus, profile(list(tasks.values()), taus), label=label, **look)
    axes.legend(frameon=False)
    save(figure, out)


# --------------------------------------------------------------------------------------- the whole


def report(root: str | Path) -> list[Path]:
    """Write report.md, report.svg and scores.csv into each study; the paths of the reports."""
    import matplotlib.style

    root = Path(root)
    found = studies(root)
    for study in found:
        (study.folder / "report.md").write_text(text(study), encoding="utf-8")
        (study.folder / "scores.csv").write_text(scores(study), encoding="utf-8")
        with matplotlib.style.context(["default", plot.STYLE, {"font.size": 8}]):
            draw(study, study.folder / "report.svg")
            (study.folder / "profile.svg").unlink(missing_ok=True)
            if shares := normalised(study):
                draw_profile(shares, study.folder / "profile.svg")
    readme = root.resolve().parent / "README.md"
    old = readme.read_text("utf-8") if readme.exists() else ""
    if all(mark in old for mark in MARKS):
        before, after = old.partition(MARKS[0])[0], old.partition(MARKS[1])[2]
        new = f"{before}{MARKS[0]}\n{index(found, root.resolve())}\n{MARKS[1]}{after}"
        readme.write_text(new, encoding="utf-8")
    return [root / study.folder.relative_to(root.resolve()) / "report.md" for study in found]


def index(found: list[Study], root: Path) -> str:
    """A row for each study: what was asked, what came out, the commands and what they cost."""
    lines = []
    for study in found:
        runs = [run for each in study.experiments for run in each.runs]
        where = f"{root.name}/{study.folder.relative_to(root)}"
        lines.append(
            [
                f"[{study.folder.name}]({where}/report.md)",
                study.about["question"],
                study.about["answer"],
                f"[figure]({where}/report.svg)",
                "<br>".join(f"`{each}`" for each in study.commands),
                f"{len(runs)} runs, {study.cost}",
            ]
        )
    done = {study.folder.name for study in found}
    for grid in sorted(root.parent.glob("*.yaml")):
        if grid.stem not in done:
            start = f"`python -m rlcourse.run {root.parent.name}/{grid.name}`"
            lines.append([grid.stem, header(grid)["question"], "Not run yet.", "", start, ""])
    return markdown(["", "question", "answer", "", "command", "cost"], lines)
