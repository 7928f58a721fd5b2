"""Policies after training: evaluated, watched, exported, started from; and files by strangers."""

import dataclasses
import io
import json
import os
import pickle
import random
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from unittest import mock

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageSequence

from rlcourse import ALGOS, load, run
from rlcourse.utils import checkpoint, evaluate, policy, watch
from rlcourse.utils.config import Settings, UserError
from rlcourse.utils.envs import EVAL, TRAIN, Envs, episode_seed
from rlcourse.utils.logger import read
from rlcourse.utils.replay import Replay
from rlcourse.utils.run import Run

ON = "--horizon 32 --num-envs 2 --minibatch 16 --passes 1 --hidden 8,8"
OFF = "--horizon 20 --num-envs 2 --minibatch 8 --random-steps 10 --hidden 8,8"
EVERY = "--eval-episodes 1 --max-ep-len 30"
CART = "--exp-name cart --seed 0 1 --max-ep-len 200"
EPISODES = "--episodes 3"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(text):
    return run.main(text if isinstance(text, list) else shlex.split(text))


def training(algo, env="Pendulum-v1", epochs=2, more=""):
    sizes = ON if algo in ("vpg", "ppo") else OFF
    return f"{algo} --env {env} --epochs {epochs} {sizes} {EVERY} {more}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a run of each algorithm on Pendulum, two of PPO on CartPole, and a bundle."""
    data = tmp_path_factory.mktemp("späte läufe")
    where = f"--data-dir '{data}'"
    for algo in ALGOS:
        assert command(training(algo, more=f"{where} --exp-name {algo}")) == 0
    assert command(training("ppo", "CartPole-v1", more=f"{where} {CART}")) == 0
    assert command(["export", str(data / "ppo"), str(data / "ppo.zip"), *EPISODES.split()]) == 0
    return data


def one_line(capsys, code, *fragments):
    out, err = capsys.readouterr()
    assert code == 2 and out == ""
    assert err.startswith("rlcourse: ") and err.count("\n") == 1, err
    for fragment in fragments:
        assert fragment in err, err


# ----------------------------------------------------------------------------------- acting


@pytest.mark.parametrize("algo", ALGOS)
def test_every_policy_acts_in_the_units_of_its_environment(algo, data):
    found = load(data / algo)
    env = found.make_env()
    obs, _ = env.reset(seed=0)
    for explore in (False, True):
        assert env.action_space.contains(found.act(obs, explore))
    several = found.acts([obs, 0 * obs])
    np.testing.assert_allclose(several[0], found.act(obs), rtol=1e-5)


@pytest.mark.parametrize("algo", ALGOS)
def test_an_exploring_policy_draws_what_training_draws(algo):
    module = import_module(f"rlcourse.algos.{algo}")
    small = {"num_envs": 3, "horizon": 1, "hidden": (8, 8)}
    small |= {"random_steps": 0} if algo in ("ddpg", "td3", "sac") else {}
    cfg = module.Config(env="Pendulum-v1", **small)
    envs = Envs(cfg, Settings())
    agent, taken = module.Agent(envs.obs_dim, envs.act_space, cfg), []
    obs = envs.reset_done().clone()
    step, envs.step = envs.step, lambda act: taken.append(act.clone()) or step(act)
    torch.manual_seed(5)
    if "random_steps" in small:
        module.collect(envs, agent, Replay(100, envs), cfg)
    else:
        module.collect(envs, agent, cfg)
    torch.manual_seed(5)
    config = {"algo": algo} | dataclasses.asdict(cfg)
    drawn = policy.Policy(agent, envs.spaces, config=config).acts(list(obs.numpy()), explore=True)
    np.testing.assert_array_equal(drawn, envs.spaces.decode(taken[0].numpy()))
    best = policy.Policy(agent, envs.spaces, config=config).acts(list(obs.numpy()))
    assert not np.allclose(drawn, best)


def test_the_package_offers_load_and_loads_nothing_heavy_until_it_is_used():
    script = "import rlcourse, sys; print('torch' in sys.modules, 'load' in dir(rlcourse))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.split() == ["False", "True"]


