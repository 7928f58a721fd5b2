"""Runs that are killed or stopped: the same command continues, and ends as if nothing had been."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from commands import end, here, launch, start, wait_for

from rlcourse.utils import checkpoint
from rlcourse.utils.config import cores
from rlcourse.utils.logger import read

EPOCHS = 20
SMALL = "--num-envs 2 --horizon 32 --minibatch 32 --hidden 8 --eval-every 9 --eval-episodes 1"
ON_POLICY, OFF_POLICY = SMALL, f"{SMALL} --horizon 16 --random-steps 64 --memory 300 --utd 0.5"
FLAGS = {"vpg": ON_POLICY, "ppo": f"{ON_POLICY} --passes 2"}
FLAGS |= dict.fromkeys(("ddpg", "td3", "sac"), OFF_POLICY)
FOLDER = Path("data/exp/exp_s0")
WHOLE = Path("whole/exp_s0")
MPIEXEC = Path(sys.executable).with_name("mpiexec")

CASES = [
    *((algo, "CartPole-v1") for algo in ("vpg", "ppo", "sac")),
    *((algo, "Pendulum-v1") for algo in ("vpg", "ppo", "ddpg", "td3", "sac")),
]


def flags(algo, env, cpu=1, epochs=EPOCHS):
    return f"--env {env} --epochs {epochs} --save-every 0 --cpu {cpu} {FLAGS[algo]}"


def rows(folder=FOLDER):
    """Without times, and without cells that are empty: TD3's LossPi gets its column later."""
    return [
        {n: x for n, x in row.items() if x is not None and "Time" not in n and "PerSec" not in n}
        for row in read(folder / "progress.csv")
    ]


def assert_same(mine, other):
    """All that two files hold is equal, but for times and names."""
    if isinstance(mine, dict):
        assert mine.keys() == other.keys()
        for name in mine.keys() - {"seconds", "exp_name", "data_dir"}:
            assert_same(mine[name], other[name])
    elif isinstance(mine, list | tuple):
        assert len(mine) == len(other)
        for a, b in zip(mine, other, strict=True):
            assert_same(a, b)
    elif isinstance(mine, torch.Tensor):
        assert torch.equal(mine, other)
    else:
        assert mine == other


def kill(process, folder, more):
    """kill -9 of all processes soon after the rows have become so many; the epoch that is saved."""
    had = len(rows(folder))
    wait_for(lambda: len(rows(folder)) >= had + more, process)
    time.sleep(random.random() * 0.05)
    os.killpg(process.pid, signal.SIGKILL)
    end(process)
    state, complaint = checkpoint.load_newest(folder / "checkpoint.pt")
    assert complaint == "" and EPOCHS > state["epoch"] >= len(rows(folder)) - 1 >= had
    return state["epoch"]


def assert_same_end(folder, whole):
    assert rows(folder) == rows(whole)
    for name in ("checkpoint.pt", "model.pt"):
        assert_same(checkpoint.load(folder / name), checkpoint.load(whole / name))


@pytest.mark.slow
@pytest.mark.fault("killed")
@pytest.mark.parametrize(("algo", "env"), CASES)
def test_a_run_that_was_killed_anywhere_ends_as_one_that_was_not(algo, env):
    """Twice at random moments; each time no more than the epoch that was being saved is lost."""
    assert here(algo, flags(algo, env)) == 0
    FOLDER.parent.rename("whole")
    for _ in range(2):
        saved = kill(start(algo, flags(algo, env)), FOLDER, random.randint(2, 6))
        assert rows()[:saved] == rows(WHOLE)[:saved]
    assert here(algo, flags(algo, env)) == 0
    assert_same_end(FOLDER, WHOLE)


@pytest.mark.slow
@pytest.mark.mpi
@pytest.mark.fault("killed")
@pytest.mark.skipif(cores() < 2, reason="two processes need two cores")
@pytest.mark.skipif(not MPIEXEC.exists(), reason="no mpiexec beside Python")
def test_two_processes_that_were_killed_in_each_run_of_a_grid_end_as_if_they_were_not():
    """One command for the runs of all algorithms: started anew, it ends one and begins the next."""
    with open("grid.yaml", "w") as file:
        for algo, env in CASES:
            words = f"--algo {algo} --exp-name {algo}-{env} {flags(algo, env, cpu=2)}".split()
            fields = dict(zip(words[::2], words[1::2], strict=True))
            lines = (f"{name[2:].replace('-', '_')}: {x}" for name, x in fields.items())
            file.write("- " + "\n  ".join(lines) + "\n")
    several = [MPIEXEC, "-n", "2", sys.executable, "-m", "mpi4py", "-m", "rlcourse.run"]
    command = [*several, "grid.yaml", "--data-dir"]
    code, out = end(launch([*command, "whole"]))
    assert code == 0, out
    folders = [Path(f"{algo}-{env}", f"{algo}-{env}_s0") for algo, env in CASES]
    for folder in folders:
        kill(launch([*command, "data"]), "data" / folder, random.randint(2, 12))
    code, out = end(launch([*command, "data"]))
    assert code == 0 and out.count("finished already") == len(CASES) - 1, out
    for folder in folders:
        assert_same_end("data" / folder, "whole" / folder)


@pytest.mark.fault("signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_run_at_once_and_leaves_what_was_saved(number):
    """The environment sleeps for a minute in epoch 3, so the first signal cannot end the epoch."""
    command = f"--env faulty:Faulty-v0 {SMALL} --passes 1 --save-every 0 --env-kwargs fault=sleep"
    process = start("ppo", f"{command} at_step=70")
    wait_for(Path("fault.time").exists, process)
    began = time.monotonic()
    process.send_signal(number)
    time.sleep(1.5)
    assert process.poll() is None  # it waits for the end of the epoch
    process.send_signal(number)
    code, out = end(process)
    assert code == 128 + number and time.monotonic() - began < 10, out
    assert checkpoint.load(FOLDER / "checkpoint.pt")["epoch"] == 2 == len(rows())


@pytest.mark.slow
@pytest.mark.fault("killed")
def test_a_run_killed_before_its_first_save_begins_anew():
    command = flags("ppo", "CartPole-v1", epochs=60).replace("--save-every 0", "--save-every 999")
    process = start("ppo", command)
    wait_for(lambda: len(rows()) > 3, process)
    process.kill()
    end(process)
    assert 3 < len(rows()) < 60 and not (FOLDER / "checkpoint.pt").exists()
    assert here("ppo", command) == 0
    assert len(rows()) == 60
