"""The command line: one line for every mistake, help, names of folders, grids, plot and watch."""

import contextlib
import io
import itertools
import json
import os
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import gymnasium as gym
import pytest
import torch
import yaml

from rlcourse import ALGOS, run
from rlcourse.utils import config, grid, mpi, tuned
from rlcourse.utils.config import Settings
from rlcourse.utils.logger import read

SMALL = "--horizon 16 --num-envs 2 --minibatch 16 --passes 1 --eval-episodes 1 --max-ep-len 30"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(text):
    """Run a command in this process; its exit code."""
    return run.main(text.split() if isinstance(text, str) else text)


def short(text):
    return command(f"{text} --epochs 1 {SMALL}")


def made():
    return sorted(str(path) for path in Path().rglob("config.yaml"))


# --------------------------------------------------------------------------------- mistakes

MISTAKES = {
    "pppo --env CartPole-v1": ["unknown command 'pppo'", "Did you mean ppo?", "vpg"],
    "dqn --env CartPole-v1": ["unknown command 'dqn'", "Known: plot, report, eval", "vpg, ppo"],
    "--env CartPole-v1": ["unknown command '--env'"],
    "ppo": ["--env", "--env CartPole-v1"],
    "ppo --env": ["--env", "--help"],
    "ppo CartPole-v1": ["'CartPole-v1' belongs to no flag"],
    "ppo --env CartPole-v1 --gama 0.9": ["unknown flag --gama", "Did you mean --gamma?"],
    "ppo --env CartPole-v1 --gam 0.9": ["unknown flag --gam", "Did you mean --gamma?"],
    "ppo --env CartPole-v1 --gama=0.9": ["unknown flag --gama.", "Did you mean --gamma?"],
    "vpg --env CartPole-v1 --clip 0.1": ["unknown flag --clip"],
    "ppo --env CartPole-v2": ["--env CartPole-v2", "v1"],
    "ppo --env Cartpole-v1": ["--env Cartpole-v1", "CartPole"],
    "ppo --env CartPloe-v1": ["--env CartPloe-v1", "CartPole-v1"],
    "ppo --env Pendlum-v0": ["--env Pendlum-v0", "Pendulum-v1"],
    "ppo --env NoSuchThing-v0": ["--env NoSuchThing-v0", "Try"],
    "ppo --env no_such_module:Thing-v0": ["--env no_such_module:Thing-v0", "no_such_module"],
    "ppo --env CartPole-v1 --gamma 1.5": ["--gamma 1.5", "[0, 1]"],
    "ppo --env CartPole-v1 --gamma nan": ["--gamma nan", "[0, 1]"],
    "ppo --env CartPole-v1 --gamma high": ["--gamma", "number", "'high'"],
    "ppo --env CartPole-v1 --lr 0": ["--lr 0.0", "(0, inf)"],
    "ppo --env CartPole-v1 --lr inf": ["--lr inf", "(0, inf)"],
    "ppo --env CartPole-v1 --seed -1": ["--seed -1", "[0, inf)"],
    "ppo --env CartPole-v1 --epochs 0": ["--epochs 0", "[1, inf)"],
    "ppo --env CartPole-v1 --epochs 1.5": ["--epochs", "whole number", "'1.5'"],
    "ppo --env CartPole-v1 --epochs inf": ["--epochs", "whole number", "'inf'"],
    "ppo --env CartPole-v1 --epochs nan": ["--epochs", "whole number", "'nan'"],
    "ppo --env CartPole-v1 --hidden a,b": ["--hidden", "64,64", "'a,b'"],
    "ppo --env CartPole-v1 --hidden 64,inf": ["--hidden", "64,64", "'64,inf'"],
    "ppo --env CartPole-v1 --hidden 64,,64": ["--hidden", "64,64", "'64,,64'"],
    "ppo --env CartPole-v1 --hidden 64,0": ["--hidden 0", "[1, inf)"],
    "ppo --env CartPole-v1 --norm-obs maybe": ["--norm-obs", "true or false", "'maybe'"],
    "ppo --env CartPole-v1 --activation step": ["--activation 'step'", "tanh, relu"],
    "ppo --env CartPole-v1 --seed 0 1 0": ["--seed", "0 twice"],
    "ppo --env CartPole-v1 --lr 1e-3 0.001": ["--lr", "0.001 twice"],
    "ppo --env CartPole-v1 --data-dir a b": ["'b' belongs to no flag"],
    "ppo --env CartPole-v1 --minibatch 100": ["--minibatch 100", "2048", "try 128"],
    "ppo --env CartPole-v1 --minibatch 4096": ["--minibatch 4096", "try 2048"],
    "ppo --env CartPole-v1 --cpu 3": ["--num-envs 8", "--cpu 3", "try 9"],
    "ppo --env CartPole-v1 --cpu 2 --minibatch 1": ["--minibatch 1", "--cpu 2", "try 2"],
    "ppo --env CartPole-v1 --cpu 0": ["--cpu 0", "[1, inf)"],
    "ppo --env CartPole-v1 --device tpu": ["--device tpu", "cpu, cuda or cuda:N"],
    "ppo --env CartPole-v1 --device meta": ["--device meta", "cpu, cuda or cuda:N"],
    "ppo --env CartPole-v1 --device cuda:99": ["--device cuda:99", "GPUs"],
    "sac --env Pendulum-v1 --compile true": ["--compile", "method `loss`", "ppo", "sac has none"],
    "ppo --env CartPole-v1 --env-kwargs g": ["--env-kwargs", "key=value", "'g'"],
    "ppo --env CartPole-v1 --env-kwargs 1=2": ["--env-kwargs", "key=value", "'1=2'"],
    "ppo --env CartPole-v1 --env-kwargs a={[]:1}": ["--env-kwargs"],
    "ppo --env CartPole-v1 --env-kwargs a=1 a=2": ["--env-kwargs", "a twice"],
    "ppo --env spaces:Raises-v0": ["--env spaces:Raises-v0", "RuntimeError: no display"],
    "ppo --env spaces:Nothing-v0": ["Box of shape (0,)"],
    "ppo --env CartPole-v1 --env-kwargs wind=3": ["--env-kwargs", "'wind'"],
    "ppo --env CartPole-v1 --save-every -1": ["--save-every -1", "[0, inf)"],
    "ppo --env CartPole-v1 --mpi-timeout 0": ["--mpi-timeout 0", "(0, inf)"],
    "ppo --env spaces:Dict-v0": ["Dict observations", "FlattenObservation"],
    "ppo --env spaces:Tuple-v0": ["Tuple observations", "FlattenObservation"],
    "ppo --env spaces:MultiDiscrete-v0": ["MultiDiscrete", "actions", "ActionWrapper"],
    "vpg --env spaces:MultiDiscrete-v0": ["MultiDiscrete", "actions", "ActionWrapper"],
    "ppo --env spaces:Image-v0": ["images (84, 84, 3)", "features"],
    "ppo --env spaces:Matrix-v0": ["Box of shape (2, 3)", "FlattenObservation"],
    "ppo --env CartPole-v1 --data-dir file": ["file", "is not a folder", "--data-dir"],
    "ppo --env CartPole-v1 --data-dir file/below": ["file", "is not a folder", "--data-dir"],
    "plot": ["RUN", "--help"],
    "plot nowhere": ["nowhere"],
    "watch nowhere": ["nowhere"],
    "watch file": ["file", "damaged or foreign"],
    "watch . --episodes two": ["--episodes", "'two'"],
}