def test_the_best_policy_is_loaded_when_it_is_asked_for(data):
    one, other = (data / "cart" / name for name in ("cart_s0", "cart_s1"))
    shutil.copytree(one, "copy")
    shutil.copy(other / "model.pt", "copy/best.pt")
    for found, expected in ((load("copy"), load(one)), (load("copy", best=True), load(other))):
        assert found.config["seed"] == expected.config["seed"]
        mine, theirs = (x.agent.pi.state_dict() for x in (found, expected))
        assert all(torch.equal(x, theirs[n]) for n, x in mine.items())


# --------------------------------------------------------------------------------- evaluation


def test_an_evaluation_is_what_playing_episode_after_episode_gives(data, monkeypatch):
    found = load(data / "vpg")
    expected = []
    env = gym.make("Pendulum-v1", max_episode_steps=30)
    for k in range(7):
        obs, _ = env.reset(seed=evaluate.start(4, k))
        total, over = 0.0, False
        while not over:
            obs, rew, term, trunc, _ = env.step(found.act(obs))
            total, over = total + rew, term or trunc
        expected.append(total)
    monkeypatch.setattr(evaluate, "WIDTH", 3)
    result = evaluate.evaluate(found, 7, seed=4)
    np.testing.assert_allclose(result["returns"], expected, rtol=1e-5)
    assert result["lengths"] == [30] * 7 and result["length"] == 30
    assert result["mean"] == np.mean(result["returns"]) and result["std"] > 0
    assert result["min"] <= result["low"] <= result["mean"] <= result["high"] <= result["max"]


def test_episodes_of_different_lengths_keep_their_numbers(data, monkeypatch):
    found = load(data / "cart" / "cart_s0")
    lengths = []
    for width in (1, 4, 9):
        monkeypatch.setattr(evaluate, "WIDTH", width)
        lengths.append(evaluate.evaluate(found, 9)["lengths"])
    assert lengths[0] == lengths[1] == lengths[2] and len(set(lengths[0])) > 2


def test_episodes_start_alike_for_all_policies_and_apart_from_training(data, monkeypatch):
    seen = []

    class Seen(gym.Wrapper):
        def reset(self, **kwargs):
            obs, info = self.env.reset(**kwargs)
            seen.append(obs.tolist())
            return obs, info

    make = policy.make
    monkeypatch.setattr(policy, "make", lambda *args, **kwargs: Seen(make(*args, **kwargs)))
    for algo in ("ppo", "sac"):
        evaluate.evaluate(load(data / algo), 4, seed=1)
    assert sorted(seen[:4]) == sorted(seen[4:])
    mine = {evaluate.start(0, k) for k in range(200)}
    others = {episode_seed(0, s, i, k) for s in (TRAIN, EVAL) for i in range(20) for k in range(20)}
    assert len(mine) == 200 and not mine & others


@pytest.mark.parametrize("algo", ALGOS)
def test_an_exploring_evaluation_follows_from_its_seed_and_leaves_torch_as_it_was(algo, data):
    found = load(data / algo)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    one, two, other, best = (
        evaluate.evaluate(found, 3, seed, explore)["returns"]
        for seed, explore in ((0, True), (0, True), (1, True), (0, False))
    )
    assert one == two and one != other and one != best
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads


def test_the_interval_holds_the_mean_as_often_as_is_said(monkeypatch):
    monkeypatch.setattr(evaluate, "RESAMPLES", 300)
    rng = np.random.default_rng(0)
    hits = {5: 0, 50: 0}
    for n in hits:
        for _ in range(300):
            low, high = evaluate.interval(rng.normal(size=n))
            hits[n] += low <= 0 <= high
    assert 0.91 < hits[50] / 300 < 0.97 and 0.77 < hits[5] / 300 < 0.88
    assert evaluate.interval([3.0]) == (3.0, 3.0)


def test_eval_shows_each_run_of_an_experiment_and_their_means(data, capsys):
    assert command(["eval", str(data / "cart"), str(data / "ppo.zip"), *EPISODES.split()]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[4], lines[8]) == (str(data / "cart"), str(data / "ppo.zip"))
    for line, name in zip(lines[5:8], ("cart_s0", "cart_s1", "the 2 means"), strict=True):
        assert line.endswith(f"  {name}")
    means = [float(line.split()[0]) for line in lines[5:8]]
    assert means[2] == pytest.approx((means[0] + means[1]) / 2, rel=1e-3)
    assert lines[3].split() == ["mean", "low", "high", "std", "min", "median", "max", "length"]


