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


def watch(model: Path, episodes: int = 1, gif: Path | None = None) -> list[float]:
    """Play episodes with the deterministic policy of a run or model file; their returns."""
    mode = "rgb_array" if gif else "human"
    if gif:
        os.environ.setdefault("MUJOCO_GL", "egl")  # mujoco, when imported, then needs no screen
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame neither
    player, config = policy.load(model)
    settings = Settings(max_ep_len=config["max_ep_len"], env_kwargs=config["env_kwargs"])
    env = make(config["env"], settings, render_mode=mode)
    frames, returns = [], []
    try:
        for number in range(episodes):
            seed = episode_seed(config["seed"], EVAL, number, config["epochs"])
            returns.append(play(env, player, seed, frames if gif else None))
    except DependencyNotInstalled as e:
        raise UserError(f'drawing {config["env"]} needs: pip install -e ".[render]" ({e})') from e
    finally:
        env.close()
    if gif:
        write_gif(gif, frames, env.metadata.get("render_fps", 30))
    return returns


def play(env: Any, player: policy.Policy, seed: int, frames: list[Any] | None) -> float:
    """One episode; its pictures are added to `frames`."""
    obs, _ = env.reset(seed=seed)
    total, over, steps = 0.0, False, 0
    while not over and steps < NO_LIMIT:
        if frames is not None:
            frames.append(env.render())
        obs, rew, term, trunc, _ = env.step(player.act(obs))
        total, over, steps = total + float(rew), term or trunc, steps + 1
    return total


def write_gif(path: Path, frames: list[Any], fps: float) -> None:
    """Pictures (height, width, 3) as a film at its true speed."""
    from PIL import Image

    skip = max(1, round(fps / FPS))
    images = [Image.fromarray(frame).quantize(64) for frame in frames[::skip]]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=1000 * skip / fps, loop=0
    )
