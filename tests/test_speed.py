"""What work costs, counted instead of timed: so that it cannot grow unnoticed.

The limits are a tenth above what was counted when they were set. Seconds, beside those of other
packages, are measured by experiments/speed.
"""

import sys
from dataclasses import replace
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from torch.utils._python_dispatch import TorchDispatchMode

from rlcourse.utils.config import Settings
from rlcourse.utils.envs import Envs
from rlcourse.utils.replay import Replay

STEPS = 50
ON_POLICY = dict(horizon=16, minibatch=64, passes=1)
OFF_POLICY = dict(random_steps=8, memory=100)
DATA = dict(vpg=ON_POLICY, ppo=ON_POLICY | dict(max_kl=1e9))
DATA |= dict.fromkeys(("ddpg", "td3", "sac"), OFF_POLICY)


class Still(gym.Env):
    """Costs nothing itself."""

    observation_space = Box(-1, 1, (3,), np.float32)
    obs = np.zeros(3, np.float32)

    def __init__(self, discrete):
        self.action_space = Discrete(2) if discrete else Box(-1, 1, (1,), np.float32)

    def reset(self, seed=None, options=None):
        return self.obs, {}

    def step(self, action):
        return self.obs, 1.0, False, False, {}


@pytest.fixture(autouse=True)
def still():
    gym.register("Still-v0", entry_point=Still)
    yield
    del gym.registry["Still-v0"]


def prepare(algo, discrete, **fields):
    module = import_module(f"rlcourse.algos.{algo}")
    cfg = module.Config(env="Still-v0", hidden=(8, 8), **fields)
    envs = Envs(cfg, Settings(env_kwargs={"discrete": discrete}))
    return module, cfg, envs, module.Agent(envs.obs_dim, envs.act_space, cfg)


def filled(module, cfg, envs, agent):
    """A memory with the random steps, so that the policy acts and learns from now on."""
    memory = Replay(cfg.memory, envs)
    for _ in range(cfg.random_steps):
        module.collect(envs, agent, memory, cfg)
    return memory


class Operators(TorchDispatchMode):
    """Counts the kernels that torch calls, backwards too."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def operators(work):
    work()  # what happens once only
    with Operators() as counted:
        work()
    return counted.count


def calls(work):
    """Calls of functions, those of C among them."""
    count = 0

    def note(frame, event, arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


ALL = [
    ("vpg", True),
    ("vpg", False),
    ("ppo", True),
    ("ppo", False),
    ("ddpg", False),
    ("td3", False),
    ("sac", True),
    ("sac", False),
]


def limits(*values):
    return [(*case, value) for case, value in zip(ALL, values, strict=True)]


@pytest.mark.parametrize(
    ("algo", "discrete", "limit"), limits(83, 83, 206, 219, 194, 164, 260, 337)
)
def test_a_gradient_step_calls_no_more_operators_than_it_did(algo, discrete, limit):
    assert gradient_step(algo, discrete) <= limit


def gradient_step(algo, discrete):
    """Operators of a further gradient step (of VPG: of V), its data included."""
    module, cfg, envs, agent = prepare(algo, discrete, num_envs=2, **DATA[algo])
    if algo in ("vpg", "ppo"):
        data = module.collect(envs, agent, cfg)
        more = replace(cfg, passes=2)
        return operators(lambda: agent.update(data, more)) - operators(
            lambda: agent.update(data, cfg)
        )
    memory = filled(module, cfg, envs, agent)

    def updates(count):
        for b in memory.sample(count, 8):
            agent.update(module.Batch(*b), cfg)

    return (operators(lambda: updates(6)) - operators(lambda: updates(2))) / 4


@pytest.mark.parametrize(
    ("algo", "discrete", "limit"), limits(108, 109, 108, 109, 146, 146, 146, 168)
)
def test_a_step_of_an_environment_calls_no_more_functions_than_it_did(algo, discrete, limit):
    assert environment_step(algo, discrete) <= limit


def environment_step(algo, discrete):
    """Calls of functions, the policy's included, for a step of one environment."""
    module, cfg, envs, agent = prepare(algo, discrete, num_envs=1, **DATA[algo])
    if algo in ("vpg", "ppo"):
        more = replace(cfg, horizon=cfg.horizon + STEPS)
        few, many = (calls(lambda c=c: module.collect(envs, agent, c)) for c in (cfg, more))
        return (many - few) / STEPS
    memory = filled(module, cfg, envs, agent)
    return calls(lambda: module.collect(envs, agent, memory, cfg))


def test_the_tables_of_speed_are_those_of_the_stored_turns():
    folder = Path(__file__).parents[1] / "experiments/speed"
    spec = spec_from_file_location("measure", folder / "measure.py")
    measure = module_from_spec(spec)
    spec.loader.exec_module(measure)
    assert measure.figures() == (folder / "figures.md").read_text()


if __name__ == "__main__":  # what the limits are set by
    gym.register("Still-v0", entry_point=Still)
    print("operators", [gradient_step(*case) for case in ALL])
    print("functions", [environment_step(*case) for case in ALL])