SPACES = """
import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

vector = Box(-1, 1, (2,), np.float32)

class Empty(gym.Env):
    observation_space = vector
    action_space = vector

    def __init__(self, obs=vector, act=vector):
        self.observation_space, self.action_space = obs, act

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, False, {}

for name, spaces in {
    "Dict": dict(obs=Dict(a=vector)),
    "Tuple": dict(obs=Tuple([vector, vector])),
    "MultiDiscrete": dict(act=MultiDiscrete([2, 3])),
    "Image": dict(obs=Box(0, 255, (84, 84, 3), np.uint8)),
    "Matrix": dict(obs=Box(-1, 1, (2, 3), np.float32)),
    "Nothing": dict(obs=Box(-1, 1, (0,), np.float32)),
    "Fine": {},
}.items():
    gym.register(f"{name}-v0", entry_point=Empty, kwargs=spaces, max_episode_steps=10)

def broken():
    raise RuntimeError("no display")

gym.register("Raises-v0", entry_point=broken)
"""


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A module of environments, and a file where a folder is expected."""
    Path("spaces.py").write_text(SPACES)
    Path("file").write_text("no folder")
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def assert_one_line(capsys, code, fragments):
    out, err = capsys.readouterr()
    assert code == 2
    assert err.count("\n") == 1 and err.startswith("rlcourse: ") and out == ""
    for fragment in fragments:
        assert fragment in err


@pytest.mark.fault("mistake")
@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_to_do_and_creates_nothing(words, prepared, capsys):
    before = sorted(Path().rglob("*"))
    assert_one_line(capsys, command(words), MISTAKES[words])
    assert sorted(Path().rglob("*")) == before


@pytest.mark.fault("foreign")
def test_values_are_data_and_never_run(capsys):
    code = "__import__('pathlib').Path('executed').touch()"
    for flag in ("--gamma", "--hidden", "--seed", "--norm-obs", "--activation", "--device"):
        assert command(["ppo", "--env", "CartPole-v1", flag, code]) == 2
        assert flag in capsys.readouterr().err
    assert command(["ppo", "--env", code]) == 2
    assert config.parse_kwargs([f"x={code}"]) == {"x": code}
    assert list(Path().iterdir()) == []


def test_a_grid_is_checked_as_a_whole_before_anything_runs(capsys):
    assert short("ppo --env CartPole-v1 --gamma 0.9 0.99 1.5") == 2
    assert short("ppo --env CartPole-v1 Nowhere-v0") == 2
    assert list(Path().iterdir()) == []


def test_a_missing_compiler_is_named(capsys, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    words = "ppo --env CartPole-v1 --compile true"
    assert_one_line(capsys, command(words), ["C++ compiler", "CXX"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_named(capsys):
    assert_one_line(capsys, command("ppo --env CartPole-v1 --device cuda"), ["torch sees 0 GPUs"])


@pytest.mark.fault("mistake")
@pytest.mark.parametrize(
    ("package", "env", "folder", "extra"),
    [
        ("mujoco", "HalfCheetah-v5", "gymnasium.envs.mujoco", "mujoco"),
        ("Box2D", "LunarLander-v3", "gymnasium.envs.box2d", "box2d"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(
    package, env, folder, extra, monkeypatch, capsys
):
    for name in list(sys.modules):
        if name.startswith((folder, package)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    code = command(f"ppo --env {env}")
    assert_one_line(capsys, code, [f"--env {env}", f'pip install -e ".[{extra}]"'])


@pytest.mark.fault("wrong-launcher")
def test_mpiexec_that_is_missing_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", str(Path("python").absolute()))
    monkeypatch.setenv("PATH", "")
    code = command("ppo --env CartPole-v1 --cpu 2")
    assert_one_line(capsys, code, ["--cpu 2 needs mpiexec", ".[mpi]"])


@pytest.mark.fault("mistake")
def test_a_folder_without_permission_is_named(monkeypatch, capsys):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    code = command("ppo --env CartPole-v1")
    assert_one_line(capsys, code, ["cannot write to data", "no permission", "--data-dir"])


@pytest.mark.fault("mistake")
def test_a_name_that_is_too_long_for_a_folder_is_refused(capsys):
    Path("data").mkdir()
    code = command(f"ppo --env CartPole-v1 --exp-name {300 * 'x'}")
    assert_one_line(capsys, code, ["cannot write to data/xxx", "File name too long"])
    assert not any(Path("data").iterdir())


def test_ctrl_c_outside_a_run_ends_the_command_without_a_traceback(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "evaluate", interrupted)
    assert command("eval data") == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word():
    script = """
