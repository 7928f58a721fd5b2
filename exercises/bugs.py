"""Bug hunts: one mistake is planted into the source of a real algorithm, and has to be found.

What can be planted is in _author/bugs/bugs.toml. Each was trained with for two seeds, beside the
algorithm as it is (`measure`); how bad it is follows from that: its level.
"""

import csv
import difflib
import io
import itertools
import random
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from exercises import screen
from exercises.course import AUTHOR, ROOT, UserError
from exercises.screen import CALL, say
from exercises.state import State, digest

FOLDER = AUTHOR / "bugs"
MECHANISMS = {
    "sign": "something has the opposite sign, or a comparison is turned round",
    "shape": "two shapes broadcast into something that was not meant",
    "end": "ends of episodes: a time limit taken for a terminal state, or an end not seen",
    "time": "a quantity of one step is taken from another: s for s', an old observation",
    "data": "what belongs together is torn apart, or replaced by something newer or other",
    "gradient": "a gradient is cut where it should flow, or flows where it should not",
    "network": "the wrong network or parameters are used, copied, fitted or left out",
    "sampling": "actions or noise come from the wrong distribution, or its density is wrong",
    "term": "a term, factor or limit of an equation is missing or another one",
    "order": "the right steps in the wrong order, or in the wrong units",
}
LEVELS = {1: "fatal", 2: "worse", 3: "invisible in the return"}
TRAINED = {  # environment, and the settings of the runs that show a bug's effect
    "vpg": ("CartPole-v1", {"epochs": 50}),
    "ppo": ("CartPole-v1", {"epochs": 25, "minibatch": 128}),
    **dict.fromkeys(
        ("ddpg", "td3", "sac"),
        ("Pendulum-v1", {"epochs": 6, "horizon": 250, "hidden": (64, 64), "minibatch": 100}),
    ),
}
ON = {"horizon": 16, "minibatch": 8, "passes": 2, "lr": 0.01}
OFF = {"horizon": 12, "minibatch": 16, "random_steps": 20, "memory": 60}
SHORT = {  # settings of the trainings that tell two sources apart: each of them matters in these
    "vpg": ON,
    "ppo": ON | {"entropy": 0.01, "max_kl": 0.02},
    "ddpg": OFF,
    "td3": OFF | {"smooth": 1.0},
    "sac": OFF,
}
SEEDS = (0, 1)
CHANGED = 3  # lines that a fix may touch


@dataclass(frozen=True)
class Bug:
    algo: str
    name: str
    mechanism: list[str] = field(hash=False)
    replace: str
    with_: str
    says: str
    flags: str = ""  # settings without which it has no effect

    @property
    def id(self) -> str:
        return f"{self.algo}: {self.name}"

    @property
    def planted(self) -> str:
        """The source of the algorithm with the mistake in it."""
        text = source(self.algo)
        if text.count(self.replace) != 1:
            times = text.count(self.replace)
            raise ValueError(f"{self.id}: the text to replace is there {times} times")
        return text.replace(self.replace, self.with_)

    @property
    def lines(self) -> range:
        """The lines of the planted source that are not the algorithm's."""
        changed = [j for j, _ in changes(source(self.algo), self.planted)]
        return range(min(changed), max(changed) + 1)

    @property
    def both(self) -> str:
        """The source as an exercise's: right as the solution, planted as the blank."""
        right, wrong = source(self.algo).splitlines(), self.planted.splitlines()
        match = difflib.SequenceMatcher(None, right, wrong, autojunk=False)
        out = []
        for tag, i1, i2, j1, j2 in match.get_opcodes():
            if tag == "equal":
                out += right[i1:i2]
                continue
            if i1 == i2 or j1 == j2:  # lines that came or went: the one before is shown too
                i1, j1 = i1 - 1, j1 - 1
                out.pop()
            indent = right[i1][: len(right[i1]) - len(right[i1].lstrip())]
            blank = [f"{indent}# BLANK: {row.removeprefix(indent)}" for row in wrong[j1:j2]]
            out += [f"{indent}# BEGIN SOLUTION", *blank, *right[i1:i2], f"{indent}# END SOLUTION"]
        return "\n".join(out) + "\n"

    @property
    def settings(self) -> dict[str, Any]:
        extra = dict(part.split("=") for part in self.flags.split())
        return TRAINED[self.algo][1] | {k: float(v) for k, v in extra.items()}

    @property
    def level(self) -> int:
        """How bad it is, from what was measured: a key of LEVELS."""
        return level(self)


