"""Several processes on one experiment: the same numbers, equal parameters, and never a hang."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from rlcourse import ppo, run
from rlcourse.utils import checkpoint, folders, mpi
from rlcourse.utils.config import Settings, UserError, cores
from rlcourse.utils.logger import read
from rlcourse.utils.optim import descend

MPIEXEC = Path(sys.executable).with_name("mpiexec")
LIMIT = 60  # seconds until a job counts as hanging
SMALL = "--env CartPole-v1 --horizon 64 --num-envs 4 --minibatch 32 --passes 2 --exp-name exp"

several = [
    pytest.mark.mpi,
    pytest.mark.skipif(not MPIEXEC.exists(), reason="there is no mpiexec beside Python"),
    pytest.mark.skipif(cores() < 2, reason="two processes need two cores"),
]


def parallel(function):
    for mark in several:
        function = mark(function)
    return function


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


HEAD = """
import hashlib, json, operator, os, signal, sys, time
import gymnasium as gym
import numpy as np
import torch
from rlcourse import ExperimentGrid, ppo, vpg
from rlcourse.utils import mpi
from rlcourse.utils.config import Settings
from rlcourse.utils.envs import Envs
from rlcourse.utils.run import Run

torch.set_num_threads(1)
rank = mpi.rank()

def tell(name, value):
    with open(f"{name}.{rank}.json", "w") as file:
        json.dump(value, file)
"""


def job(script, limit=LIMIT, where="."):
    """Run a script in two processes: exit code, all output, seconds."""
    (Path(where) / "script.py").write_text(HEAD + textwrap.dedent(script))
    began = time.monotonic()
    process = subprocess.Popen(
        [MPIEXEC, "-n", "2", sys.executable, "-m", "mpi4py", "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=where,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=limit)
    finally:
        process.kill()  # a hang; mpiexec's processes end with it
    return process.returncode, out, time.monotonic() - began


def told(name, where="."):
    return [json.loads((Path(where) / f"{name}.{rank}.json").read_text()) for rank in range(2)]


# ---------------------------------------------------------------------------- one process


def test_one_process_is_its_own_average():
    x = torch.tensor([1.0, 5.0])
    mpi.average_(x)
    assert x.tolist() == [1, 5]
    assert mpi.mean(torch.tensor(3.0)) == 3
    assert mpi.gather("a") == ["a"] and mpi.first("b") == "b"
    assert mpi.sync(x) is x
    assert [op([2, 7]).tolist() for op in (mpi.total, mpi.lowest, mpi.highest)] == [[2, 7]] * 3
    assert (mpi.rank(), mpi.size()) == (0, 1)


@pytest.mark.parametrize("shift", [0, 1e6])
def test_moments_are_those_of_numpy_even_far_from_zero(shift):
    x = torch.randn(400, 3, dtype=torch.float64) * torch.tensor([1, 10, 0.1]) + shift
    mean, var, count = mpi.column_moments(x)
    np.testing.assert_allclose(mean, x.numpy().mean(0), rtol=1e-12)
    np.testing.assert_allclose(var, x.numpy().var(0), rtol=1e-9)
    assert count == 400
    np.testing.assert_allclose(mpi.moments(x), (x.numpy().mean(), x.numpy().std()), rtol=1e-9)


def test_totals_are_shared_out_over_the_processes(monkeypatch):
    monkeypatch.setattr(mpi, "size", lambda: 4)
    mine = mpi.divide(ppo.Config(env="CartPole-v1", num_envs=8, minibatch=256, horizon=100))
    assert (mine.num_envs, mine.minibatch, mine.horizon) == (2, 64, 100)


@pytest.mark.fault("wrong-launcher")
def test_processes_that_do_not_see_each_other_are_refused(monkeypatch, capsys):
    monkeypatch.setenv("RLCOURSE_CPU", "2")  # as by the mpiexec of another MPI
    assert run.main(["ppo", *SMALL.split(), "--cpu", "2"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "mpiexec started 1 that see each other" in err
    assert list(Path().iterdir()) == []


@pytest.mark.fault("wrong-launcher")
def test_another_number_of_processes_than_mpiexec_started_is_refused(monkeypatch):
    monkeypatch.setattr(mpi, "size", lambda: 2)
    with pytest.raises(UserError, match="--cpu 4.*started 2.*pass --cpu 2"):
        mpi.launch(4, [])
    mpi.launch(2, [])


def test_the_command_is_started_again_as_it_was_given(monkeypatch):
    calls = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.delenv("RLCOURSE_CPU", raising=False)
    mpi.launch(1, ["ppo", "--cpu", "1"])
    assert calls == []
    mpi.launch(2, ["ppo", "--cpu", "2"])
    ((path, command, variables),) = calls
    assert command[1:] == [
        *("-n", "2", sys.executable, "-m", "mpi4py"),
        *("-m", "rlcourse.run", "ppo", "--cpu", "2"),
    ]
    assert path == command[0] and Path(path).name == "mpiexec"
    assert variables["RLCOURSE_CPU"] == "2" and variables["OMP_NUM_THREADS"] == "1"


def test_several_processes_draw_what_one_would_draw_on_a_terminal(monkeypatch):
    calls = []
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    for name in ("RLCOURSE_CPU", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    mpi.launch(2, [])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    mpi.launch(2, [])
    assert [call[2].get("FORCE_COLOR") for call in calls] == [None, "1"]
    assert calls[1][2]["COLUMNS"] == "77"


# ----------------------------------------------------------------------- the same numbers

TOGETHER = """
from gymnasium.spaces import Discrete
from rlcourse.utils.optim import descend