def test_json_is_one_object_and_nothing_else(data, capsys):
    words = ["eval", str(data / "cart"), *EPISODES.split(), "--json", "--seed", "2"]
    assert command(words) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert out.count("\n") == 1 and err == ""
    assert (result["episodes"], result["seed"], result["stochastic"]) == (3, 2, False)
    (experiment,) = result["runs"]
    assert [Path(p["policy"]).parent.name for p in experiment["policies"]] == ["cart_s0", "cart_s1"]
    for found in experiment["policies"]:
        assert found["Epoch"] == 2 and len(found["returns"]) == 3
        assert found == found | evaluate.evaluate(load(found["policy"]), 3, seed=2)


def test_runs_that_have_not_saved_yet_are_left_out(data, capsys):
    copy = Path(shutil.copytree(data / "cart", "cart"))
    (copy / "cart_s1" / "model.pt").unlink()
    assert command(f"eval cart {EPISODES}") == 0
    assert "cart_s1" not in capsys.readouterr().out
    (copy / "cart_s0" / "best.pt").unlink()
    (copy / "cart_s1" / "best.pt").unlink()
    one_line(capsys, command(f"eval cart {EPISODES} --best"), "cart holds no best.pt yet")


# -------------------------------------------------------------------------------------- films


def test_watching_shows_the_first_episodes_of_the_evaluation(data, capsys):
    pytest.importorskip("pygame")
    found = load(data / "cart" / "cart_s0")
    expected = evaluate.evaluate(found, 2, seed=3)
    played = list(watch.watch(found, 2, Path("film.gif"), seed=3))
    assert played == list(zip(expected["returns"], expected["lengths"], strict=True))
    with Image.open("film.gif") as film:
        shown = sum(picture.info["duration"] for picture in ImageSequence.Iterator(film))
        assert film.size == (600, 400)
    assert shown / 40 == -(
        -sum(expected["lengths"]) // 2
    )  # ms; every second of 50 pictures a second


@pytest.mark.parametrize("what", ["cart", "ppo.zip", "cart/cart_s1/best.pt"])
def test_watch_takes_experiments_bundles_and_files(what, data, capsys):
    pytest.importorskip("pygame")
    words = ["watch", str(data / what), "--gif", "film.gif", "--stochastic", "--seed", "1"]
    assert command(words) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "film.gif"
    assert Path("film.gif").read_bytes().startswith(b"GIF8")


def test_an_mp4_has_every_picture(data):
    pytest.importorskip("pygame")
    pytest.importorskip("imageio_ffmpeg")
    from imageio.v3 import immeta, improps

    ((_, length),) = watch.watch(load(data / "cart" / "cart_s0"), 1, Path("film.mp4"))
    assert improps("film.mp4").shape[1:] == (400, 600, 3)
    meta = immeta("film.mp4")
    assert meta["fps"] == 50 and round(meta["duration"] * 50) == length


