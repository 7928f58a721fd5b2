"""Bug hunts: one mistake is planted into the source of a real algorithm, and has to be found.

What can be planted is in _author/bugs/bugs.toml. Each was trained with for two seeds, beside the
algorithm as it is (`measure`); how bad it is follows from that: its level.
"""

import csv
import difflib
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
    "ppo": ("CartPole-v1", {"epochs": 25}),
    **dict.fromkeys(
        ("ddpg", "td3", "sac"),
        ("Pendulum-v1", {"epochs": 6, "horizon": 250, "hidden": (64, 64), "minibatch": 100}),
    ),
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
    def settings(self) -> dict[str, Any]:
        extra = dict(part.split("=") for part in self.flags.split())
        return TRAINED[self.algo][1] | {k: float(v) for k, v in extra.items()}

    @property
    def level(self) -> int:
        """From the mean return of the last quarter, between that of random actions and the right one's."""
        return level(self)


def source(algo: str) -> str:
    return (ROOT / "rlcourse" / "algos" / f"{algo}.py").read_text(encoding="utf-8")


@cache
def bugs() -> dict[str, Bug]:
    data = tomllib.loads((FOLDER / "bugs.toml").read_text(encoding="utf-8"))["bug"]
    found = [Bug(with_=d.pop("with"), **d) for d in data]
    return {b.id: b for b in found}


def changes(old: str, new: str) -> Iterator[tuple[int, str]]:
    """Number and text of the lines of `new` that are not in `old`; where lines went, the next one."""
    a, b = old.splitlines(), new.splitlines()
    for tag, _, _, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from ((j + 1, b[j] if j < len(b) else "") for j in range(j1, max(j2, j1 + 1)))


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
    """All that two short trainings log and learn: equal for two sources only if they do the same."""
    from rlcourse.utils.config import Settings
    from rlcourse.utils.run import Run

    small = {"num_envs": 2, "hidden": (8, 8), "seed": 3, "epochs": 3}
    on = {"horizon": 16, "minibatch": 8, "passes": 2, "lr": 0.01, **({"entropy": 0.01, "max_kl": 0.02} if algo == "ppo" else {})}
    off = {"horizon": 12, "minibatch": 16, "random_steps": 20, "memory": 60}
    if algo == "td3":
        off["smooth"] = 1.0  # so that its limit matters
    for env in ("Mixed-v0", "MixedDiscrete-v0")[: 2 if algo in ("vpg", "ppo") else 1]:
        cfg = module.Config(env=f"exercises.worlds:{env}", **small, **(on if "pp" in algo or algo == "vpg" else off))
        run = Run(cfg, Settings(eval_episodes=1), show=False)
        agent = module.train(cfg, run)
        for row in run.rows:
            for k, v in row.items():
                if "Time" not in k and "PerSec" not in k:
                    yield f"{env}, epoch {row['Epoch']}, {k}", v
        for k, p in agent.named_parameters():
            yield f"{env}, {k} at the end", p.detach().clone()


def compared(text: str, algo: str, path: str = "<fixed>") -> list[str]:
    """What is different in what this text does, as lines; the first in the order of the training."""
    from exercises import lab

    right = fingerprint(load(source(algo), algo), algo)
    for (name, got), (_, want) in zip(fingerprint(load(text, algo, path), algo), right, strict=True):
        tol = 1e-4
        if isinstance(want, float):
            import torch

            got, want = torch.tensor(got if got is not None else torch.nan), torch.tensor(want)
        lines = lab.difference(name, got, want, tol)
        if lines:
            return lines
    return []


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


COLUMNS = {
    "on": "Epoch TotalEnvInteracts AverageEpRet AverageTestEpRet EpLen LossPi LossV Entropy KL ClipFrac "
          "VarExplained GradNorm GradSteps",
    "off": "Epoch TotalEnvInteracts AverageEpRet AverageTestEpRet LossQ LossPi QVals Target TDError GradNorm "
           "Saturated Alpha Entropy",
}  # fmt: skip


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
        tail = [float(r["AverageEpRet"]) for r in rows[-max(1, len(rows) // 4) :] if r["AverageEpRet"]]
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
    columns = ["bug", "seed", *COLUMNS["on" if algo in ("vpg", "ppo") else "off"].split()]
    every = [row for key in sorted(rows) for row in rows[key]]
    columns = [c for c in columns if any(row.get(c) not in (None, "") for row in every)]
    with (FOLDER / f"{algo}.csv").open("w", encoding="utf-8", newline="") as f:
        out = csv.DictWriter(f, columns, extrasaction="ignore", lineterminator="\n")
        out.writeheader()
        for row in every:
            out.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