def source(algo: str) -> str:
    return (ROOT / "rlcourse" / "algos" / f"{algo}.py").read_text(encoding="utf-8")


@cache
def bugs() -> dict[str, Bug]:
    data = tomllib.loads((FOLDER / "bugs.toml").read_text(encoding="utf-8"))["bug"]
    found = [Bug(with_=d.pop("with"), **d) for d in data]
    return {b.id: b for b in found}


def changes(old: str, new: str) -> Iterator[tuple[int, str]]:
    """Number and text of the lines of `new` that are not in `old`; the next where lines went."""
    a, b = old.splitlines(), new.splitlines()
    for tag, _, _, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from ((j + 1, b[j] if j < len(b) else "") for j in range(j1, max(j2, j1 + 1)))


def changed_lines(old: str, new: str) -> int:
    """How many lines were changed: in each place, those that came or went, whichever are more."""
    a, b = ([r for r in t.splitlines() if not is_answer(r)] for t in (old, new))
    codes = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    return sum(max(i2 - i1, j2 - j1) for tag, i1, i2, j1, j2 in codes if tag != "equal")


# ---- what an algorithm does


def load(text: str, algo: str, path: str = "<planted>") -> ModuleType:
    """An algorithm from this text, under the name of the course's own."""
    import linecache

    name = f"rlcourse.algos.{algo}"
    module, before = ModuleType(name), sys.modules.get(name)
    module.__file__ = path
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    sys.modules[name] = module
    try:
        exec(compile(text, path, "exec"), module.__dict__)
    finally:
        if before:
            sys.modules[name] = before
    return module


def fingerprint(module: ModuleType, algo: str) -> Iterator[tuple[str, Any]]:
    """All that two short trainings log and learn: equal only if two sources do the same."""
    from rlcourse.utils.config import Settings
    from rlcourse.utils.run import Run

    small = {"num_envs": 2, "hidden": (8, 8), "seed": 3, "epochs": 3}
    small |= SHORT[algo]
    for env in ("Mixed-v0", "MixedDiscrete-v0")[: 2 if algo in ("vpg", "ppo") else 1]:
        cfg = module.Config(env=f"exercises.worlds:{env}", **small)
        run = Run(cfg, Settings(eval_episodes=1), show=False)
        agent = module.train(cfg, run)
        for row in run.rows:
            for k, v in row.items():
                if "Time" not in k and "PerSec" not in k:
                    yield f"{env}, epoch {row['Epoch']}, {k}", v
        for k, p in agent.named_parameters():
            yield f"{env}, {k} at the end", p.detach().clone()


def compared(text: str, algo: str, path: str = "<fixed>") -> list[str]:
    """The first thing, in the order of the training, that this text does otherwise, as lines."""
    from exercises import lab

    right = fingerprint(load(source(algo), algo), algo)
    for (name, got), (_, want) in zip(
        fingerprint(load(text, algo, path), algo), right, strict=False
    ):
        tol = 1e-4
        if isinstance(want, float):
            import torch

            got, want = torch.tensor(got if got is not None else torch.nan), torch.tensor(want)
        lines = lab.difference(name, got, want, tol)
        if lines:
            return lines
    return []


# ---- exercises that are hunts: what check.py of 9.1 to 9.3 consists of


