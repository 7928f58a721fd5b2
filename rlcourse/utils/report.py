"""Reports on many runs: tables with intervals, a figure of every run, the cost and the commands.

    report("data")                        data/report.md, report.svg and scores.csv
    report("experiments/results")         the same for each folder of experiments in there

A **study** is a folder of experiments, which are folders of runs: <study>/<exp>/<exp>_s<seed>. The
score of a run is the mean of its last LAST evaluations of the deterministic policy, never a
maximum. What the statistics mean is told in docs/guide/statistics.md; all are from Agarwal et al.
2021, arXiv:2108.13264.

A study may have a grid NAME.yaml beside the folder that is reported on; the comment at its top with
`# Question:` and `# Answer:` opens the report. A table published.csv in that folder has the results
of others: env, algo, steps, runs, score, spread, source. `random` and `goal` among its algorithms
are what scores are normalised with. If README.md beside the folder has the two lines of MARKS, the
index of all studies goes between them.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlcourse import ALGOS
from rlcourse.utils import plot
from rlcourse.utils.config import UserError, default
from rlcourse.utils.logger import table
from rlcourse.utils.plot import STEPS, TEST, Run

LAST = 10  # evaluations behind a score
RESAMPLES = 2000
ENOUGH = 5  # runs; of fewer no interval is shown, for it would promise too much
MARKS = "<!-- report -->", "<!-- end of report -->"
NOT_TOLD = {"seed", "epochs", "env", "algo", "horizon", "about", "exp_name", "data_dir"}
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

    label: str
    algo: str
    env: str
    base: bool  # the one that others of its environment are compared with
    runs: list[Run]
    scores: np.ndarray  # (n,) means of the last evaluations
    whole: np.ndarray  # (n,) means of all evaluations: how early it was good

    @property
    def steps(self) -> int:
        return int(min(run.columns[STEPS][-1] for run in self.runs))

    @property
    def seconds(self) -> float:
        return sum(run.columns["Time"][-1] for run in self.runs)


class Study(NamedTuple):
    """A folder of experiments, and what is asked of it."""

    folder: Path
    about: dict[str, str]  # question, answer, notes
    experiments: list[Experiment]
    published: list[dict[str, str]]

    @property
    def envs(self) -> dict[str, list[Experiment]]:
        found: dict[str, list[Experiment]] = {}
        for each in self.experiments:
            found.setdefault(each.env, []).append(each)
        return found

    @property
    def hours(self) -> float:
        return sum(each.seconds for each in self.experiments) / 3600


def studies(root: Path) -> list[Study]:
    """All studies at or below a folder, by name; UserError if there are no evaluated runs."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; name one with runs in it, such as data")
    files = [file.parent for file in root.rglob("progress.csv")]
    folders = sorted({run.parents[1] for run in files if run.name.startswith(run.parent.name)})
    table_ = root / "published.csv"
    published = []
    if table_.exists():
        with table_.open(encoding="utf-8", newline="") as file:
            published = [*csv.DictReader(file)]
    found = []
    for folder in folders:
        if experiments := list(_experiments(folder)):
            about = header(root.parent / f"{folder.name}.yaml")
            found.append(Study(folder, about, experiments, published))
    if not found:
        raise UserError(f"{root}: no run in there has been evaluated; train some, then report")
    return found


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
    groups = {
        name: [run for run in runs if len(_tests(run)[0]) and run.config.get("algo") in ALGOS]
        for name, runs in plot.curves([folder]).items()
    }
    groups = {name: runs for name, runs in groups.items() if runs}
    first = {name: runs[0].config for name, runs in groups.items()}

    def place(name: str) -> tuple[Any, ...]:
        return first[name]["env"], ALGOS.index(first[name]["algo"]), list(groups).index(name)

    for name in sorted(groups, key=place):
        config, env = first[name], first[name]["env"]
        alike = [n for n in groups if first[n]["algo"] == config["algo"] and first[n]["env"] == env]
        base = min(alike, key=lambda n: (len(_changes(first[n])), len(n)))
        label = _label(name, base, first, alike)
        several = len({first[n]["algo"] for n in groups}) > 1
        if several:
            label = f"{config['algo'].upper()} {'' if label == 'default' else label}".strip()
        tests = [_tests(run)[1] for run in groups[name]]
        scores = np.array([values[-LAST:].mean() for values in tests])
        whole = np.array([values.mean() for values in tests])
        yield Experiment(label, config["algo"], env, name == base, groups[name], scores, whole)


def _tests(run: Run) -> plot.Series:
    return plot.series(run, TEST)


def _changes(config: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters that are not the algorithm's defaults."""
    module = import_module(f"rlcourse.algos.{config['algo']}")
    usual = {f.name: default(f) for f in fields(module.Config)}
    given = {name: config[name] for name in usual if name in config and name not in NOT_TOLD}
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in given.items()}
    return {name: value for name, value in given.items() if value != usual[name]}


