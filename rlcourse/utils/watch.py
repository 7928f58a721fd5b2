"""A policy at work: in a window where there is a screen, as a GIF or MP4 elsewhere."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled

from rlcourse.utils import evaluate
from rlcourse.utils.checkpoint import write
from rlcourse.utils.config import UserError
from rlcourse.utils.envs import reward
from rlcourse.utils.policy import Policy

FPS = 25  # of a GIF; viewers do not show many more
NO_GL = """\
a film of {env} is drawn through {gl}, which fails here ({error}): install EGL (libegl1, with Mesa \
or the driver of the GPU) and set MUJOCO_GL=egl, or use a screen and MUJOCO_GL=glfw\
"""


def has_screen() -> bool:
    """Whether a window can be opened here."""
    return sys.platform in ("darwin", "win32") or any(
        name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


class Gif:
    """Pictures (height, width, 3) as a film at its true speed, some of them left out."""

    def __init__(self, path: Path, fps: float):
        self.path, self.every = path, max(1, round(fps / FPS))
        self.pause = 1000 * self.every / fps  # ms
        self.count, self.images = 0, []

    def add(self, frame: np.ndarray) -> None:
        """Take a picture: (height, width, 3) of uint8."""
        from PIL import Image

        if self.count % self.every == 0:
            self.images.append(Image.fromarray(frame).quantize(64))
        self.count += 1

    def save(self) -> None:
        """Write the film."""
        content, (first, *others) = io.BytesIO(), self.images
        first.save(content, "GIF", save_all=True, append_images=others, duration=self.pause, loop=0)
        write(self.path, content.getvalue())


class Mp4:
    """The same with every picture, encoded while it is being played (H.264)."""

    def __init__(self, path: Path, fps: float):
        try:
            import imageio_ffmpeg  # noqa: F401  what imageio asks for
            from imageio.v2 import get_writer
        except ImportError as e:
            raise UserError(
                f'--mp4 needs what is not installed: pip install -e ".[mp4]" ({e})'
            ) from e
        self.path, self.folder = path, TemporaryDirectory()
        self.file = Path(self.folder.name) / "film.mp4"
        self.writer = get_writer(self.file, fps=fps, macro_block_size=2)

    def add(self, frame: np.ndarray) -> None:
        """Take a picture: (height, width, 3) of uint8."""
        self.writer.append_data(frame)

    def save(self) -> None:
        """Write the film."""
        self.writer.close()
        write(self.path, self.file.read_bytes())
        self.folder.cleanup()


KINDS = {".gif": Gif, ".mp4": Mp4}


def check_film(path: Path, *kinds: str) -> None:
    """UserError unless a film of one of these kinds, `.gif` or `.mp4`, can be written there."""
    if path.suffix.lower() not in kinds or not path.absolute().parent.is_dir() or path.is_dir():
        ends = " or ".join(kinds)
        raise UserError(
            f"cannot write {path}: it takes a name that ends in {ends}, in a folder that exists"
        )


def watch(
    policy: Policy,
    episodes: int = 1,
    film: Path | None = None,
    seed: int = 0,
    explore: bool = False,
    allowed: str = "",
) -> Iterator[tuple[float, int]]:
    """Play the first episodes of `evaluate` before one's eyes; the return and length of each.

    Without a `film` to write, a .gif or .mp4, in a window. `allowed` is a `module:id` to import.
    """
    if film:
        check_film(film, *KINDS)
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame then needs no screen
        _check_mujoco(policy.config["env"])
    try:
        env = policy.make_env(allowed, render_mode="rgb_array" if film else "human")
        with closing(env), evaluate.conditions(seed):
            fps = env.metadata.get("render_fps", 30)
            recorder = KINDS[film.suffix.lower()](film, fps) if film else None
            _follow(env.unwrapped)
            for number in range(episodes):
                yield play(env, policy, evaluate.start(seed, number), explore, recorder)
            if recorder:
                recorder.save()
    except DependencyNotInstalled as e:
        name = policy.config["env"]
        raise UserError(f'drawing {name} needs: pip install -e ".[render]" ({e})') from e


def play(
    env: gym.Env, policy: Policy, seed: int, explore: bool, recorder: Any
) -> tuple[float, int]:
    """One episode, whose pictures go to the recorder if there is one."""
    obs, _ = env.reset(seed=seed)
    total, over, steps = 0.0, False, 0
    most = evaluate.limit(env, policy.config["max_ep_len"])
    while not over and steps < most:
        if recorder:
            recorder.add(env.render())
        obs, rew, term, trunc, _ = env.step(policy.act(obs, explore))
        total, over, steps = total + reward(rew), term or trunc, steps + 1
    return total, steps


def _follow(env: gym.Env) -> None:
    """Films of MuJoCo's robots go with them; in a window Tab changes the camera.

    Their models have a camera `track` for it, which Gymnasium 1.4 does not choose any more:
    https://github.com/Farama-Foundation/Gymnasium/pull/1618
    """
    renderer = getattr(env, "mujoco_renderer", None)
    if getattr(renderer, "camera_id", None) == -1:
        mujoco = import_module("mujoco")
        camera = mujoco.mjtObj.mjOBJ_CAMERA
        renderer.camera_id = mujoco.mj_name2id(env.model, camera, "track")  # -1: it has none


def _check_mujoco(name: str) -> None:
    """MuJoCo draws without a screen through EGL, or OSMesa if asked to: UserError if that fails."""
    if "mujoco" not in str(getattr(gym.registry.get(name), "entry_point", "")):
        return
    gl = os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported
    if gl not in ("egl", "osmesa") or not find_spec("mujoco"):
        return
    try:
        import_module(f"mujoco.{gl}").GLContext(16, 16).free()
    except Exception as e:  # each layer below has errors of its own
        error = " ".join(f"{type(e).__name__}: {e}".split())
        raise UserError(NO_GL.format(env=name, gl=gl, error=error)) from e
