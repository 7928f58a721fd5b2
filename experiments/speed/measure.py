"""This project beside Stable-Baselines3, sbx and tianshou: speed, memory, time to the goal.

    pip install -e '.[bench,mujoco]'                    tianshou wants an environment of its own
    python experiments/speed/measure.py                 all parts, some hours of one core
    python experiments/speed/measure.py turns           a part: see PARTS
    python experiments/speed/measure.py turns 'ppo A CartPole-v1'     one case of it

Packages take turns in the same minutes, each in a process of its own (worker.py), so that their
ratios hold on a busy machine too; what is compared is the time of the processor. A package that
sits in another environment is found by `--python sb3=/path/to/python`; `--python sb3=` leaves it
out of the turns. Each part writes a CSV file
beside this one, and figures.md is made from all of them.
"""

import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGES = ["rlcourse", "sb3", "sbx", "tianshou"]
NAMES = {
    "sb3": "Stable-Baselines3",
    "compiled": "rlcourse --compile",
    "products": "matrix products",
}
BESIDE = {"ppo": ["compiled"], "ddpg": ["products"], "td3": ["products"], "sac": ["products"]}
PYTHON = dict.fromkeys([*PACKAGES, "compiled", "products"], sys.executable)  # --python changes it
TURNS = 5  # after the first two, which warm up

SMALL = dict(hidden=[64, 64], minibatch=64, lr=3e-4)
LARGE = dict(hidden=[256, 256], minibatch=256, lr=1e-3, num_envs=1, turn=300, random_steps=300)
SHAPES = {"A": dict(num_envs=1, horizon=2048), "B": dict(num_envs=8, horizon=128)}
CASES = {
    f"ppo {shape} {env}": dict(algo="ppo", env=env, turn=4096, **SMALL, **SHAPES[shape])
    for shape in SHAPES
    for env in ("CartPole-v1", "HalfCheetah-v5")
} | {
    f"{algo} {env}": dict(algo=algo, env=env, **LARGE)
    for algo in ("sac", "td3", "ddpg")
    for env in ("HalfCheetah-v5", "Pendulum-v1")
}
GOALS = {
    "ppo A CartPole-v1": (dict(goal=[475, 100], limit=300_000), 3),
    "sac Pendulum-v1": (dict(goal=[-200, 10], limit=30_000, random_steps=1000), 1),
}  # and how many seeds

# Settings beside the defaults and those of --tuned, in processor seconds to the goal; the slowest
# seed counts.
HOLD = dict(goal=[-200, 10], limit=30_000)
LAND = dict(goal=[200, 100], limit=500_000)
SWING = ["defaults", "tuned", "tuned, random_steps 200", "tuned, utd 0.5"]
TASKS = {
    "ppo CartPole-v1": (
        dict(goal=[475, 100], limit=300_000),
        ["defaults", "minibatch 128", "minibatch 64", "lr 1e-3", "lr 1e-3, passes 5"]
        + ["minibatch 128, lr 1e-3", "minibatch 128, passes 5"]
        + ["minibatch 128, num_envs 16, horizon 128"],
        5,
    ),
    "ppo Pendulum-v1": (
        HOLD | dict(limit=300_000),
        ["defaults", "tuned", "tuned, passes 5", "tuned, num_envs 32, horizon 64", "tuned, lr 1e-3"]
        + ["tuned, lr 1e-3, minibatch 128", "tuned, lr 1e-3, minibatch 64"],
        5,
    ),
    "ppo LunarLander-v3": (
        LAND,
        ["tuned", "tuned, minibatch 512", "tuned, num_envs 8", "tuned, gamma 0.99"]
        + ["tuned, passes 5", "tuned, num_envs 32, horizon 128"],
        5,
    ),
    "ppo LunarLanderContinuous-v3": (
        LAND,
        ["tuned", "tuned, minibatch 256", "tuned, minibatch 256, num_envs 8"]
        + ["tuned, minibatch 256, gamma 0.99"],
        5,
    ),
    "ppo HalfCheetah-v5": (
        dict(goal=[1000, 10], limit=300_000),
        ["defaults", "minibatch 128", "lr 1e-3, passes 5"],
        5,
    ),
} | {f"{algo} Pendulum-v1": (HOLD, SWING, 5) for algo in ("ddpg", "td3", "sac")}


