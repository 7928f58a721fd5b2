"""N environments side by side, one tensor row each, with explicit ends and resets.

`step` says of each environment whether s' is terminal (`term`) and whether the episode is over for
any reason (`done`); its next_obs is always the true successor. `reset_done` then starts new
episodes in the rows that ended. Each episode has a seed of its own, which depends only on the run's
seed, the environment's number among those of all processes, and the episode's number in it. So an
open episode can be played again to where it was, and a run continues as if it had never stopped.

The guide is docs/guide/environments.md.
"""

import difflib
import sys
from functools import cache
from importlib.util import find_spec
from math import isfinite
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.error import DependencyNotInstalled, Error
from gymnasium.spaces import Discrete
from torch import Tensor

from rlcourse.utils import mpi
from rlcourse.utils.config import Settings, UserError
from rlcourse.utils.spaces import Spaces, check_spaces

TRAIN, EVAL, TEST = 0, 1, 3  # streams of episode seeds; 2 is run.DRAWS
EXTRAS = {"mujoco": "mujoco", "Box2D": "box2d", "pygame": "render"}


def make(name: str, settings: Settings, **kwargs: Any) -> gym.Env:
    """One environment whose name, arguments and spaces are in order; UserError says what is not."""
    env = make_any(name, settings, **kwargs)
    check_spaces(name, env.observation_space, env.action_space)
    return env


def make_any(name: str, settings: Settings, **kwargs: Any) -> gym.Env:
    """One environment, whatever its spaces are; UserError if it cannot be made."""
    gym.logger.min_level = gym.logger.ERROR
    if find_spec("mujoco") and "mujoco" in str(getattr(gym.registry.get(name), "entry_point", "")):
        import mujoco

        mujoco.set_mju_user_warning(_say_once)  # else each environment repeats it
    limit = settings.max_ep_len or None
    try:
        return gym.make(name, max_episode_steps=limit, **kwargs, **settings.env_kwargs)
    except (DependencyNotInstalled, ModuleNotFoundError) as e:
        raise UserError(f"--env {name} needs what is not installed: {_install(e)}") from e
    except Error as e:
        raise UserError(f"--env {name} cannot be made: {_one_line(e)}{_similar(name)}") from e
    except Exception as e:  # of the environment's own module or constructor; --debug shows it whole
        given = f" with --env-kwargs {settings.env_kwargs}" if settings.env_kwargs else ""
        what = f"{type(e).__name__}: {_one_line(e)}"
        raise UserError(f"--env {name} cannot be made{given}: {what}") from e


@cache
def _say_once(warning: str) -> None:
    print(f"MuJoCo: {warning}", file=sys.stderr)


def _one_line(e: Exception) -> str:
    return " ".join(str(e).split())


def _install(e: Exception) -> str:
    cause = f"{e} {e.__cause__}".lower()
    for package, extra in EXTRAS.items():
        if package.lower() in cause:
            return f'{package} is missing: pip install -e ".[{extra}]"'
    return _one_line(e)


def newest() -> dict[str, int]:
    """The newest version of each registered environment."""
    found: dict[str, int] = {}
    for spec in gym.registry.values():
        if "/" not in spec.id and (spec.version or 0) >= found.get(spec.name, 0):
            found[spec.name] = spec.version or 0
    return found


def _similar(name: str) -> str:
    """The registered environments whose names come nearest, each in its newest version."""
    versions = newest()
    stem = name.rpartition(":")[2].split("-v")[0]
    stems = {known.lower(): known for known in versions}
    near = difflib.get_close_matches(stem.lower(), stems, n=3, cutoff=0.6)
    ids = [f"{stems[word]}-v{versions[stems[word]]}" for word in near]
    return f" Try {', '.join(ids)}." if ids else " Try one of `gymnasium.pprint_registry()`."