import sys
from rlcourse import run
run.completion = lambda *_: print("more than it wants to see", flush=True)
sys.exit(run.main(["completion"]))
"""
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert (found.returncode, found.stderr) == (1, b"")


def test_what_python_prints_to_need_not_be_a_file():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert short("vpg --env CartPole-v1") == 0
    assert "vpg on CartPole-v1, seed 0" in out.getvalue() and "next:" in out.getvalue()


def test_one_of_several_processes_says_what_a_dry_run_found(monkeypatch, capsys):
    words = "ppo --env CartPole-v1 --dry-run"
    assert command(words) == 0 and "1 runs: 1 new" in capsys.readouterr().out
    monkeypatch.setattr(mpi, "rank", lambda: 1)
    assert command(words) == 0 and capsys.readouterr().out == ""


def test_what_comes_next_is_typed_as_short_as_this_python_allows(monkeypatch):
    Path("bin").mkdir()
    Path("bin/python").touch(0o755)
    monkeypatch.setattr(sys, "executable", str(Path("bin/python").absolute()))
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    assert run.interpreter() == "python"
    monkeypatch.setenv("PATH", "")
    assert run.interpreter() == "bin/python"


def test_debug_shows_where_a_mistake_was_found():
    with pytest.raises(config.UserError):
        command("ppo --env CartPole-v1 --gamma 1.5 --debug")


def test_a_process_ends_with_the_code_and_without_a_traceback(tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "rlcourse.run", "ppo", "--env", "CartPole-v1", "--epochs", "none"],
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "rlcourse: --epochs takes a whole number, not 'none'\n"
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------- help


def test_the_general_help_is_quick_and_loads_nothing_heavy():
    script = """