# Reductions
everything = torch.randn(70, 3, generator=torch.Generator().manual_seed(1)) * 5 + 1e3
mine = everything[:20] if rank == 0 else everything[20:]
mean, var, count = mpi.column_moments(mine)
x = torch.full((5,), float(rank + 1))
mpi.average_(x)
net = torch.nn.Linear(2, 2)
torch.nn.init.constant_(net.weight, rank + 7.0)
net.register_buffer("count", torch.tensor(rank + 3, dtype=torch.float64))
view = net.weight.data
mpi.sync(net)
tell("reductions", {
    "mean": mean.tolist(), "var": var.tolist(), "count": count,
    "moments": mpi.moments(mine),
    "pooled": mpi.statistics([1.0, 2.0] if rank == 0 else [9.0]),
    "of one": mpi.statistics([] if rank == 0 else [4.0, 6.0]),
    "of none": mpi.statistics([]),
    "total": mpi.total([rank, 1]).tolist(),
    "lowest": mpi.lowest([rank, -rank]).tolist(),
    "highest": mpi.highest([rank, -rank]).tolist(),
    "mean of one": mpi.mean(torch.tensor(rank + 0.5)),
    "average": x.tolist(),
    "synced": [view.tolist(), float(net.count)],
    "gather": mpi.gather({"rank": rank}),
    "first": mpi.first(f"from {rank}"),
})

# Whole runs
def state_of(agent, run):
    state = [*agent.state_dict().values()]
    for opt in run._optimizers().values():
        state += [x for x in opt.moments]
    return hashlib.sha256(b"".join(x.numpy().tobytes() for x in state)).hexdigest()

def run_of(algo, env, epochs, folder=None):
    cfg = algo.Config(env, 5, epochs, 4, 32, minibatch=32, passes=2)
    run = Run(cfg, Settings(cpu=2, eval_every=2, eval_episodes=3), folder, show=False)
    agent = algo.train(cfg, run)
    rows = [{n: v for n, v in row.items() if "Time" not in n and "PerSec" not in n}
            for row in run.rows]
    return {"state": state_of(agent, run), "rows": rows, "draw": float(torch.rand(())),
            "obs": run.envs.obs.tolist(), "numbers": list(run.envs.number)}

