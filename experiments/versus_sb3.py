"""Stable-Baselines3 does the runs of experiments/versus.yaml, with the same settings.

    pip install -e '.[bench,mujoco]'
    python experiments/versus_sb3.py            after the grid itself
    python experiments/versus_sb3.py 1/2        the first half of the runs, as for --part

Equal are steps, networks, learning rates, batches, discount, evaluation: also the start of the
policy's log σ and the weight of V's loss, which Stable-Baselines3 sets otherwise. Not equal: it
standardises advantages in each minibatch, and SAC's critics have half the loss, which Adam ignores.
Runs lie beside ours, under the same name with `_sb3` at its end, and have fewer columns.
"""

import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import stable_baselines3
import torch
import yaml
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from rlcourse import run  # noqa: E402
from rlcourse.utils import evaluate, grid, logger  # noqa: E402
from rlcourse.utils.envs import EVAL, episode_seed  # noqa: E402


class Deterministic:
    """Their policy as `evaluate.play` asks for it."""

    def __init__(self, model: Any):
        self.model = model

    def acts(self, obs: list[Any], explore: bool) -> Any:
        return self.model.predict(obs, deterministic=not explore)[0]


class Epochs(BaseCallback):
    """A row where ours would have one: after so many steps, before what they are learned from."""

    def __init__(self, experiment: grid.Experiment):
        super().__init__()
        cfg, settings = experiment.cfg, experiment.settings
        self.cfg, self.every, self.rows = cfg, settings.eval_every, []
        self.envs = [gym.make(cfg.env) for _ in range(settings.eval_episodes)]
        self.epoch, self.began, self.tests = 0, time.monotonic(), 0.0

    def _on_step(self) -> bool:
        if self.cfg.horizon * self.cfg.num_envs * (self.epoch + 1) < self.num_timesteps:
            self.row()
        return True

    def row(self) -> None:
        """What the policy gets now that it has learned from all steps up to here."""
        self.epoch += 1
        steps = self.epoch * self.cfg.horizon * self.cfg.num_envs
        row = {"Epoch": self.epoch, "TotalEnvInteracts": steps, "AverageTestEpRet": None}
        if self.epoch % self.every == 0 or self.epoch == self.cfg.epochs:
            began = time.monotonic()
            seeds = [episode_seed(self.cfg.seed, EVAL, k, 0) for k in range(len(self.envs))]
            found = evaluate.play(self.envs, Deterministic(self.model), seeds)
            row["AverageTestEpRet"] = sum(ret for ret, _ in found) / len(found)
            self.tests += time.monotonic() - began
        self.rows.append(row | {"Time": time.monotonic() - self.began})


def model(cfg: Any) -> Any:
    """Their agent with our settings."""
    envs = make_vec_env(cfg.env, n_envs=cfg.num_envs, seed=cfg.seed)
    more = dict(learning_rate=cfg.lr, batch_size=cfg.minibatch, gamma=cfg.gamma, seed=cfg.seed)
    net: dict[str, Any] = dict(net_arch=list(cfg.hidden))
    name = type(cfg).__module__.rpartition(".")[2]
    if name == "ppo":
        net |= dict(activation_fn=torch.nn.Tanh, log_std_init=-0.5)
        more |= dict(n_steps=cfg.horizon, n_epochs=cfg.passes, gae_lambda=cfg.lam, vf_coef=1.0)
        more |= dict(clip_range=cfg.clip, ent_coef=cfg.entropy, max_grad_norm=cfg.max_norm)
    else:
        more |= dict(learning_starts=cfg.random_steps, train_freq=1, gradient_steps=-1)
        more |= dict(tau=1 - cfg.rho, ent_coef=f"auto_{cfg.alpha}")
    kind = getattr(stable_baselines3, name.upper())
    return kind("MlpPolicy", envs, policy_kwargs=net, device="cpu", **more)


def train(experiment: grid.Experiment) -> None:
    cfg, exp = experiment.cfg, f"{experiment.folder.parent.name}_sb3"
    folder = experiment.folder.parents[1] / exp / f"{exp}_s{cfg.seed}"
    if (folder / "progress.csv").exists():
        return print(f"finished already: {folder}")
    rows, agent = Epochs(experiment), model(cfg)
    agent.learn(cfg.epochs * cfg.horizon * cfg.num_envs, callback=rows)
    rows.row()
    folder.mkdir(parents=True)
    names = ("stable-baselines3", "torch", "gymnasium", "numpy")
    about = {
        "command": "python experiments/versus_sb3.py",
        "versions": {n: version(n) for n in names},
    }
    algo = type(cfg).__module__.rpartition(".")[2]
    config = {"algo": algo} | asdict(cfg) | {"hidden": list(cfg.hidden)}
    config |= {"exp_name": exp, "eval_episodes": experiment.settings.eval_episodes, "about": about}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "progress.csv").write_text(logger.table(rows.rows), encoding="utf-8")
    print(
        f"{rows.rows[-1]['Time']:.0f} s  {rows.rows[-1]['AverageTestEpRet']:.1f}  {folder}",
        flush=True,
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in run.part(grid.expand(grid.read(HERE / "versus.yaml")), *(sys.argv[1:] or ["1/1"])):
        train(each)
