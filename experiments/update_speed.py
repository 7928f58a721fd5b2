"""Updates beside Stable-Baselines3's: gradient steps per second of process CPU time, one thread.

    pip install stable-baselines3
    python experiments/update_speed.py ALGO [ENV]        ALGO: ppo, ddpg, td3 or sac

Equal settings. PPO: 8 environments, 256 steps each, 10 passes, minibatches of 64, two networks of
64x64 tanh, no early stop. The others: networks of 256x256 relu, minibatches of 256. The packages
take turns on data of their own; shown are medians and the spread over the turns. Ratios hold on a
busy machine too, absolute figures do not. For the others the bare matrix products of the same
shapes take a turn as well: nothing in 32 bits on one core can be faster than they are.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module

import stable_baselines3 as sb3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger

from rlcourse.utils.config import Settings
from rlcourse.utils.envs import Envs
from rlcourse.utils.replay import Replay

TURNS = 7
STEPS = {"ppo": 320, "ddpg": 100, "td3": 100, "sac": 60}  # gradient steps of a turn
WIDTH = 256  # of the hidden layers and the minibatches of the off-policy algorithms


def main(algo: str, env: str = "HalfCheetah-v5") -> None:
    torch.set_num_threads(1)
    on_policy = algo == "ppo"
    work = {
        "rlcourse": (ours_on if on_policy else ours_off)(algo, env),
        "Stable-Baselines3": (theirs_on if on_policy else theirs_off)(algo, env),
    }
    if not on_policy:
        work["matrix products"] = products(algo, env)
    seconds = {name: [] for name in work}
    for turn in range(TURNS + 1):  # the first turn warms up
        for name, update in work.items():
            began = time.process_time()
            update()
            if turn > 0:
                seconds[name].append(time.process_time() - began)
    print(f"{algo} {env}, torch {torch.__version__}, Stable-Baselines3 {sb3.__version__}")
    for name, taken in seconds.items():
        show(name, [STEPS[algo] / t for t in taken], "steps/s")
    show("ratio to SB3", divide(seconds, "Stable-Baselines3", "rlcourse"), "")
    if not on_policy:
        show("time over products", divide(seconds, "rlcourse", "matrix products"), "")


def divide(seconds: dict[str, list[float]], above: str, below: str) -> list[float]:
    return [a / b for a, b in zip(seconds[above], seconds[below], strict=True)]


def show(name: str, values: list[float], unit: str) -> None:
    digits = 0 if unit else 2
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:18} {middle:7.{digits}f} {unit}   ({low:.{digits}f} to {high:.{digits}f})")


# ---- on-policy


def ours_on(algo: str, env: str) -> Callable[[], object]:
    ppo = import_module(f"rlcourse.algos.{algo}")
    cfg = ppo.Config(env=env, num_envs=8, horizon=256, passes=10, minibatch=64, hidden=(64, 64))
    envs = Envs(cfg, Settings())
    agent = ppo.Agent(envs.obs_dim, envs.act_space, cfg)
    data = ppo.collect(envs, agent, cfg)
    endless = replace(cfg, max_kl=1e9)
    return lambda: agent.update(data, endless)


def theirs_on(algo: str, env: str) -> Callable[[], object]:
    net = dict(net_arch=[64, 64], activation_fn=torch.nn.Tanh)
    envs = make_vec_env(env, n_envs=8)
    model = sb3.PPO(
        "MlpPolicy", envs, n_steps=256, n_epochs=10, batch_size=64, policy_kwargs=net, device="cpu"
    )
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.learn(256 * 8)
    return model.train


# ---- off-policy


def ours_off(algo: str, env: str) -> Callable[[], object]:
    module = import_module(f"rlcourse.algos.{algo}")
    cfg = module.Config(env=env, hidden=(WIDTH, WIDTH), minibatch=WIDTH, memory=10_000)
    envs = Envs(cfg, Settings())
    agent = module.Agent(envs.obs_dim, envs.act_space, cfg)
    memory = Replay(cfg.memory, envs)
    for _ in range(500):
        module.collect(envs, agent, memory, cfg)

    def turn() -> None:
        for b in memory.sample(STEPS[algo], cfg.minibatch):
            agent.update(module.Batch(*b), cfg)

    return turn


def theirs_off(algo: str, env: str) -> Callable[[], object]:
    net = dict(net_arch=[WIDTH, WIDTH])
    envs = make_vec_env(env, n_envs=4)
    model = getattr(sb3, algo.upper())(
        "MlpPolicy", envs, batch_size=WIDTH, learning_starts=10**6, policy_kwargs=net, device="cpu"
    )
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.learn(2000)
    return lambda: model.train(gradient_steps=STEPS[algo], batch_size=WIDTH)


def products(algo: str, env: str) -> Callable[[], object]:
    """The matrix products of a turn: forward, by the weights, and by the inputs of each layer."""
    envs = make_vec_env(env, n_envs=1)
    obs, act = envs.observation_space.shape[0], envs.action_space.shape[0]
    twins = 1 if algo == "ddpg" else 2
    q, pi = [obs + act, WIDTH, WIDTH, 1], [obs, WIDTH, WIDTH, act * (2 if algo == "sac" else 1)]
    critic = forward(pi) + twins * (2 * forward(q) + by_weights(q) + by_inputs(q)[1:])
    through = twins if algo == "sac" else 1
    actor = forward(pi) + by_weights(pi) + by_inputs(pi)[1:]
    actor += through * (forward(q) + by_inputs(q))
    share = 2 if algo == "td3" else 1  # the actor learns at each second step only
    pairs = [(torch.randn(m, k), torch.randn(k, n)) for m, k, n in share * critic + actor]

    def turn() -> None:
        for _ in range(STEPS[algo] // share):
            for a, b in pairs:
                torch.mm(a, b)

    return turn


def forward(sizes: list[int]) -> list[tuple[int, int, int]]:
    return [(WIDTH, a, b) for a, b in zip(sizes, sizes[1:], strict=False)]


def by_weights(sizes: list[int]) -> list[tuple[int, int, int]]:
    return [(a, WIDTH, b) for a, b in zip(sizes, sizes[1:], strict=False)]


def by_inputs(sizes: list[int]) -> list[tuple[int, int, int]]:
    return [(WIDTH, b, a) for a, b in zip(sizes, sizes[1:], strict=False)]


if __name__ == "__main__":
    main(*sys.argv[1:])
