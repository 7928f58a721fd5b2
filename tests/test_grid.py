"""Grids: from flags, YAML and Python; their names; several runs at a time, and how they end."""

import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import pytest
import torch
import yaml

from rlcourse import ExperimentGrid, ppo, run
from rlcourse.utils import checkpoint, config, folders, grid, jobs, tuned, yamlfile
from rlcourse.utils.config import Settings, UserError
from rlcourse.utils.logger import newest, read

ROOT = Path(__file__).parents[1]
SMALL = "--horizon 32 --num-envs 2 --minibatch 32 --passes 1 --eval-episodes 1 --max-ep-len 30"
DEADLINE = 60  # seconds, after which a wait fails


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(text):
    """Run a command in this process; its exit code."""
    try:
        return run.main(text.split() if isinstance(text, str) else text)
    except SystemExit as e:
        return e.code


def ppo_(flags, epochs=1):
    return command(f"ppo --env CartPole-v1 --exp-name exp --epochs {epochs} {SMALL} {flags}")


def assert_one_line(capsys, code, fragments):
    out, err = capsys.readouterr()
    assert code == 2
    assert err.count("\n") == 1 and err.startswith("rlcourse: ") and out == ""
    for fragment in fragments:
        assert fragment in err


def planned(text, *flags):
    """The runs of a YAML text, without running them."""
    Path("grid.yaml").write_text(text)
    return grid.expand(grid.read(Path("grid.yaml")))


def everything():
    return sorted(Path().rglob("*"))


def rows(folder):
    """A run's rows without what may differ between equal runs."""
    return [
        {k: v for k, v in row.items() if "Time" not in k and "PerSec" not in k}
        for row in read(folder / "progress.csv")
    ]


def assert_same_runs(mine, other):
    """Two data folders hold the same runs, bit for bit."""
    found = sorted(p.relative_to(mine) for p in Path(mine).rglob("checkpoint.pt"))
    assert found and found == sorted(
        p.relative_to(other) for p in Path(other).rglob("checkpoint.pt")
    )
    for path in found:
        assert rows((mine / path).parent) == rows((other / path).parent)
        one, two = checkpoint.load(mine / path), checkpoint.load(other / path)
        for name, tensor in one["agent"].items():
            assert torch.equal(tensor, two["agent"][name]), name
        assert torch.equal(one["ranks"][0]["torch"], two["ranks"][0]["torch"])


# ------------------------------------------------------------------------------------- YAML

BASE = "algo: ppo\nenv: CartPole-v1\n"

VALUES = {
    "lr: 1e-3": {"lr": 1e-3},
    "lr: [1e-3, 3e-4]": {"lr": [1e-3, 3e-4]},
    "epochs: 1e2": {"epochs": 100},
    "num_envs: 4\nminibatch: 64": {"num_envs": 4, "minibatch": 64},
    "num-envs: 4": {"num_envs": 4},
    "hidden: 32": {"hidden": (32,)},
    "hidden: [64, 32]": {"hidden": (64, 32)},
    "hidden: 64,32": {"hidden": (64, 32)},
    "hidden: [[64, 32], [16]]": {"hidden": [(64, 32), (16,)]},
    'hidden: ["64,32", 16]': {"hidden": [(64, 32), (16,)]},
    "hidden: [[64, 32], 16]": {"hidden": [(64, 32), (16,)]},
    "hid: 32": {"hidden": (32,)},
    "activation: [Tanh, relu]": {"activation": ["tanh", "relu"]},
    "norm_obs: false": {"norm_obs": False},
    "norm_obs: [true, false]": {"norm_obs": [True, False]},
    "max_kl: .inf": {"max_kl": math.inf},
    "seed:\n  - 3\n  - 1": {"seed": [3, 1]},
    "seed: 010": {"seed": 10},
    "gamma: '0.9'": {"gamma": 0.9},
    "exp_name: 007": {"exp_name": "007"},
    "max_ep_len: 20": {"max_ep_len": 20},
    "env_kwargs: {sutton_barto_reward: true}": {"env_kwargs": {"sutton_barto_reward": True}},
}


@pytest.mark.parametrize("text", VALUES)
def test_a_yaml_value_is_read_by_the_type_of_its_field(text):
    runs = planned(BASE + text)
    for name, expected in VALUES[text].items():
        where = "settings" if name in grid.SETTINGS else "cfg"
        found = [getattr(getattr(run, where), name) for run in runs]
        assert found == (expected if isinstance(expected, list) else [expected])
        kinds = [type(value) for value in (expected if isinstance(expected, list) else [expected])]
        assert [type(value) for value in found] == kinds


def test_a_yaml_file_and_flags_of_the_same_content_are_the_same_runs():
    runs = planned(BASE + "seed: [0, 1]\nhidden[h]: [[8], [8, 8]]\nlr: 1e-3\ndata_dir: d\n")
    mine = grid.Grid([ppo])
    for name, texts, short in [
        *(("env", ["CartPole-v1"], ""), ("lr", ["1e-3"], ""), ("seed", ["0", "1"], "")),
        *(("data_dir", ["d"], ""), ("hidden", ["8", "8,8"], "h")),
    ]:
        mine.put(name, texts, short)
    assert runs == grid.expand([mine])
    assert runs[1].folder == Path("d/ppo_CartPole-v1_lr0.001_h8-8/ppo_CartPole-v1_lr0.001_h8-8_s0")