import json, sys, time
from rlcourse.run import main
code = main(["--help"])
heavy = {"torch", "numpy", "gymnasium", "mpi4py", "matplotlib", "rich"} & set(sys.modules)
print(json.dumps([code, list(heavy), time.process_time()]))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    *shown, facts = found.stdout.splitlines()
    code, heavy, seconds = json.loads(facts)
    assert (code, heavy) == (0, [])
    assert seconds < 0.5
    text = "\n".join(shown)
    assert all(f"rlcourse.run {word}" in text for word in ("ppo", "plot", "watch"))
    assert "vpg, ppo" in text


@pytest.mark.parametrize("words", ["", "-h", "help"])
def test_help_is_shown_when_nothing_is_asked_for(words, capsys):
    assert command(words) == 0
    assert "Train, plot, evaluate, watch and share" in capsys.readouterr().out


@pytest.mark.parametrize("algo", ALGOS)
def test_the_help_of_an_algorithm_has_every_field_with_type_default_and_meaning(algo, capsys):
    with pytest.raises(SystemExit) as end:
        command(f"{algo} --help")
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    kinds = {int: "INT", float: "FLOAT", bool: "BOOL", str: "TEXT", dict: "KEY=VALUE"}
    module = import_module(f"rlcourse.algos.{algo}")
    for cls in (module.Config, Settings):
        helps = config.helps(cls)
        for f in fields(cls):
            start = text.index(f" {config.flag(f.name)} {kinds.get(f.type, 'INT,INT')}")
            entry = (text + " --")[start : (text + " --").index(" --", start + 3)]
            assert " ".join(helps[f.name].split()) in entry
            default = config.default(f)
            if default not in (None, "", {}):
                shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
                assert f"({shown})" in entry
    assert "--overwrite" in text and "Eq. 1" in text


@pytest.mark.parametrize("words", ["plot --help", "eval --help", "watch --help", "export --help"])
def test_the_other_commands_have_help_too(words, capsys):
    with pytest.raises(SystemExit) as end:
        command(words)
    assert end.value.code == 0
    assert "RUN" in capsys.readouterr().out