for algo in (ppo, vpg):
    for env in ("CartPole-v1", "Pendulum-v1"):
        tell(f"{algo.__name__}-{env}", run_of(algo, env, 4))
    run_of(algo, "CartPole-v1", 2, f"folder-{algo.__name__}")
    tell(f"{algo.__name__}-continued", run_of(algo, "CartPole-v1", 4, f"folder-{algo.__name__}"))

# One gradient of a batch of which each process has a half
source = torch.Generator().manual_seed(3)
obs, adv, ret = (torch.randn(64, *n, generator=source) for n in ([4], [], []))
act = torch.randint(2, (64,), generator=source)
half = slice(32 * rank, 32 * rank + 32)
torch.manual_seed(1)
agent = ppo.Agent(4, Discrete(2), ppo.Config("CartPole-v1"))
adv = ppo.standardise(adv[half])
agent.v.ret.update(ret[half])
agent.pi.norm.update(obs[half])
b = ppo.Batch(obs[half], act[half], torch.full((32,), -0.7), adv, ret[half])
loss = ppo.loss_pi(agent.pi, b, 0.2, 0.01)[0] + ppo.loss_v(agent.v, b)
norm = descend(agent.opt, loss, 0.5)
tell("halves", {"theta": agent.theta.tolist(), "adv": adv.tolist(), "norm": norm,
                "mean": agent.pi.norm.mean.tolist(), "std": agent.v.ret.std.tolist()})

# One process alone goes too far
original, calls = ppo.loss_pi, 0

def far(*args):
    global calls
    calls += 1
    loss, kl = original(*args)
    return loss, kl + (2.0 if rank == 1 and calls == 4 else 0.0)

ppo.loss_pi = far
cfg = ppo.Config("CartPole-v1", epochs=1, num_envs=4, horizon=32, minibatch=32, max_kl=0.5)
run = Run(cfg, Settings(eval_episodes=2), show=False)
ppo.train(cfg, run)
tell("stopped", [run.rows[0]["GradSteps"], calls])
ppo.loss_pi = original

# One process alone gets a signal
cfg = ppo.Config("CartPole-v1", epochs=5, num_envs=4, horizon=32, minibatch=32)
run = Run(cfg, Settings(cpu=2, eval_episodes=2, mpi_timeout=3), "signalled", show=False)
count, step = 0, Envs.step

def signalled(self, act):
    global count
    count += 1
    if rank == 1 and count == 32 + 10:
        os.kill(os.getpid(), signal.SIGTERM)
    return step(self, act)

Envs.step = signalled
try:
    ppo.train(cfg, run)
except SystemExit as e:
    tell("signalled", [e.code, len(run.rows)])
Envs.step = step

# A grid in Python
grid = ExperimentGrid("grid")
for key, value in dict(env="CartPole-v1", seed=[0, 1], epochs=1, horizon=16, num_envs=2,
                       minibatch=16, eval_episodes=1).items():
    grid.add(key, value)
grid.run(ppo, num_cpu=2)

# The environments of one process alone do not repeat themselves
class Chance(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (1,))
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.full(1, rank * np.random.random(), np.float32), {}

    def step(self, action):
        return np.full(1, rank * np.random.random(), np.float32), 0.0, False, False, {}

gym.register("Chance-v0", entry_point=Chance, max_episode_steps=50)
for epochs in (1, 2):
    cfg = ppo.Config("Chance-v0", epochs=epochs, num_envs=4, horizon=32, minibatch=32)
    ppo.train(cfg, Run(cfg, Settings(cpu=2, eval_episodes=2), "chance"))
"""


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder where two processes told what they found."""
    where = tmp_path_factory.mktemp("together")
    code, out, _ = job(TOGETHER, where=where)
    assert code == 0, out
    (where / "out.txt").write_text(out)
    return where


