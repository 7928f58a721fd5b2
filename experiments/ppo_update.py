"""PPO's update beside Stable-Baselines3's: gradient steps per second of process CPU time.

    pip install stable-baselines3
    python experiments/ppo_update.py [ENV]

Equal settings: 8 environments, 256 steps each, 10 passes, minibatches of 64, two networks of 64x64
tanh, no early stop, one thread. The two take turns on data of their own; shown are medians and the
spread over the turns. Ratios hold on a busy machine too, absolute figures do not.
"""

import statistics
import sys
import time
from dataclasses import replace

import stable_baselines3 as sb3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger

from rlcourse import ppo
from rlcourse.utils.config import Settings
from rlcourse.utils.envs import Envs

TURNS = 7
STEPS = 320  # gradient steps of a turn: 10 passes over 2048 steps in minibatches of 64


def main(env: str) -> None:
    torch.set_num_threads(1)
    ours, theirs = rlcourse_update(env), sb3_update(env)
    seconds = {"rlcourse": [], "Stable-Baselines3": []}
    for turn in range(TURNS + 1):  # the first turn warms up
        for taken, update in zip(seconds.values(), (ours, theirs), strict=True):
            began = time.process_time()
            update()
            if turn > 0:
                taken.append(time.process_time() - began)
    print(f"{env}, torch {torch.__version__}, Stable-Baselines3 {sb3.__version__}")
    for name, taken in seconds.items():
        rates = sorted(STEPS / t for t in taken)
        middle = statistics.median(rates)
        print(f"{name:18} {middle:7.0f} steps/s   ({rates[0]:.0f} to {rates[-1]:.0f})")
    ratios = sorted(b / a for a, b in zip(*seconds.values(), strict=True))
    print(f"ratio {statistics.median(ratios):.2f}   ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def rlcourse_update(env: str):
    cfg = ppo.Config(env=env, num_envs=8, horizon=256, passes=10, minibatch=64, hidden=(64, 64))
    envs = Envs(cfg, Settings())
    agent = ppo.Agent(envs.obs_dim, envs.act_space, cfg)
    data = ppo.collect(envs, agent, cfg)
    endless = replace(cfg, max_kl=1e9)
    return lambda: agent.update(data, endless)


def sb3_update(env: str):
    net = dict(net_arch=[64, 64], activation_fn=torch.nn.Tanh)
    envs = make_vec_env(env, n_envs=8)
    model = sb3.PPO(
        "MlpPolicy", envs, n_steps=256, n_epochs=10, batch_size=64, policy_kwargs=net, device="cpu"
    )
    model.set_logger(Logger(folder=None, output_formats=[]))
    model.learn(256 * 8)
    return model.train


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["CartPole-v1"]))