def test_what_makes_an_mp4_is_named_when_it_is_missing(data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    code = command(["watch", str(data / "cart"), "--mp4", "film.mp4"])
    one_line(capsys, code, "--mp4 needs", 'pip install -e ".[mp4]"')
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(("env", "named"), [("HalfCheetah-v5", "track"), ("Reacher-v5", "")])
def test_the_camera_goes_with_a_robot_that_leaves_the_picture(env, named, monkeypatch):
    pytest.importorskip("mujoco")
    seen = []

    def play(env, *rest):
        robot = env.unwrapped
        camera = robot.mujoco_renderer.camera_id
        seen.append(robot.model.camera(camera).name if camera >= 0 else "")
        return 0.0, 1

    monkeypatch.setattr(watch, "play", play)
    mine = mock.Mock(config={"env": env}, make_env=lambda allowed, **more: gym.make(env, **more))
    list(watch.watch(mine))
    assert seen == [named]


def test_mujoco_that_cannot_draw_is_one_line(monkeypatch):
    def broken(name):
        raise AttributeError("'NoneType' object has no attribute\n'eglQueryString'")

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(watch, "find_spec", lambda name: True)
    monkeypatch.setattr(watch, "import_module", broken)
    with pytest.raises(UserError, match="HalfCheetah-v5 is drawn through egl, which fails") as e:
        watch._check_mujoco("HalfCheetah-v5")
    assert "eglQueryString" in str(e.value) and "\n" not in str(e.value)
    watch._check_mujoco("CartPole-v1")
    monkeypatch.setenv("MUJOCO_GL", "glfw")  # on a screen: nothing that could be tried
    watch._check_mujoco("HalfCheetah-v5")


# -------------------------------------------------------------------------------------- bundles


def contents(path):
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def test_a_bundle_holds_what_it_promises(data):
    found = contents(data / "ppo.zip")
    assert list(found) == [
        *("README.md", "model.pt", "config.yaml", "evaluation.json", "progress.csv", "curve.png")
    ]
    assert found["curve.png"].startswith(b"\x89PNG")
    folder = data / "ppo" / "ppo_s0"
    assert found["progress.csv"] == (folder / "progress.csv").read_bytes()
    state = checkpoint.load(folder / "checkpoint.pt")
    bundle = policy.load(data / "ppo.zip")
    for name, x in state["agent"].items():
        assert torch.equal(bundle.agent.state_dict()[name], x), name
    result = json.loads(found["evaluation.json"])
    assert result == result | evaluate.evaluate(load(folder), 3)
    assert result["versions"]["torch"] == torch.__version__
    config = yaml.safe_load(found["config.yaml"])
    assert config["algo"] == "ppo" and config["hidden"] == [8, 8] and config["about"]["versions"]


@pytest.mark.fault("repeat")
def test_equal_exports_are_equal_bytes_in_any_process(data):
    words = [sys.executable, "-m", "rlcourse.run", "export", str(data / "ppo"), "other name.zip"]
    subprocess.run([*words, *EPISODES.split()], check=True)
    assert Path("other name.zip").read_bytes() == (data / "ppo.zip").read_bytes()


def test_a_bundle_says_nothing_of_the_machine(data):
    secret = "/tmp/secret place"
    assert command(training("ppo", more=f"--init '{data / 'ppo.zip'}' --exp-name x")) == 0
    folder = Path("data/x/x_s0")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["about"] |= {"command": secret, "host": secret}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert command(f"export data/x x.zip {EPISODES}") == 0
    for name, content in contents("x.zip").items():
        for word in (secret, str(Path.cwd()), str(data), "data_dir"):
            assert word.encode() not in content, (name, word)
    assert yaml.safe_load(contents("x.zip")["config.yaml"])["init"] == "ppo.zip"


def test_the_commands_of_a_card_do_what_it_says(data, capsys):
    pytest.importorskip("pygame")
    shutil.copy(data / "ppo.zip", "bundle.zip")
    card = contents("bundle.zip")["README.md"].decode()
    lines = [line for line in card.splitlines() if line.startswith("python -m rlcourse.run ")]
    for line in lines:
        assert command(line.removeprefix("python -m rlcourse.run ")) == 0, line
    out = capsys.readouterr().out
    assert [line.split()[3] for line in lines] == ["watch", "eval", "ppo"]
    assert "starting from bundle.zip, after 128 steps" in out
    config = yaml.safe_load(next(Path("data").rglob("config.yaml")).read_text())
    assert (config["hidden"], config["max_ep_len"]) == ([8, 8], 30)
    score = json.loads(contents("bundle.zip")["evaluation.json"])["mean"]
    assert f"**{score:.1f}**" in card and "| torch |" in card


def test_a_bundle_is_of_the_checkpoint_even_if_the_run_has_gone_on(data):
    folder = Path(shutil.copytree(data / "cart" / "cart_s0", "cart_s0"))
    *_, last = (folder / "progress.csv").read_text().splitlines()
    with open(folder / "progress.csv", "a") as file:
        file.write(last.replace("2,128", "3,192") + "\n")
    assert command(f"export cart_s0 x.zip {EPISODES}") == 0
    assert len(read(folder / "progress.csv")) == 3
    Path("progress.csv").write_bytes(contents("x.zip")["progress.csv"])
    assert [row["Epoch"] for row in read(Path("progress.csv"))] == [1, 2]


def test_a_file_that_is_there_is_kept_unless_it_may_be_overwritten(data, capsys, monkeypatch):
    Path("x.zip").write_text("mine")
    words = ["export", str(data / "ppo"), "x.zip", *EPISODES.split()]
    one_line(capsys, command(words), "x.zip is there already", "--overwrite")
    assert Path("x.zip").read_text() == "mine"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "fsync", lambda _: 1 / 0)
        assert command([*words, "--overwrite"]) == 1
    assert Path("x.zip").read_text() == "mine" and len(list(Path().iterdir())) == 1
    assert command([*words, "--overwrite"]) == 0
    assert Path("x.zip").read_bytes() == (data / "ppo.zip").read_bytes()