# ------------------------------------------------------------------------ names and values


def described(text):
    """The runs that a command stands for, without running them."""
    found = []

    class Planned(BaseException):
        """Passes through what main() catches."""

    def plan(*args, original=grid.expand):
        found.extend(original(*args))
        raise Planned

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Planned):
        patch.setattr(grid, "expand", plan)
        command(text)
    return found


NAMES = {
    "": "ppo_CartPole-v1",
    "--seed 3 --epochs 7 --data-dir data": "ppo_CartPole-v1",
    "--cpu 2 --threads 2 --eval-every 3": "ppo_CartPole-v1",
    "--gamma 0.9": "ppo_CartPole-v1_gam0.9",
    "--num-envs 4": "ppo_CartPole-v1_numenv4",
    "--num_envs 4": "ppo_CartPole-v1_numenv4",
    "--num-envs=4": "ppo_CartPole-v1_numenv4",
    "--hidden 64,32": "ppo_CartPole-v1_hid64-32",
    "--hidden [64,32]": "ppo_CartPole-v1_hid64-32",
    "--hid (64,32)": "ppo_CartPole-v1_hid64-32",
    "--hidden[h] 64,32": "ppo_CartPole-v1_h64-32",
    "--hid[h] 64,32": "ppo_CartPole-v1_h64-32",
    "--norm_obs[no] false": "ppo_CartPole-v1_noFalse",
    "--act torch.nn.ReLU": "ppo_CartPole-v1_actrelu",
    "--lr 1e-3 --lr-end 0": "ppo_CartPole-v1_lr0.001_lrend0.0",
    "--exp-name mine --gamma 0.9": "mine",
    "--exp_name mine --gamma 0.9": "mine",
    "--exp-name a/b": "a-b",
}


@pytest.mark.parametrize("flags", NAMES)
def test_a_folder_is_named_after_the_flags_that_were_given(flags):
    (planned,) = described(f"ppo --env CartPole-v1 {flags}")
    seed = planned.cfg.seed
    assert planned.folder == Path("data") / NAMES[flags] / f"{NAMES[flags]}_s{seed}"
    assert seed == (3 if "--seed" in flags else 0)


def test_swept_values_are_part_of_every_name():
    planned = described("vpg --env CartPole-v1 Acrobot-v1 --epochs 1 2 --lr 0.1 --exp-name mine")
    assert [p.folder.parent.name for p in planned] == [
        f"mine_{env}_epo{n}" for env, n in itertools.product(["CartPole-v1", "Acrobot-v1"], [1, 2])
    ]
    planned = described("vpg --env CartPole-v1 --lr 0.1 0.2 --gamma 0.9 --exp-name mine")
    assert [p.folder.parent.name for p in planned] == ["mine_lr0.1", "mine_lr0.2"]


def test_no_two_runs_of_a_grid_share_a_folder():
    planned = described(
        "ppo --env CartPole-v1 Acrobot-v1 --seed 0 1 --epochs 1 2 --hidden 8 8,8 "
        "--gamma 0.9 0.99 --exp-name mine"
    )
    assert len({p.folder for p in planned}) == len(planned) == 32


def test_values_that_would_share_a_folder_are_refused(capsys):
    code = command("ppo --env CartPole-v1 CartPole --epochs 1")
    assert_one_line(capsys, code, ["ppo_CartPole-v1", "share"])


def test_a_stamp_goes_in_front_of_the_name():
    (planned,) = described("ppo --env CartPole-v1 --dt")
    experiment = planned.folder.parent.name
    assert experiment.endswith("_ppo_CartPole-v1") and experiment[:2] == "20"
    assert planned.folder.name == f"{experiment}_s0"