# ---- workers


class Worker:
    """One package in its own process, which trains while `turn` waits and stands still else."""

    def __init__(self, package: str, case: dict[str, Any], **more: Any):
        case = dict(package=package, threads=1, seed=0, defaults=False) | case | more
        self.noise = tempfile.TemporaryFile("w+")  # a pipe would fill, and stop it
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [PYTHON[package], str(HERE / "worker.py"), json.dumps(case)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.noise,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        )
        self.version = self.read()["version"]

    def read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            self.noise.seek(0)
            raise RuntimeError(self.noise.read())
        return json.loads(line)

    def turn(self, go: bool = True) -> dict[str, Any]:
        """Let it train until it reports; `go` but for the first time."""
        began = self.began if not go else time.perf_counter()
        if go:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        return self.read() | {"wall": time.perf_counter() - began}

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.noise.close()


def compete(name: str, case: dict[str, Any], packages: list[str], **more: Any) -> Iterator[dict]:
    """All packages take turns; a row for each turn, whose number 0 is the start."""
    workers, before = {}, {}
    for package in packages:
        workers[package] = Worker(package, case, **more)
        before[package] = dict(steps=0, cpu=0.0)
        yield from row(name, package, workers[package], 0, before, go=False)
    for turn in range(1, TURNS + 3):
        for package, worker in workers.items():
            yield from row(name, package, worker, turn, before)
    for worker in workers.values():
        worker.close()


def row(name, package, worker, turn, before, go=True) -> Iterator[dict[str, Any]]:
    now, then = worker.turn(go), before[package]
    before[package] = now
    yield dict(
        case=name,
        package=package,
        version=worker.version,
        turn=turn,
        steps=now["steps"] - then["steps"],
        cpu=round(now["cpu"] - then["cpu"], 3),
        wall=round(now["wall"], 3),
        memory=round(now["memory"]),
    )


def those(wanted: list[str], cases: dict[str, Any]) -> dict[str, Any]:
    if unknown := set(wanted) - set(cases):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    return {name: case for name, case in cases.items() if not wanted or name in wanted}


# ---- parts


