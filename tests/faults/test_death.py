"""Runs that are killed or stopped: the same command continues, and ends as if nothing had been."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from commands import end, here, start, wait_for

from rlcourse.utils import checkpoint
from rlcourse.utils.config import cores
from rlcourse.utils.logger import read

EPOCHS = 40
SMALL = "--num-envs 2 --horizon 32 --minibatch 32 --hidden 16 --eval-every 9 --eval-episodes 2"
ON_POLICY, OFF_POLICY = SMALL, f"{SMALL} --random-steps 64 --memory 700 --utd 0.5"
FLAGS = {"vpg": ON_POLICY, "ppo": f"{ON_POLICY} --passes 2"}
FLAGS |= dict.fromkeys(("ddpg", "td3", "sac"), OFF_POLICY)
FOLDER = Path("data/exp/exp_s0")

CASES = [
    *((algo, "CartPole-v1") for algo in ("vpg", "ppo", "sac")),
    *((algo, "Pendulum-v1") for algo in ("vpg", "ppo", "ddpg", "td3", "sac")),
]
two = pytest.param(
    2,
    marks=[pytest.mark.mpi, pytest.mark.skipif(cores() < 2, reason="needs two cores")],
)


def flags(algo, env, cpu=1, epochs=EPOCHS):
    return f"--env {env} --epochs {epochs} --save-every 0 --cpu {cpu} {FLAGS[algo]}"


def rows(folder=FOLDER):
    return [
        {n: x for n, x in row.items() if "Time" not in n and "PerSec" not in n}
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


def whole_run(algo, env, cpu):
    """The exit code of a run that nobody stops; one process of it can be this one."""
    command = flags(algo, env, cpu)
    return here(algo, command) if cpu == 1 else end(start(algo, command))[0]


@pytest.mark.slow
@pytest.mark.fault("killed")
@pytest.mark.parametrize("cpu", [1, two])
@pytest.mark.parametrize(("algo", "env"), CASES)
def test_a_run_that_was_killed_anywhere_ends_as_one_that_was_not(algo, env, cpu):
    """kill -9 of all its processes at random moments, twice; each time no more than the epoch
    that was being saved is lost."""
    assert whole_run(algo, env, cpu) == 0
    expected, reached = rows(), 0
    whole = checkpoint.load(FOLDER / "checkpoint.pt")
    model = checkpoint.load(FOLDER / "model.pt")
    FOLDER.parent.rename("whole")
    for _ in range(2):
        process = start(algo, flags(algo, env, cpu))
        more = random.randint(2, 9)
        wait_for(lambda at=reached + more: len(rows()) >= at, process)
        time.sleep(random.random() * 0.05)
        os.killpg(process.pid, signal.SIGKILL)
        end(process)
        state, complaint = checkpoint.load_newest(FOLDER / "checkpoint.pt")
        assert complaint == "" and state["epoch"] >= len(rows()) - 1 >= reached
        assert rows()[: state["epoch"]] == expected[: state["epoch"]]
        reached = state["epoch"]
        assert reached < EPOCHS
    assert whole_run(algo, env, cpu) == 0
    assert rows() == expected
    assert_same(checkpoint.load(FOLDER / "checkpoint.pt"), whole)
    assert_same(checkpoint.load(FOLDER / "model.pt"), model)


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
    command = flags("ppo", "CartPole-v1", epochs=200).replace("--save-every 0", "--save-every 999")
    process = start("ppo", command)
    wait_for(lambda: len(rows()) > 3, process)
    process.kill()
    end(process)
    assert 3 < len(rows()) < 200 and not (FOLDER / "checkpoint.pt").exists()
    assert here("ppo", command) == 0
    assert len(rows()) == 200