def _label(name: str, base: str, first: dict[str, dict[str, Any]], alike: list[str]) -> str:
    """In what an experiment differs from those alike; the end of its name, if in no field."""
    keys = [k for k in first[name] if k not in NOT_TOLD]
    vary = [k for k in keys if len({str(first[n].get(k)) for n in alike}) > 1]
    told = [k for k in vary if len(vary) < 3 or first[name][k] != first[base].get(k)]
    parts = [f"{k} {_text(first[name][k])}" for k in told]
    twins = [n for n in alike if all(first[n].get(k) == first[name][k] for k in vary)]
    if len(twins) > 1 and name != min(twins, key=len):
        parts.append(name.removeprefix(min(twins, key=len)).strip("_").replace("-", " "))
    return ", ".join(parts) or "default"


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
    """A number and its interval."""
    return number(middle) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends else "")


def rows(experiments: list[Experiment], goal: float | None) -> Iterator[list[str]]:
    """A row for each experiment of an environment; the base is in bold."""
    base = next(each for each in experiments if each.base)
    for each in experiments:
        n = len(each.scores)
        spans = [
            span(float(f(each.scores)), interval([each.scores], f) if n >= ENOUGH else None)
            for f in (mean, iqm)
        ]
        better = "–"
        if each is not base:
            p, low, high = improvement(each.scores, base.scores)
            better = f"{p:.2f}" + f" [{low:.2f}, {high:.2f}]" * (min(n, len(base.scores)) >= ENOUGH)
        yield [
            f"**{each.label}**" if each is base else each.label,
            f"{each.steps:,}",
            str(n),
            *spans,
            f"{number(each.scores.min())} to {number(each.scores.max())}",
            number(each.whole.mean()),
            better,
            *([reached(each, goal)] if goal is not None else []),
            clock(each.seconds / n),
        ]


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
    """12 s, 3.4 min, 2.1 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


HEAD = ["", "steps", "runs", "mean", "IQM", "lowest to highest", "whole curve", "better"]


def markdown(head: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def beside(study: Study, env: str, experiments: list[Experiment]) -> str:
    """What others published, and ours after as many steps, if we have one of the algorithm here."""
    lines = []
    for each in experiments:
        if sum(other.algo == each.algo for other in experiments) > 1:
            continue
        for row in study.published:
            if (row["env"], row["algo"]) != (env, each.algo):
                continue
            steps = int(row["steps"])
            ours = number(at(each, steps)) if steps < 1.05 * each.steps else "–"
            score = number(float(row["score"])) + (f" ± {row['spread']}" if row["spread"] else "")
            lines.append([each.algo.upper(), f"{steps:,}", score, row["runs"], ours, row["source"]])
    head = ["", "steps", "published", "runs", "ours there", "source"]
    return markdown(head, lines) if lines else ""


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

    Those environments that all algorithms with two and more of them share, if they are two or more.
    """
    low, high = known(study, "random"), known(study, "goal")
    found: dict[str, dict[str, np.ndarray]] = {}
    for each in study.experiments:
        if each.base and each.env in low and each.env in high:
            share = (each.scores - low[each.env]) / (high[each.env] - low[each.env])
            found.setdefault(each.label, {})[each.env] = share
    found = {label: tasks for label, tasks in found.items() if len(tasks) > 1}
    common = set.intersection(*map(set, found.values())) if len(found) > 1 else set()
    if len(common) < 2:
        return {}
    return {label: {env: tasks[env] for env in sorted(common)} for label, tasks in found.items()}


