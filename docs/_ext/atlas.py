"""What planted mistakes and chosen hyper-parameters did in training, from stored runs.

{symptom} flat               the mistakes that show so, each with its curve; folded what it was
{symptoms}                   how many mistakes each symptom has, and of which kinds
{invisible} ppo              those whose return shows nothing, and the column and test that do
{planted} ppo: max for min   one mistake: its curve, and where it ended
{sensitivity} ppo            stored runs with one hyper-parameter changed, or several
{limits}                     planted mistakes that are a setting at its limit, and what they did
{worked} ppo                 the settings of tuned.yaml that have a result

A mistake is listed under a symptom by a rule in SYMPTOMS, which compares its rows with those of the
algorithm as it is. No mistake is put anywhere by hand.
"""

import csv
import html
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from math import inf, isfinite, log, nan
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from exercises import bugs
from exercises.bugs import SEEDS, TRAINED, Bug
from exercises.course import ROOT
from rlcourse.utils.logger import read

PLANTED = ROOT / "experiments/results/planted"
SENSITIVITY = ROOT / "experiments/results/sensitivity"
RANDOM = {"CartPole-v1": 20.0, "Pendulum-v1": -1250.0}  # returns of random actions: bugs.level


# ------------------------------------------------------------------------ what was measured


@dataclass(frozen=True)
class Runs:
    """Two runs of an algorithm with a mistake, beside two without."""

    algo: str
    rows: tuple[tuple[dict[str, str], ...], ...]
    right: tuple[tuple[dict[str, str], ...], ...]

    def column(self, name: str, right: bool = False) -> list[list[float]]:
        """A column of each seed; what has no value is left out."""
        runs = self.right if right else self.rows
        return [[float(r[name]) for r in rows if r.get(name)] for rows in runs]

    def share(self, value: float) -> float:
        """0 is the return of random actions, 1 that of the algorithm as it is."""
        low = RANDOM[TRAINED[self.algo][0]]
        return (value - low) / (bugs.last_return(self.algo, "") - low)

    @property
    def shares(self) -> list[list[float]]:
        return [[self.share(x) for x in values] for values in self.column("AverageEpRet")]

    def late(self, name: str, right: bool = False) -> list[float]:
        """The mean over the last quarter of the rows, for each seed."""
        return [tail(values) for values in self.column(name, right)]

    def usual(self, name: str) -> tuple[float, float]:
        """The lowest and highest value without a mistake, the first third of each run left out."""
        kept = [x for values in self.column(name, True) for x in values[len(values) // 3 :]]
        return (min(kept), max(kept)) if kept else (-inf, inf)


def tail(values: list[float]) -> float:
    return fmean(values[-max(1, len(values) // 4) :]) if values else nan


@cache
def museum(algo: str) -> dict[str, list[list[dict[str, str]]]]:
    """The rows of experiments/planted.py by mistake and seed."""
    found: dict[str, list[list[dict[str, str]]]] = {}
    for row in table(PLANTED / f"runs-{algo}.csv"):
        found.setdefault(row["bug"], [[] for _ in SEEDS])[int(row["seed"])].append(row)
    return found


def table(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as f:
        return [*csv.DictReader(f)]


@cache
def runs(id_: str) -> Runs:
    algo, _, name = id_.partition(": ")
    stored = bugs.stored(algo)
    rows = museum(algo)[name] if (name, 0) not in stored else [stored[name, s] for s in SEEDS]
    return Runs(algo, tuple(map(tuple, rows)), tuple(tuple(stored["", s]) for s in SEEDS))


# ------------------------------------------------------------------------ symptoms


@dataclass(frozen=True)
class Symptom:
    """What is seen, in which column, and the rule that says whether it is there."""

    seen: str  # the heading on the page
    column: str
    rule: str  # in words
    holds: Callable[[Runs], bool]


def every(values: list[float], holds: Callable[[float], bool]) -> bool:
    """For both seeds."""
    return bool(values) and all(isfinite(x) and holds(x) for x in values)


def low(r: Runs) -> float:
    """A tenth below the return of random actions."""
    chance = RANDOM[TRAINED[r.algo][0]]
    return chance - 0.1 * abs(chance)


def worse(r: Runs) -> bool:
    return every(r.late("AverageEpRet"), lambda x: x < low(r))


def flat(r: Runs) -> bool:
    return not worse(r) and all(s and max(s) < 0.2 for s in r.shares)


def falls(r: Runs) -> bool:
    return any(s and max(s) > 0.3 and tail(s) < max(s) / 2 for s in r.shares)


def plateau(r: Runs) -> bool:
    ends = [tail(s) for s in r.shares]
    return 0.3 <= fmean(ends) < 0.8  # not so for nan


def luck(r: Runs) -> bool:
    ends = [tail(s) for s in r.shares]
    return max(ends) >= 0.8 and min(ends) < 0.6


def stopped(r: Runs) -> bool:
    return any(rows[-1]["AverageEpRet"] == "" and rows[-1]["GradNorm"] == "" for rows in r.rows)


def undecided(r: Runs) -> bool:
    first = [values[0] for values in r.column("Entropy", True) if values]
    now, right = ([b / a for a, b in zip(first, r.late("Entropy", x), strict=False)]
                  for x in (False, True))  # fmt: skip
    return every(right, lambda x: x < 0.8) and every(now, lambda x: x > 0.95)


def blind(r: Runs) -> bool:
    best = min((max(v) for v in r.column("VarExplained", True) if v), default=0)
    return every([max(v) for v in r.column("VarExplained") if v], lambda x: x < best / 2)


def unclipped(r: Runs) -> bool:
    least = min((fmean(v) for v in r.column("ClipFrac", True) if v), default=0)
    return every([fmean(v) for v in r.column("ClipFrac") if v], lambda x: x < least / 10)


def apart(r: Runs) -> bool:
    pairs = zip(r.late("QVals"), r.late("Target"), strict=True)
    return every([abs(q - y) / max(abs(q), abs(y), 1e-9) for q, y in pairs], lambda x: x > 0.1)


def above(column: str, times: float) -> Callable[[Runs], bool]:
    return lambda r: every(
        r.late(column), lambda x: abs(x) > times * max(map(abs, r.usual(column)))
    )


def below(column: str, share: float) -> Callable[[Runs], bool]:
    def holds(r: Runs) -> bool:
        least = min(map(abs, r.late(column, True)), default=nan)
        return every(r.late(column), lambda x: abs(x) < share * least)

    return holds


RETURN = "AverageEpRet"
SYMPTOMS = {
    "flat": Symptom(
        "The return stays where random actions are",
        RETURN,
        "Both seeds stay below a fifth of the way from random actions to the right algorithm.",
        flat,
    ),
    "worse": Symptom(
        "The return is below that of random actions",
        RETURN,
        "Both seeds end more than a tenth below the return of random actions.",
        worse,
    ),
    "falls": Symptom(
        "The return rises, then falls",
        RETURN,
        "A seed gets 30 % of the way or further, and ends with less than half of that.",
        falls,
    ),
    "plateau": Symptom(
        "The return rises, and stops too early",
        RETURN,
        "The mean of the seeds ends at 30 to 80 % of the way.",
        plateau,
    ),
    "luck": Symptom(
        "One seed learns, the other does not",
        RETURN,
        "One seed ends at 80 % of the way or more, the other below 60 %.",
        luck,
    ),
    "stopped": Symptom(
        "The run stops: a number is not finite",
        "GradNorm",
        "The last row of a run has no gradient: `descend` refused it.",
        stopped,
    ),
    "certain": Symptom(
        "Entropy collapses",
        "Entropy",
        "For `Discrete` actions: both seeds end below half of what they should.",
        lambda r: r.algo in ("vpg", "ppo") and below("Entropy", 0.5)(r),
    ),
    "undecided": Symptom(
        "Entropy does not fall",
        "Entropy",
        "Both seeds end at 95 % of the first value or more, where the right ones are below 80 %.",
        undecided,
    ),
    "impossible": Symptom(
        "Entropy is higher than it can be",
        "Entropy",
        "Both seeds of SAC end above log 2, the entropy of a uniform action in [−1, 1].",
        lambda r: r.algo == "sac" and every(r.late("Entropy"), lambda x: x > log(2)),
    ),
    "kl": Symptom(
        "KL is high",
        "KL",
        "Both seeds end above twice the highest right value.",
        above("KL", 2),
    ),
    "short": Symptom(
        "Updates end after a few minibatches",
        "GradSteps",
        "Both seeds end below half of the right `GradSteps`.",
        below("GradSteps", 0.5),
    ),
    "unclipped": Symptom(
        "Nothing is ever clipped",
        "ClipFrac",
        "The mean of `ClipFrac` over all epochs is below a tenth of the right one.",
        unclipped,
    ),
    "blind": Symptom(
        "V explains nothing",
        "VarExplained",
        "In no epoch does `VarExplained` get to half of the right one's best.",
        blind,
    ),
    "loss-v": Symptom(
        "The loss of V stays near 1, or is larger",
        "LossV",
        "Both seeds end above 0.5; 1 is what a constant reaches.",
        lambda r: every(r.late("LossV"), lambda x: x > 0.5),
    ),
    "q-large": Symptom(
        "Q grows beyond what rewards can pay",
        "QVals",
        "Both seeds end at twice the largest right value or more.",
        above("QVals", 2),
    ),
    "q-small": Symptom(
        "Q stays small",
        "QVals",
        "Both seeds end below a third of the right value.",
        below("QVals", 1 / 3),
    ),
    "apart": Symptom(
        "Q and its target disagree",
        "TDError",
        "`QVals` and `Target` end apart by a tenth of their size or more.",
        apart,
    ),
    "loss-q": Symptom(
        "The loss of Q is far too high",
        "LossQ",
        "Both seeds end at five times the highest right value or more.",
        above("LossQ", 5),
    ),
    "saturated": Symptom(
        "Actions are at their bounds",
        "Saturated",
        "Both seeds end above 0.9, and above the highest right value.",
        lambda r: every(r.late("Saturated"), lambda x: x > max(0.9, r.usual("Saturated")[1])),
    ),
    "timid": Symptom(
        "Actions never reach their bounds",
        "Saturated",
        "Both seeds end below a third of the right value.",
        below("Saturated", 1 / 3),
    ),
    "alpha": Symptom(
        "The temperature runs away",
        "Alpha",
        "Both seeds end above twice, or below half, of the right values.",
        lambda r: above("Alpha", 2)(r) or below("Alpha", 0.5)(r),
    ),
}


@cache
def showing(key: str) -> list[Bug]:
    """The mistakes that show so, the worst first."""
    found = [b for b in bugs.bugs().values() if SYMPTOMS[key].holds(runs(b.id))]
    return sorted(found, key=lambda b: (b.level, b.algo, b.name))


def telling(r: Runs) -> list[str]:
    """Columns in which both seeds end outside of the right values, by half of their range."""
    found = []
    for name in r.right[0][0]:
        if name in ("bug", "seed", "algo", "Epoch", "TotalEnvInteracts"):
            continue
        (a, b), late = r.usual(name), r.late(name)
        if every(late, lambda x, b=b, w=(b - a) / 2: x > b + w) or every(
            late, lambda x, a=a, w=(b - a) / 2: x < a - w
        ):
            found.append(name)
    return found


@cache
def caught(algo: str) -> dict[str, str]:
    """A test that fails with a mistake, from experiments/planted.py."""
    return {row["bug"]: row["test"] for row in table(PLANTED / f"tests-{algo}.csv")}


# ------------------------------------------------------------------------ drawing


WIDE, HIGH = 150, 44


def spark(r: Runs, column: str) -> str:
    """A column of both seeds with the mistake, and beside it (dashed) without."""
    kinds = (("c4 dash", r.right), ("c1", r.rows))
    every_y = [y for _, rows in kinds for run in rows for _, y in points(run, column)]
    if not every_y:
        return ""
    bottom, top = min(every_y), max(every_y)
    last = max(int(row["Epoch"]) for _, rows in kinds for run in rows for row in run)

    def place(x: float, y: float) -> str:
        down = (top - y) / (top - bottom or 1)
        return f"{3 + (WIDE - 6) * (x - 1) / max(last - 1, 1):.1f},{3 + (HIGH - 6) * down:.1f}"

    lines = []
    for kind, rows in kinds:
        for run in rows:
            path = " ".join(place(*p) for p in points(run, column))
            lines.append(f'<polyline class="line thin {kind}" points="{path}"/>')
    label = f"{column} with the mistake, and dashed without, from {short(bottom)} to {short(top)}"
    size = f'viewBox="0 0 {WIDE} {HIGH}" width="{WIDE}" height="{HIGH}"'
    return f'<svg {size} role="img" aria-label="{label}">{"".join(lines)}</svg>'


def points(run: tuple[dict[str, str], ...], column: str) -> list[tuple[float, float]]:
    return [(float(row["Epoch"]), float(row[column])) for row in run if row.get(column)]


def short(x: float) -> str:
    return f"{x:.0f}" if 100 <= abs(x) < 1e5 else f"{x:.3g}"


STYLE = """<style>
.atlas { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: .5rem;
  margin: .8rem 0; }
.atlas > div { padding: .4rem .5rem; font-size: .8rem; border-radius: 4px;
  border: 1px solid var(--color-background-border); }
.atlas > div:has(details[open]) { grid-column: 1 / -1; }
.atlas svg { display: block; max-width: 100%; }
.atlas summary { cursor: pointer; color: var(--color-link); }
.drawn .line.thin { stroke-width: 1.5; stroke-opacity: .9; }
</style>"""


def card(b: Bug, column: str) -> str:
    """A curve, what it says in numbers, and folded what it was."""
    r = runs(b.id)
    now, right = (values(r.late(column, x)) for x in (False, True))
    kinds = ", ".join(b.mechanism)
    return (
        f"<div>{spark(r, column)}{b.algo.upper()}: {now}<br>without: {right}"
        f"<details><summary>What it was</summary><strong>{html.escape(b.name)}</strong> ({kinds}). "
        f"{html.escape(b.says.strip())}</details></div>"
    )


def values(late: list[float]) -> str:
    known = [short(x) for x in late if isfinite(x)]
    return " and ".join(known) or "no value"


# ------------------------------------------------------------------------ directives


class Stored(SphinxDirective):
    """Depends on the stored runs."""

    def depend(self) -> None:
        for path in [*bugs.FOLDER.iterdir(), *PLANTED.glob("*.csv"), __file__]:
            self.env.note_dependency(str(path))

    def raw(self, text: str) -> list[nodes.Node]:
        return [nodes.raw("", text, format="html")]


class SymptomCards(Stored):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.depend()
        s, found = SYMPTOMS[self.arguments[0]], showing(self.arguments[0])
        if not found:
            raise self.error(f"no mistake shows as {self.arguments[0]}")
        count = Counter(b.mechanism[0] for b in found)
        kinds = ", ".join(f"{kind} {n}" for kind, n in count.most_common())
        told = f"{s.rule} **{len(found)} of {len(bugs.bugs())}** do; by kind: {kinds}."
        column = f" Drawn is `{s.column}` over the epochs."
        cards = "".join(card(b, s.column) for b in found)
        style = "" if self.env.temp_data.get("atlas") else STYLE
        self.env.temp_data["atlas"] = True
        shown = self.raw(f'{style}<div class="atlas drawn">{cards}</div>')
        return self.parse_text_to_nodes(told + column) + shown


class SymptomTable(Stored):
    def run(self) -> list[nodes.Node]:
        self.depend()
        lines = ["| what is seen | mistakes | in | kinds |", "|---|---|---|---|"]
        for key, s in SYMPTOMS.items():
            found = showing(key)
            kinds = Counter(b.mechanism[0] for b in found).most_common(3)
            algos = ", ".join(a.upper() for a in TRAINED if a in {b.algo for b in found})
            anchor = "".join(c for c in s.seen.lower() if c.isalnum() or c in " -").replace(
                " ", "-"
            )
            named = ", ".join(kind for kind, _ in kinds)
            lines.append(f"| [{s.seen}](#{anchor}) | {len(found)} | {algos} | {named} |")
        seen = {b.id for key in SYMPTOMS for b in showing(key)}
        lines += ["", f"**{len(seen)} of {len(bugs.bugs())}** mistakes have at least one symptom."]
        return self.parse_text_to_nodes("\n".join(lines))


class Invisible(Stored):
    """The mistakes of level 3 of an algorithm: which column and which test find them."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.depend()
        found = [b for b in bugs.bugs().values() if b.level == 3 and b.algo == self.arguments[0]]
        lines = ["| mistake | return | columns | a test that fails |", "|---|---|---|---|"]
        for b in sorted(found, key=lambda b: b.name):
            r = runs(b.id)
            columns = ", ".join(f"`{c}`" for c in telling(r)) or "none"
            test = f"`{caught(b.algo).get(b.name, 'none')}`"
            ends = " and ".join(short(x) for x in r.late(RETURN) if isfinite(x))
            lines.append(f"| {b.name} | {ends} | {columns} | {test} |")
        return self.parse_text_to_nodes("\n".join(lines))


class Planted(Stored):
    """One mistake in a line."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.depend()
        id_ = " ".join(self.arguments[0].split())
        algo, _, name = id_.partition(": ")
        test = caught(algo).get(name)
        found = f"Planted here, it is found by `{test}`." if test else ""
        if (name, 0) not in bugs.stored(algo) and name not in museum(algo):
            if not test:
                raise self.error(f"{id_} was not measured")
            return self.parse_text_to_nodes(f"{found} It was not trained with.")
        r = runs(id_)
        env, settings = TRAINED[algo]
        text = (
            f"Measured here: {algo.upper()} on {env}, {settings['epochs']} epochs, two seeds, "
            f"mean return of the last quarter: **{values(r.late(RETURN))}**, "
            f"without the mistake {values(r.late(RETURN, True))}. {found}"
        )
        style = "" if self.env.temp_data.get("atlas") else STYLE
        self.env.temp_data["atlas"] = True
        shown = self.raw(f'{style}<div class="drawn">{spark(r, RETURN)}</div>')
        return shown + self.parse_text_to_nodes(text)


# ------------------------------------------------------------------------ hyper-parameters


@cache
def changed(algo: str) -> dict[tuple[tuple[str, str], ...], list[list[dict[str, Any]]]]:
    """Stored runs by what differs from most of them, as (field, value) pairs; () is the default."""
    known = []
    for path in sorted(SENSITIVITY.glob(f"{algo}_*/*/config.yaml")):
        config = yaml.safe_load(path.read_text("utf-8"))
        values = {k: str(v) for k, v in config.items() if k in field_names(algo)}
        known.append((values, read(path.with_name("progress.csv"))))
    names = known[0][0] if known else ()
    base = {k: Counter(values[k] for values, _ in known).most_common(1)[0][0] for k in names}
    found: dict[tuple[tuple[str, str], ...], list[list[dict[str, Any]]]] = {}
    for values, rows in known:
        differs = tuple((k, v) for k, v in values.items() if v != base[k])
        found.setdefault(differs, []).append(rows)
    return found


def field_names(algo: str) -> list[str]:
    config = import_module(f"rlcourse.algos.{algo}").Config
    return [f.name for f in fields(config) if f.name not in ("env", "seed", "epochs")]


def scores(many: list[list[dict[str, Any]]], column: str = "AverageEpRet") -> list[float]:
    """The mean of a column over the last third of the epochs, for each seed."""
    found = []
    for rows in many:
        late = [row.get(column) for row in rows[-max(1, len(rows) // 3) :]]
        late = [x for x in late if x is not None and x == x]
        found.append(fmean(late) if late else nan)
    return sorted(found)


def strip(found: list[float], bottom: float, top: float) -> str:
    """A dot for each seed between two ends."""
    dots = "".join(
        f'<circle class="dots c0" fill-opacity=".75" r="4" cy="9" '
        f'cx="{6 + 168 * (x - bottom) / (top - bottom):.1f}"/>'
        for x in found
    )
    label = "seeds at " + ", ".join(short(x) for x in found)
    return (
        f'<svg viewBox="0 0 180 18" width="180" height="18" role="img" aria-label="{label}">'
        f'<path class="grid" d="M6 9H174"/>{dots}</svg>'
    )


class Sensitivity(Stored):
    """A line for each setting that was run: what differs from the defaults, and its seeds."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (algo,) = self.arguments
        for path in (__file__, *SENSITIVITY.glob(f"{algo}_*/*/*")):
            self.env.note_dependency(str(path))
        known = changed(algo)
        if () not in known:
            raise self.error(f"there are no runs of {algo} with the defaults")
        everything = [x for many in known.values() for x in scores(many)]
        ends = min(everything), max(everything)
        rows = [self.row(d, known[d], *ends) for d in sorted(known, key=in_order)]
        head = f"<th>changed</th><th>seeds, {short(ends[0])} to {short(ends[1])}</th><th>mean</th>"
        head += "<th>GradSteps</th>" * (algo == "ppo")
        return self.raw(
            f'<table class="docutils drawn"><thead><tr>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )

    @staticmethod
    def row(differs: Any, many: Any, bottom: float, top: float) -> str:
        found, steps = scores(many), scores(many, "GradSteps")
        known = "" if steps[0] != steps[0] else f"<td>{short(fmean(steps))}</td>"
        name = ", ".join(f"<code>{k}</code> {v}" for k, v in differs) or "<b>defaults</b>"
        return (
            f"<tr><td>{name}</td><td>{strip(found, bottom, top)}</td>"
            f"<td>{short(fmean(found))}</td>{known}</tr>"
        )


def in_order(differs: tuple[tuple[str, str], ...]) -> tuple[Any, ...]:
    """The defaults first, then by how many are changed, by field, and by value."""
    return len(differs), [(k, float(v) if v[0].isdigit() else 0) for k, v in differs]


LIMITS = [  # a mistake that is nothing but another value of a field
    ("vpg: λ left out", "lam", "1"),
    ("ppo: λ left out", "lam", "1"),
    ("ppo: gradient not cut to length", "max_norm", "256"),
    ("ppo: entropy subtracted", "entropy", "−0.01"),
    ("ddpg: online Q in the target", "rho", "0, for Q alone"),
    ("ddpg: ρ the wrong way round", "rho", "0.005"),
    ("td3: ρ the wrong way round", "rho", "0.005"),
    ("sac: ρ the wrong way round", "rho", "0.005"),
    ("ddpg: target never moves", "rho", "1, for Q alone"),
    ("td3: target never moves", "rho", "1, for Q alone"),
    ("sac: target never moves", "rho", "1"),
    ("td3: γ left out", "gamma", "1"),
    ("td3: smoothing without limit", "smooth_clip", "no limit"),
]


class Limits(Stored):
    def run(self) -> list[nodes.Node]:
        self.depend()
        lines = [
            "| field | of | value | seeds end at | without | learnt |",
            "|---|---|---|---|---|---|",
        ]
        for id_, name, value in LIMITS:
            r = runs(id_)
            ends, right = (values(r.late(RETURN, x)) for x in (False, True))
            share = fmean(map(r.share, r.late(RETURN)))
            line = f"| `{name}` | {r.algo.upper()} | {value} | {ends} | {right} | {share:.0%} |"
            lines.append(line)
        return self.parse_text_to_nodes("\n".join(lines))


class Worked(Stored):
    """Each field of an algorithm: its default, and the values of settings with a result."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = ROOT / "rlcourse/tuned.yaml"
        self.env.note_dependency(str(path))
        (algo,) = self.arguments
        entries = yaml.safe_load(path.read_text("utf-8"))[algo]
        with_result = {env: e for env, e in entries.items() if "result" in e}
        lines = ["| field | default | worked |", "|---|---|---|"]
        for f in fields(import_module(f"rlcourse.algos.{algo}").Config):
            if f.name in ("env", "seed", "epochs"):
                continue
            used = [(e[f.name], env) for env, e in with_result.items() if f.name in e]
            told = ", ".join(f"{value} ({env})" for value, env in used)
            if used:
                lines.append(f"| `{f.name}` | {f.default} | {told} |")
        names = ", ".join(with_result)
        lines += ["", f"Settings with a result: {names}. Other fields had their defaults."]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, Any]:
    for name, directive in {
        "symptom": SymptomCards,
        "symptoms": SymptomTable,
        "invisible": Invisible,
        "planted": Planted,
        "sensitivity": Sensitivity,
        "limits": Limits,
        "worked": Worked,
    }.items():
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
