"""The long versions of tests/faults: what is promised in docs/guide/reliability.md, counted.

    python experiments/reliability/measure.py            all parts, about half an hour of one core
    python experiments/reliability/measure.py kills      one of kills, files, ends, cost

Each part writes its numbers to a CSV file beside this one, and figures.md is made from all of them.
"""

import csv
import hashlib
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "tests/faults")]

from commands import end, here, start, wait_for  # noqa: E402

from rlcourse.utils import checkpoint  # noqa: E402
from rlcourse.utils.config import Settings, UserError  # noqa: E402
from rlcourse.utils.logger import read  # noqa: E402
from rlcourse.utils.run import Run  # noqa: E402

KILLS = 25  # of each of these
CASES = [
    *((algo, "CartPole-v1") for algo in ("vpg", "ppo", "sac")),
    *((algo, "Pendulum-v1") for algo in ("vpg", "ppo", "ddpg", "td3", "sac")),
]
EPOCHS = 150
SMALL = "--num-envs 2 --horizon 32 --minibatch 32 --hidden 16 --eval-every 100 --eval-episodes 1"
FLAGS = dict.fromkeys(("ddpg", "td3", "sac"), "--random-steps 64 --memory 5000 --utd 0.5")
FOLDER = Path("data/exp/exp_s0")
FLIPS, CUTS = 3000, 200
FAULTS = "raise exit vanish kill segfault nan_obs nan_reward freeze".split()
TIMES = 3  # of each fault of a process


# ---- a run that is killed again and again


def fingerprint(state: Any) -> str:
    """SHA-256 of all that a checkpoint holds, but for the seconds that it took."""
    found = hashlib.sha256()

    def add(x: Any) -> None:
        if isinstance(x, dict):
            for name in sorted(x.keys() - {"seconds"}):
                found.update(str(name).encode())
                add(x[name])
        elif isinstance(x, list | tuple):
            for item in x:
                add(item)
        else:
            found.update(x.numpy().tobytes() if isinstance(x, torch.Tensor) else repr(x).encode())

    add(state)
    return found.hexdigest()


def kills() -> Iterator[dict[str, Any]]:
    """Kill -9 at random moments; what is on the disk then, beside a run that nobody stopped."""
    for algo, env in CASES:
        with folder():
            flags = f"--env {env} --epochs {EPOCHS} --save-every 0 {SMALL} {FLAGS.get(algo, '')}"
            expected = uninterrupted(algo, flags)
            for kill in range(KILLS):
                process, had = start(algo, flags), len(read(FOLDER / "progress.csv"))
                wait_for(lambda at=had: len(read(FOLDER / "progress.csv")) > at, process)
                time.sleep(random.random() * 0.3)
                process.send_signal(signal.SIGKILL)
                end(process)
                rows = len(read(FOLDER / "progress.csv"))
                state, complaint = checkpoint.load_newest(FOLDER / "checkpoint.pt")
                epoch = state["epoch"]
                if epoch == EPOCHS:
                    raise RuntimeError("it was finished: more epochs are needed")
                equal = fingerprint(state) == expected[epoch]
                yield dict(algo=algo, env=env, kill=kill, rows=rows, saved=epoch, equal=equal)


def uninterrupted(algo: str, flags: str) -> dict[int, str]:
    """The fingerprint of the checkpoint after each epoch of a run that is left alone."""
    found, save = {}, Run._save

    def noted(self: Run, row: dict[str, Any]) -> None:
        save(self, row)
        found[row["Epoch"]] = fingerprint(checkpoint.load(FOLDER / "checkpoint.pt"))

    Run._save = noted
    if here(algo, flags) != 0:
        raise RuntimeError(f"{algo} {flags} failed")
    Run._save = save
    FOLDER.parent.rename("whole")
    return found


# ---- files


