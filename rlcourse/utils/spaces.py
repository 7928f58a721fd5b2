"""What enters the network and what leaves it: an environment's spaces as vectors.

Observations become rows of float32, a discrete one a one-hot row. Continuous actions are in [-1, 1]
for all algorithms and are mapped here to the box: affine and clipped in each dimension; a dimension
without finite bounds is passed on as it is.
"""

from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete, Space

from rlcourse.utils.config import UserError


class Spaces:
    """The spaces of one environment; `obs_dim` is the length of an encoded observation.

    >>> spaces = Spaces(Discrete(3), Box(-2.0, 2.0, (1,)))
    >>> spaces.encode([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    >>> spaces.decode(np.array([[0.5], [9.0]])).tolist()
    [[1.0], [2.0]]
    """

    def __init__(self, obs: Space, act: Space):
        self.obs, self.act = obs, act
        self.obs_dim = int(obs.n) if isinstance(obs, Discrete) else obs.shape[0]
        if isinstance(act, Box):
            finite = np.isfinite(act.low) & np.isfinite(act.high)
            with np.errstate(invalid="ignore", over="ignore"):
                self._scale = np.where(finite, act.high / 2 - act.low / 2, 1.0)
                self._middle = np.where(finite, act.high / 2 + act.low / 2, 0.0)

    def encode(self, obs: list[Any]) -> np.ndarray:
        """N observations as (N, obs_dim) float32; ValueError if they have another shape."""
        if isinstance(self.obs, Discrete):
            rows = np.zeros((len(obs), self.obs_dim), np.float32)
            rows[np.arange(len(obs)), np.array(obs) - self.obs.start] = 1
            return rows
        rows = np.array(obs, dtype=np.float32)
        if rows.shape != (len(obs), self.obs_dim):
            raise ValueError(f"observations of shape {rows.shape[1:]}, but the space is {self.obs}")
        return rows

    def decode(self, act: np.ndarray) -> Any:
        """N actions of the policy, (N, act_dim) or (N,), in the environment's own units."""
        if isinstance(self.act, Discrete):
            return (act + self.act.start).tolist()
        act = (self._middle + self._scale * act).clip(self.act.low, self.act.high)
        return act.astype(self.act.dtype)


def check_spaces(name: str, obs: Space, act: Space) -> None:
    """UserError unless vectors or Discrete go in and out; it names the wrapper that helps."""
    if isinstance(obs, Box) and len(obs.shape) == 3:
        raise UserError(
            f"--env {name} has images {obs.shape} as observations; the networks here take vectors: "
            "use an environment with state observations, or a wrapper that computes features"
        )
    if not isinstance(obs, Discrete) and not _vector(obs):
        raise UserError(
            f"--env {name} has {_short(obs)} observations, not a vector (Box) or Discrete: "
            "wrap it in gymnasium.wrappers.FlattenObservation"
        )
    if not isinstance(act, Discrete) and not _vector(act):
        raise UserError(
            f"--env {name} has {_short(act)} actions, not a vector (Box) or Discrete: "
            "wrap it in a gymnasium.ActionWrapper that maps one of these to them"
        )


def _vector(space: Space) -> bool:
    return isinstance(space, Box) and len(space.shape) == 1 and space.shape[0] > 0


def _short(space: Space) -> str:
    shape = f" of shape {space.shape}" if isinstance(space, Box) else ""
    return type(space).__name__ + shape


def plain(space: Space) -> dict[str, Any]:
    """A Box or Discrete space as plain data.

    >>> plain(Discrete(3))
    {'kind': 'Discrete', 'n': 3, 'start': 0}
    """
    if isinstance(space, Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
    bounds = {"low": space.low.tolist(), "high": space.high.tolist()}
    return {"kind": "Box", **bounds, "dtype": str(space.dtype)}


def from_plain(data: dict[str, Any]) -> Space:
    """The space that `plain` gave this data for."""
    if data["kind"] == "Discrete":
        return Discrete(data["n"], start=data["start"])
    dtype = np.dtype(data["dtype"])
    return Box(np.array(data["low"], dtype), np.array(data["high"], dtype), dtype=dtype)