@parallel
def test_reductions_equal_those_over_all_rows_together(together):
    mine, other = told("reductions", together)
    assert mine == other, "the same bits in every process"
    rows = torch.randn(70, 3, generator=torch.Generator().manual_seed(1)) * 5 + 1e3
    rows = rows.double().numpy()
    np.testing.assert_allclose(mine["mean"], rows.mean(0), rtol=1e-14)
    np.testing.assert_allclose(mine["var"], rows.var(0), rtol=1e-10)
    assert mine["count"] == 70
    np.testing.assert_allclose(mine["moments"], (rows.mean(), rows.std()), rtol=1e-10)
    x = np.array([1.0, 2.0, 9.0])
    expected = {"Average": x.mean(), "Std": x.std(), "Max": 9.0, "Min": 1.0}
    assert mine["pooled"] == pytest.approx(expected, rel=1e-14)
    assert mine["of one"] == {"Average": 5.0, "Std": 1.0, "Max": 6.0, "Min": 4.0}
    assert mine["of none"] == {}
    assert (mine["total"], mine["lowest"], mine["highest"]) == ([1, 2], [0, -1], [1, 0])
    assert mine["mean of one"] == 1.0
    assert mine["average"] == [1.5] * 5
    assert mine["synced"] == [[[7.0, 7.0]] * 2, 3.0]
    assert mine["gather"] == [{"rank": 0}, {"rank": 1}] and mine["first"] == "from 0"


@pytest.mark.fault("ranks-differ")
@parallel
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("algo", ["ppo", "vpg"])
def test_processes_hold_equal_parameters_and_rows_but_play_other_episodes(together, algo, env):
    mine, other = told(f"rlcourse.algos.{algo}-{env}", together)
    assert mine["state"] == other["state"]
    assert mine["rows"] == other["rows"]
    assert [row["TotalEnvInteracts"] for row in mine["rows"]] == [128, 256, 384, 512]
    assert (mine["numbers"], other["numbers"]) == ([0, 1], [2, 3])
    assert mine["draw"] != other["draw"] and mine["obs"] != other["obs"]


@pytest.mark.fault("killed")
@parallel
@pytest.mark.parametrize("algo", ["ppo", "vpg"])
def test_two_processes_continue_as_if_they_had_never_stopped(together, algo):
    whole = told(f"rlcourse.algos.{algo}-CartPole-v1", together)
    continued = told(f"rlcourse.algos.{algo}-continued", together)
    assert continued == whole
    folder = together / f"folder-rlcourse.algos.{algo}"
    assert len(checkpoint.load(folder / "checkpoint.pt")["ranks"]) == 2
    assert len(read(folder / "progress.csv")) == 4


@parallel
def test_two_halves_of_a_batch_give_the_step_of_the_whole_batch(together):
    mine, other = told("halves", together)
    assert (mine["theta"], mine["norm"]) == (other["theta"], other["norm"])
    source = torch.Generator().manual_seed(3)
    obs, adv, ret = (torch.randn(64, *n, generator=source) for n in ([4], [], []))
    act = torch.randint(2, (64,), generator=source)
    torch.manual_seed(1)
    agent = ppo.Agent(4, Discrete(2), ppo.Config("CartPole-v1"))
    before, adv = agent.theta.clone(), ppo.standardise(adv)
    agent.v.ret.update(ret)
    agent.pi.norm.update(obs)
    b = ppo.Batch(obs, act, torch.full((64,), -0.7), adv, ret)
    loss = ppo.loss_pi(agent.pi, b, 0.2, 0.01)[0] + ppo.loss_v(agent.v, b)
    norm = descend(agent.opt, loss, 0.5)
    np.testing.assert_allclose(mine["adv"] + other["adv"], adv.tolist(), atol=1e-6)
    np.testing.assert_allclose(mine["mean"], agent.pi.norm.mean.tolist(), atol=1e-6)
    np.testing.assert_allclose(mine["std"], agent.v.ret.std.tolist(), atol=1e-6)
    assert mine["norm"] == pytest.approx(norm, rel=1e-4)
    np.testing.assert_allclose(mine["theta"], agent.theta.tolist(), atol=1e-5)
    assert not torch.allclose(before, agent.theta, atol=1e-4)