def files() -> Iterator[dict[str, Any]]:
    """Flipped bits and cut ends of a checkpoint; the plain loader beside ours."""
    with folder():
        if here("sac", f"--env Pendulum-v1 --epochs 2 {SMALL} {FLAGS['sac']}") != 0:
            raise RuntimeError("no checkpoint")
        whole = (FOLDER / "checkpoint.pt").read_bytes()
        draw = random.Random(0)
        for bit in draw.sample(range(8 * len(whole)), FLIPS):
            changed = bytearray(whole)
            changed[bit // 8] ^= 1 << bit % 8
            yield dict(damage="bit", at=bit // 8, **opened(bytes(changed)))
        for length in draw.sample(range(len(whole)), CUTS):
            yield dict(damage="cut", at=length, **opened(whole[:length]))


def opened(content: bytes) -> dict[str, bool]:
    """Whether rlcourse, and torch alone, load a damaged file."""
    Path("damaged.pt").write_bytes(content)
    found = {}
    for name, load in (("rlcourse", checkpoint.load), ("torch", plain)):
        try:
            load(Path("damaged.pt"))
            found[name] = True
        except UserError:
            found[name] = False
        except Exception:  # torch has no error of its own for this
            found[name] = False
    return found


def plain(path: Path) -> Any:
    return torch.load(path, weights_only=True)


# ---- processes


def ends() -> Iterator[dict[str, Any]]:
    """One of two processes has a fault: how the job ends, and how many seconds later."""
    flags = (
        "--env faulty:Faulty-v0 --cpu 2 --num-envs 2 --horizon 16 --minibatch 16 --passes 1 "
        "--hidden 8 --epochs 100000 --save-every 0 --eval-every 1000 --mpi-timeout 2"
    )
    for fault in FAULTS:
        for _ in range(TIMES):
            with folder():
                process = start("ppo", f"{flags} --env-kwargs fault={fault} at_step=40 rank=1")
                code, _ = end(process)
                seconds = time.time() - float(Path("fault.time").read_text())
                yield dict(fault=fault, code=code, seconds=round(seconds, 2))


# ---- cost


def cost() -> Iterator[dict[str, Any]]:
    """The share of a run that is spent saving, at the defaults."""
    for algo, env, epochs in (("ppo", "CartPole-v1", 50), ("ppo", "Pendulum-v1", 50)) + tuple(
        (algo, "Pendulum-v1", 5) for algo in ("ddpg", "td3", "sac")
    ):
        with folder():
            spent, save = [], Run._save

            def timed(self: Run, row: dict[str, Any], spent=spent, save=save) -> None:
                began = time.process_time()
                save(self, row)
                spent.append(time.process_time() - began)

            Run._save = timed
            module = import_module(f"rlcourse.algos.{algo}")
            cfg, began = module.Config(env, epochs=epochs), time.process_time()
            module.train(cfg, Run(cfg, Settings(), FOLDER, show=False))
            Run._save = save
            total = time.process_time() - began
            yield dict(
                algo=algo, env=env, seconds=round(total, 1), saves=len(spent), saving=sum(spent)
            )


# ---- what is stored


class folder(tempfile.TemporaryDirectory):
    """An empty folder to work in."""

    def __enter__(self) -> None:
        self.before = os.getcwd()
        os.chdir(super().__enter__())

    def __exit__(self, *error: Any) -> None:
        os.chdir(self.before)
        super().__exit__(*error)


PARTS = {"kills": kills, "files": files, "ends": ends, "cost": cost}


def store(name: str) -> None:
    with open(HERE / f"{name}.csv", "w", newline="") as file:
        writer = None
        for row in PARTS[name]():
            writer = writer or csv.DictWriter(file, list(row), lineterminator="\n")
            if file.tell() == 0:
                writer.writeheader()
                print(*row)
            writer.writerow(row)
            file.flush()
            print(*row.values(), flush=True)


def stored(name: str) -> list[dict[str, str]]:
    path = HERE / f"{name}.csv"
    return list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []


def figures() -> str:
    """A table of all that is stored."""
    lines = ["| what was done | how often | what came of it |", "|---|---|---|"]
    rows = stored("kills")
    if rows:
        equal = sum(r["equal"] == "True" for r in rows)
        lost = max(int(r["rows"]) - int(r["saved"]) for r in rows)
        what = f"{len({r['algo'] for r in rows})} algorithms, discrete and continuous"
        lines.append(
            f"| `kill -9` at a random moment, and the same command again: {what} | {len(rows)} | "
            f"{equal} checkpoints equal those of a run that nobody stopped, bit for bit; "
            f"at most {lost} epoch was lost, where every epoch was saved |"
        )
    for damage, what in (("bit", "a bit of a checkpoint flipped"), ("cut", "its end cut off")):
        rows = [r for r in stored("files") if r["damage"] == damage]
        if rows:
            ours, plain_ = (Counter(r[n] for r in rows)["True"] for n in ("rlcourse", "torch"))
            lines.append(
                f"| {what} | {len(rows)} | {ours} loaded (`torch.load` alone: {plain_}, "
                "nothing said) |"
            )
    times = defaultdict(list)
    for r in stored("ends"):
        times[r["fault"]].append(float(r["seconds"]))
    for fault, seconds in times.items():
        codes = {r["code"] for r in stored("ends") if r["fault"] == fault}
        middle, most = statistics.median(seconds), max(seconds)
        lines.append(
            f"| one of two processes: `{fault}` | {len(seconds)} | both ended, "
            f"{middle:.1f} s later (at most {most:.1f}), exit code {' or '.join(sorted(codes))} |"
        )
    for r in stored("cost"):
        share = float(r["saving"]) / float(r["seconds"])
        what = f"{r['algo']} on {r['env']}, defaults, {r['seconds']} s of CPU"
        lines.append(f"| {what} | {r['saves']} saves | {share:.2%} of the time |")
    versions = ", ".join(f"{n} {version(n)}" for n in ("torch", "gymnasium", "mpi4py"))
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return "\n".join([*lines, "", f"{machine}, {versions}; a frozen process: `--mpi-timeout 2`.\n"])


if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        store(part)
    (HERE / "figures.md").write_text(figures())
