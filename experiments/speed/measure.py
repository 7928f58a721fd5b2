"""This project beside Stable-Baselines3, sbx and tianshou: speed, memory, time to the goal.

    pip install -e '.[bench,mujoco]'
    python experiments/speed/measure.py                 all parts, some hours of one core
    python experiments/speed/measure.py turns           a part: see PARTS
    python experiments/speed/measure.py turns 'ppo A CartPole-v1'     one case of it

Packages take turns in the same minutes, each in a process of its own (worker.py), so that their
ratios hold on a busy machine too; what is compared is the time of the processor. A package that
sits in another environment is found by `--python sb3=/path/to/python`. Each part writes a CSV file
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
from itertools import chain
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGES = ["rlcourse", "sb3", "sbx", "tianshou"]
NAMES = {"sb3": "Stable-Baselines3", "products": "matrix products"}
PYTHON = dict.fromkeys([*PACKAGES, "products"], sys.executable)  # --python changes it
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
    "ppo A CartPole-v1": dict(goal=[475, 100], limit=300_000),
    "sac Pendulum-v1": dict(goal=[-200, 10], limit=30_000, random_steps=1000),
}
SEEDS = range(5)


# ---- workers


class Worker:
    """One package in its own process, which trains while `turn` waits and stands still else."""

    def __init__(self, package: str, case: dict[str, Any], **more: Any):
        case = dict(package=package, threads=1, seed=0, defaults=False) | case | more
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [PYTHON[package], str(HERE / "worker.py"), json.dumps(case)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
        )
        self.version = self.read()["version"]

    def read(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.communicate()[1])
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
    return {name: case for name, case in cases.items() if not wanted or name in wanted}


# ---- parts


def turns(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Steady state, start and memory, on one thread of one core."""
    for name, case in those(wanted, CASES).items():
        packages = [p for p in PACKAGES if PYTHON[p]]
        bound = ["products"] if case["algo"] != "ppo" else []
        yield from compete(name, case, packages + bound)