def together(shares: dict[str, dict[str, np.ndarray]]) -> str:
    """The table over all tasks."""
    lines = []
    for label, tasks in shares.items():
        all_ = list(tasks.values())
        flat = np.concatenate(all_)
        lines.append(
            [label, str(len(flat)), *(span(float(f(flat)), interval(all_, f)) for f in (iqm, mean))]
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
        head = [*HEAD, *([f"to {number(goal)}"] if goal is not None else []), "a run"]
        parts += [f"## {env}", markdown(head, rows(experiments, goal))]
        parts += [there] if (there := beside(study, env, experiments)) else []
    if shares := normalised(study):
        parts += ["## All tasks", together(shares), "![performance profiles](profile.svg)"]
    parts += ["## How", how(study, runs)]
    return "\n\n".join(parts) + "\n"


def how(study: Study, runs: list[Run]) -> str:
    """What the numbers are, what they cost, and the commands that give them again."""
    least = min(len(_tests(run)[0]) for run in runs)
    tests = {run.config.get("eval_episodes") for run in runs}
    lines = [
        f"A score is the mean of a run's last {min(LAST, least)} evaluations of the deterministic "
        f"policy, {' or '.join(map(str, sorted(tests)))} episodes each; *whole curve* is the mean "
        "of all of its evaluations. In brackets: 95 % stratified bootstrap. "
        "*Better*: the probability that a run is better than one of the row in bold. "
        "*To ...*: the median time of training, without evaluations, to the first evaluation that "
        "is so good, and how many runs get there. *A run*: time on one core, which other programs "
        "used too.",
    ]
    commands = dict.fromkeys(command(run) for run in runs)
    lines.append("```sh\n" + "\n".join(filter(None, commands)) + "\n```")
    abouts = [run.config.get("about", {}) for run in runs]
    machines = dict.fromkeys(a["machine"] for a in abouts if "machine" in a)
    names = ("rlcourse", "stable-baselines3", "torch", "gymnasium", "mujoco", "box2d", "numpy")
    found = {
        n: sorted({a["versions"][n] for a in abouts if n in a.get("versions", {})}) for n in names
    }
    said = ", ".join(f"{name} {' and '.join(v)}" for name, v in found.items() if v)
    lines.append(
        f"{len(runs)} runs, {study.hours:.1f} hours of one core. {'; '.join([*machines, said])}."
    )
    return "\n\n".join(lines)


def command(run: Run) -> str:
    """What started it, without what changes nothing in its numbers."""
    words = run.config.get("about", {}).get("command", "")
    words = re.sub(r"^\S*python\S*", "python", words.strip())
    return re.sub(r" --(jobs|part) \S+", "", words)


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
    """A panel for each experiment: every run, their mean, and in grey the mean of the base."""
    from matplotlib.figure import Figure

    count = len(study.experiments)
    cols = min(4, count)
    rows_ = -(-count // cols)
    figure = Figure(figsize=(2.6 * cols, 2.1 * rows_ + 0.2), layout="constrained")
    shared: dict[str, Any] = {}
    for i, each in enumerate(study.experiments, 1):
        axes = figure.add_subplot(rows_, cols, i, sharey=shared.get(each.env))
        shared.setdefault(each.env, axes)
        title = each.label if len(study.envs) == 1 else f"{each.label}\n{each.env}"
        plot.framed(axes, title, TEST, STEPS).set(xlabel="", ylabel="")
        if len(study.envs) == 1:
            axes.label_outer()
        for run in each.runs:
            axes.plot(*_tests(run), lw=0.6, alpha=0.5, color=plot.COLOURS[0])
        base = next(e for e in study.envs[each.env] if e.base)
        if base is not each:
            axes.plot(*_mean(base), lw=1.2, color=plot.GREY, ls=plot.DASHES[2])
        axes.plot(*_mean(each), lw=1.8, color=plot.COLOURS[0])
    figure.supxlabel(plot.WORDS[STEPS])
    figure.supylabel(plot.WORDS[TEST])
    figure.savefig(out, metadata={"Date": None})


def _mean(each: Experiment) -> plot.Series:
    x, ys = plot.resample([_tests(run) for run in each.runs])
    return x, ys.mean(0)


def draw_profile(shares: dict[str, dict[str, np.ndarray]], out: Path) -> None:
    """The share of runs above each normalised score."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.add_subplot()
    top = max(1.0, *(float(s.max()) for tasks in shares.values() for s in tasks.values()))
    taus = np.linspace(
        min(0.0, *(float(s.min()) for t in shares.values() for s in t.values())), top, 201
    )
    plot.framed(axes, "", "share of runs above", "normalised score")
    for i, (label, tasks) in enumerate(shares.items()):
        axes.step(
            taus,
            profile(list(tasks.values()), taus),
            color=plot.COLOURS[i],
            ls=plot.DASHES[i % 4],
            label=label,
        )
    axes.legend(frameon=False)
    figure.savefig(out, metadata={"Date": None})


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
            if shares := normalised(study):
                draw_profile(shares, study.folder / "profile.svg")
    readme = root.parent / "README.md"
    if readme.exists() and all(mark in (old := readme.read_text("utf-8")) for mark in MARKS):
        before, rest = old.split(MARKS[0], 1)
        after = rest.split(MARKS[1], 1)[1]
        index_ = index(found, root)
        readme.write_text(f"{before}{MARKS[0]}\n{index_}\n{MARKS[1]}{after}", encoding="utf-8")
    return [study.folder / "report.md" for study in found]


def index(found: list[Study], root: Path) -> str:
    """A row for each study: what was asked, what came out, the command and what it costs."""
    lines = []
    for study in found:
        runs = [run for each in study.experiments for run in each.runs]
        where = f"{root.name}/{study.folder.relative_to(root)}"
        commands = dict.fromkeys(filter(None, map(command, runs)))
        lines.append(
            [
                f"[{study.folder.name}]({where}/report.md)",
                study.about["question"],
                study.about["answer"],
                f"[figure]({where}/report.svg)",
                "<br>".join(f"`{c}`" for c in islice(commands, 2)),
                f"{len(runs)} runs, {study.hours:.1f} h",
            ]
        )
    return markdown(["", "question", "answer", "", "command", "cost"], lines)