@parallel
def test_all_processes_end_an_update_though_only_one_went_too_far(together):
    assert told("stopped", together) == [[3, 5], [3, 5]]  # the fifth call measures the outcome


@pytest.mark.fault("signal")
@parallel
def test_all_processes_stop_after_an_epoch_in_which_one_got_a_signal(together):
    assert told("signalled", together) == [[143, 2], [143, 2]]
    state = checkpoint.load(together / "signalled" / "checkpoint.pt")
    assert state["epoch"] == 2 and len(state["ranks"]) == 2


@parallel
def test_what_any_process_notices_when_it_continues_is_said(together):
    out = (together / "out.txt").read_text()
    for number in (2, 3):
        assert out.count(f"environment {number}, episode 0, step 32") == 1


@parallel
def test_the_results_of_a_grid_in_python_are_shown_once(together):
    out = (together / "out.txt").read_text()
    assert [line.split()[-3:] for line in out.splitlines() if line.endswith("  data/grid")] == [
        ["0", "1", "data/grid"]
    ]


# ---------------------------------------------------------------------------- never a hang

TRAIN = """
ppo.train(ppo.Config("CartPole-v1", epochs=2, num_envs=4, horizon=32, minibatch=32))
print("the end")
"""

BROKEN = """
step = Envs.step
def broken(self, act):
    if rank == 1 and len(self.played[0]) == 5:
        self.envs[0].unwrapped.state = np.full(4, np.nan)
    return step(self, act)
Envs.step = broken
"""


@pytest.mark.fault("process-fails")
@parallel
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (BROKEN, "environment 2, episode 0, step 6, process 1 is [nan nan nan nan]"),
        ("if rank == 1: sys.exit(3)", ""),
    ],
)
def test_a_failure_of_one_process_ends_the_job(failure, message):
    code, out, seconds = job(failure + TRAIN)
    assert code != 0
    assert message in out
    assert "the end" not in out
    assert seconds < 30


@pytest.mark.fault("ranks-differ")
@parallel
@pytest.mark.parametrize("part", ["theta", "pi.norm.mean"])
def test_parameters_that_differ_by_one_bit_end_the_job_after_the_epoch(part):
    code, out, _ = job(f"""
        cfg = ppo.Config("CartPole-v1", epochs=9, num_envs=4, horizon=32, minibatch=32)
        run = Run(cfg, Settings(save_every=0.0), folder="run", show=False)
        update = ppo.Agent.update
        def update_and_differ(self, data, cfg):
            log = update(self, data, cfg)
            if rank == 1 and len(run.rows) == 2:
                x = operator.attrgetter({part!r})(self).data.flatten()
                x[0] = float(np.nextafter(x[0].numpy(), np.float32(9)))
            return log
        ppo.Agent.update = update_and_differ
        ppo.train(cfg, run)
    """)
    assert code != 0
    assert "the parameters of process 1 differ from those of process 0" in out
    assert checkpoint.load(Path("run/checkpoint.pt"))["epoch"] == 2


SILENCE = """
mpi.timeout = 0.6
if rank == 0:
    time.sleep(100)
waited = {}
for name, call in {
    CALLS
}.items():
    began = time.monotonic()
    try:
        call()
    except TimeoutError as e:
        waited[name] = [str(e), time.monotonic() - began]
tell("waited", waited)
raise TimeoutError("enough")
"""
CALLS = {
    "numbers": """
        "total": lambda: mpi.total(1),
        "average_": lambda: mpi.average_(torch.ones(3)),
        "sync": lambda: mpi.sync(torch.nn.Linear(2, 2)),
        "barrier": lambda: mpi.barrier(),
    """,
    "plain data": """
        "gather": lambda: mpi.gather(1),
        "first": lambda: mpi.first(1),
    """,
}


