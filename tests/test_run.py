"""A run: repeatable, continued bit for bit wherever it was cut off, and safe in its folder."""

import functools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from rlcourse import ppo, run
from rlcourse.utils import checkpoint, folders, policy
from rlcourse.utils.config import Settings, UserError
from rlcourse.utils.envs import Envs
from rlcourse.utils.logger import read
from rlcourse.utils.run import Run

EPOCHS = 30
SMALL = "--horizon 64 --num-envs 2 --minibatch 32 --passes 2 --eval-every 7 --eval-episodes 2"
DEADLINE = 60  # seconds, after which a wait for another process fails


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def words(algo="ppo", env="CartPole-v1", epochs=EPOCHS, data="data", more=""):
    text = f"{algo} --env {env} --epochs {epochs} --exp-name exp --data-dir {data} {SMALL} {more}"
    return text.split()


def train(*args, **kwargs):
    """Run the command in this process, whose random numbers must not matter: its exit code."""
    torch.manual_seed(random.randrange(10**6))
    try:
        return run.main(words(*args, **kwargs))
    except SystemExit as e:
        return e.code


def folder(data="data"):
    return Path(data) / "exp" / "exp_s0"


def rows(data="data", tests=True):
    """The rows without what may differ between equal runs."""
    return [
        {
            name: value
            for name, value in row.items()
            if "Time" not in name and "PerSec" not in name and (tests or "Test" not in name)
        }
        for row in read(folder(data) / "progress.csv")
    ]


def leaves(x, name=""):
    """Every number and tensor of nested plain data, by its place."""
    if isinstance(x, dict | list | tuple):
        items = x.items() if isinstance(x, dict) else enumerate(x)
        return {k: v for key, value in items for k, v in leaves(value, f"{name}/{key}").items()}
    return {name: x}


def assert_same_state(path, expected):
    """All that two files hold is equal bit for bit, but for times and where the files are."""
    mine, other = (leaves(checkpoint.load(p)) for p in (path, expected))
    assert mine.keys() == other.keys()
    for name, value in mine.items():
        if name not in ("/seconds", "/config/data_dir", "/config/save_every"):
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, other[name]), name
            else:
                assert value == other[name], name


def assert_same_run(data, expected, best=True):
    assert rows(data) == rows(expected)
    for name in ("checkpoint.pt", "model.pt") + ("best.pt",) * best:
        assert_same_state(folder(data) / name, folder(expected) / name)