def test_several_algorithms_and_several_grids_stand_in_one_file():
    runs = planned(
        "- algo: [ddpg, td3]\n  env: Pendulum-v1\n  epochs: 3\n  seed: [0, 1]\n"
        "- algo: ppo\n  env: CartPole-v1\n  epochs: 2\n  eval_every: 1\n"
    )
    found = [
        (folders.algo_of(r.cfg), r.cfg.seed, r.cfg.epochs, r.settings.eval_every) for r in runs
    ]
    assert found == [
        *(("ddpg", 0, 3, 10), ("ddpg", 1, 3, 10), ("td3", 0, 3, 10), ("td3", 1, 3, 10)),
        ("ppo", 0, 2, 1),
    ]
    runs = planned("algo: [ddpg, td3]\nenv: Pendulum-v1\nexp_name: mine\n")
    assert [run.folder.parent.name for run in runs] == ["mine_ddpg", "mine_td3"]


MISTAKES = {
    "algo: ppo\nenv: CartPole-v1\ngama: 0.9\n": [
        ":3: ",
        "ppo has no 'gama'",
        "Did you mean gamma?",
    ],
    "algo: [ppo, vpg]\nenv: CartPole-v1\nclip: 0.1\n": [":3: ", "vpg has no 'clip'"],
    "algo: dqn\nenv: CartPole-v1\n": [":1: ", "unknown algorithm 'dqn'", "Known: vpg"],
    "algo: [ppo, ppo]\nenv: CartPole-v1\n": [":1: ", "different"],
    "algo: []\nenv: CartPole-v1\n": [":1: ", "`algo` needs"],
    "env: CartPole-v1\n": [":1: ", "`algo` is missing"],
    "algo: ppo\n": [":1: ", "--env is needed"],
    "algo: ppo\nenv: CartPole-v1\ngamma: 1.5\n": [":3: ", "--gamma 1.5", "[0, 1]"],
    "algo: ppo\nenv: CartPole-v1\n\ngamma: [0.9, high]\n": [":4: ", "--gamma", "number", "'high'"],
    "algo: ppo\nenv: CartPole-v1\nnorm_obs: no\n": [":3: ", "true or false", "'no'"],
    "algo: ppo\nenv: CartPole-v1\nseed: 1:30\n": [":3: ", "whole number", "'1:30'"],
    "algo: ppo\nenv: CartPole-v1\nseed: 0x1F\n": [":3: ", "whole number", "'0x1F'"],
    "algo: ppo\nenv: CartPole-v1\nactivation: step\n": [":3: ", "tanh, relu"],
    "algo: ppo\nenv: CartPole-v1\nseed: [0, 1, 0]\n": [":3: ", "--seed", "0 twice"],
    "algo: ppo\nenv: CartPole-v1\nseed: 0\nseed: 1\n": [":4: ", "'seed'", "second time"],
    "algo: ppo\nenv: CartPole-v1\nnum_envs: 4\nnum-envs: 8\n": [
        ":4: ",
        "--num-envs",
        "second time",
    ],
    "algo: ppo\nenv: CartPole-v1\nseed:\n": [":3: ", "missing"],
    "algo: ppo\nenv: CartPole-v1\nseed: []\n": [":3: ", "--seed has no value"],
    "algo: ppo\nenv: CartPole-v1\nseed: {a: 1}\n": [":3: ", "no value"],
    "algo: ppo\nenv: CartPole-v1\nseed: [[0, 1]]\n": [":3: ", "no value"],
    "algo: ppo\nenv: CartPole-v1\nepochs: 1.5\n": [":3: ", "whole number", "'1.5'"],
    "algo: ppo\nenv: CartPole-v1\neval_every: [1, 2]\n": [":3: ", "--eval-every takes one value"],
    "algo: ppo\nenv: CartPole-v1\nenv_kwargs: g=1\n": [":3: ", "--env-kwargs"],
    "algo: ppo\nenv: CartPole-v1\nenv_kwargs: {1: 2}\n": [":3: ", "--env-kwargs"],
    "algo: ppo\nenv: CartPole-v1\nhidden[h]: 8\nhorizon[h]: 128\n": [":1: ", "[h]", "--horizon"],
    "algo: ppo\nenv: CartPole-v1\n? [a, b]\n: 1\n": [":3: ", "key"],
    "algo: ppo\nenv: !!python/object/apply:os.getcwd []\n": [":2: ", "tag"],
    "algo: ppo\nenv: !mine CartPole-v1\n": [":2: ", "tag !mine"],
    "algo: ppo\nenv: &a CartPole-v1\n": [":2: ", "anchors"],
    "algo: ppo\nenv: *a\n": [":2: ", "aliases"],
    "algo: ppo\n\tenv: CartPole-v1\n": [":2: ", "\\t"],
    "algo: ppo\nenv: [CartPole-v1\n": ["grid.yaml:3: "],
    "algo: ppo\n---\nalgo: vpg\n": [":2: ", "document"],
    "algo: ppo\nenv: " + "[" * 20_000: ["nested too deeply"],
    "algo: ppo\nenv: \x00\n": ["cannot be read"],
    "algo: ppo\nenv: Nowhere-v0\n": [":1: ", "--env Nowhere-v0"],
    "algo: td3\nenv: CartPole-v1\n": [":1: ", "--env CartPole-v1: actions are Discrete"],
    "algo: ppo\nenv: os:Thing-v0\n": [":1: ", "os:Thing-v0 would import a module", "add --env"],
    "algo: ppo\nenv: CartPole-v1\nminibatch: 100\n": [":1: ", "--minibatch 100", "try 128"],
    "- algo: ppo\n  env: CartPole-v1\n- algo: ppo\n  env: CartPole-v1\n": [":3: ", "would share"],
    "- algo: ppo\n  env: CartPole-v1\n- algo: ppo\n  env: CartPole-v1\n  cpu: 2\n  exp_name: a\n": [
        "--cpu must be the same"
    ],
    "": ["is no grid"],
    "[]\n": ["is no grid"],
    "just words\n": ["is no grid"],
    "- ppo\n": ["is no grid"],
}