@pytest.mark.fault("process-hangs")
@parallel
@pytest.mark.parametrize("kind", CALLS)
def test_a_process_that_never_answers_ends_the_job_after_the_time_limit(kind):
    code, out, seconds = job(SILENCE.replace("CALLS", CALLS[kind]))
    assert code != 0 and "enough" in out
    waited = json.loads(Path("waited.1.json").read_text())
    assert len(waited) == CALLS[kind].count("lambda")
    for message, took in waited.values():
        assert "process 1 waited 0.6 s for the others" in message
        assert 0.5 < took < 20  # far below the 100 s of the other one's silence


@pytest.mark.fault("process-hangs")
@parallel
def test_a_process_that_falls_silent_within_a_gathering_ends_the_job_as_well():
    code, out, _ = job("""
        class Silent:
            def __reduce__(self):
                time.sleep(100)
        mpi.timeout = 0.6
        mpi.gather(Silent() if rank == 0 else 1)
    """)
    assert code != 0
    assert "process 1 waited 0.6 s for the others to gather" in out


@pytest.mark.fault("process-hangs")
@parallel
def test_a_process_that_leaves_early_ends_the_job_after_the_time_limit():
    code, out, _ = job("""
        cfg = ppo.Config("CartPole-v1", epochs=2, num_envs=4, horizon=32, minibatch=32)
        run = Run(cfg, Settings(mpi_timeout=1), show=False)
        if rank == 0:
            ppo.train(cfg, run)
    """)
    assert code != 0
    assert "process 0 waited 1 s for the others" in out


# -------------------------------------------------------------------------- the command line


@pytest.mark.fault("signal")
@parallel
def test_two_processes_of_one_command_write_one_run_and_stop_together(capsys):
    folder = Path("data/exp/exp_s0")
    words = f"-m rlcourse.run ppo {SMALL} --cpu 2 --epochs 5000 --save-every 1000"
    process = subprocess.Popen(
        [sys.executable, *words.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + LIMIT
        while len(read(folder / "progress.csv")) < 3:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        process.terminate()
        out, _ = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 143, out
    assert out.count("stopped by SIGTERM, saved") == out.count("2 processes") == 1
    rows, state = read(folder / "progress.csv"), checkpoint.load(folder / "checkpoint.pt")
    assert state["epoch"] == len(rows) >= 3 and len(state["ranks"]) == 2
    assert [r["TotalEnvInteracts"] for r in rows] == [256 * k for k in range(1, len(rows) + 1)]
    assert len(list(Path().rglob("config.yaml"))) == len(list(folder.glob("events.*"))) == 1

    assert run.main(["ppo", *SMALL.split(), "--epochs", "5000"]) == 2
    assert "--cpu 2 there, 1 here" in capsys.readouterr().err


@pytest.mark.fault("mistake")
@parallel
def test_a_mistake_that_several_processes_could_find_is_told_once():
    folder = Path("data/exp/exp_s0")
    folder.mkdir(parents=True)
    cfg = ppo.Config("CartPole-v1", epochs=2, horizon=64, num_envs=4, minibatch=32, passes=2)
    folders.write_config(folder, cfg, Settings(cpu=2))
    for name in ("checkpoint.pt", "checkpoint.prev.pt"):
        (folder / name).write_bytes(b"damaged")
    code, out, _ = job(f"""
        from rlcourse.run import main
        sys.exit(main("ppo {SMALL} --cpu 2 --epochs 2".split()))
    """)
    assert code == 2
    assert out.count("damaged: --overwrite") == 1
