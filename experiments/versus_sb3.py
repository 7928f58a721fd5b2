"""Stable-Baselines3 does the runs of experiments/versus.yaml, with the same settings.

    pip install -e '.[bench,mujoco]'
    python experiments/versus_sb3.py            after the grid itself
    python experiments/versus_sb3.py 1/2        the first half of the runs, as for --part

Equal are steps, networks, learning rates, batches, discount, evaluations with their starts, the
start of the policy's log σ, the weight of V's loss, and actions in [-1, 1]. Not equal: it
standardises advantages in each minibatch; SAC's critics have half the loss, which Adam ignores, its
temperature descends along log α in the loss where ours has α, and its log σ may go down to -20,
ours to -10. Runs lie beside ours, under the same name with `_sb3` at its end, and have fewer
columns.
"""

import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium as gym
import stable_baselines3
import torch
import yaml
from gymnasium.spaces import Box
from gymnasium.wrappers import RescaleAction
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from rlcourse import run  # noqa: E402
from rlcourse.utils import evaluate, folders, grid, logger  # noqa: E402
from rlcourse.utils.envs import EVAL, episode_seed  # noqa: E402


class Deterministic:
    """Their policy as `evaluate.play` asks for it."""

    def __init__(self, model: Any):
        self.model = model

    def acts(self, obs: list[Any], explore: bool) -> Any:
        return self.model.predict(obs, deterministic=not explore)[0]


class Epochs(BaseCallback):
    """A row where ours would have one: after so many steps and what is learned from them."""

    def __init__(self, experiment: grid.Experiment):
        super().__init__()
        cfg, settings = experiment.cfg, experiment.settings
        self.cfg, self.every, self.rows = cfg, settings.eval_every, []
        self.envs = [make(cfg.env) for _ in range(settings.eval_episodes)]
        self.began = time.monotonic()

    def _on_step(self) -> bool:
        if self.steps(len(self.rows) + 1) < self.num_timesteps:
            self.row()
        return True

    def steps(self, epoch: int) -> int:
        return self.cfg.horizon * self.cfg.num_envs * epoch

    def row(self) -> None:
        epoch = len(self.rows) + 1
        row = {"Epoch": epoch, "TotalEnvInteracts": self.steps(epoch)}
        row |= {"AverageTestEpRet": None, "TestTime": None}
        if epoch % self.every == 0 or epoch == self.cfg.epochs:
            began = time.monotonic()
            seeds = [episode_seed(self.cfg.seed, EVAL, k, epoch - 1) for k in range(len(self.envs))]
            found = evaluate.play(self.envs, Deterministic(self.model), seeds)
            row["AverageTestEpRet"] = sum(ret for ret, _ in found) / len(found)
            row["TestTime"] = time.monotonic() - began
        self.rows.append(row | {"Time": time.monotonic() - self.began})


def make(env: str, **kwargs: Any) -> gym.Env:
    """The environment with actions in [-1, 1], as all our algorithms have them."""
    made = gym.make(env, **kwargs)
    return RescaleAction(made, -1.0, 1.0) if isinstance(made.action_space, Box) else made


def model(cfg: Any) -> Any:
    """Their agent with our settings."""
    envs = make_vec_env(make, cfg.num_envs, cfg.seed, env_kwargs={"env": cfg.env})
    more = dict(learning_rate=cfg.lr, batch_size=cfg.minibatch, gamma=cfg.gamma, seed=cfg.seed)
    net: dict[str, Any] = dict(net_arch=list(cfg.hidden))
    name = type(cfg).__module__.rpartition(".")[2]
    if name == "ppo":
        net |= dict(activation_fn=torch.nn.Tanh, log_std_init=-0.5)
        more |= dict(n_steps=cfg.horizon, n_epochs=cfg.passes, gae_lambda=cfg.lam, vf_coef=1.0)
        more |= dict(clip_range=cfg.clip, ent_coef=cfg.entropy, max_grad_norm=cfg.max_norm)
    else:
        assert (cfg.utd, cfg.lr_alpha, cfg.target_entropy) == (1, cfg.lr, -1), "there alone"
        more |= dict(learning_starts=cfg.random_steps - 1, train_freq=1, gradient_steps=-1)
        more |= dict(tau=1 - cfg.rho, ent_coef=f"auto_{cfg.alpha}")
    kind = getattr(stable_baselines3, name.upper())
    return kind("MlpPolicy", envs, policy_kwargs=net, device="cpu", **more)


def train(experiment: grid.Experiment) -> None:
    cfg, exp = experiment.cfg, f"{experiment.folder.parent.name}_sb3"
    folder = experiment.folder.parents[1] / exp / f"{exp}_s{cfg.seed}"
    if (folder / "progress.csv").exists():
        return print(f"finished already: {folder}")
    agent = model(cfg)
    rows = Epochs(experiment)
    agent.learn(cfg.epochs * cfg.horizon * cfg.num_envs, callback=rows)
    rows.row()
    folder.mkdir(parents=True, exist_ok=True)
    about = {"command": "python experiments/versus_sb3.py", "machine": folders.machine()}
    about["versions"] = {"stable-baselines3": version("stable-baselines3")} | folders.versions()
    config = folders.describe(cfg, experiment.settings) | {"exp_name": exp, "about": about}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "progress.csv").write_text(logger.table(rows.rows), encoding="utf-8")
    last = rows.rows[-1]
    print(f"{last['Time']:.0f} s  {last['AverageTestEpRet']:.1f}  {folder}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in run.part(grid.expand(grid.read(HERE / "versus.yaml")), *(sys.argv[1:] or ["1/1"])):
        train(each)