def test_a_grid_is_the_product_of_its_values_in_order():
    planned = described("ppo --env CartPole-v1 --seed 1 0 --gamma 0.9 0.5 --hidden 8 8,8 --lr 0.1")
    found = [(p.cfg.seed, p.cfg.gamma, p.cfg.hidden, p.cfg.lr) for p in planned]
    assert found == list(itertools.product([1, 0], [0.9, 0.5], [(8,), (8, 8)], [0.1]))


def test_values_are_read_by_the_type_of_their_field():
    (planned,) = described(
        "ppo --env Pendulum-v1 --epochs 1e2 --lr 1 --norm-ret FALSE --hidden 32 --act ELU "
        "--cpu 1 --env-kwargs g=3.5 --max-ep-len 20"
    )
    cfg, settings = planned.cfg, planned.settings
    assert (cfg.epochs, cfg.lr, cfg.norm_ret, cfg.hidden, cfg.activation) == (
        *(100, 1.0, False, (32,), "elu"),
    )
    assert type(cfg.epochs) is int and type(cfg.lr) is float
    assert (settings.cpu, settings.env_kwargs, settings.max_ep_len) == (1, {"g": 3.5}, 20)


def test_arguments_of_an_environment_are_literals_or_else_text():
    found = config.parse_kwargs(["a=1", "b=2.5", "c=True", "d=hard", "e=[1, 2]", "f=x=y", "g='7'"])
    assert found == {"a": 1, "b": 2.5, "c": True, "d": "hard", "e": [1, 2], "f": "x=y", "g": "7"}


def test_auto_takes_every_core(monkeypatch):
    monkeypatch.setattr(config, "cores", lambda: 7)
    assert config.parse("auto", int, "cpu") == 7


def test_an_id_without_its_version_is_the_newest():
    (planned,) = described("ppo --env CartPole")
    assert planned.cfg.env == "CartPole-v1"
    assert planned.folder.parent.name == "ppo_CartPole-v1"


# ---------------------------------------------------------------------------- whole commands


def test_a_grid_runs_every_combination_once_and_says_what_comes_next(capsys):
    words = "ppo --env CartPole-v1 --seed 0 1 --gamma 0.9 0.99"
    assert short(words) == 0
    out = capsys.readouterr().out
    configs = [yaml.safe_load(Path(path).read_text()) for path in made()]
    seen = sorted((c["seed"], c["gamma"]) for c in configs)
    assert seen == list(itertools.product([0, 1], [0.9, 0.99]))
    assert all(str(Path(path).parent) in out for path in made())
    assert "rlcourse.run plot " in out and "rlcourse.run watch " in out and "--epochs 2" in out
    assert short(words) == 0
    assert capsys.readouterr().out.count("finished already") == 4


@pytest.mark.parametrize(
    ("words", "there"),
    [("Pendulum-v1", True), ("Pendulum-v1 --tuned", False), ("MountainCarContinuous-v0", False)],
)
def test_settings_found_for_an_environment_come_next_unless_they_were_used(words, there, capsys):
    assert short(f"ppo --env {words}") == 0
    assert ("--tuned   (" in capsys.readouterr().out) == there


def test_settings_that_were_not_run_are_not_recommended(monkeypatch, capsys):
    monkeypatch.setattr(tuned, "table", lambda: {"ppo": {"CartPole-v1": {"lr": 1e-3}}})
    assert short("ppo --env CartPole-v1") == 0
    assert "--tuned" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "there"), [("", True), ("--overwrite", True), ("--lr-end 0", False)]
)
def test_the_command_that_goes_on_does_go_on(flags, there, capsys):
    assert short(f"ppo --env CartPole-v1 --exp-name exp {flags}") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert ("goes on from here" in last) == there
    if there:
        words = last.partition("rlcourse.run ")[2].partition("   (")[0]
        assert command(words) == 0
        assert "continuing after epoch 1" in capsys.readouterr().out