@pytest.mark.fault("mistake")
@pytest.mark.parametrize("text", MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_in_a_file_is_one_line_with_its_place_and_creates_nothing(text, capsys):
    Path("grid.yaml").write_text(text)
    assert_one_line(capsys, command("grid.yaml"), MISTAKES[text])
    assert everything() == [Path("grid.yaml")]


@pytest.mark.fault("mistake")
def test_a_file_that_is_no_text_or_not_there_is_one_line(capsys):
    Path("bad.yaml").write_bytes(b"algo: ppo\nenv: \xff\xfe\n")
    assert_one_line(capsys, command("bad.yaml"), ["bad.yaml:2: ", "UTF-8"])
    assert_one_line(capsys, command("nowhere.yml"), ["nowhere.yml cannot be read: No such file"])
    Path("folder.yaml").mkdir()
    assert_one_line(capsys, command("folder.yaml"), ["folder.yaml cannot be read: Is a directory"])


@pytest.mark.fault("bomb")
def test_a_bomb_of_aliases_is_refused_at_once():
    bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
    Path("bomb.yaml").write_text(bomb)
    with pytest.raises(UserError, match="bomb.yaml:1: anchors"):
        yamlfile.load(Path("bomb.yaml"))


@pytest.mark.parametrize(
    "value",
    [1e-3, "1e-3", "1e5", 1e300, 5, "5", "no", True, None, "2001-01-01", "ü", [1, [2.5]], {}],
)
def test_plain_data_is_the_same_after_writing_and_reading(value):
    Path("data.yaml").write_text(yamlfile.dump({"x": value}), encoding="utf-8")
    found = yamlfile.load(Path("data.yaml"))["x"]
    assert found == value and type(found) is type(value)
    assert yaml.safe_load(yamlfile.dump({"x": value})) is not None


def test_flags_after_a_file_hold_for_each_of_its_runs(capsys):
    Path("grid.yaml").write_text(
        "- {algo: ppo, env: CartPole-v1, seed: [0, 1], gamma: 0.9}\n"
        "- {algo: vpg, env: CartPole-v1, seed: 5}\n"
    )
    assert command("grid.yaml --seed 7 --hidden 8 --eval-every 2 --dry-run") == 0
    out = capsys.readouterr().out
    assert "data/ppo_CartPole-v1_gam0.9_hid8/ppo_CartPole-v1_gam0.9_hid8_s7" in out
    assert "data/vpg_CartPole-v1_hid8/vpg_CartPole-v1_hid8_s7" in out
    assert "2 runs: 2 new" in out
    code = command("grid.yaml --clip 0.1 --dry-run")
    assert_one_line(capsys, code, ["vpg has no 'clip'"])


def test_the_help_of_a_file_has_the_fields_of_its_algorithms(capsys):
    Path("grid.yaml").write_text("algo: [ppo, vpg]\nenv: CartPole-v1\n")
    assert command("grid.yaml --help") == 0
    out = capsys.readouterr().out
    assert out.count("--gamma FLOAT") == 1 and "--clip FLOAT" in out and "of vpg" in out


@pytest.mark.parametrize("flags", ["--gamma 0.9", "--exp-name a/b", "--lr 1e-3 --max-kl inf --dt"])
def test_the_configuration_of_a_run_is_a_command_for_this_very_run(flags, capsys, monkeypatch):
    assert command(f"ppo --env CartPole --epochs 1 --eval-every 1 {SMALL} {flags}") == 0
    (path,) = Path().rglob("config.yaml")
    said = f"finished already: {path.parent}"
    capsys.readouterr()
    for there in (path, path.absolute()):
        assert command([str(there)]) == 0
        assert said in capsys.readouterr().out
    monkeypatch.chdir(path.parent)
    assert command(["config.yaml"]) == 0
    assert "finished already: " in capsys.readouterr().out
    assert command(["config.yaml", "--epochs", "2"]) == 0
    assert "continuing after epoch 1" in capsys.readouterr().out
    assert command(["config.yaml", "--data-dir", "copy", "--epochs", "2"]) == 0
    assert rows(Path("copy", *path.parts[1:-1])) == rows(Path())


def test_the_configuration_of_a_run_from_python_is_a_command_too(capsys):
    cfg = ppo.Config("CartPole-v1", epochs=1, num_envs=2, horizon=32, minibatch=32, gamma=0.9)
    grid.train_one(grid.Experiment(cfg, Settings(eval_episodes=1), Path("mine")))
    (same,) = grid.expand(grid.read(Path("mine/config.yaml")))
    assert same.cfg == cfg and same.folder == Path("data/ppo_CartPole-v1/ppo_CartPole-v1_s0")


# ------------------------------------------------------------------------------------ names


def draw(name, kind):
    """A random value of a field, as text."""
    if name == "env":
        return random.choice(
            ["a/b-v0", "a:b-v0", "a-b-v0", "a_b-v0", "a.b-v0", "m:a/b-v0", "m:a-b-v0"]
        )
    if name in config.CHOICES:
        return random.choice(config.CHOICES[name])
    if kind is bool:
        return random.choice(["true", "false"])
    if kind is float:
        return str(random.choice([0.1, 0.01, 1e-5, 1.0, 0.5, random.random()]))
    count = 1 if kind is int else random.randint(1, 3)
    return ",".join(str(random.choice([1, 11, 111, 2, 12])) for _ in range(count))


@pytest.mark.parametrize("seed", range(100))
def test_no_two_configurations_of_a_grid_share_a_folder(seed, monkeypatch):
    random.seed(seed)
    monkeypatch.setattr(grid, "resolve", lambda cfg, settings: cfg.env)
    monkeypatch.setattr(config, "check_shares", lambda *_: None)
    modules = [grid.algorithm(name) for name in random.sample(["vpg", "ppo"], random.randint(1, 2))]
    kinds = {f.name: f.type for f in ppo.Config.__dataclass_fields__.values()}
    shared = [name for name in kinds if all(name in m.Config.__dataclass_fields__ for m in modules)]
    mine = grid.Grid(modules)
    mine.put("exp_name", [random.choice(["", "mine", "a/b", "_lr0.1"])])
    for name in {"env", *random.sample(shared, 4)}:
        texts = {draw(name, kinds[name]) for _ in range(random.randint(1, 3))}
        values = {config.parse(text, kinds[name], name): text for text in texts}
        mine.put(
            name, list(values.values()), short=random.choice(["", "", f"x{name}", f"x_{name}"])
        )
    runs = grid.expand([mine])  # which refuses a folder that is there twice
    assert len({run.folder for run in runs}) == len(runs)
    again = random.choice(runs)  # the same run by its config.yaml
    alone = grid.Grid([sys.modules[type(again.cfg).__module__]])
    for name in kinds.keys() & alone.modules[0].Config.__dataclass_fields__.keys():
        value = getattr(again.cfg, name)
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        alone.put(name, [text], named=False)
    alone.put("exp_name", [again.settings.exp_name])
    assert grid.expand([alone]) == [again]


def test_fields_have_shorthands_that_are_no_other_field_and_no_other_shorthand():
    names = [
        "train_pi_iters",
        "train_v_iters",
        "train_part_iters",
        "abc",
        "abcd",
        "lrend",
        "lr_end",
    ]
    short = folders.shorthands([*names, "lre", "gamma"])
    assert short["train_v_iters"] == "travite" and short["gamma"] == "gam"
    assert len(set(short.values())) == len(short)


@pytest.mark.parametrize(
    ("flags", "fragments"),
    [
        ("--hidden[h] 8 --horizon[h] 128", ["--horizon[h]", "--hidden"]),
        ("--gamma[lam] 0.9", ["--gamma[lam]", "--lam"]),
    ],
)
def test_a_shorthand_that_is_taken_is_refused(flags, fragments, capsys):
    assert_one_line(capsys, command(f"ppo --env CartPole-v1 {flags}"), fragments)


# ---------------------------------------------------------------------------- states, parts


def test_a_dry_run_lists_every_state_and_creates_nothing(capsys):
    assert ppo_("--seed 0 1 2 3", epochs=2) == 0
    (Path("data/exp/exp_s1/config.yaml")).unlink()
    held = folders.take(Path("data/exp/exp_s2"))
    text = Path("data/exp/exp_s3/config.yaml").read_text()
    Path("data/exp/exp_s3/config.yaml").write_text(text.replace("gamma: 0.99", "gamma: 0.9"))
    before = everything()
    capsys.readouterr()
    assert ppo_("--seed 0 1 2 3 4 --dry-run", epochs=2) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["1", "finished", "return"] and "exp_s0" in lines[0]
    assert lines[1].split() == ["2", "new", "data/exp/exp_s1"]
    assert f"in use     by process {os.getpid()}, epoch 2 of 2" in lines[2]
    assert lines[3].split()[1] == "refused" and "--gamma 0.9 there, 0.99 here" in lines[3]
    assert lines[4].split() == ["5", "new", "data/exp/exp_s4"]
    assert lines[-1] == "5 runs: 1 finished, 2 new, 1 in use, 1 refused"
    held.close()
    assert ppo_("--seed 0 --dry-run", epochs=4) == 0
    assert "stopped   epoch 2 of 4" in capsys.readouterr().out
    assert ppo_("--seed 0 9 --dry-run --overwrite", epochs=4) == 0
    assert "2 runs: 1 overwritten, 1 new" in capsys.readouterr().out
    assert everything() == before


def test_the_parts_of_a_grid_are_all_of_it_and_nothing_twice(capsys):
    found = []
    for i in range(1, 4):
        assert ppo_(f"--seed 0 1 2 3 4 5 6 --dry-run --part {i}/3") == 0
        found += [line.split()[-1] for line in capsys.readouterr().out.splitlines()[:-2]]
    assert sorted(found) == [f"data/exp/exp_s{seed}" for seed in range(7)]
    assert ppo_("--part 3/3") == 0
    assert "is empty" in capsys.readouterr().out and everything() == []


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "-1/3", "1/3/3"])
def test_a_part_that_is_none_is_refused(text, capsys):
    assert_one_line(capsys, ppo_(f"--part={text}"), ["--part takes 1/10", f"'{text}'"])