def hunted(id_: str) -> tuple[Any, ...]:
    """The checks of an exercise whose file is an algorithm with a bug, and LINE and MECHANISM."""
    from exercises import lab
    from exercises.course import find

    task = find(id_)
    bug = bugs()[task.bug]
    before = task.blank.split(bug.planted)[0].count("\n")
    lines = [before + n for n in bug.lines]

    @lab.check("T7", "the line: LINE")
    def where(m: Any) -> Iterator[Any]:
        if not m.LINE:
            raise lab.Wrong("LINE is still 0: write the number of the line in the file as it was")
        if not near(m.LINE, lines):
            raise lab.Wrong(f"line {m.LINE} of the file as it was given does what it should")
        yield lab.Record("LINE", True)

    @lab.check("T7", "the mechanism: MECHANISM")
    def mechanism(m: Any) -> Iterator[Any]:
        if not m.MECHANISM:
            raise lab.Wrong("the line is right; MECHANISM is still empty")
        if m.MECHANISM not in MECHANISMS:
            raise lab.Wrong(f"MECHANISM is one of {', '.join(MECHANISMS)}")
        if m.MECHANISM not in bug.mechanism:
            raise lab.Wrong(f"the line is right, but {m.MECHANISM} is not what happens there")
        yield lab.Record("MECHANISM", True)

    @lab.check("T7", f"a fix of at most {CHANGED} lines")
    def small(m: Any) -> Iterator[Any]:
        touched = changed_lines(task.blank, m.__text__)
        if not touched:
            raise lab.Wrong("the file is not mended: only the answer was written")
        if touched > CHANGED:
            raise lab.Wrong(f"{touched} lines were changed: the bug is smaller than that")
        yield lab.Record("fix", True)

    @lab.check("T3", "two short trainings log and learn what the course's do")
    def same(m: Any) -> Iterator[Any]:
        for name, value in fingerprint(load(m.__text__, bug.algo, m.__file__), bug.algo):
            yield lab.Record(name, value, tol=1e-4)

    return where, mechanism, small, same


def near(line: Any, lines: list[int]) -> bool:
    return isinstance(line, int) and min(lines) - 1 <= line <= max(lines) + 1


def is_answer(row: str) -> bool:
    return row.startswith(("LINE =", "MECHANISM ="))


# ---- the command


def new(args: Any, state: State) -> int:
    """Plant a bug that this learner has not had."""
    known = state.data.setdefault("bugs", {})
    had = {h["bug"] for h in known.values()}
    left = [b for b in bugs().values() if digest(b.id) not in had]
    left = [b for b in left if args.algo in (None, b.algo)]
    left = [b for b in left if args.level in (None, b.level)]
    if not left:
        raise UserError("there is no such bug that you have not had: leave --algo or --level out")
    bug = drawn(args, left)
    name = next(n for n in map(str, itertools.count(1)) if not (state.home / "bugs" / n).exists())
    folder = state.home / "bugs" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{bug.algo}.py").write_text(bug.planted, encoding="utf-8")
    (folder / "answer.toml").write_text(blank_answer(bug.algo), encoding="utf-8")
    (folder / "log.txt").write_text(log(bug), encoding="utf-8")
    plot(bug, folder / "curve.png")
    known[name] = {"bug": digest(bug.id), "text": digest(bug.planted), "algo": bug.algo,
                   "level": bug.level, "status": "open", "attempts": 0}  # fmt: skip
    state.save()
    env = TRAINED[bug.algo][0]
    say(f"Hunt {name}: something is wrong in {place(folder / f'{bug.algo}.py')}")
    say(f"{bug.algo} on {env}, two seeds, level {bug.level} ({LEVELS[bug.level]}):\n")
    say(log(bug))
    say(f"  {place(folder)}/curve.png    beside the algorithm as it is")
    say(f"  {place(folder)}/log.txt      all columns")
    say(f"\nNext: mend the file, write line and mechanism into {place(folder)}/answer.toml, then")
    say(f"      {CALL} bug check {name}")
    say(f"      {CALL} bug train {name}     trains with the file as it is then")
    return 0


def drawn(args: Any, left: list[Bug]) -> Bug:
    """One of those that are left; with a seed, the first of them in an order that all share."""
    order = [b for b in bugs().values() if args.algo in (None, b.algo)]
    order = [b for b in order if args.level in (None, b.level)]
    random.Random(args.seed).shuffle(order)
    return next(b for b in order if b in left)