# ---------------------------------------------------------------------------------- strangers


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("executed"),)


def signed(body):
    return body + b"#sha256:" + checkpoint.hashlib.sha256(body).hexdigest().encode()


def changed(data, **more):
    """The model of the bundle with some of its content replaced, and a digest that fits."""
    model = checkpoint.load(data / "ppo.zip")
    config = {n: x for n, x in more.items() if n in model["config"]}
    rest = {n: x for n, x in more.items() if n not in model["config"]}
    return checkpoint.pack(model | {"config": model["config"] | config} | rest)


def repacked(body, kind):
    """The parts of a torch file, compressed."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(content, "w", kind) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    return content.getvalue()


def pickled(x):
    content = io.BytesIO()
    torch.save(x, content)
    return content.getvalue()


def bundle(model, name="model.pt", kind=zipfile.ZIP_STORED):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", kind) as file:
        file.writestr("README.md", "# Try me")
        if model is not None:
            file.writestr(name, model)
    return content.getvalue()


def lying(content):
    """A zip whose directory says that its model has 100 bytes."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        size = file.getinfo("model.pt").file_size
    return content.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little"))


LIMIT = 2**18
BIG = bytes(LIMIT + 1)
HUGE = torch.zeros(1).expand(10**6, 10**6)
CORPUS = {
    "evil pickle in a torch file": lambda d: bundle(signed(pickled({"format": 1, "x": Evil()}))),
    "evil pickle alone": lambda d: bundle(signed(pickle.dumps(Evil()))),
    "no zip": lambda d: b"PK\3\4 not a zip",
    "empty file": lambda d: b"",
    "no model": lambda d: bundle(None),
    "model elsewhere": lambda d: bundle(changed(d), "../model.pt"),
    "wrong digest": lambda d: bundle(changed(d)[:-4] + b"0000"),
    "no digest": lambda d: bundle(changed(d)[:-72]),
    "newer format": lambda d: bundle(changed(d, format=checkpoint.FORMAT + 1)),
    "zip bomb": lambda d: bundle(BIG, kind=zipfile.ZIP_DEFLATED),
    "zip bomb that lies": lambda d: lying(bundle(BIG, kind=zipfile.ZIP_DEFLATED)),
    "bzip2": lambda d: bundle(changed(d), kind=zipfile.ZIP_BZIP2),
    "a bomb of tensors": lambda d: bundle(signed(repacked(changed(d)[:-72], zipfile.ZIP_DEFLATED))),
    "not a dict": lambda d: bundle(signed(pickled([1, 2]))),
    "a tensor": lambda d: bundle(signed(pickled(torch.zeros(3)))),
    "no spaces": lambda d: bundle(checkpoint.pack({"config": {}, "agent": {}})),
    "no configuration": lambda d: bundle(changed(d, config=[])),
    "no such algorithm": lambda d: bundle(changed(d, algo="os")),
    "algorithm of a path": lambda d: bundle(changed(d, algo="../utils/run")),
    "environment that runs": lambda d: bundle(changed(d, env="os:system")),
    "environment that is none": lambda d: bundle(changed(d, env="NoSuchThing-v0")),
    "environment that is an object": lambda d: bundle(changed(d, env={"entry_point": "os:system"})),
    "environment of other spaces": lambda d: bundle(changed(d, env="CartPole-v1")),
    "arguments that do not exist": lambda d: bundle(changed(d, env_kwargs={"command": "touch x"})),
    "arguments of make": lambda d: bundle(changed(d, env_kwargs={"id": "os:system"})),
    "arguments that are no dict": lambda d: bundle(changed(d, env_kwargs="g=3")),
    "sizes that fill the memory": lambda d: bundle(changed(d, hidden=[10**6, 10**6])),
    "tensors that fill the memory": lambda d: bundle(
        changed(d, hidden=[10**6, 10**6], agent={"pi.mu.0.weight": HUGE})
    ),
    "a space that fills the memory": lambda d: bundle(
        changed(d, obs={"kind": "Discrete", "n": 10**12, "start": 0})
    ),
    "actions that fill the memory": lambda d: bundle(
        changed(d, act={"kind": "Discrete", "n": 10**12, "start": 0})
    ),
    "a space of no kind": lambda d: bundle(changed(d, obs={"kind": "Box", "low": "x"})),
    "no parameters": lambda d: bundle(changed(d, agent={})),
    "parameters that are text": lambda d: bundle(changed(d, agent={"pi.mu.0.weight": "x"})),
    "gamma of text": lambda d: bundle(changed(d, gamma="__import__('os')")),
    "log of text": lambda d: bundle(changed(d, log={"Epoch": "x", "TotalEnvInteracts": 0})),
    "not finite": lambda d: bundle(changed(d, agent=poisoned(d))),
}