def threads(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """As many threads as each package takes by itself; only for a machine that is idle."""
    some = {name: CASES[name] for name in ("ppo A CartPole-v1", "sac Pendulum-v1")}
    for name, case in those(wanted, some).items():
        yield from compete(name, case, ["rlcourse", "sb3", "sbx"], threads=0)


def solve(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Seconds of the processor from the start of the process to the goal."""
    for name, goal in those(wanted, GOALS).items():
        for seed in SEEDS:
            for defaults in (False, True):
                for package in ("rlcourse", "sb3", "sbx"):
                    worker = Worker(package, CASES[name] | goal, seed=seed, defaults=defaults)
                    found = worker.turn(go=False)
                    worker.close()
                    yield dict(
                        case=name,
                        package=package,
                        settings="own defaults" if defaults else "equal",
                        seed=seed,
                        solved=found.get("solved", False),
                        steps=found["steps"],
                        cpu=round(found["cpu"], 2),
                        wall=round(found["wall"], 2),
                    )


def profile(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """Where the time of an environment step goes, in microseconds."""
    for algo in those(wanted, dict.fromkeys(("vpg", "ppo", "ddpg", "td3", "sac"))):
        env = "HalfCheetah-v5"
        seconds, steps = in_parts(algo, env)
        for part, taken in seconds.items():
            yield dict(case=algo, part=part, us=round(1e6 * taken / steps, 1))


def in_parts(algo: str, env: str) -> tuple[dict[str, float], int]:
    """Processor seconds of a training run in each part of it, less those of the parts within."""
    import torch

    from rlcourse.utils import envs, evaluate, optim, replay
    from rlcourse.utils.config import Settings
    from rlcourse.utils.run import Run

    module = import_module(f"rlcourse.algos.{algo}")
    seconds, open_ = defaultdict(float), []

    def timed(owner: Any, name: str, part: str) -> None:
        inner = getattr(owner, name)

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

    timed(module, "train", "log, and everything else")
    timed(evaluate.Evaluation, "play", "evaluation")
    timed(module, "collect", "acting, and laying out the data")
    for name in ("step", "reset_done", "random_act"):
        timed(envs.Envs, name, "the environments")
    timed(module.Agent, "update", "losses: forward")
    timed(torch.Tensor, "backward", "losses: backward")
    timed(module, "descend", "clipping, checks, Adam")
    timed(optim.Adam, "step", "clipping, checks, Adam")
    if hasattr(module, "gae"):
        timed(module, "gae", "advantages")
        timed(module, "measure", "what is logged")
    else:
        timed(replay.Replay, "add", "the memory")
        inner = replay.Replay.sample

        def drawn(*args: Any) -> Iterator[Any]:
            batches = inner(*args)
            while (b := next_(batches)) is not None:
                yield b

        def next_(batches: Iterator[Any]) -> Any:
            return next(batches, None)

        box = type("Box", (), {"next": staticmethod(next_)})
        timed(box, "next", "the memory")
        next_ = box.next
        replay.Replay.sample = drawn
    more = dict(epochs=10) if hasattr(module, "gae") else dict(epochs=3, num_envs=1, horizon=500)
    cfg = module.Config(env, **more)
    module.train(cfg, Run(cfg, Settings(eval_every=10**6), show=False))
    del seconds["evaluation"]  # of the end alone
    return seconds, cfg.epochs * cfg.horizon * cfg.num_envs


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


def compiled(wanted: list[str]) -> Iterator[dict[str, Any]]:
    """PPO with its two losses compiled, and as they are; what compiling costs is in turn 1."""
    name = "ppo B CartPole-v1"
    case = CASES[name]
    ways = {"eager": {}, "compiled": dict(compile=["loss_pi", "loss_v"])}
    workers = {way: Worker("rlcourse", case, **more) for way, more in ways.items()}
    before = {way: worker.turn(go=False) for way, worker in workers.items()}
    for turn in range(1, TURNS + 3):
        for way, worker in workers.items():
            now, then = worker.turn(), before[way]
            before[way] = now
            steps, cpu = now["steps"] - then["steps"], now["cpu"] - then["cpu"]
            yield dict(case=name, way=way, turn=turn, steps=steps, cpu=round(cpu, 3))
    for worker in workers.values():
        worker.close()


# ---- what is stored

PARTS = {
    "turns": turns,
    "threads": threads,
    "solve": solve,
    "profile": profile,
    "cores": cores,
    "compiled": compiled,
}


def stored(part: str) -> list[dict[str, str]]:
    path = HERE / f"{part}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def store(part: str, wanted: list[str]) -> None:
    """Write the rows of a part as they come; cases that were not asked for keep theirs."""
    kept = [r for r in stored(part) if wanted and r["case"] not in wanted]
    with open(HERE / f"{part}.csv", "w", newline="") as file:
        writer = None
        for r in chain(kept, PARTS[part](wanted)):
            if writer is None:
                writer = csv.DictWriter(file, list(r), lineterminator="\n")
                writer.writeheader()
            writer.writerow(r)
            file.flush()
            print(*r.values(), flush=True)


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
    lines += ["## Where the time of a step goes", "", *parts(stored("profile"))]
    lines += ["## The second core", "", *second(stored("cores"))]
    ways = by(stored("compiled"), "way")
    if ways:
        speed = {way: steady(rows) for way, rows in ways.items()}
        first = {way: float(rows[0]["cpu"]) for way, rows in ways.items()}
        lines += ["## PPO with compiled losses", ""]
        lines += table(
            ["", "steps per second of the processor", "seconds of the first turn"],
            [[way, spread(speed[way], 0), f"{first[way]:.1f}"] for way in ways],
        )
    return "\n".join([*lines, (HERE / "machine.txt").read_text()])


def competition(rows: list[dict[str, str]], clock: str) -> list[str]:
    out = []
    for case, mine in by(rows, "case").items():
        speeds = {package: steady(r, clock) for package, r in by(mine, "package").items()}
        for package, values in speeds.items():
            ratios = [a / b for a, b in zip(speeds["rlcourse"], values, strict=True)]
            ratio = "" if package == "rlcourse" else spread(ratios)
            name = NAMES.get(package, package)
            out.append([case if package == "rlcourse" else "", name, spread(values, 0), ratio])
    return table(["case", "package", "steps a second", "rlcourse is faster by"], out)


def start(rows: list[dict[str, str]]) -> list[str]:
    out = []
    for (case, package), mine in by(rows, "case", "package").items():
        if case in ("ppo A CartPole-v1", "sac HalfCheetah-v5") and package != "products":
            name = NAMES.get(package, package)
            at_start, at_end = mine[0], mine[-1]
            out.append([case, name, at_start["cpu"], at_start["wall"], at_end["memory"]])
    head = ["case", "package", "s of the processor to the first step", "s of the clock", "MB"]
    return table(head, out)


def goals(rows: list[dict[str, str]]) -> list[str]:
    out = []
    for (case, settings), mine in by(rows, "case", "settings").items():
        seconds = {p: [float(r["cpu"]) for r in rs] for p, rs in by(mine, "package").items()}
        for package, rs in by(mine, "package").items():
            solved = sum(r["solved"] == "True" for r in rs)
            ratio = statistics.median(seconds[package]) / statistics.median(seconds["rlcourse"])
            out.append(
                [
                    f"{case}, {settings}",
                    NAMES.get(package, package),
                    f"{solved} of {len(rs)}",
                    spread([int(r["steps"]) for r in rs], 0),
                    spread(seconds[package], 1),
                    "" if package == "rlcourse" else f"{ratio:.1f}",
                ]
            )
    head = ["case", "package", "solved", "steps", "s of the processor", "rlcourse takes less by"]
    return table(head, out)


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
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((x.split(":")[1].strip() for x in info.splitlines() if "model name" in x), "")
    versions = sorted({r["version"] for part in ("turns", "threads") for r in stored(part)})
    python = platform.python_version()
    cores_ = f"{os.cpu_count()} cores, {model}, {platform.system()}"
    return f"{cores_}, Python {python}; {', '.join(versions)}.\n"


def main(words: list[str]) -> None:
    while words and words[0] == "--python":
        package, path = words[1].split("=")
        PYTHON[package] = path
        words = words[2:]
    for part in words[:1] or PARTS:
        store(part, words[1:])
    (HERE / "machine.txt").write_text(machine())
    (HERE / "figures.md").write_text(figures())


if __name__ == "__main__":
    main(sys.argv[1:])