def turns(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Steady state, start and memory, on one thread of one core."""
    for name, case in those(wanted, CASES).items():
        packages = [p for p in PACKAGES if PYTHON[p]]
        yield from compete(name, case, packages + BESIDE[case["algo"]])


def threads(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """As many threads as each package takes by itself; only for a machine that is idle."""
    some = {name: CASES[name] for name in ("ppo A CartPole-v1", "sac Pendulum-v1")}
    for name, case in those(wanted, some).items():
        yield from compete(name, case, ["rlcourse", "sb3", "sbx"], threads=0)


def solve(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Seconds of the processor from the start of the process to the goal."""
    for name, (goal, seeds) in those(wanted, GOALS).items():
        for seed in range(seeds):
            for defaults in (False, True):
                for package in ("rlcourse", "sb3", "sbx"):
                    settings = "own defaults" if defaults else "equal"
                    found = reach(package, CASES[name] | goal, seed=seed, defaults=defaults)
                    yield dict(case=name, package=package, settings=settings, seed=seed, **found)


def reach(package: str, case: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Train until the goal of the case, or its limit of steps."""
    worker = Worker(package, case, **more)
    found = worker.turn(go=False)
    worker.close()
    solved = found.get("solved", False)
    return dict(solved=solved, steps=found["steps"], cpu=round(found["cpu"], 2))


def defaults(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Seconds of the processor to the goal with the defaults, with --tuned, and with others."""
    for name, (goal, settings, seeds) in those(wanted, TASKS).items():
        algo, env = name.split()
        for seed in range(seeds):
            for words in settings:
                case = dict(algo=algo, env=env, turn=10**9, defaults=True)
                found = reach("rlcourse", case | goal, seed=seed, fields=fields(algo, env, words))
                yield dict(case=name, settings=words, seed=seed, **found)


def fields(algo: str, env: str, words: str) -> dict[str, Any]:
    """What `tuned, lr 1e-3` changes of the defaults."""
    from rlcourse.utils import tuned

    found: dict[str, Any] = {}
    for each in words.split(", "):
        name, _, value = each.partition(" ")
        if value:
            found[name] = json.loads(value)
        elif name == "tuned":
            found |= tuned.values(algo, env)
    if "lr_end" not in found:  # else the schedule depends on them
        found.pop("epochs", None)
    return found


def profile(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Where the time of an environment step goes, in microseconds, on HalfCheetah-v5."""
    algos = dict(vpg=(2, 12), ppo=(2, 12), ddpg=(1, 3), td3=(1, 3), sac=(1, 3))
    for algo, epochs in those(wanted, algos).items():
        (few, steps), (many, more) = (in_parts(algo, n) for n in epochs)  # the start is in both
        for part in many:
            us = 1e6 * (many[part] - few[part]) / (more - steps)
            yield dict(case=algo, part=part, us=round(us, 1))


def in_parts(algo: str, epochs: int) -> tuple[dict[str, float], int]:
    """Processor seconds of a training run in each part of it, less those of the parts within."""
    import torch

    from rlcourse.utils import envs, evaluate, optim, replay
    from rlcourse.utils.config import Settings
    from rlcourse.utils.run import Run

    module = import_module(f"rlcourse.algos.{algo}")
    seconds, open_, changed = defaultdict(float), [], []

    def timed(owner: Any, name: str, part: str) -> None:
        inner = getattr(owner, name)
        changed.append((owner, name, inner))

        def outer(*args: Any, **kwargs: Any) -> Any:
            began, _ = time.process_time(), open_.append(0.0)
            try:
                return inner(*args, **kwargs)
            finally:
                taken = time.process_time() - began
                seconds[part] += taken - open_.pop()
                if open_:
                    open_[-1] += taken

        setattr(owner, name, outer)

    on_policy = hasattr(module, "gae")
    timed(module, "train", "the log, and everything else")
    timed(evaluate.Evaluation, "play", "evaluation")
    timed(module, "collect", "acting, and laying out the data")
    for name in ("step", "reset_done", "random_act"):
        timed(envs.Envs, name, "the environments")
    timed(module.Agent, "update", "updates: losses, batches, targets")
    timed(torch.Tensor, "backward", "updates: backward")
    timed(module, "descend", "updates: clipping, checks, Adam")
    timed(optim.Adam, "step", "updates: clipping, checks, Adam")
    if on_policy:
        timed(module, "gae", "advantages")
        timed(module, "measure", "what is logged of an update")
    else:
        timed(replay.Replay, "add", "the memory")
        source, sample = SimpleNamespace(next=next), replay.Replay.sample
        timed(source, "next", "the memory")

        def drawn(*args: Any) -> Iterator[Any]:
            batches = sample(*args)
            while (b := source.next(batches, None)) is not None:
                yield b

        changed.append((replay.Replay, "sample", sample))
        replay.Replay.sample = drawn
    try:
        more = dict() if on_policy else dict(num_envs=1, horizon=500, random_steps=1)
        cfg = module.Config("HalfCheetah-v5", epochs=epochs, **more)
        module.train(cfg, Run(cfg, Settings(eval_every=10**6, eval_episodes=1), show=False))
    finally:
        for owner, name, inner in reversed(changed):
            setattr(owner, name, inner)
    del seconds["evaluation"]  # of the end alone
    return seconds, epochs * cfg.horizon * cfg.num_envs


def cores(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """What the second core gives; only for a machine that is idle. Wall time, as a user waits."""
    large = "--num-envs 8 --horizon 256 --minibatch 1024 --epochs 6 --eval-every 1000"
    small = large.replace("1024", "64")
    off = "--num-envs 2 --epochs 2 --random-steps 500 --eval-every 1000"
    seeds = "--seed 0 1 2 3 --epochs 20 --eval-every 1000 --num-envs 8 --horizon 256"
    cases = {
        "ppo CartPole-v1, 4 seeds, --jobs": ("jobs", f"ppo --env CartPole-v1 {seeds}"),
        "ppo HalfCheetah-v5, minibatch 1024, --cpu": ("cpu", f"ppo --env HalfCheetah-v5 {large}"),
        "ppo HalfCheetah-v5, minibatch 64, --cpu": ("cpu", f"ppo --env HalfCheetah-v5 {small}"),
        "sac HalfCheetah-v5, --cpu": ("cpu", f"sac --env HalfCheetah-v5 {off}"),
    }
    for name, (flag, command) in those(wanted, cases).items():
        for turn in range(3):
            for number in 1, 2:
                with tempfile.TemporaryDirectory() as data:
                    words = [*command.split(), f"--{flag}", str(number)]
                    began = time.perf_counter()
                    started = [PYTHON["rlcourse"], "-m", "rlcourse.run", *words]
                    subprocess.run(
                        [*started, "--exp-name", "x", "--data-dir", data],
                        check=True,
                        capture_output=True,
                        cwd=ROOT,
                    )
                    wall = time.perf_counter() - began
                    speed = steps_per_second(Path(data)) if flag == "cpu" else 3600 * 4 / wall
                unit = "steps a second" if flag == "cpu" else "runs an hour"
                yield dict(case=name, number=number, turn=turn, speed=round(speed, 1), unit=unit)


def steps_per_second(data: Path) -> float:
    """The median over the epochs after the first."""
    from rlcourse.utils.logger import read

    (log,) = data.glob("*/*/progress.csv")
    return statistics.median(row["StepsPerSec"] for row in read(log)[1:])


# ---- what is stored

PARTS = {
    "turns": turns,
    "threads": threads,
    "solve": solve,
    "defaults": defaults,
    "profile": profile,
    "cores": cores,
}


def stored(part: str) -> list[dict[str, str]]:
    path = HERE / f"{part}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def store(part: str, wanted: list[str]) -> None:
    """Write the rows of a part as they come; cases that were not asked for keep theirs."""
    kept = [r for r in stored(part) if wanted and r["case"] not in wanted]
    aside = HERE / f"{part}.part"
    with open(aside, "w", newline="") as file:
        writer = None
        for r in chain(kept, PARTS[part](wanted)):
            if writer is None:
                writer = csv.DictWriter(file, list(r), lineterminator="\n")
                writer.writeheader()
            writer.writerow(r)
            file.flush()
            print(*r.values(), flush=True)
    aside.replace(HERE / f"{part}.csv")


# ---- the tables


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:], ""]


def spread(values: list[float], digits: int = 2) -> str:
    """The median, and the lowest and highest where there are several."""
    low, middle, high = min(values), statistics.median(values), max(values)
    ends = f" ({low:.{digits}f} to {high:.{digits}f})" if len(values) > 1 else ""
    return f"{middle:.{digits}f}{ends}"


def by(rows: list[dict[str, str]], *names: str) -> dict[Any, list[dict[str, str]]]:
    found = defaultdict(list)
    for r in rows:
        found[tuple(r[n] for n in names) if len(names) > 1 else r[names[0]]].append(r)
    return found


def steady(rows: list[dict[str, str]], clock: str = "cpu") -> list[float]:
    """Steps a second in each turn after those that warm up."""
    return [int(r["steps"]) / float(r[clock]) for r in rows if int(r["turn"]) > 2]


def figures() -> str:
    lines = ["## Steps per second of the processor", ""]
    lines += competition(stored("turns"), "cpu")
    if stored("threads"):
        lines += ["## With the threads that each package takes by itself, per second", ""]
        lines += competition(stored("threads"), "wall")
    lines += ["## Start and memory", "", *start(stored("turns"))]
    lines += ["## To the goal", "", *goals(stored("solve"))]
    lines += ["## Settings, to the goal", "", *variants(stored("defaults"))]
    lines += ["## Where the time of a step goes", "", *parts(stored("profile"))]
    lines += ["## The second core", "", *second(stored("cores"))]
    return "\n".join([*lines, (HERE / "machine.txt").read_text()])


def competition(rows: list[dict[str, str]], clock: str) -> list[str]:
    out = []
    for case, mine in sorted(by(rows, "case").items(), key=lambda item: [*CASES].index(item[0])):
        speeds = {package: steady(r, clock) for package, r in by(mine, "package").items()}
        for package, values in speeds.items():
            name = NAMES.get(package, package)
            out.append([case if package == "rlcourse" else "", name, spread(values, 0)])
            out[-1] += [ratio(speeds.get(one), values) for one in ("rlcourse", "compiled")]
    head = ["case", "package", "steps a second", "rlcourse : this one"]
    if any(r["package"] == "compiled" for r in rows):
        return table([*head, "rlcourse --compile : this one"], out)
    return table(head, [cells[:-1] for cells in out])


def ratio(ours: list[float] | None, values: list[float]) -> str:
    """Of the means of all turns, with the lowest and the highest of a turn."""
    if ours is None or ours is values:
        return ""
    turns = [a / b for a, b in zip(ours, values, strict=True)]
    mean = statistics.harmonic_mean(ours) / statistics.harmonic_mean(values)
    return f"{mean:.2f} ({min(turns):.2f} to {max(turns):.2f})"


def start(rows: list[dict[str, str]]) -> list[str]:
    """Over all cases: to the first step, and the memory at the end, which is soon."""
    out = []
    for package, mine in by(rows, "package").items():
        if package in PACKAGES:
            first = [r for r in mine if r["turn"] == "0"]
            times = [spread([float(r[clock]) for r in first], 1) for clock in ("cpu", "wall")]
            last = [max(int(r["memory"]) for r in rs) for rs in by(mine, "case").values()]
            out.append([NAMES.get(package, package), *times, spread(last, 0)])
    return table(["package", "s of the processor", "s of the clock", "MiB"], out)


def goals(rows: list[dict[str, str]]) -> list[str]:
    out = []
    for (case, settings), mine in by(rows, "case", "settings").items():
        seconds = {p: [float(r["cpu"]) for r in rs] for p, rs in by(mine, "package").items()}
        for package, rs in by(mine, "package").items():
            solved = sum(r["solved"] == "True" for r in rs)
            ratio = statistics.median(seconds[package]) / statistics.median(seconds["rlcourse"])
            bound = "" if solved == len(rs) else "over "  # the limit came first
            out.append(
                [
                    f"{case}, {settings}",
                    NAMES.get(package, package),
                    f"{solved} of {len(rs)}",
                    spread([int(r["steps"]) for r in rs], 0),
                    spread(seconds[package], 1),
                    "" if package == "rlcourse" else f"{bound}{ratio:.1f}",
                ]
            )
    head = ["case", "package", "solved", "steps", "s of the processor", "times those of rlcourse"]
    return table(head, out)


def variants(rows: list[dict[str, str]]) -> list[str]:
    out = []
    for (case, settings), mine in by(rows, "case", "settings").items():
        solved = sum(r["solved"] == "True" for r in mine)
        steps, seconds = [int(r["steps"]) for r in mine], [float(r["cpu"]) for r in mine]
        cells = [f"{solved} of {len(mine)}", spread(steps, 0), spread(seconds, 1)]
        out.append([case, settings, *cells])
    return table(["task", "settings", "solved", "steps", "s of the processor"], out)


def parts(rows: list[dict[str, str]]) -> list[str]:
    names = list(dict.fromkeys(r["part"] for r in rows))
    out, columns = [], by(rows, "case")
    for name in names:
        cells = [[r["us"] for r in mine if r["part"] == name] for mine in columns.values()]
        out.append([name, *(c[0] if c else "" for c in cells)])
    sums = [f"{sum(float(r['us']) for r in mine):.0f}" for mine in columns.values()]
    return table(["µs per environment step", *columns], [*out, ["together", *sums]])


def second(rows: list[dict[str, str]]) -> list[str]:
    out = []
    for case, mine in by(rows, "case").items():
        speed = {n: [float(r["speed"]) for r in rs] for n, rs in by(mine, "number").items()}
        gain = [b / a for a, b in zip(speed["1"], speed["2"], strict=True)]
        out.append([f"{case} ({mine[0]['unit']})", *(spread(speed[n], 0) for n in "12")])
        out[-1].append(spread(gain))
    return table(["case", "1", "2", "gain"], out)


def machine() -> str:
    from rlcourse.utils import folders

    versions = sorted({r["version"] for part in ("turns", "threads") for r in stored(part)})
    versions += [f"{name} {version(name)}" for name in ("gymnasium", "mujoco", "numpy")]
    python = platform.python_version()
    return f"{folders.machine()}, Python {python}; {', '.join(versions)}.\n"


def main(words: list[str]) -> None:
    while words and words[0] == "--python":
        package, path = words[1].split("=")
        PYTHON[package] = path
        words = words[2:]
    for part in those(words[:1], PARTS):
        store(part, words[1:])
    (HERE / "machine.txt").write_text(machine())
    (HERE / "figures.md").write_text(figures())


if __name__ == "__main__":
    main(sys.argv[1:])