def poisoned(data):
    state = checkpoint.load(data / "ppo.zip")["agent"]
    return {n: x * torch.nan if n == "pi.log_std" else x for n, x in state.items()}


@pytest.mark.fault("foreign")
@pytest.mark.parametrize("what", CORPUS)
def test_a_strangers_file_is_refused_in_one_line_and_runs_nothing(what, data, capsys, monkeypatch):
    Path("gift.zip").write_bytes(CORPUS[what](data))
    monkeypatch.setattr(checkpoint, "LIMIT", LIMIT)
    monkeypatch.setattr(os, "system", lambda *_: Path("executed").touch())
    one_line(capsys, command("eval gift.zip --episodes 1"), "gift.zip")
    one_line(capsys, command("watch gift.zip --gif film.gif"), "gift.zip")
    if "environment" not in what and "arguments" not in what:  # which are not used for this
        one_line(capsys, command(training("ppo", more="--init gift.zip")), "gift.zip")
    assert [path.name for path in Path().iterdir()] == ["gift.zip"]


def test_a_file_may_be_zipped_again_by_other_tools(data):
    Path("again.zip").write_bytes(bundle(changed(data), kind=zipfile.ZIP_DEFLATED))
    assert load("again.zip").digest() == load(data / "ppo.zip").digest()


@pytest.mark.fault("damaged")
def test_whatever_is_flipped_in_a_signed_model_there_is_no_other_error(data):
    body = changed(data)[:-72]
    refused = 0
    for _ in range(150):
        flipped = bytearray(body)
        for _ in range(random.randint(1, 8)):
            flipped[random.randrange(len(body))] ^= 1 << random.randrange(8)
        Path("flipped.zip").write_bytes(bundle(signed(bytes(flipped))))
        try:
            load("flipped.zip")
        except UserError:
            refused += 1
    assert refused > 5


@pytest.mark.fault("foreign")
def test_a_module_is_imported_only_if_its_name_is_repeated(data, capsys, monkeypatch):
    Path("mine.py").write_text(
        "import gymnasium as gym\n"
        "open('imported', 'w').close()\n"
        "gym.register('Mine-v0', 'gymnasium.envs.classic_control:PendulumEnv')\n"
    )
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    Path("gift.zip").write_bytes(bundle(changed(data, env="mine:Mine-v0")))
    one_line(capsys, command(f"eval gift.zip {EPISODES}"), "add --env mine:Mine-v0")
    one_line(
        capsys, command(f"eval gift.zip {EPISODES} --env os:Mine-v0"), "is not the environment"
    )
    assert not Path("imported").exists()
    assert command(f"eval gift.zip {EPISODES} --env mine:Mine-v0") == 0
    assert Path("imported").exists()


# ------------------------------------------------------------------------------- starting from


def agent_of(path):
    return checkpoint.load(Path(path))["agent"]


