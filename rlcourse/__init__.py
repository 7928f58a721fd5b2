"""rlcourse: deep reinforcement learning in PyTorch, to be run, read and done.

from rlcourse import ppo
agent = ppo.train(ppo.Config(env="CartPole-v1"))

from rlcourse import load
policy = load("data/ppo_CartPole-v1/ppo_CartPole-v1_s0")
"""

from importlib import import_module

__version__ = "0.1.0"
ALGOS = ("vpg", "ppo", "ddpg", "td3", "sac")


def __getattr__(name: str):
    if name in ALGOS:  # imported at first use, so that `import rlcourse` loads nothing heavy
        return import_module(f"rlcourse.algos.{name}")
    if name == "ExperimentGrid":
        return import_module("rlcourse.utils.grid").ExperimentGrid
    if name == "load":
        return import_module("rlcourse.utils.policy").load
    raise AttributeError(f"module 'rlcourse' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *ALGOS, "ExperimentGrid", "load"])