def test_an_environment_of_ones_own_can_be_trained_on(prepared, capsys):
    assert short("vpg --env spaces:Fine-v0 --exp-name exp --epochs 1") == 0
    folder = Path("data/exp/exp_s0")
    assert yaml.safe_load((folder / "config.yaml").read_text())["env"] == "spaces:Fine-v0"
    assert read(folder / "progress.csv")[0]["AverageTestEpRet"] == 30  # SMALL has this time limit
    capsys.readouterr()
    code = command(["watch", str(folder), "--gif", "film.gif"])
    assert_one_line(capsys, code, ["would import a module", "add --env spaces:Fine-v0"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run on CartPole."""
    data = tmp_path_factory.mktemp("trained")
    text = f"ppo --env CartPole-v1 --data-dir {data} --exp-name exp --epochs 3 {SMALL}"
    assert command(text) == 0
    return data / "exp" / "exp_s0"


def test_plot_writes_a_picture(trained, capsys):
    assert command(["plot", str(trained), "--out", "curve.png"]) == 0
    assert capsys.readouterr().out == "curve.png\n"
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")
    assert command(["plot", str(trained), "--value", "KL", "LossV", "--out", "kl.svg"]) == 0
    assert "<svg" in Path("kl.svg").read_text()


def test_watch_writes_a_film(trained, capsys):
    pytest.importorskip("pygame")
    assert command(["watch", str(trained), "--gif", "film.gif", "--episodes", "2"]) == 0
    first, second, name = capsys.readouterr().out.splitlines()
    assert first.startswith("episode 1: return ") and second.startswith("episode 2: return ")
    assert name == "film.gif" and Path("film.gif").read_bytes().startswith(b"GIF8")


def test_watch_takes_a_model_file_too(trained, capsys, monkeypatch):
    pytest.importorskip("pygame")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    Path("best.pt").write_bytes((trained / "best.pt").read_bytes())
    assert command("watch best.pt") == 0
    assert Path("watch.gif").read_bytes().startswith(b"GIF8")


def test_where_there_is_a_screen_watch_plays_on_it_and_writes_nothing(trained, capsys, monkeypatch):
    pytest.importorskip("pygame")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")  # a window that nobody sees
    kinds, make = [], gym.make
    monkeypatch.setattr(
        gym, "make", lambda *a, **k: kinds.append(k.get("render_mode")) or make(*a, **k)
    )
    before = sorted(trained.iterdir())
    assert command(["watch", str(trained)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("episode 1: return ") and "human" in kinds
    assert sorted(trained.iterdir()) == before and not list(Path().iterdir())


@pytest.mark.parametrize(
    "flags", ["--episodes 0", "--episodes -1", "--gif nowhere/film.gif", "--gif film.mp4"]
)
def test_a_film_that_cannot_be_made_is_refused_in_one_line(trained, capsys, flags):
    pytest.importorskip("pygame")
    code = command(["watch", str(trained), "--gif", "film.gif", *flags.split()])
    assert_one_line(capsys, code, [flags.split()[1]])


def test_what_draws_a_film_is_named_when_it_is_missing(trained, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    code = command(["watch", str(trained), "--gif", "film.gif"])
    assert_one_line(capsys, code, ['pip install -e ".[render]"'])


def test_a_run_without_a_model_cannot_be_watched(trained, capsys):
    (lone := Path("lone")).mkdir()
    (lone / "config.yaml").write_text((trained / "config.yaml").read_text())
    assert_one_line(capsys, command("watch lone"), ["lone holds no model.pt yet"])


@pytest.mark.parametrize("content", ["algo: [", "- a list", "!!python/object/apply:os.getcwd []"])
def test_a_configuration_that_cannot_be_read_stops_the_command(content, capsys):
    where = Path("data/exp/exp_s0")
    where.mkdir(parents=True)
    (where / "config.yaml").write_text(content)
    code = short("ppo --env CartPole-v1 --exp-name exp")
    assert_one_line(capsys, code, ["config.yaml"])


def test_one_process_never_loads_mpi():
    script = f"""
import sys
from rlcourse.run import main
code = main("ppo --env CartPole-v1 --epochs 1 {SMALL}".split())
sys.exit(code or "mpi4py.MPI" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert len(made()) == 1