@pytest.mark.parametrize("algo", ALGOS)
@pytest.mark.parametrize("source", ["folder", "bundle"])
def test_a_run_starts_from_all_that_another_has_learnt(algo, source, data):
    path = data / algo
    if source == "bundle":
        path = Path(f"{algo}.zip")
        assert command(["export", str(data / algo), str(path), *EPISODES.split()]) == 0
    module = import_module(f"rlcourse.algos.{algo}")
    expected = agent_of(data / algo / f"{algo}_s0" / "checkpoint.pt")
    config = yaml.safe_load((data / algo / f"{algo}_s0" / "config.yaml").read_text())
    names = [f.name for f in dataclasses.fields(module.Config)]
    cfg = module.Config(**{n: config[n] for n in names} | {"hidden": (8, 8), "seed": 7})
    found = Run(cfg, Settings(init=str(path)), "new", show=False)
    seen = {}

    class Stop(Exception):
        pass

    epochs = found.epochs

    def first(agent, *rest):
        before = {n: opt.state_dict() for n, opt in vars(agent).items() if n.startswith("opt")}
        for _ in epochs(agent, *rest):
            seen.update({n: x.clone() for n, x in agent.state_dict().items()})
            assert all(float(opt["steps"]) == 0 for opt in before.values()) and before
            assert all(float(opt["m"].abs().sum()) == 0 for opt in before.values())
            if rest[1:]:
                assert len(rest[1]) == 0
            raise Stop

    found.epochs = first
    with pytest.raises(Stop):
        module.train(cfg, found)
    assert seen.keys() == expected.keys()
    assert all(torch.equal(x, expected[n]) for n, x in seen.items())


def test_an_interrupted_run_continues_from_its_checkpoint_and_not_from_init(data, monkeypatch):
    shutil.copy(data / "ppo.zip", "start.zip")
    words = training("ppo", epochs=4, more="--init start.zip --exp-name x --save-every 0")
    assert command(f"{words} --data-dir whole") == 0
    count, step = 0, Envs.step

    def interrupt(self, act):
        nonlocal count
        count += 1
        if count == 32 + 9:
            os.kill(os.getpid(), 2)
        return step(self, act)

    with monkeypatch.context() as patch:
        patch.setattr(Envs, "step", interrupt)
        with pytest.raises(SystemExit):
            command(words)
    Path("start.zip").unlink()
    assert len(read(Path("data/x/x_s0/progress.csv"))) == 2
    assert command(words) == 0
    mine, whole = (agent_of(f"{where}/x/x_s0/checkpoint.pt") for where in ("data", "whole"))
    assert all(torch.equal(x, whole[n]) for n, x in mine.items())
    about = yaml.safe_load(Path("data/x/x_s0/config.yaml").read_text())["about"]["init"]
    assert about["sha256"] == load(data / "ppo.zip").digest()
    assert about["TotalEnvInteracts"] == 128


@pytest.mark.fault("other-run")
def test_init_is_part_of_the_configuration(data, capsys):
    shutil.copy(data / "ppo.zip", "start.zip")
    words = training("ppo", more="--exp-name x")
    assert command(words) == 0
    capsys.readouterr()
    code = command(f"{words} --init start.zip")
    one_line(capsys, code, "--init none there, start.zip here", "--exp-name")
    assert command(f"{words} --init start.zip --overwrite") == 0
    assert yaml.safe_load(Path("data/x/x_s0/config.yaml").read_text())["init"] == "start.zip"
    assert command(f"{words} --init start.zip") == 0
    assert "finished already" in capsys.readouterr().out
    one_line(capsys, command(words), "--init start.zip there, none here")


def test_a_run_from_before_there_was_init_is_still_the_same_run(capsys):
    assert command(training("ppo", more="--exp-name x")) == 0
    path = Path("data/x/x_s0/config.yaml")
    config = yaml.safe_load(path.read_text())
    del config["init"]
    path.write_text(yaml.safe_dump(config))
    assert command(training("ppo", more="--exp-name x")) == 0
    assert "finished already" in capsys.readouterr().out


@pytest.mark.mpi
def test_every_process_starts_from_the_same(data):
    words = training("ppo", epochs=1, more="--exp-name x --cpu 2 --lr 1e-30 --minibatch 64").split()
    words = [sys.executable, "-m", "rlcourse.run", *words, "--init", str(data / "ppo.zip")]
    found = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("starting from") == 1
    mine, expected = agent_of("data/x/x_s0/checkpoint.pt"), load(data / "ppo.zip")
    assert torch.equal(mine["pi.mu.0.weight"], expected.agent.pi.mu[0].weight)
    assert mine["pi.norm.count"] == expected.agent.pi.norm.count + 64


# ------------------------------------------------------------------------------------ mistakes

