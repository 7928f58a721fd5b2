import copy
import io
import random

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box

from exercises.lab import Wrong, check, expect, kind


class Room(gym.Env):
    """Episodes of random length with noisy observations and rewards.

    `entropy` stands for what the operating system would give to generators without a seed.
    """

    def __init__(self, entropy):
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Box(-1, 1, (1,), np.float32, seed=entropy + 1)
        self.np_random = np.random.default_rng(entropy)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(2, 6))
        return self._observe(), {}

    def step(self, action):
        rew = float(np.asarray(action).reshape(-1)[0] * self.obs[0] + self.np_random.normal())
        self.left -= 1
        return self._observe(), rew, self.left == 0, False, {}

    def _observe(self):
        self.obs = self.np_random.normal(size=2).astype(np.float32)
        return self.obs.copy()


def elsewhere(entropy):
    """As in another process: the global generators are anywhere."""
    torch.manual_seed(entropy)
    np.random.seed(entropy)
    random.seed(entropy)


def floats(x):
    return [float(v) for v in np.asarray(x).reshape(-1)]


def drawn():
    """What the three global generators give next."""
    return {
        "torch": floats(torch.randn(2)),
        "numpy's global generator": floats(np.random.rand(2)),
        "Python's generator": [random.random(), random.random()],
    }


def session(m, entropy, seed):
    elsewhere(entropy)
    env = Room(entropy)
    obs = m.seed_everything(env, seed)
    if not isinstance(obs, np.ndarray | torch.Tensor | list):
        raise Wrong(f"seed_everything: expected an observation (2,), got {kind(obs)}")
    here = floats(env.obs)
    space = floats([env.action_space.sample() for _ in range(2)])
    world = floats([env.step(np.zeros(1))[1], *env.reset()[0]])
    draws = drawn() | {"the environment": here + world, "the action space": space}
    return floats(obs), here, draws


@check("T3", "all that draws is seeded")
def seeded(m):
    obs, here, first = session(m, 101, 3)
    yield expect("the observation that came back is that of the reset", obs, here)
    _, _, second = session(m, 202, 3)
    for name in first:
        yield expect(
            f"what {name} draws with seed 3, in a second process", second[name], first[name]
        )
    _, _, other = session(m, 101, 4)
    for name in first:
        yield expect(f"{name} draws something else with seed 4", other[name] != first[name], True)


@check("T3", "the generators are put back")
def restored(m):
    elsewhere(5)
    state = m.rng_state()
    first = drawn()
    for what in ("once", "twice"):
        m.restore_rng(state)
        got = drawn()
        for name, want in first.items():
            yield expect(f"what {name} draws after it was put back {what}", got[name], want)


@check("T3", "drawing apart")
def beside(m):
    inside = []
    for entropy in (11, 22):
        elsewhere(entropy)
        want = drawn()
        elsewhere(entropy)
        with m.apart(7):
            inside.append(drawn())
        after = drawn()
        for name in want:
            label = f"what {name} draws afterwards, with {entropy} before"
            yield expect(label, after[name], want[name])
    for name in inside[0]:
        label = f"what {name} draws inside with the same seed again"
        yield expect(label, inside[1][name], inside[0][name])
    with m.apart(8):
        other = drawn()
    for name in other:
        differ = other[name] != inside[0][name]
        yield expect(f"{name} draws something else inside with another seed", differ, True)
    elsewhere(33)
    want, came = drawn(), False
    elsewhere(33)
    try:
        with m.apart(7):
            drawn()
            raise KeyError("raised inside")
    except KeyError:
        came = True
    yield expect("an exception inside goes on", came, True)
    after = drawn()
    for name in want:
        yield expect(f"what {name} draws after an exception", after[name], want[name])


def begun(m, entropy, seed=3):
    elsewhere(entropy)
    return m.Run(Room(entropy), seed)


def played(label, got, want):
    """Epochs beside those of the run that was never cut off."""
    for i, ((rews, losses), (rews_, losses_)) in enumerate(zip(got, want, strict=True)):
        yield expect(f"rewards of epoch {i + 1} {label}", rews, rews_, tol=1e-12)
        yield expect(f"losses of epoch {i + 1} {label}", losses, losses_, tol=1e-12)


@check("T3", "two runs with one seed are one run")
def again(m):
    run = begun(m, 101)
    first = [run.epoch() for _ in range(3)]
    run = begun(m, 202)
    second = [run.epoch() for _ in range(3)]
    yield from played("of the second run", second, first)


@check("T3", "a run that was cut off goes on as if it had not been")
def resumed(m):
    run = begun(m, 101)
    whole = [run.epoch() for _ in range(5)]
    run = begun(m, 101)
    parts = [run.epoch() for _ in range(2)]
    state = run.state_dict()
    saved = disk(state)
    parts += [run.epoch() for _ in range(3)]
    yield from played("if a checkpoint is taken after epoch 2", parts, whole)
    for what, checkpoint in (
        ("saved at once", saved),
        ("kept for three epochs and then saved", disk(state)),
    ):
        run = begun(m, 303, seed=77)
        run.load_state_dict(checkpoint)
        rest = [run.epoch() for _ in range(3)]
        yield from played(f"after the checkpoint, {what}", rest, whole[2:])


def disk(state):
    """As from a file: nothing in it is shared with the run any more."""
    torch.save(state, io.BytesIO())  # fails for what cannot be saved
    return copy.deepcopy(state)