def start(*args, **kwargs):
    """The command as a process of its own, which saves after every epoch."""
    return subprocess.Popen(
        [sys.executable, "-m", "rlcourse.run", *words(*args, **kwargs), "--save-every", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for_rows(process, count, data="data"):
    deadline = time.monotonic() + DEADLINE
    while len(read(folder(data) / "progress.csv")) < count:
        assert time.monotonic() < deadline, f"no {count} rows in {DEADLINE} s"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.002)


def cut_off(number, *args, epochs=EPOCHS, **kwargs):
    """Send a signal to a new process in the midst of its training; its exit code and output."""
    process = start(*args, epochs=epochs, **kwargs)
    try:
        had = len(read(folder(kwargs.get("data", "data")) / "progress.csv"))
        wait_for_rows(process, had + random.randint(2, 8), kwargs.get("data", "data"))
        time.sleep(random.random() * 0.03)
        process.send_signal(number)
        out, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    return process.returncode, out


# ------------------------------------------------------------------------------ repeatable


@pytest.mark.fault("repeat")
@pytest.mark.parametrize("algo", ["ppo", "vpg"])
def test_the_same_seed_gives_the_same_numbers_and_another_seed_does_not(algo):
    for data in ("a", "b"):
        assert train(algo, epochs=5, data=data) == 0
    assert_same_run("a", "b")
    assert train(algo, epochs=5, data="c", more="--seed 1") == 0
    other = read(Path("c/exp/exp_s1/progress.csv"))
    assert all(row["LossV"] != row_["LossV"] for row, row_ in zip(other, rows("a"), strict=True))


@pytest.mark.fault("repeat")
def test_neither_saving_nor_watching_changes_what_is_computed():
    assert train(epochs=5, data="seldom") == 0
    assert train(epochs=5, data="often", more="--save-every 0") == 0
    assert_same_run("often", "seldom")
    cfg = ppo.Config("CartPole-v1", 0, 5, 2, 64, minibatch=32, passes=2)
    quiet = Run(cfg, Settings(eval_every=1, eval_episodes=1), show=False)
    ppo.train(cfg, quiet)
    expected = [row["LossPi"] for row in rows("seldom")]
    assert [row["LossPi"] for row in quiet.rows] == expected


# -------------------------------------------------------------------------------- compiled


@pytest.fixture
def compiler(monkeypatch):
    """In place of torch.compile: what it was given, and what is done before each call."""
    given, before = [], [lambda: None]

    def compile_(loss, **_):
        given.append(loss.__name__)
        return lambda *args: (before[-1](), loss(*args))[1]

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr("rlcourse.utils.run.which", lambda name: name)
    return given, before


def test_with_compile_the_loss_is_one_program(compiler):
    given, _ = compiler
    assert train(epochs=1) == 0 and given == []
    assert train(epochs=1, data="compiled", more="--compile true") == 0 and given == ["loss"]
    assert rows() == rows("compiled")


def test_an_interrupt_while_compiling_spares_the_compiler_and_waits_for_the_epoch(compiler):
    _, before = compiler
    held = []

    def interrupt():
        held.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        os.kill(os.getpid(), signal.SIGINT)

    before.append(interrupt)
    assert train(more="--compile true") == 130 and len(rows()) == 1 and all(held)
    before.pop()
    assert train(more="--compile true") == 0 and len(rows()) == EPOCHS
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no compiler")
def test_a_compiled_run_has_the_same_losses_and_continues_bit_for_bit_in_another_process():
    from torch._dynamo.utils import counters

    train(epochs=1, data="eager")
    for epochs, data, more in ((4, "whole", ""), (2, "other", "--clip 0.1"), (2, "cut", "")):
        counters.clear()
        assert train(epochs=epochs, data=data, more=f"{more} --compile true") == 0
        assert counters["stats"]["unique_graphs"] == 1
    command = [sys.executable, "-m", "rlcourse.run", *words(epochs=4, data="cut")]
    subprocess.run([*command, "--compile", "true"], check=True)
    assert rows("cut", tests=False) == rows("whole", tests=False)
    (eager,), first = rows("eager"), rows("whole")[0]
    for name in ("LossPi", "LossV", "KL", "Entropy", "GradNorm", "AverageEpRet"):
        assert first[name] == pytest.approx(eager[name], rel=1e-4, abs=1e-6)


# ----------------------------------------------------------------------- cut off and continued


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The data folder of an uninterrupted run, which is trained when it is first asked for."""

    @functools.cache
    def data(algo, env):
        path = tmp_path_factory.mktemp("whole")
        assert train(algo, env, data=path) == 0
        return path

    return data


@pytest.mark.fault("killed")
@pytest.mark.parametrize(
    ("algo", "env", "kills"),
    [
        ("ppo", "CartPole-v1", 2),
        ("ppo", "Pendulum-v1", 1),
        ("vpg", "CartPole-v1", 1),
        ("vpg", "Pendulum-v1", 1),
    ],
)
def test_a_killed_run_continues_as_if_it_had_never_stopped(algo, env, kills, whole):
    expected = whole(algo, env)
    for _ in range(kills):
        code, out = cut_off(signal.SIGKILL, algo, env)
        assert code == -signal.SIGKILL, out
        assert len(rows()) < EPOCHS
    assert train(algo, env) == 0
    assert_same_run("data", expected)


@pytest.mark.fault("signal")
@pytest.mark.parametrize(
    ("number", "code", "algo", "env"),
    [(signal.SIGINT, 130, "ppo", "Pendulum-v1"), (signal.SIGTERM, 143, "vpg", "CartPole-v1")],
)
def test_a_signal_saves_and_the_same_command_continues(number, code, algo, env, whole):
    expected = whole(algo, env)
    found, out = cut_off(number, algo, env)
    assert found == code, out
    assert f"stopped by {signal.Signals(number).name}" in out
    assert "Traceback" not in out
    saved = checkpoint.load(folder() / "checkpoint.pt")["epoch"]
    assert len(rows()) == saved < EPOCHS  # the open epoch was finished and saved
    assert train(algo, env) == 0
    assert_same_run("data", expected)


def stop_after(epoch):
    """Raise SIGINT in this process while the given epoch is being played."""
    original, count = Envs.step, 0

    def step(self, act):
        nonlocal count
        count += 1
        if count == 64 * epoch + 10:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, act)

    return step


@pytest.mark.fault("signal")
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("flags", ["--lr-end 0", "--norm-obs false --norm-ret false"])
def test_a_run_stopped_between_two_saves_continues_equal(env, flags, monkeypatch, capsys):
    caught = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(n) for n in caught]
    assert train(env=env, epochs=9, data="whole", more=flags) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Envs, "step", stop_after(4))
        assert train(env=env, epochs=9, more=flags) == 130
    assert len(rows()) == 5 == checkpoint.load(folder() / "checkpoint.pt")["epoch"]
    assert [signal.getsignal(n) for n in caught] == before, "the run puts the handlers back"
    assert train(env=env, epochs=9, more=flags) == 0
    assert_same_run("data", "whole")


@pytest.mark.fault("signal")
def test_a_signal_in_the_last_epoch_finishes_the_run_but_begins_no_other(monkeypatch, capsys):
    monkeypatch.setattr(Envs, "step", stop_after(2))
    assert train(epochs=3, more="--seed 0 1") == 130
    assert len(rows()) == 3
    assert not Path("data/exp/exp_s1").exists()
    assert train(epochs=3) == 0
    assert "finished already" in capsys.readouterr().out


@pytest.mark.fault("raises")
def test_a_run_that_fails_keeps_its_last_checkpoint(monkeypatch, capsys):
    assert train(epochs=6, data="whole") == 0

    def broken(self, act):
        raise ZeroDivisionError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(Envs, "step", stop_after(2))
        assert train(epochs=6) == 130
    with monkeypatch.context() as patch:
        patch.setattr(Envs, "step", broken)
        assert train(epochs=6) == 1
    assert "ZeroDivisionError: broken" in capsys.readouterr().err
    assert train(epochs=6) == 0
    assert_same_run("data", "whole")


def test_without_a_checkpoint_a_run_begins_anew():
    assert train(epochs=4, data="whole") == 0
    assert train(epochs=4) == 0
    for name in ("checkpoint.pt", "checkpoint.prev.pt"):
        (folder() / name).unlink(missing_ok=True)
    assert train(epochs=4) == 0
    assert_same_run("data", "whole")


# -------------------------------------------------------------------------- more epochs, done


def test_more_epochs_continue_a_finished_run(capsys):
    assert train(epochs=9, data="whole") == 0
    assert train(epochs=5) == 0
    assert train(epochs=9) == 0
    assert "continuing after epoch 5" in capsys.readouterr().out
    assert rows(tests=False) == rows("whole", tests=False)
    assert [row["AverageTestEpRet"] is not None for row in rows()] == [
        epoch in (5, 7, 9) for epoch in range(1, 10)
    ]
    assert_same_state(folder() / "model.pt", folder("whole") / "model.pt")
    assert folders.read_config(folder())["epochs"] == 9


def test_more_epochs_are_refused_where_the_learning_rate_depends_on_them(capsys):
    assert train(epochs=2, more="--lr-end 0.5") == 0
    before = contents()
    assert train(epochs=3, more="--lr-end 0.5") == 2
    assert "--lr-end" in capsys.readouterr().err
    assert contents() == before


def contents():
    return {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}


def test_a_finished_run_says_so_and_is_not_touched(capsys, monkeypatch):
    assert train(epochs=2) == 0
    before = contents()
    monkeypatch.setattr(Envs, "step", lambda *_: pytest.fail("it trained"))
    assert train(epochs=2) == 0
    out = capsys.readouterr().out
    assert f"finished already: {folder()}" in out
    assert out.count("deterministic policy, 2 episodes: return") == 2
    assert contents() == before


@pytest.mark.fault("other-run")
@pytest.mark.parametrize(
    ("more", "fields"),
    [
        ("--gamma 0.9", ["--gamma 0.99 there, 0.9 here"]),
        (
            "--lr 0.1 --hidden 8",
            ["--lr 0.0003 there, 0.1 here", "--hidden [64, 64] there, [8] here"],
        ),
        ("--epochs 1", ["--epochs 2 there, 1 here"]),
        ("--max-ep-len 20", ["--max-ep-len 0 there, 20 here"]),
        ("--eval-episodes 3", ["--eval-episodes 2 there, 3 here"]),
    ],
)
def test_another_configuration_is_refused_with_the_fields_that_differ(
    more, fields, capsys, finished
):
    assert train(epochs=2, data=finished, more=more) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "--overwrite" in err
    assert all(text in err for text in fields)
    assert "--data-dir" not in err and "--save-every" not in err


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The data folder of a finished run; tests must not change it."""
    data = tmp_path_factory.mktemp("finished") / "data"
    assert train(epochs=2, data=data, more="--save-every 0") == 0
    return data


def test_another_algorithm_or_environment_is_another_run(finished, capsys):
    assert train("vpg", epochs=2, data=finished) == 2
    assert "algo ppo there, vpg here" in capsys.readouterr().err
    assert train(env="Acrobot-v1", epochs=2, data=finished) == 2
    assert "--env CartPole-v1 there, Acrobot-v1 here" in capsys.readouterr().err


def test_what_does_not_change_the_numbers_may_differ(capsys, finished):
    assert train(epochs=2, data=finished, more="--save-every 3 --mpi-timeout 9") == 0
    assert "finished already" in capsys.readouterr().out


def test_overwrite_begins_anew_and_removes_nothing_else():
    assert train(epochs=2) == 0
    (folder() / "notes.txt").write_text("mine")
    assert train(epochs=3, more="--gamma 0.9 --overwrite") == 0
    assert (folder() / "notes.txt").read_text() == "mine"
    assert train(epochs=3, data="whole", more="--gamma 0.9") == 0
    assert_same_run("data", "whole")
    assert len(list(folder().glob("events.*"))) == 1


# ---------------------------------------------------------------------------- damaged files


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def halfway(epochs=6, at=3):
    """Leave a run that was stopped after epoch `at`, with its two newest checkpoints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Envs, "step", stop_after(at - 1))
        assert train(epochs=epochs, more="--save-every 0") == 130


def damage_flip(path):
    flip(path, path.stat().st_size // 2)


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def damage_empty(path):
    path.write_bytes(b"")


def damage_swap(path):
    path.write_bytes(path.with_name("model.pt").read_bytes())


@pytest.mark.fault("damaged")
@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (damage_flip, "damaged"),
        (damage_cut, "damaged"),
        (damage_empty, "damaged"),
        (damage_swap, "no checkpoint"),
    ],
)
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(damage, what, capsys):
    assert train(epochs=6, data="whole") == 0
    halfway()
    damage(folder() / "checkpoint.pt")
    assert train(epochs=6) == 0
    out = capsys.readouterr().out
    assert f"checkpoint.pt is {what}" in out and "the one before" in out
    assert "continuing after epoch 2" in out
    assert_same_run("data", "whole")


@pytest.mark.fault("damaged")
@pytest.mark.parametrize("damage", [damage_flip, damage_swap])
def test_two_damaged_checkpoints_stop_the_run(damage, capsys):
    halfway()
    for path in folder().glob("checkpoint*.pt"):
        damage(path)
    before = contents()
    assert train(epochs=6) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "damaged" in err and "--overwrite" in err
    assert contents() == before


@pytest.mark.fault("damaged")
def test_a_damaged_checkpoint_never_becomes_the_one_before(capsys):
    halfway()
    damage_flip(folder() / "checkpoint.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Envs, "step", stop_after(1))
        assert train(epochs=6, more="--save-every 1000") == 130
    for path in folder().glob("checkpoint*.pt"):
        checkpoint.load(path)


@pytest.mark.fault("other-run")
def test_a_checkpoint_of_another_configuration_is_refused(capsys):
    assert train(epochs=2) == 0
    (folder() / "config.yaml").unlink()
    assert train(epochs=2, more="--gamma 0.9") == 2
    assert "--gamma 0.99 there, 0.9 here" in capsys.readouterr().err


@pytest.mark.fault("other-run")
def test_an_environment_whose_spaces_have_changed_is_refused_with_both(capsys):
    def register(size):
        def cart(**_):
            env = gym.make("Acrobot-v1" if size == 6 else "CartPole-v1").unwrapped
            return env

        gym.register("Changing-v0", entry_point=cart, max_episode_steps=20)

    register(4)
    assert train(env="Changing-v0", epochs=2) == 0
    gym.registry.pop("Changing-v0")
    register(6)
    assert train(env="Changing-v0", epochs=4) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "does not fit: observations Box" in err
    assert "(4,)" in err and "(6,)" in err
    gym.registry.pop("Changing-v0")


@pytest.mark.fault("torn-rows")
def test_lost_rows_are_noticed(capsys):
    halfway()
    (folder() / "progress.csv").unlink()
    assert train(epochs=6) == 0
    assert "progress.csv has lost 3 rows" in capsys.readouterr().out
    assert [row["Epoch"] for row in rows()] == [4, 5, 6]


@pytest.mark.fault("damaged")
def test_a_missing_checkpoint_is_replaced_by_the_one_before():
    assert train(epochs=6, data="whole") == 0
    halfway()
    (folder() / "checkpoint.pt").unlink()
    assert train(epochs=6) == 0
    assert_same_run("data", "whole")


@pytest.mark.fault("damaged")
def test_no_flipped_bit_is_ever_loaded(finished):
    source = folder(finished) / "model.pt"
    content, path = source.read_bytes(), Path("copy.pt")
    positions = random.sample(range(len(content)), 150) + [0, len(content) - 1]
    for position in positions:
        path.write_bytes(content)
        flip(path, position)
        with pytest.raises(UserError, match="damaged or foreign"):
            checkpoint.load(path)
    for length in random.sample(range(len(content)), 50):
        path.write_bytes(content[:length])
        with pytest.raises(UserError):
            checkpoint.load(path)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


@pytest.mark.fault("foreign")
def test_opening_a_file_never_runs_code():
    content = checkpoint.io.BytesIO()
    torch.save({"format": checkpoint.FORMAT, "state": Evil()}, content)
    body = content.getvalue()
    digest = checkpoint.hashlib.sha256(body).hexdigest().encode()
    Path("evil.pt").write_bytes(body + b"#sha256:" + digest)
    with pytest.raises(UserError, match="evil.pt is foreign"):
        checkpoint.load(Path("evil.pt"))
    assert not Path("executed").exists()


@pytest.mark.fault("other-run")
def test_a_file_of_another_format_is_refused():
    checkpoint.save(Path("new.pt"), {"format": checkpoint.FORMAT + 1})
    with pytest.raises(UserError, match=f"format {checkpoint.FORMAT + 1}"):
        checkpoint.load(Path("new.pt"))


@pytest.mark.parametrize("name", ["checkpoint.pt", "checkpoint.prev.pt", "model.pt", "best.pt"])
def test_plain_torch_opens_the_files_of_a_run(finished, name):
    data = torch.load(folder(finished) / name, weights_only=True)
    kinds = {type(leaf) for leaf in leaves(data).values()}
    assert kinds <= {torch.Tensor, int, float, str, bool, type(None)}


@pytest.mark.fault("killed-saving")
def test_a_crash_while_saving_leaves_the_file_before(monkeypatch):
    path = Path("state.pt")
    checkpoint.save(path, {"value": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(UserError, match="state.pt cannot be written: No space.*make room"):
                checkpoint.save(path, {"value": 2}, keep=False)
        assert checkpoint.load(path)["value"] == 1
        assert [p.name for p in Path().iterdir()] == ["state.pt"]


def test_an_error_that_is_no_lack_of_space_is_not_called_one(monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        checkpoint.save(Path("state.pt"), {})
    assert not list(Path().iterdir())


@pytest.mark.fault("killed-saving")
def test_a_file_is_synced_before_it_gets_its_name_and_its_folder_after(monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, n=name, f=original, **k: (calls.append(n), f(*a, **k))[1]
        )
    checkpoint.write(Path("state.pt"), b"x")
    assert calls == ["fsync", "replace", "fsync"]


@pytest.mark.fault("killed-saving")
def test_saving_keeps_the_file_before():
    path = Path("state.pt")
    for value in range(3):
        checkpoint.save(path, {"value": value})
    assert checkpoint.load(path)["value"] == 2
    assert checkpoint.load(checkpoint.previous(path))["value"] == 1
    assert len(list(Path().iterdir())) == 2


@pytest.mark.fault("killed-saving")
def test_the_newest_file_is_there_at_every_moment_of_a_save(monkeypatch):
    path, seen = Path("state.pt"), []
    checkpoint.save(path, {"value": 0})
    for name in ("link", "unlink", "replace", "fsync"):
        original = getattr(os, name)

        def watched(*args, f=original, **kwargs):
            seen.append(checkpoint.load(path)["value"])
            return f(*args, **kwargs)

        monkeypatch.setattr(os, name, watched)
    checkpoint.save(path, {"value": 1})
    checkpoint.save(path, {"value": 2})
    assert set(seen) == {0, 1, 2}


@pytest.mark.fault("killed-saving")
def test_without_hard_links_the_file_before_is_kept_all_the_same(monkeypatch):
    def link(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    test_saving_keeps_the_file_before()


# ------------------------------------------------------------------------- what a run leaves


def test_a_run_leaves_the_files_that_it_promises_and_no_others(finished):
    names = {p.name.split(".out")[0] for p in folder(finished).iterdir()}
    assert names == {
        *("config.yaml", "progress.csv", "events", "run.lock"),
        *("checkpoint.pt", "checkpoint.prev.pt", "model.pt", "best.pt"),
    } - {"events"} | {n for n in names if n.startswith("events")}
    config = folders.read_config(folder(finished))
    assert config["algo"] == "ppo" and config["env"] == "CartPole-v1"
    assert config["hidden"] == [64, 64] and config["eval_every"] == 7
    assert config["about"]["versions"]["torch"] == torch.__version__
    assert config.keys() >= set(ppo.Config.__dataclass_fields__) | set(
        Settings.__dataclass_fields__
    )


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
@pytest.mark.parametrize("algo", ["ppo", "vpg"])
def test_a_saved_policy_acts_as_the_trained_agent(algo, env):
    module = getattr(__import__("rlcourse"), algo)
    cfg = module.Config(env, epochs=3, num_envs=2, horizon=64, minibatch=32, passes=2)
    mine = Run(cfg, Settings(eval_every=1, eval_episodes=2), "run", show=False)
    agent = module.train(cfg, mine)
    loaded = policy.load("run")
    assert (loaded.config["algo"], loaded.config["env"]) == (algo, env)
    space = gym.make(env).observation_space
    observations = [space.sample() * (np.abs(space.high) < 100) for _ in range(20)]
    expected = policy.Policy(agent, mine.envs.spaces).acts(observations)
    for obs, action in zip(observations, expected, strict=True):
        np.testing.assert_allclose(loaded.act(obs), action, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(loaded.acts(observations), expected)


def test_the_best_policy_is_that_of_the_best_evaluation(monkeypatch):
    scores = iter([10.0, 30.0, 20.0, 30.0, 5.0])
    monkeypatch.setattr("rlcourse.utils.evaluate.Evaluation.play", lambda *_: [(next(scores), 1)])
    assert train(epochs=5, more="--eval-every 1") == 0
    log = checkpoint.load(folder() / "best.pt")["log"]
    assert log == {"Epoch": 4, "TotalEnvInteracts": 512, "AverageTestEpRet": 30.0}
    assert checkpoint.load(folder() / "model.pt")["log"]["Epoch"] == 5


def test_a_continued_run_remembers_its_best_evaluation(monkeypatch):
    scores = iter([10.0, 30.0, 20.0, 25.0])
    monkeypatch.setattr("rlcourse.utils.evaluate.Evaluation.play", lambda *_: [(next(scores), 1)])
    with monkeypatch.context() as patch:
        patch.setattr(Envs, "step", stop_after(2))
        assert train(epochs=4, more="--eval-every 1") == 130
    assert train(epochs=4, more="--eval-every 1") == 0
    assert checkpoint.load(folder() / "best.pt")["log"]["AverageTestEpRet"] == 30.0


def test_from_python_nothing_is_written_unless_a_folder_is_given(capsys):
    agent = ppo.train(ppo.Config(env="CartPole-v1", epochs=1))
    assert list(Path().iterdir()) == []
    assert agent.act(torch.zeros(3, 4)).shape == (3,)


def test_a_finished_run_is_continued_from_python_without_a_step(monkeypatch):
    cfg = ppo.Config("CartPole-v1", epochs=1, num_envs=2, horizon=32, minibatch=32)
    trained = ppo.train(cfg, Run(cfg, Settings(eval_episodes=1), "run", show=False))
    before = contents()
    monkeypatch.setattr(Envs, "step", lambda *_: pytest.fail("it trained"))
    again = Run(cfg, Settings(eval_episodes=1), "run", show=False)
    assert torch.equal(ppo.train(cfg, again).theta, trained.theta)
    assert contents().keys() == before.keys() and len(again.rows) == 1
    folders.take(Path("run")).close()  # it is free again


def test_a_run_in_a_thread_leaves_signals_to_the_main_one():
    cfg = ppo.Config("CartPole-v1", epochs=1, num_envs=2, horizon=32, minibatch=32)
    before, failures = signal.getsignal(signal.SIGINT), []

    def work():
        try:
            ppo.train(cfg, Run(cfg, Settings(eval_episodes=1), "run", show=False))
        except Exception as e:
            failures.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)
    assert failures == [] and checkpoint.load(Path("run/checkpoint.pt"))["epoch"] == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_versions_are_those_that_are_installed_and_a_commit_needs_git(monkeypatch):
    monkeypatch.setattr(folders, "PACKAGES", ("torch", "no-such-package"))
    assert folders.versions() == {"torch": torch.__version__}
    monkeypatch.setenv("PATH", "")
    assert folders._commit() == ""


def test_a_run_checks_its_configuration():
    with pytest.raises(UserError, match="--gamma 1.5"):
        Run(ppo.Config(env="CartPole-v1", gamma=1.5))
    with pytest.raises(UserError, match="--minibatch 100"):
        Run(ppo.Config(env="CartPole-v1", minibatch=100))
    with pytest.raises(UserError, match="--cpu 2 from Python: start the script with mpiexec"):
        Run(ppo.Config(env="CartPole-v1"), Settings(cpu=2))


# ------------------------------------------------------------------------ one run at a time


@pytest.mark.fault("in-use")
def test_a_second_run_on_the_same_folder_is_refused(capsys):
    held = folders.take(folder())
    before = contents()
    assert train(epochs=2) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert str(folder()) in err and f"in use by process {os.getpid()}" in err
    assert contents() == before
    held.close()
    assert train(epochs=2) == 0


@pytest.mark.fault("in-use")
def test_overwriting_a_run_that_is_being_trained_is_refused(capsys):
    assert train(epochs=2) == 0
    held = folders.take(folder())
    before = contents()
    assert train(epochs=2, more="--overwrite") == 2
    assert "in use by process" in capsys.readouterr().err
    assert contents() == before
    held.close()