INIT = "--exp-name new --init"
MISTAKES = {
    "eval": ["RUN", "--help"],
    "eval nowhere": ["no run in nowhere"],
    "eval nowhere.zip": ["nowhere.zip cannot be read", "No such file"],
    "eval empty": ["no run in empty"],
    "eval file": ["file is damaged or foreign"],
    "eval {cart} --episodes 0": ["--episodes 0", "1 or more"],
    "eval {cart} --episodes two": ["--episodes", "'two'"],
    "eval {cart} --seed -1": ["--seed -1", "0 or more"],
    "eval {cart} --env CartPole-v1x": ["--env CartPole-v1x is not the environment", "CartPole-v1"],
    "eval {cart} --besst": ["unknown flag --besst", "--best"],
    "eval {bundle} --best": ["--best chooses between the files of a run"],
    "eval {cart}/cart_s0/checkpoint.pt": ["is no model", "model.pt"],
    "watch {bundle} --best": ["--best chooses"],
    "watch {cart} --mp4 film.gif": ["film.gif", ".mp4"],
    "watch {cart} --mp4 nowhere/film.mp4": ["nowhere/film.mp4", "folder that exists"],
    "watch {cart} --gif a.gif --mp4 a.mp4": ["--mp4", "not allowed with"],
    "watch {cart} --seed x": ["--seed", "'x'"],
    "export": ["RUN", "BUNDLE.zip"],
    "export {cart}/cart_s0": ["BUNDLE.zip"],
    "export {cart}/cart_s0 x.tar": ["x.tar", "name.zip"],
    "export {cart}/cart_s0 nowhere/x.zip": ["nowhere/x.zip", "folder that exists"],
    "export {cart}/cart_s0 x.zip --episodes 0": ["--episodes 0"],
    "export {cart} x.zip": ["holds 2 runs", "name one of them", "cart_s0"],
    "export nowhere x.zip": ["no run in nowhere"],
    "export {bundle} x.zip": ["is a file", "folder of the run"],
    "export {cart}/cart_s0/model.pt x.zip": ["is a file"],
    "export bare x.zip": ["bare has no checkpoint"],
    "export rowless x.zip": ["rowless/progress.csv has no rows"],
    f"ppo {INIT} nowhere": ["no run in nowhere"],
    f"ppo {INIT} nowhere.zip": ["nowhere.zip cannot be read"],
    f"ppo {INIT} file": ["file is damaged or foreign"],
    f"ppo {INIT} {{cart}}": ["holds 2 runs", "name one of them"],
    f"ppo {INIT} {{cart}}/cart_s0": ["observations Box", "(4,)", "there", "(3,)", "here"],
    f"ppo {INIT} {{cart}}/cart_s0/model.pt": ["holds the policy alone", "a bundle"],
    f"ppo {INIT} bare": ["bare has no checkpoint"],
    f"ppo {INIT} {{bundle}} --hidden 8": ["--hidden [8, 8] there, [8] here"],
    f"ppo {INIT} {{bundle}} --activation relu": ["--activation tanh there, relu here"],
    f"ppo {INIT} {{bundle}} --norm-obs false": ["--norm-obs True there, False here"],
    f"vpg {INIT} {{bundle}}": ["algorithm ppo there, vpg here"],
}


@pytest.mark.fault("mistake")
@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_and_creates_nothing(words, data, capsys):
    Path("empty").mkdir()
    Path("file").write_text("no model")
    for name, files in (("bare", ["model.pt"]), ("rowless", ["model.pt", "checkpoint.pt"])):
        Path(name).mkdir()
        for file in ("config.yaml", *files):
            shutil.copy(data / "cart" / "cart_s0" / file, name)
    before = sorted(Path().rglob("*"))
    places = {"{cart}": str(data / "cart"), "{bundle}": str(data / "ppo.zip")}
    given = words.split()
    if given[0] in ALGOS:
        given = [*training(given[0]).split(), *given[1:]]
    for name, place in places.items():
        given = [word.replace(name, place) for word in given]
    one_line(capsys, command(given), *MISTAKES[words])
    assert sorted(Path().rglob("*")) == before


def test_a_run_cannot_start_from_what_it_overwrites(data, capsys):
    words = training("ppo", more="--exp-name x")
    assert command(words) == 0
    capsys.readouterr()
    code = command(f"{words} --overwrite --init data/x")
    one_line(capsys, code, "--init data/x", "--overwrite would remove")
    assert Path("data/x/x_s0/checkpoint.pt").exists()
