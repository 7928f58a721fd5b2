"""check: what is broken in an environment is found and named, and nothing in a sound one."""

import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple

from rlcourse import ALGOS, run
from rlcourse.utils import check
from rlcourse.utils.config import Settings
from rlcourse.utils.envs import make_any

PAGE = Path(__file__).parents[1] / "docs" / "guide" / "environments.md"
VECTOR = Box(-1, 1, (2,), np.float32)


class Sound(gym.Env):
    """A walk of about ten steps; subclasses break one thing each."""

    observation_space = VECTOR
    action_space = VECTOR

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.x = 0, self.np_random.uniform(-0.5, 0.5, 2)
        return self.obs(), {}

    def step(self, action):
        self.t += 1
        self.x = (0.9 * self.x + 0.1 * np.mean(action)).clip(-1, 1)
        return self.obs(), self.rew(action), *self.end(), {}

    def obs(self):
        return self.x.astype(np.float32)

    def rew(self, action):
        return float(self.x[0])

    def end(self):
        return bool(self.np_random.random() < 0.1), False


class NanReward(Sound):
    def rew(self, action):
        return np.nan if self.t == 7 else 1.0


class InfReward(Sound):
    def rew(self, action):
        return float("inf") if self.t == 7 else 1.0


class HugeReward(Sound):
    def rew(self, action):
        return 1e39


class TextReward(Sound):
    def rew(self, action):
        return "1.0"


class ArrayReward(Sound):
    def rew(self, action):
        return np.ones(1)


class NoReward(Sound):
    def rew(self, action):
        return None


class NanObs(Sound):
    """Only where an extreme action leads."""

    def step(self, action):
        found = super().step(action)
        return (found[0] * np.nan, *found[1:]) if np.abs(action).min() == 1 else found


class Outside(Sound):
    def obs(self):
        return super().obs() + 3 * (self.t == 4)


class Shape(Sound):
    def obs(self):
        return np.zeros(3 if self.t == 4 else 2, np.float32)


class Double(Sound):
    def obs(self):
        return self.x if self.t > 3 else super().obs()


class Listed(Sound):
    def obs(self):
        return self.x.tolist()


class Reused(Sound):
    array = np.zeros(2, np.float32)

    def obs(self):
        self.array[:] = self.x
        return self.array


class Room(Sound):
    """A Discrete observation that is one too large in the end."""

    observation_space = Discrete(4)

    def obs(self):
        return min(self.t, 4)


class IntEnd(Sound):
    def end(self):
        return int(super().end()[0]), False


class NoTruncated(Sound):
    def end(self):
        return super().end()[0], None


class NoInfo(Sound):
    def step(self, action):
        return *super().step(action)[:4], None


class OldStep(Sound):
    def step(self, action):
        obs, rew, term, _, info = super().step(action)
        return obs, rew, term, info


class OldReset(Sound):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)[0]


class Seedless(Sound):
    def reset(self):
        return super().reset()