def episode_seed(seed: int, stream: int, env: int, episode: int) -> int:
    """The seed of one episode: streams, environments and episodes never share one.

    >>> episode_seed(0, TRAIN, 0, 0) == episode_seed(0, TEST, 0, 0)
    False
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(stream, env, episode))
    return int(sequence.generate_state(1)[0])


def reward(rew: Any) -> float:
    """A reward, or an array with one; TypeError for a text, which Python would convert."""
    if isinstance(rew, str | bytes):
        raise TypeError(f"a reward must be a number, not {rew!r}")
    return float(rew.item() if isinstance(rew, np.ndarray) else rew)


class Envs:
    """The num_envs environments of this process. Rows are (N, obs_dim), (N, act_dim) and (N,).

    >>> from rlcourse import ppo
    >>> envs = Envs(ppo.Config(env="CartPole-v1", num_envs=2), Settings())
    >>> tuple(envs.reset_done().shape)
    (2, 4)
    >>> next_obs, rew, term, done = envs.step(torch.tensor([0, 1]))
    >>> rew
    tensor([1., 1.])
    """

    def __init__(self, cfg: Any, settings: Settings):
        n = cfg.num_envs
        self.envs = [make(cfg.env, settings) for _ in range(n)]
        self.spaces = Spaces(self.envs[0].observation_space, self.envs[0].action_space)
        self.obs_dim, self.act_space = self.spaces.obs_dim, self.spaces.act
        self.seed, self.device = cfg.seed, settings.device
        self.number = range(mpi.rank() * n, (mpi.rank() + 1) * n)  # of each environment among all
        self.episode = [-1] * n  # the number of the episode that is being played
        self.played = [[] for _ in range(n)]  # its actions so far
        self.total = [0.0] * n  # its rewards so far
        self.over = [True] * n
        self.obs = np.zeros((n, self.obs_dim), np.float32)
        self.finished: list[tuple[float, int]] = []  # return and length of episodes; Run empties it

    def reset_done(self) -> Tensor:
        """Start new episodes where they are over, and only there; the current observations."""
        if any(self.over):
            self.obs = self.obs.copy()  # step has handed out the old one
            for i, over in enumerate(self.over):
                if over:
                    self._begin(i, self.episode[i] + 1)
        return self._tensor(self.obs)

    def _tensor(self, x: np.ndarray) -> Tensor:
        return torch.from_numpy(x).to(self.device)

    def random_act(self) -> Tensor:
        """Uniform actions: in [-1, 1], or one of n."""
        n = len(self.envs)
        if isinstance(self.act_space, Discrete):
            return torch.randint(int(self.act_space.n), (n,), device=self.device)
        return torch.rand(n, *self.act_space.shape, device=self.device) * 2 - 1

    def step(self, act: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """next_obs (N, obs_dim), rew, term and done (N,) after one action of each environment.

        FloatingPointError names the environment whose reward or observation is not finite.
        """
        chosen = act.cpu().numpy()
        self._check_actions(chosen)
        actions = self.spaces.decode(chosen)
        rows, rews, terms = [], [], []
        for i, action in enumerate(actions):
            obs, rew, term = self._play(i, action)
            rows.append(obs)
            rews.append(rew)
            terms.append(term)
            if self.over[i]:
                self.finished.append((self.total[i], len(self.played[i])))
        self.obs = self.spaces.encode(rows)
        with np.errstate(over="ignore"):
            flags = np.array([rews, terms, self.over], np.float32)  # 1e39 is inf for the networks
        self._check(rews, flags[0])
        return self._tensor(self.obs), *self._tensor(flags).unbind()

    def _begin(self, i: int, episode: int) -> None:
        seed = episode_seed(self.seed, TRAIN, self.number[i], episode)
        self.episode[i], self.played[i], self.total[i], self.over[i] = episode, [], 0.0, False
        try:
            obs, _ = self.envs[i].reset(seed=seed)
            self.obs[i] = self.spaces.encode([obs])[0]
        except Exception as e:
            e.add_note(f"This was raised by {self._place(i)}.")
            raise
        if not np.isfinite(self.obs[i]).all():
            raise FloatingPointError(f"the observation of {self._place(i)} is {self.obs[i]}")

    def _play(self, i: int, action: Any) -> tuple[Any, float, bool]:
        self.played[i].append(np.array(action))  # a copy: step may change its argument
        try:
            obs, rew, term, trunc, _ = self.envs[i].step(action)
            rew = reward(rew)
        except Exception as e:
            e.add_note(f"This was raised by {self._place(i)}.")
            raise
        self.total[i] += rew
        self.over[i] = bool(term or trunc)
        return obs, rew, bool(term)

    def _place(self, i: int) -> str:
        where = (
            f"environment {self.number[i]}, episode {self.episode[i]}, step {len(self.played[i])}"
        )
        return where + (f", process {mpi.rank()}" if mpi.size() > 1 else "")

    def _check_actions(self, chosen: np.ndarray) -> None:
        """What is not finite is not clipped by the bounds: the environment would get it."""
        if chosen.dtype.kind != "f" or isfinite(np.vdot(chosen, chosen)):
            return
        for i, action in enumerate(chosen):
            if not np.isfinite(action).all():
                raise FloatingPointError(f"the action after {self._place(i)} is {action}")

    def _check(self, rews: list[float], seen: np.ndarray) -> None:
        if isfinite(np.vdot(seen, seen)) and isfinite(np.vdot(self.obs, self.obs)):
            return  # the cheapest sum that a number which is not finite spoils
        for i, rew in enumerate(rews):
            for field, value in (("reward", seen[i]), ("observation", self.obs[i])):
                if not np.isfinite(value).all():
                    shown = rew if field == "reward" else value
                    raise FloatingPointError(f"the {field} of {self._place(i)} is {shown}")

    # ---- saving and continuing

    def state_dict(self) -> dict[str, Any]:
        """What continuing needs: the open episodes, and the actions that they have had."""
        return {
            "episode": self.episode,
            "over": self.over,
            "obs": torch.from_numpy(self.obs),
            "played": [torch.from_numpy(np.array(actions)) for actions in self.played],
        }

    def load_state_dict(self, state: dict[str, Any]) -> list[str]:
        """Play the open episodes again to where they were; says where that was not possible."""
        complaints = []
        self.episode, self.over = list(state["episode"]), list(state["over"])
        self.obs = state["obs"].numpy().copy()
        for i, over in enumerate(state["over"]):
            if over:
                continue
            self._begin(i, self.episode[i])
            obs = self.obs[i]
            actions = state["played"][i].numpy()
            for action in actions.tolist() if actions.ndim == 1 else actions:
                if self.over[i]:
                    break
                obs = self.spaces.encode([self._play(i, action)[0]])[0]
            if self.over[i] or not np.array_equal(obs, state["obs"][i].numpy()):
                complaints.append(
                    f"{self._place(i)} did not repeat itself: a new episode begins there"
                )
                self.over[i] = True
            self.obs[i] = state["obs"][i].numpy()
        return complaints
