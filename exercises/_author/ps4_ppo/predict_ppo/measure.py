"""Measures what the knobs of PPO do on CartPole, for check.py, and writes measured.json.

Each setting runs with two seeds. A quantity is its mean over the epochs, and over the seeds; the
return is that of the last two epochs.
"""

import json
import sys
from pathlib import Path

import gymnasium as gym
import torch

from rlcourse import ppo
from rlcourse.utils.run import Run

HERE = Path(__file__).parent
SEEDS, EPOCHS, LAST = (1, 2), 6, 2
COLUMNS = ("KL", "ClipFrac", "GradSteps", "Entropy", "VarExplained", "GradNorm", "LossV")
SETTINGS = {
    "default": dict(),
    "clip 0.02": dict(clip=0.02),
    "clip 2": dict(clip=2.0),
    "passes 1": dict(passes=1),
    "passes 40": dict(passes=40),
    "rewards x100": dict(env="Times100-v0"),
    "rewards x100, norm_ret off": dict(env="Times100-v0", norm_ret=False),
    "no standardise": dict(),
}


def times100(**kwargs):
    return gym.wrappers.TransformReward(gym.make("CartPole-v1", **kwargs), lambda r: 100 * r)


def measure(name: str, seed: int) -> dict[str, float]:
    cfg = ppo.Config(**{"env": "CartPole-v1", "epochs": EPOCHS, "seed": seed} | SETTINGS[name])
    run = Run(cfg, show=False)
    standardise = ppo.standardise
    if name == "no standardise":
        ppo.standardise = lambda adv: adv
    try:
        ppo.train(cfg, run)
    finally:
        ppo.standardise = standardise
    found = {c: sum(row[c] for row in run.rows) / len(run.rows) for c in COLUMNS}
    scale = 100 if "x100" in name else 1
    found["Return"] = sum(row["AverageEpRet"] for row in run.rows[-LAST:]) / LAST / scale
    return {k: float(f"{v:.4g}") for k, v in found.items()}


if __name__ == "__main__":
    gym.register("Times100-v0", entry_point=times100, max_episode_steps=500)
    torch.set_num_threads(1)
    runs = {}
    for name in sys.argv[1:] or SETTINGS:
        runs[name] = {str(seed): measure(name, seed) for seed in SEEDS}
        print(name, runs[name], flush=True)
    path = HERE / "measured.json"
    if len(runs) == len(SETTINGS):
        path.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