def hunts(args: Any, state: State) -> int:
    """What was hunted, and how many are left."""
    had = state.data.get("bugs", {})
    for name, h in had.items():
        kind = f"level {h['level']} ({LEVELS[h['level']]})"
        say(f"{name:>3}  {h['algo']:<5} {kind:<34} {h['status']:<9} {h['attempts']} attempts")
    count = len(bugs()) - len({h["bug"] for h in had.values()})
    say(f"{count} of {len(bugs())} are left: {CALL} bug new")
    return 0


def check(args: Any, state: State) -> int:
    """Line, mechanism, and a small fix after which the file does what the algorithm does."""
    name, hunt, bug = find(args.name, state)
    folder = state.home / "bugs" / name
    try:
        text = (folder / f"{bug.algo}.py").read_text(encoding="utf-8-sig")
        answer = tomllib.loads((folder / "answer.toml").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as e:
        raise UserError(f"{place(folder)} cannot be read: {e}") from None
    line, mechanism = answer.get("line"), answer.get("mechanism")
    if mechanism not in ("", *MECHANISMS):
        raise UserError(f"mechanism is one of {', '.join(MECHANISMS)}, not {mechanism!r}")
    touched = changed_lines(bug.planted, text)
    marks = [
        ("line", near(line, [*bug.lines]), f"{line}" if line else "not given yet"),
        ("mechanism", mechanism in bug.mechanism, mechanism or "not given yet"),
        ("small", 0 < touched <= CHANGED, f"{touched} lines changed, {CHANGED} at most"),
    ]
    wrong = differing(text, bug, folder)
    marks.append(("mended", not wrong, wrong[0] if wrong else "trains as the course's does"))
    hunt["attempts"] += 1
    for what, fine, told in marks:
        say(f"  {screen.mark(fine)}  {what:<10} {told}")
        for more in wrong[1:] if what == "mended" else []:
            say(f"                    {more}")
    solved = all(fine for _, fine, _ in marks)
    if solved:
        hunt["status"] = "found"
        say(f"\nFOUND  {bug.says.strip()}")
        say(f"Next: {CALL} bug new")
    state.save()
    return int(not solved)


def differing(text: str, bug: Bug, folder: Path) -> list[str]:
    """What the learner's file does otherwise than the algorithm, judged in a child."""
    from exercises import judge

    def work() -> dict[str, Any]:
        path = str(folder / f"{bug.algo}.py")
        try:
            with judge.quiet(io.StringIO()), judge.limit(60):
                return {"lines": compared(text, bug.algo, path)}
        except BaseException as e:
            number = getattr(e, "lineno", None) or judge.line_in(e, path)
            return {"lines": [judge.told(e), *[f"{path}:{number}"] * bool(number)]}

    data = judge.in_child(work, 120)
    return data["lines"] if isinstance(data, dict) else [data]


def reveal(args: Any, state: State) -> int:
    name, hunt, bug = find(args.name, state)
    if hunt["status"] == "open":
        hunt["status"] = "revealed"
    state.save()
    rows = bug.planted.splitlines()
    for n in bug.lines:
        say(f"  {bug.algo}.py:{n}   {rows[n - 1].strip()}")
    say(f"\n{bug.says.strip()}\n{', '.join(bug.mechanism)}\n")
    pair = rows, source(bug.algo).splitlines()
    say("\n".join(difflib.unified_diff(*pair, "planted", "right", lineterm="", n=1)))
    return 0


def train(args: Any, state: State) -> int:
    """Train with the learner's file in the place of the algorithm."""
    if "--cpu" in args.flags:
        raise UserError("--cpu starts processes that have the course's file: leave it out")
    name, _, bug = find(args.name, state)
    path = state.home / "bugs" / name / f"{bug.algo}.py"
    from rlcourse import run

    sys.modules[f"rlcourse.algos.{bug.algo}"] = load(
        path.read_text(encoding="utf-8"), bug.algo, str(path)
    )
    env, settings = TRAINED[bug.algo]
    flags = [] if args.seed is None else ["--seed", str(args.seed)]
    for k, v in settings.items():
        flags += [f"--{k}", ",".join(map(str, v)) if isinstance(v, tuple) else str(v)]
    folder = ["--exp-name", f"bug_{name}", "--overwrite"]
    return run.main([bug.algo, "--env", env, *flags, *folder, *args.flags])


def find(name: str | None, state: State) -> tuple[str, dict[str, Any], Bug]:
    """A hunt by its number, the newest without one."""
    known = state.data.get("bugs", {})
    if not known or name not in (None, *known):
        there = f"there are {', '.join(known)}" if known else f"{CALL} bug new begins one"
        what = f"there is no hunt {name}" if name else "no hunt is open"
        raise UserError(f"{what}: {there}")
    name = name or [*known][-1]
    hunt = known[name]
    bug = next((b for b in bugs().values() if digest(b.id) == hunt["bug"]), None)
    if bug is None or digest(bug.planted) != hunt["text"]:
        raise UserError(f"the algorithm has changed since hunt {name} was made: {CALL} bug new")
    return name, hunt, bug


def place(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def blank_answer(algo: str) -> str:
    kinds = mechanisms("#   ")
    return (
        f"# Mend {algo}.py beside this file, in at most {CHANGED} lines.\n"
        f"# Say where the mistake was and what it was.\n"
        f'\nline = 0         # of {algo}.py as it was planted\nmechanism = ""   # one of\n{kinds}\n'
    )


def mechanisms(indent: str = "    ") -> str:
    return "".join(f"{indent}{k:<10} {v}\n" for k, v in MECHANISMS.items())


def log(bug: Bug) -> str:
    """Its returns, and the last row of each seed, beside those of the algorithm as it is."""
    lines = []
    for seed in SEEDS:
        for name, told in ((bug.name, "with the bug"), ("", "as it is")):
            rows = stored(bug.algo)[name, seed]
            curve = [r["AverageEpRet"] or "-" for r in rows[:: max(1, len(rows) // 12)]]
            curve = [f"{float(r):.0f}" if r != "-" else r for r in curve]
            lines += [f"seed {seed}    AverageEpRet {told}: {' '.join(curve)}"]
        lines += [""]
    for seed in SEEDS:
        bad, good = stored(bug.algo)[bug.name, seed], stored(bug.algo)["", seed]
        lines += [f"seed {seed}    {'column':<18} {'with the bug':>14} {'as it is':>14}"]
        for column in good[-1]:
            if column not in ("bug", "seed", "Epoch") and good[-1][column]:
                cells = (screen_number(rows[-1].get(column, "")) for rows in (bad, good))
                lines += ["          {:<18} {:>14} {:>14}".format(column, *cells)]
    return "\n".join(lines) + "\n"


def screen_number(text: str) -> str:
    value = float(text or "nan")
    return "-" if value != value else f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def plot(bug: Bug, path: Path) -> None:
    """Return and what is logged, with the bug and without, each seed a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = [
        c
        for c in stored(bug.algo)["", 0][0]
        if c not in ("bug", "seed", "Epoch", "TotalEnvInteracts", "EpLen")
    ]
    figure, axes = plt.subplots(
        -(-len(names) // 3), 3, figsize=(11, 2.4 * -(-len(names) // 3)), squeeze=False
    )
    for ax in axes.flat[len(names) :]:
        ax.remove()
    for ax, column in zip(axes.flat, names, strict=False):
        for which, look in ((bug.name, "C3-"), ("", "C0--")):
            for seed in SEEDS:
                rows = [r for r in stored(bug.algo)[which, seed] if r[column]]
                label = ("with the bug" if which else "as it is") if seed == 0 else None
                ax.plot(
                    [float(r["Epoch"]) for r in rows],
                    [float(r[column]) for r in rows],
                    look,
                    label=label,
                )
        ax.set_title(column, fontsize=9)
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


# ---- effect


def measure(bug: Bug | None, algo: str) -> list[dict[str, Any]]:
    """The rows of the runs with this bug, or of the algorithm as it is."""
    import contextlib
    import io

    from rlcourse.utils.config import Settings
    from rlcourse.utils.run import Run

    module = load(bug.planted if bug else source(algo), algo)
    env, settings = TRAINED[algo][0], bug.settings if bug else TRAINED[algo][1]
    rows = []
    for seed in SEEDS:
        cfg = module.Config(env=env, seed=seed, **settings)
        run = Run(cfg, Settings(eval_every=max(1, cfg.epochs // 6)), show=False)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                module.train(cfg, run)
        except FloatingPointError as e:  # that is its effect
            run.rows.append({"Epoch": len(run.rows) + 1, "AverageEpRet": None, "stopped": str(e)})
        for row in run.rows:
            kept = {k: v for k, v in row.items() if "Time" not in k and "PerSec" not in k}
            rows.append({"bug": bug.name if bug else "", "seed": seed, **kept})
    return rows


ALL = "Epoch TotalEnvInteracts AverageEpRet AverageTestEpRet "
COLUMNS = {
    "on": ALL + "EpLen LossPi LossV Entropy KL ClipFrac VarExplained GradNorm GradSteps",
    "off": ALL + "LossQ LossPi QVals Target TDError GradNorm Saturated Alpha Entropy",
}


@cache
def stored(algo: str) -> dict[tuple[str, int], list[dict[str, str]]]:
    """The measured rows by bug ("" is none) and seed."""
    found: dict[tuple[str, int], list[dict[str, str]]] = {}
    path = FOLDER / f"{algo}.csv"
    if path.exists():
        with path.open(encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                found.setdefault((row["bug"], int(row["seed"])), []).append(row)
    return found


def last_return(algo: str, name: str) -> float:
    """Mean of the training returns over the last quarter of the epochs, over the seeds."""
    values = []
    for seed in SEEDS:
        rows = stored(algo)[name, seed]
        tail = [
            float(r["AverageEpRet"]) for r in rows[-max(1, len(rows) // 4) :] if r["AverageEpRet"]
        ]
        values.append(sum(tail) / len(tail) if tail else float("-inf"))
    return sum(values) / len(values)


def level(bug: Bug) -> int:
    if (bug.name, SEEDS[0]) not in stored(bug.algo):
        raise UserError(f"{bug.id} was not measured: {CALL} dev calibrate bugs")
    low = 20.0 if TRAINED[bug.algo][0].startswith("CartPole") else -1250.0
    share = (last_return(bug.algo, bug.name) - low) / (last_return(bug.algo, "") - low)
    return 1 if share < 0.3 else 2 if share < 0.8 else 3


def record(names: list[str]) -> None:
    """Measure these bugs, or all that have not been, and keep what they logged."""
    for algo in TRAINED:
        known = dict(stored(algo))
        wanted = [None, *(b for b in bugs().values() if b.algo == algo)]
        for b in wanted:
            name = b.name if b else ""
            if (name, SEEDS[0]) in known and not (b and b.id in names):
                continue
            began = time.process_time()
            for row in measure(b, algo):
                known.setdefault((name, row["seed"]), []).append(row)
            write(algo, known)
            print(f"{algo}: {name or 'as it is'}: {time.process_time() - began:.0f} s", flush=True)


def write(algo: str, rows: dict[tuple[str, int], list[dict[str, Any]]]) -> None:
    every = [row for key in sorted(rows) for row in rows[key]]
    logged = COLUMNS["on" if algo in ("vpg", "ppo") else "off"].split()
    logged = [c for c in logged if any(row.get(c) not in (None, "") for row in every)]
    columns = ["bug", "seed", *logged]
    with (FOLDER / f"{algo}.csv").open("w", encoding="utf-8", newline="") as f:
        out = csv.DictWriter(f, columns, extrasaction="ignore", lineterminator="\n")
        out.writeheader()
        for row in every:
            out.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