class OwnRandomness(Sound):
    """The start comes from a generator that reset(seed) does not seed."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = np.random.uniform(-0.5, 0.5, 2)
        return self.obs(), {}


class OwnNoise(Sound):
    """The start is seeded; what happens from the third step on is not."""

    def obs(self):
        return super().obs() if self.t < 3 else np.random.uniform(-1, 1, 2).astype(np.float32)


class Carried(Sound):
    """What an episode is like depends on how many there were before it."""

    count = 0

    def reset(self, *, seed=None, options=None):
        self.count += 1
        return super().reset(seed=seed)

    def rew(self, action):
        return float(self.t + self.count // 8)  # check_env compares fewer episodes


class Raises(Sound):
    def rew(self, action):
        return 1 / (self.t - 5)


class RaisesAtReset(Sound):
    def reset(self, *, seed=None, options=None):
        raise RuntimeError("no road\nahead")


class RaisesInACorner(Sound):
    def rew(self, action):
        if action.min() == -1:
            raise ValueError("fell off")
        return 1.0


class Endless(Sound):
    def end(self):
        return False, False


class HiddenLimit(Sound):
    """A time limit that is reported as if the state were terminal."""

    def end(self):
        return self.t == 20, False


class Bandit(Sound):
    def end(self):
        return True, False


class SameStart(Sound):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = np.zeros(2)
        return self.obs(), {}


class Barren(Sound):
    def rew(self, action):
        return 0.0

    def end(self):
        return False, self.t == 20


class Infinite(Sound):
    action_space = Box(-np.inf, np.inf, (2,), np.float32)


class Wide(Sound):
    action_space = Box(-1e30, 1e30, (2,), np.float32)


class Lopsided(Sound):
    action_space = Box(0, 5, (2,), np.float32)


class Named(Sound):
    observation_space = Dict(a=VECTOR, b=Discrete(2))

    def obs(self):
        return {"a": super().obs(), "b": 0}


class Paired(Sound):
    action_space = Tuple([VECTOR, Discrete(2)])

    def step(self, action):
        return super().step(action[0])


class Buttons(Sound):
    action_space = MultiDiscrete([2, 3])


CORPUS = {  # what must be found: a list of (grade, about, part of the text)
    Sound: [],
    NanReward: [("fault", "reward", "not finite in float32: nan in step 7 of episode")],
    InfReward: [("fault", "reward", "not finite in float32: inf in step 7 of episode")],
    HugeReward: [("fault", "reward", "not finite in float32: 1e+39")],
    TextReward: [("fault", "reward", "it is a str, not a number")],
    ArrayReward: [("fault", "reward", "array of shape (1,)")],
    NoReward: [("fault", "reward", "it is a NoneType")],
    NanObs: [("fault", "observation", "not finite in float32: nan in step 1")],
    Outside: [("warning", "observation", "is outside of [-1, 1] in step 4")],
    Shape: [("fault", "observation", "its shape is (3,), but (2,) in the space in step 4")],
    Double: [("fault", "observation", "it is float64, but float32 in the space in step 4")],
    Listed: [("fault", "observation", "it is a list, no array at the reset of episode 1")],
    Reused: [("fault", "observation", "changes later: return a copy")],
    Room: [("fault", "observation", "not in the space: 4 in step 4")],
    IntEnd: [("fault", "end", "terminated is a int, no bool")],
    NoTruncated: [("fault", "end", "truncated is a NoneType, no bool")],
    NoInfo: [("fault", "info", "it is a NoneType, no dict")],
    OldStep: [("fault", "form", "step returns 4 values, not (obs, reward, terminated,")],
    OldReset: [("fault", "form", "reset returns a ndarray, not (obs, info)")],
    Seedless: [("fault", "raises", "TypeError: Seedless.reset() got an unexpected")],
    OwnRandomness: [("fault", "gymnasium", "`env.reset(seed=123)` is non-deterministic")],
    OwnNoise: [("fault", "seed", "give another episode, from step 3 on")],
    Carried: [("warning", "seed", "depends on those played before it")],
    Raises: [("fault", "raises", "ZeroDivisionError: division by zero (test_check.py:")],
    RaisesAtReset: [("fault", "raises", "RuntimeError: no road ahead (test_check.py:")],
    RaisesInACorner: [("fault", "raises", "ValueError: fell off (test_check.py:")],
    Endless: [("warning", "end", "no episode ended in")],
    HiddenLimit: [("warning", "end", "every episode terminates at step 20")],
    Bandit: [("note", "end", "one step long")],
    SameStart: [("note", "seed", "start in the same state")],
    Barren: [("note", "reward", "has the same return")],
    Infinite: [("warning", "actions", "no finite bounds")],
    Wide: [("warning", "actions", "so wide that its scale says nothing")],
    Lopsided: [],
    Named: [("warning", "spaces", "has Dict observations")],
    Paired: [("warning", "spaces", "has Tuple actions")],
    Buttons: [("warning", "spaces", "has MultiDiscrete actions")],
}
for env in CORPUS:
    gym.register(f"corpus/{env.__name__}-v0", entry_point=env)
gym.register("corpus/Free-v0", entry_point=OwnNoise, nondeterministic=True)


@pytest.fixture(autouse=True)
def brief(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(check, "SECONDS", 0.1)
    monkeypatch.setattr(check, "NO_LIMIT", 1000)


def findings(name, **settings):
    """What is found in an environment, without training in it."""
    found, settings = check.Findings(), Settings(**settings)
    envs = [make_any(name, settings, disable_env_checker=True) for _ in range(4)]
    player, *others = [check.Player(env, found) for env in envs]
    check.judge_spaces(name, player.env, found)
    try:
        check.examine(player, others, settings)
    except check.Broken as e:
        found.raised(e.__cause__, e.args[0])
    return [(grade, *rest) for grade in check.GRADES for rest in found.grade(grade)]


@pytest.mark.parametrize("env", CORPUS, ids=lambda env: env.__name__)
def test_what_is_broken_is_named_and_nothing_else(env):
    found = findings(f"corpus/{env.__name__}-v0")
    for grade, about, part in CORPUS[env]:
        assert any((grade, about) == f[:2] and part in f[2] for f in found), found
    mentioned = {f[:2] for f in found if f[1] != "gymnasium"}
    assert mentioned <= {expected[:2] for expected in CORPUS[env]}, found
    if not any(grade == "fault" for grade, _, _ in CORPUS[env]):
        assert [f for f in found if f[0] == "fault" or f[1] == "gymnasium"] == []


def test_what_an_environment_admits_is_no_fault():
    assert [f[:2] for f in findings("corpus/Free-v0")] == [("warning", "seed")]


def test_a_time_limit_ends_what_would_not_end():
    assert findings("corpus/Endless-v0", max_ep_len=30) == []


def report(capsys, words):
    """Exit code, output and errors of the command."""
    code = run.main(["check", *words.split()])
    return code, *capsys.readouterr()


def test_a_sound_environment_gets_a_verdict_facts_and_the_command_to_train(capsys):
    code, out, err = report(
        capsys, "CartPole-v1 --max-ep-len 100 --env-kwargs sutton_barto_reward=1"
    )
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].startswith("CartPole-v1 is sound and fits ")
    assert 15 < len(lines) < 40
    facts = dict(re.findall(r"^  (\w[\w ]*?)  +(.*?) *$", out, re.MULTILINE))
    assert facts["observations"].startswith("4 numbers, float32, seen from -")
    assert facts["actions"] == "one of 2"
    assert facts["time limit"] == "100 steps"
    assert facts["reward threshold"] == "475"
    assert facts["rewards seen"] == "from -1 to 0"
    assert re.match(r"return -1 ± 0, length 2\d(\.\d+)? ± ", facts["random policy"])
    assert facts["repeatable"] == "yes, bit for bit"
    assert re.fullmatch(
        r"reset [\d,]+ µs, step [\d.,]+ µs: [\d,]+ steps/s on a core", facts["speed"]
    )
    assert lines[-1].endswith(
        "-m rlcourse.run ppo --env CartPole-v1 --max-ep-len 100 --env-kwargs sutton_barto_reward=1"
    )


@pytest.mark.parametrize("name", ["CartPole-v1", "corpus/Infinite-v0"])
def test_an_algorithm_fits_if_it_trains_and_else_its_own_reason_is_given(name, capsys):
    code, out, _ = report(capsys, name)
    assert code == 0
    verdict = re.search(r"sound and fits (.*)", out)[1].split(", ")
    for algo in ALGOS:
        trained = run.main(f"{algo} --env {name} --epochs 1 --horizon 32 --eval-episodes 1".split())
        reason = capsys.readouterr().err.removeprefix(f"rlcourse: --env {name}: ").strip()
        assert (algo in verdict) == (trained == 0)
        said = re.search(rf"^  {algo} +(yes|no) +(.*?) *$", out, re.MULTILINE)
        assert said[1] == ("yes" if trained == 0 else "no")
        assert said[2] == reason if reason else "40,000 steps" in said[2] or "102,400" in said[2]


def test_an_algorithm_that_meets_a_fault_while_it_learns_names_it(capsys, monkeypatch):
    made = []

    class Late(Sound):
        """Is sound for check, and breaks in the hands of an algorithm."""

        def __init__(self):
            made.append(self)
            self.late = len(made) > 4

        def rew(self, action):
            return np.nan if self.late else 1.0

    gym.register("corpus/Late-v0", entry_point=Late)
    code, out, _ = report(capsys, "corpus/Late-v0")
    assert code == 1 and out.startswith("corpus/Late-v0 is not sound")
    assert "FloatingPointError: the reward of environment" in " ".join(out.split())
    assert "while vpg learnt" in " ".join(out.split())
    del gym.registry["corpus/Late-v0"]


def test_an_unsound_environment_gets_the_fault_and_exit_code_1(capsys):
    code, out, err = report(capsys, "corpus/NanReward-v0")
    assert (code, err) == (1, "")
    assert out.startswith("corpus/NanReward-v0 is not sound\n")
    assert "nan in step 7 of episode" in out and "next:" not in out and " ppo " not in out


def test_spaces_that_no_algorithm_takes_are_no_fault(capsys):
    code, out, _ = report(capsys, "corpus/Named-v0")
    assert code == 0
    assert out.startswith("corpus/Named-v0 is sound but fits no algorithm here\n")
    assert "gymnasium.wrappers.FlattenObservation" in out and "next:" not in out


def test_debug_shows_where_an_environment_raised(capsys):
    code, _, err = report(capsys, "corpus/Raises-v0 --debug")
    assert code == 1
    assert "return 1 / (self.t - 5)" in err and "ZeroDivisionError" in err


def test_an_environment_of_ones_own_module_is_checked(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    Path("lab.py").write_text(
        "import gymnasium as gym\n"
        "gym.register('Maze-v0', entry_point='gymnasium.envs.toy_text:CliffWalkingEnv')\n"
    )
    code, out, _ = report(capsys, "lab:Maze-v0 --max-ep-len 50")
    assert code == 0
    assert out.splitlines()[-1].endswith("rlcourse.run ppo --env lab:Maze-v0 --max-ep-len 50")


@pytest.mark.parametrize(
    ("words", "part"),
    {
        "": "ENV",
        "CartPloe-v1": "Try CartPole-v1",
        "no_such_module:Thing-v0": "no_such_module",
        "CartPole-v1 --max-ep-len -1": "--max-ep-len -1 is out of range",
        "CartPole-v1 --max-ep-len two": "whole number",
        "CartPole-v1 --env-kwargs wind": "key=value",
        "CartPole-v1 --env-kwargs wind=3": "'wind'",
        "CartPole-v1 --gamma 0.9": "unknown flag --gamma",
        "CartPole-v1 Pendulum-v1": "'Pendulum-v1' belongs to no flag",
    }.items(),
)
def test_a_mistake_of_the_users_is_one_line(words, part, capsys):
    code, out, err = report(capsys, words)
    assert (code, out) == (2, "")
    assert err.startswith("rlcourse: ") and err.count("\n") == 1 and part in err


SOUND = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]
SOUND += ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4", "LunarLander-v3", "BipedalWalker-v3"]
SOUND += ["InvertedPendulum-v5", "Reacher-v5", "HalfCheetah-v5"]


@pytest.mark.parametrize("name", SOUND)
def test_the_environments_of_gymnasium_raise_no_false_alarm(name):
    entry = gym.spec(name).entry_point
    for package, module in (("mujoco", "mujoco"), ("box2d", "Box2D")):
        if package in entry:
            pytest.importorskip(module)
    expected = {
        "CliffWalking-v1": {("warning", "end"), ("note", "seed")},
        "FrozenLake-v1": {("note", "seed")},
        "Acrobot-v1": {("note", "reward")},
        "LunarLander-v3": {("warning", "observation")},
        "MountainCar-v0": {("note", "reward")},
        "BipedalWalker-v3": {("warning", "seed")},
    }
    assert {f[:2] for f in findings(name)} <= expected.get(name, set())


def test_the_page_explains_every_finding():
    source = Path(check.__file__).read_text("utf-8")
    kinds = set(re.findall(r'"(?:fault|warning|note)", "(\w+)"', source))
    page = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| (fault|warning|note) \| `(\w+)` \|", page, re.MULTILINE)
    assert kinds <= {about for _, about in rows}
    produced = {finding[:2] for found in CORPUS.values() for finding in found}
    assert produced <= set(rows)


def test_the_environment_on_the_page_is_sound(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = re.findall(
        r"^```python\n(.*?class Tank.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S
    )
    Path("tank.py").write_text(code)
    assert findings("tank:Tank-v0", env_kwargs={"leak": 0.3}) == []
