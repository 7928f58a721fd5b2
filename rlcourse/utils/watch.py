"""A trained policy at work: in a window where there is a screen, as a GIF elsewhere."""

import os
import sys
from pathlib import Path
from typing import Any

from gymnasium.error import DependencyNotInstalled

from rlcourse.utils import policy
from rlcourse.utils.config import Settings, UserError
from rlcourse.utils.envs import EVAL, episode_seed, make
from rlcourse.utils.evaluate import NO_LIMIT

FPS = 25  # of a GIF; viewers do not show many more


def has_screen() -> bool:
    return sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def watch(model: Path, episodes: int = 1, gif: Path | None = None, env_id: str = "") -> list[float]:
    """Play episodes with the deterministic policy of a run or model file; their returns.

    A model that names a module to import is played only if the caller names it too, as `env_id`.
    """
    if gif and (gif.suffix != ".gif" or not gif.absolute().parent.is_dir()):
        raise UserError(
            f"cannot write {gif}: it takes a name that ends in .gif, in a folder that exists"
        )
    mode = "rgb_array" if gif else "human"
    if gif:
        os.environ.setdefault("MUJOCO_GL", "egl")  # mujoco, when imported, then needs no screen
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame neither
    player, config = policy.load(model)
    if ":" in config["env"] and config["env"] != env_id:
        raise UserError(
            f"{model} would import a module for its environment {config['env']}: "
            f"if you trust it, add --env {config['env']}"
        )
    settings = Settings(max_ep_len=config["max_ep_len"], env_kwargs=config["env_kwargs"])
    env = make(config["env"], settings, render_mode=mode)
    skip = max(1, round(env.metadata.get("render_fps", 30) / FPS))
    frames, returns = [], []
    try:
        for number in range(episodes):
            seed = episode_seed(config["seed"], EVAL, number, config["epochs"])
            returns.append(play(env, player, seed, frames, skip if gif else 0))
    except DependencyNotInstalled as e:
        raise UserError(f'drawing {config["env"]} needs: pip install -e ".[render]" ({e})') from e
    finally:
        env.close()
    if gif:
        write_gif(gif, frames, env.metadata.get("render_fps", 30) / skip)
    return returns


def play(env: Any, player: policy.Policy, seed: int, frames: list[Any], skip: int) -> float:
    """One episode; each `skip`-th picture of it is added to `frames`, none if skip is 0."""
    obs, _ = env.reset(seed=seed)
    total, over, steps = 0.0, False, 0
    while not over and steps < NO_LIMIT:
        if skip and steps % skip == 0:
            frames.append(env.render())
        obs, rew, term, trunc, _ = env.step(player.act(obs))
        total, over, steps = total + float(rew), term or trunc, steps + 1
    return total


def write_gif(path: Path, frames: list[Any], fps: float) -> None:
    """Pictures (height, width, 3) as a film at its true speed."""
    from PIL import Image

    images = [Image.fromarray(frame).quantize(64) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=1000 / fps, loop=0)
