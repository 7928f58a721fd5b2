"""Several processes on one run: whatever happens to one of them, the job ends and says so."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest
from commands import end, start, wait_for

from rlcourse.utils import checkpoint
from rlcourse.utils.config import cores
from rlcourse.utils.logger import read

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(
        not Path(sys.executable).with_name("mpiexec").exists(), reason="no mpiexec beside Python"
    ),
    pytest.mark.skipif(cores() < 2, reason="two processes need two cores"),
]
SMALL = (
    "--env faulty:Faulty-v0 --cpu 2 --num-envs 2 --horizon 16 --minibatch 16 --passes 1 "
    "--hidden 8 --epochs 100000 --save-every 0 --eval-every 1000"
)
FOLDER = Path("data/exp/exp_s0")
PROMPT = 5  # seconds from a fault of one process to the end of all
SLACK = 10  # for a machine that is busy with other tests


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def job(fault, more=""):
    """A run whose process 1 fails in epoch 3: exit code, output, seconds from then on."""
    process = start("ppo", f"{SMALL} {more} --env-kwargs fault={fault} at_step=40 rank=1")
    code, out = end(process)
    return code, out, time.time() - float(Path("fault.time").read_text())


def assert_saved():
    assert checkpoint.load(FOLDER / "checkpoint.pt")["epoch"] == 2
    assert [row["Epoch"] for row in read(FOLDER / "progress.csv")] == [1, 2]


@pytest.mark.fault("process-fails")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "environment 1, episode 1, step 20, process 1"),
        slow("nan_obs", "the observation of environment 1, episode 1, step 20, process 1 is"),
        slow("nan_reward", "the reward of environment 1, episode 1, step 20, process 1 is nan"),
        slow("exit", ""),
        slow("vanish", ""),
        slow("kill", "9"),
        slow("segfault", "11"),
    ],
)
def test_a_process_that_fails_ends_the_job(fault, message):
    code, out, seconds = job(fault)
    assert seconds < PROMPT + SLACK
    assert code != 0 and message in out, out
    assert_saved()


@pytest.mark.fault("process-hangs")
def test_a_process_that_is_frozen_ends_the_job_after_the_time_limit():
    code, out, seconds = job("freeze", more="--mpi-timeout 2")
    assert code != 0
    assert re.search(r"process 0 waited 2 s for the others to \w+", out), out
    assert 2 < seconds < 2 + PROMPT + SLACK
    assert_saved()


@pytest.mark.fault("signal")
@pytest.mark.parametrize("number", [signal.SIGINT, slow(signal.SIGTERM)])
def test_a_signal_to_the_launcher_lets_all_processes_save(number):
    process = start("ppo", SMALL)
    wait_for(lambda: len(read(FOLDER / "progress.csv")) > 3, process)
    process.send_signal(number)
    code, out = end(process)
    assert code == 128 + number, out
    assert out.count("saved: the same command continues") == 1
    state = checkpoint.load(FOLDER / "checkpoint.pt")
    assert state["epoch"] == len(read(FOLDER / "progress.csv")) and len(state["ranks"]) == 2


@pytest.mark.slow
@pytest.mark.fault("process-fails")
def test_a_launcher_that_is_killed_takes_its_processes_along():
    process = start("ppo", SMALL)
    wait_for(lambda: len(read(FOLDER / "progress.csv")) > 3, process)
    process.kill()
    code, out = end(process)  # once nothing of its session is left
    assert code != 0, out
    assert checkpoint.load_newest(FOLDER / "checkpoint.pt")[0]["epoch"] >= 2