def test_the_script_for_slurm_does_its_part():
    env = os.environ | {"SLURM_ARRAY_TASK_ID": "2", "SLURM_CPUS_PER_TASK": "2"}
    script = [ROOT / "experiments/slurm_array.sh", ROOT / "experiments/cartpole.yaml"]
    found = subprocess.run(
        [*script, "--dry-run"],
        env=env | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    assert [
        line.split()[-1].partition("CartPole-v1_s")[2] for line in found.stdout.splitlines()[:2]
    ]
    assert "2 runs: 2 new" in found.stdout
    del env["SLURM_ARRAY_TASK_ID"]
    found = subprocess.run(script, env=env, capture_output=True, text=True)
    assert found.returncode and "use sbatch" in found.stderr


# ----------------------------------------------------------------------------- several at a time


def test_several_at_a_time_are_the_same_runs_and_say_when_each_begins_and_ends(capsys):
    assert ppo_("--seed 0 1 2 --data-dir one", epochs=3) == 0
    capsys.readouterr()
    assert ppo_("--seed 0 1 2 --data-dir two --jobs 2", epochs=3) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 runs, 2 at a time"
    begun = [line.split()[-1] for line in lines if line.startswith("started ")]
    assert begun == [f"two/exp/exp_s{seed}" for seed in range(3)]
    ended = [line.split()[-1] for line in lines if line.startswith("finished ")]
    assert sorted(ended) == begun
    assert any(line.split()[-4:] == ["0", "1", "2", "two/exp"] for line in lines)
    assert_same_runs(Path("one"), Path("two"))
    log = Path("two/exp/exp_s1/log.txt").read_text()
    assert "ppo on CartPole-v1, seed 1" in log and "AverageEpRet" in log
    assert ppo_("--seed 0 1 2 --data-dir two --jobs 2", epochs=3) == 0
    assert capsys.readouterr().out.count("finished already") == 3


def test_a_terminal_shows_a_line_for_each_job_and_one_for_all(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setattr(jobs, "INTERVAL", 0.02)
    assert ppo_("--seed 0 1 --jobs 2", epochs=5) == 0
    out = capsys.readouterr().out
    for text in ("exp_s0", "exp_s1", "epoch 1/5", "return ", "0 of 2 runs", "left"):
        assert text in out
    assert "started" not in out


def test_auto_jobs_are_the_cores_and_wrong_ones_are_refused(capsys, monkeypatch):
    monkeypatch.setattr(config, "cores", lambda: 2)
    assert ppo_("--seed 0 1 --jobs auto") == 0
    assert "2 runs, 2 at a time" in capsys.readouterr().out
    assert_one_line(capsys, ppo_("--jobs 0"), ["--jobs 0", "[1, inf)"])
    assert_one_line(capsys, ppo_("--jobs two"), ["--jobs takes a whole number"])
    code = ppo_("--seed 0 1 --jobs 2 --cpu 2 --data-dir new")
    assert_one_line(capsys, code, ["--jobs 2 with --cpu 2"])
    assert not Path("new").exists()


def test_a_threads_setting_that_overloads_the_cores_is_said(capsys, monkeypatch):
    monkeypatch.setattr(jobs, "cores", lambda: 1)
    assert ppo_("--seed 0 1 --jobs 2") == 0
    assert "2 threads share 1 cores" in capsys.readouterr().out


class Failing(gym.Wrapper):
    """An environment in which every episode that begins with a positive angle ends badly."""

    def step(self, action):
        if self.fail == "raise":
            raise ZeroDivisionError("broken\nin two lines")
        if self.fail == "exit":
            os._exit(7)
        if self.fail == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return self.env.step(action)


@pytest.fixture(params=["raise"])
def failing(request):
    """An environment of which seed 1 fails; what it is called."""
    from rlcourse.utils.envs import TRAIN, episode_seed

    bad = {episode_seed(1, TRAIN, n, 0) for n in range(2)}

    class Seeded(Failing):
        def reset(self, *, seed=None, options=None):
            self.fail = request.param if seed in bad else ""
            return self.env.reset(seed=seed)

    name = f"Failing{request.param}-v0"
    gym.register(name, lambda: Seeded(gym.make("CartPole-v1")), max_episode_steps=30)
    yield name
    del gym.registry[name]


@pytest.mark.parametrize("count", [1, 2])
def test_a_run_that_fails_does_not_stop_the_others_and_is_listed(count, failing, capsys):
    words = f"ppo --env {failing} --exp-name exp --epochs 2 {SMALL} --seed 0 1 2 --jobs {count}"
    assert command(words) == 1
    out, err = capsys.readouterr()
    assert "1 of 3 runs failed; the same command tries them again:" in out
    log = Path("data/exp/exp_s1/log.txt")
    where = log if count == 2 else log.parent
    assert f"  {where}: ZeroDivisionError: broken in two lines\n" in out
    if count == 2:
        assert "environment 0, episode 0, step 1" in log.read_text()
    else:
        assert "Traceback" in err
    assert [len(rows(Path(f"data/exp/exp_s{seed}"))) for seed in range(3)] == [2, 0, 2]
    assert any(line.split()[-3:] == ["0", "2", "data/exp"] for line in out.splitlines())
    assert "--epochs" not in out.partition("next:")[2]
    assert command(words) == 1
    assert capsys.readouterr().out.count("finished already") == 2


@pytest.mark.fault("process-fails")
@pytest.mark.parametrize(
    ("failing", "why"), [("exit", "exit code 7"), ("kill", "SIGKILL")], indirect=["failing"]
)
def test_a_job_that_vanishes_is_a_failure_with_its_cause(failing, why, capsys):
    words = f"ppo --env {failing} --exp-name exp --epochs 1 {SMALL} --seed 0 1 --jobs 2"
    assert command(words) == 1
    assert why in capsys.readouterr().out


@pytest.mark.fault("damaged")
@pytest.mark.parametrize("count", [1, 2])
def test_a_run_whose_checkpoints_are_both_damaged_fails_alone(count, capfd):
    assert ppo_("--seed 0 1 2 --save-every 0", epochs=2) == 0
    for path in Path("data/exp/exp_s1").glob("checkpoint*.pt"):
        path.write_bytes(path.read_bytes()[:-1])
    kept = (Path("data/exp/exp_s1") / "checkpoint.pt").read_bytes()
    capfd.readouterr()
    assert ppo_(f"--seed 0 1 2 3 4 --jobs {count}", epochs=2) == 1
    out = capfd.readouterr().out
    assert out.count("finished already") == 2 and "1 of 5 runs failed" in out
    assert "exp_s1/checkpoint.pt and the one before it are damaged: --overwrite" in out
    assert rows_of(0, 2, 3, 4) == [2, 2, 2, 2]
    assert (Path("data/exp/exp_s1") / "checkpoint.pt").read_bytes() == kept


@pytest.mark.fault("in-use")
@pytest.mark.parametrize("count", [1, 2])
def test_a_run_in_use_is_left_alone_and_the_others_are_done(count, capsys):
    held = folders.take(Path("data/exp/exp_s1"))
    before = everything()
    assert ppo_(f"--seed 0 1 2 --jobs {count}") == 1
    assert f"in use by process {os.getpid()}" in capsys.readouterr().out
    assert [p for p in everything() if "exp_s1" in str(p)] == before[2:]
    held.close()
    assert ppo_(f"--seed 0 1 2 --jobs {count}") == 0


def test_overwriting_jobs_begin_anew(capsys):
    assert ppo_("--seed 0 1 --jobs 2 --gamma 0.9", epochs=2) == 0
    assert ppo_("--seed 0 1 --jobs 2", epochs=2) == 2
    assert "--gamma 0.9 there, 0.99 here" in capsys.readouterr().err
    assert ppo_("--seed 0 1 --jobs 2 --overwrite", epochs=2) == 0
    assert ppo_("--seed 0 1 --data-dir other", epochs=2) == 0
    assert_same_runs(Path("data"), Path("other"))


def wait_until(happened):
    deadline = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows_of(*seeds):
    return [newest(Path(f"data/exp/exp_s{seed}/progress.csv")).get("Epoch", 0) for seed in seeds]


@pytest.mark.fault("signal")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_grid_saves_its_runs_and_continues_bit_for_bit(number, code, capsys, monkeypatch):
    monkeypatch.setattr(jobs, "INTERVAL", 0.02)
    assert ppo_("--seed 0 1 2 --data-dir whole", epochs=20) == 0
    capsys.readouterr()

    def stop():
        wait_until(lambda: min(rows_of(0, 1)) >= 2)
        os.kill(os.getpid(), number)

    stopping = threading.Thread(target=stop)
    stopping.start()
    before = signal.getsignal(number)
    assert ppo_("--seed 0 1 2 --jobs 2 --save-every 1000", epochs=20) == code
    stopping.join()
    assert signal.getsignal(number) is before
    out = capsys.readouterr().out
    name = signal.Signals(number).name
    assert f"stopped by {name}: 0 finished, 2 saved, 1 not begun; the same command cont" in out
    for seed in (0, 1):
        saved = checkpoint.load(Path(f"data/exp/exp_s{seed}/checkpoint.pt"))["epoch"]
        assert 2 <= saved == rows_of(seed)[0] < 20
    assert not Path("data/exp/exp_s2").exists()
    assert not multiprocessing.active_children()
    assert ppo_("--seed 0 1 2 --jobs 2", epochs=20) == 0
    assert_same_runs(Path("data"), Path("whole"))


@pytest.mark.fault("signal")
def test_jobs_that_a_signal_ends_before_their_run_begins_have_not_failed(capsys, monkeypatch):
    """They have put no handler in place yet, so the signal itself ends them."""

    def slow(run):
        Path(f"at_work_{run.cfg.seed}").touch()
        time.sleep(DEADLINE)

    def stop():
        wait_until(lambda: len(list(Path().glob("at_work_*"))) == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(jobs, "train_one", slow)
    stopping = threading.Thread(target=stop)
    stopping.start()
    assert ppo_("--seed 0 1 2 --jobs 2") == 143
    stopping.join()
    out = capsys.readouterr().out
    assert "0 finished, 0 saved, 3 not begun" in out and "failed" not in out


@pytest.fixture
def grid_at_work():
    """A grid of two long runs in a process of its own, and the processes of its runs."""
    process = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(ppo_("--seed 0 1 --jobs 2 --save-every 0", epochs=100_000))
    )
    process.start()
    wait_until(lambda: min(rows_of(0, 1)) >= 1)
    yield process, [int(folders.owner(Path(f"data/exp/exp_s{seed}"))) for seed in (0, 1)]
    process.kill()


def alive(pid):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")


@pytest.mark.fault("killed")
@needs_proc
def test_a_killed_grid_leaves_no_process_behind(grid_at_work):
    process, children = grid_at_work
    assert all(map(alive, children))
    process.kill()
    wait_until(lambda: not any(map(alive, children)))
    places = [Path(f"data/exp/exp_s{seed}") for seed in (0, 1)]
    wait_until(lambda: not any(map(folders.owner, places)))  # their threads may end a little later


@pytest.fixture
def deaf(monkeypatch):
    """Runs that do not end after the first signal."""
    monkeypatch.setattr("rlcourse.utils.run.Run._leave", lambda *_: None)


@pytest.mark.fault("signal")
@needs_proc
def test_a_second_signal_ends_a_grid_at_once(deaf, grid_at_work):
    process, children = grid_at_work
    for _ in range(2):  # a signal that comes twice within a second is one
        os.kill(process.pid, signal.SIGINT)
    time.sleep(1.2)
    assert all(map(alive, [process.pid, *children]))
    os.kill(process.pid, signal.SIGINT)
    process.join(DEADLINE)
    assert process.exitcode == 130
    wait_until(lambda: not any(map(alive, children)))


# ------------------------------------------------------------------------------- from Python


def small(mine):
    for key, value in dict(epochs=2, horizon=32, num_envs=2, minibatch=32, passes=1).items():
        mine.add(key, value)
    mine.add("eval_episodes", 1)
    return mine


def test_a_grid_in_python_is_that_of_spinning_up(capsys):
    mine = ExperimentGrid("bench")
    mine.add("env_name", "CartPole-v1", "", True)
    mine.add("seed", [10 * i for i in range(2)])
    mine.add("epochs", 10)
    mine.add("hidden", [(32,), (64, 64)], "hid")
    mine.add("lr", [1e-3, 1])
    variants = mine.variants()
    assert len(variants) == 8
    assert variants[1] == {"env": "CartPole-v1", "seed": 0, "epochs": 10, "hidden": (32,), "lr": 1}
    mine.print()
    out = capsys.readouterr().out
    assert "seed     0  10" in out and "(32,)  (64, 64)" in out and "bench: 8 runs" in out
    runs = mine.experiments("ppo")
    assert [run.cfg for run in runs] == [run.cfg for run in mine.experiments(ppo)]
    assert [run.cfg for run in runs] == [run.cfg for run in mine.experiments(ppo.train)]
    assert runs[1].folder.parent == Path("data/bench_CartPole-v1_lr0.001_hid64-64")
    assert runs[-1].folder.name == "bench_CartPole-v1_lr1.0_hid64-64_s10"
    assert type(runs[-1].cfg.lr) is float


def test_a_grid_in_python_refuses_what_the_command_line_refuses():
    mine = ExperimentGrid()
    mine.add("env", "CartPole-v1")
    for key, value, text in [
        ("gamma", 1.5, "--gamma 1.5"),
        ("gama", 0.5, "Did you mean gamma?"),
        ("seed", None, "whole number"),
        ("eval_every", [1, 2], "takes one value"),
    ]:
        wrong = ExperimentGrid()
        wrong.added = dict(mine.added)
        wrong.add(key, value)
        with pytest.raises(UserError, match=text.replace("?", "[?]")):
            wrong.run("ppo")
    with pytest.raises(UserError, match="unknown algorithm 'dqn'"):
        mine.run("dqn")
    mine.add("threads", 2)
    with pytest.raises(UserError, match="one thread each"):
        mine.run("ppo", jobs=2)
    assert everything() == []


@pytest.mark.parametrize("count", [1, 2])
def test_jobs_know_the_equations_and_environments_of_the_script(count, monkeypatch, capsys):
    class Mine(gym.Wrapper):
        """CartPole with a reward that gives it away."""

        def step(self, action):
            obs, _, *rest = self.env.step(action)
            return obs, 5.0, *rest

    gym.register("Mine-v0", lambda: Mine(gym.make("CartPole-v1")), max_episode_steps=30)
    original, called = ppo.loss_v, "replaced.txt"
    monkeypatch.setattr(ppo, "loss_v", lambda v, b: (Path(called).touch(), original(v, b))[1])
    mine = small(ExperimentGrid("mine"))
    mine.add("env", "Mine-v0")
    mine.add("seed", [0, 1])
    try:
        found = mine.run(ppo, jobs=count, data_dir="d")
    finally:
        del gym.registry["Mine-v0"]
    assert found == [Path(f"d/mine/mine_s{seed}") for seed in (0, 1)]
    assert all(
        row["AverageTestEpRet"] % 5 == 0 for f in found for row in read(f / "progress.csv")[1:]
    )
    assert Path(called).exists()


def test_a_script_needs_no_guard_for_jobs_and_hears_of_failures(failing):
    mine = small(ExperimentGrid("mine"))
    mine.add("env", failing)
    mine.add("seed", [0, 1])
    with pytest.raises(RuntimeError, match="data/mine/mine_s1/log.txt: ZeroDivisionError: broken"):
        mine.run("ppo", jobs=2)
    Path("script.py").write_text(
        "from rlcourse import ExperimentGrid\n"
        "grid = ExperimentGrid('script')\n"
        "for key, value in dict(env='CartPole-v1', seed=[0, 1], epochs=1, horizon=32, num_envs=2,\n"
        "                       minibatch=32, eval_episodes=1).items():\n"
        "    grid.add(key, value)\n"
        "print('returned', *grid.run('ppo', jobs=2))\n"
    )
    found = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("returned") == 1
    assert "returned data/script/script_s0 data/script/script_s1" in found.stdout


# ------------------------------------------------------------------------------ progress.csv


def test_the_newest_row_is_found_at_the_end_of_a_long_file_that_is_being_written():
    path = Path("progress.csv")
    assert newest(path) == {}
    path.write_text("Epoch,KL\n")
    assert newest(path) == {}
    path.write_text("Epoch,KL\n1,0.5\n2,")
    assert newest(path) == {"Epoch": 1, "KL": 0.5}
    path.write_text("Epoch,KL\n" + "".join(f"{n},\n" for n in range(10_000)) + "10000,0.")
    assert newest(path) == {"Epoch": 9999, "KL": None} == read(path)[-1]


# ---------------------------------------------------------------------------- tuned settings


def test_every_tuned_setting_is_a_valid_configuration_of_its_algorithm():
    pairs = [(algo, env) for algo, envs in tuned.table().items() for env in envs]
    assert len(pairs) >= 4
    for algo, env in pairs:
        cfg = grid.algorithm(algo).Config(**{"env": env} | tuned.values(algo, env))
        config.check(cfg)
        config.check_shares(cfg, 1)


def test_tuned_settings_are_the_defaults_below_the_flags_and_part_of_the_name(capsys):
    values = tuned.values("ppo", "Pendulum-v1")
    assert values["gamma"] == 0.9 and "lr" in values
    mine = grid.Grid([ppo])
    mine.tuned = True
    for name, text in (("env", "Pendulum-v1"), ("lr", "0.5")):
        mine.put(name, [text])
    (run_,) = grid.expand([mine])
    assert run_.cfg == ppo.Config(**{"env": "Pendulum-v1"} | values | {"lr": 0.5})
    assert str(run_.folder.parent) == "data/ppo_Pendulum-v1_tuned_lr0.5"
    assert run.main(["ppo", "--env", "Pendulum-v1", "--tuned", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "tuned ppo on Pendulum-v1: " in out and "--gamma 0.9" in out


def test_what_is_not_tuned_is_said_with_what_is(capsys):
    assert run.main(["ppo", "--env", "CliffWalking-v1", "--tuned"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "ppo on CliffWalking-v1" in err and "Pendulum-v1" in err
    assert list(Path().iterdir()) == []
