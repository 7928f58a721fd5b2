import random

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box

from exercises.lab import check, expect


class Track(gym.Env):
    """Episodes whose length and end follow from the seed of their reset; it writes a log.

    With `loose` the rewards also draw from the global generators, as some environments do.
    """

    def __init__(self, log, loose=False):
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Box(-5, 5, (1,), np.float32)
        self.log, self.loose = log, loose
        self.obs = np.zeros(2, np.float32)
        self.log.append("made")
        if loose:
            self.size = np.random.rand()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.log.append(("reset", seed))
        rng = np.random.default_rng(0 if seed is None else seed)
        self.length, self.by_time = int(rng.integers(2, 7)), rng.random() < 0.5
        self.good = float(rng.normal())
        self.t = 0
        self.obs[:] = self.good, 0
        return self.obs.copy(), {}

    def step(self, action):
        act = float(np.asarray(action).reshape(-1)[0])
        if self.t >= self.length:
            self.log.append("step after the end")
        self.t += 1
        rew = 1 + self.good * act - 0.1 * self.t
        if self.loose:
            rew += self.size + np.random.rand() + random.random() + torch.rand(()).item()
        self.obs[:] = self.good * self.t, self.t
        over = self.t == self.length
        late = self.t > self.length + 3
        return self.obs.copy(), rew, over and not self.by_time or late, over and self.by_time, {}

    def close(self):
        self.log.append("closed")


class Agent:
    """Acts by the observation; `shift` makes it better or worse, `bias` bolder."""

    def __init__(self, shift=0.5, bias=0.0):
        self.shift, self.bias, self.memory, self.own = shift, bias, [], []
        self.env = Track(self.own)
        self.env.reset(seed=10_000)
        self.env.step(np.zeros(1))

    def act(self, obs):
        obs = np.asarray(obs, np.float64)
        return np.array([self.shift * obs[0] + 0.1 * obs[1] + self.bias])

    def explore(self, obs):
        return self.act(obs) + np.random.normal(size=1)


def floats(x):
    return [float(v) for v in x]


def measure(m, agent, log, n, seed, loose=False):
    rets, lens = m.evaluate(agent, lambda: Track(log, loose), n, seed)
    return floats(rets), floats(lens)


def alone(agent, seed):
    """Return and length of one episode."""
    env = Track([])
    obs, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        obs, rew, term, trunc, _ = env.step(agent.act(obs))
        total, over = total + rew, term or trunc
    return total, float(env.t)


@check("T3", "whole episodes of the policy without noise")
def episodes(m):
    for n, seed in ((1, 0), (3, 0), (9, 40)):
        agent, log = Agent(), []
        rets, lens = measure(m, agent, log, n, seed)
        want = [alone(Agent(), seed + k) for k in range(n)]
        label = f"of {n} episodes from seed {seed}"
        resets = [e[1] for e in log if e[0] == "reset"]
        yield expect(f"seeds of the resets {label}", resets, [seed + k for k in range(n)])
        yield expect(
            f"steps after the end of an episode, {label}", log.count("step after the end"), 0
        )
        yield expect(f"lengths {label}", lens, [length for _, length in want])
        yield expect(f"returns {label}", rets, [ret for ret, _ in want])


@check("T3", "the environments")
def worlds(m):
    agent, log = Agent(), []
    before, where = list(agent.own), (agent.env.t, agent.env.obs.copy().tolist())
    measure(m, agent, log, 4, 7)
    yield expect("environments made", log.count("made"), 1)
    yield expect("environments closed", log.count("closed"), 1)
    yield expect("the last thing done with it", log[-1:], ["closed"])
    yield expect("what was done to the training environment", agent.own[len(before) :], [])
    now = (agent.env.t, agent.env.obs.tolist())
    yield expect("the training episode is where it was", now, where)


@check("T3", "training is as if nobody had evaluated")
def untouched(m):
    agent, log = Agent(), []
    agent.memory.append("a transition")
    for what, loose in (("", False), (", by an environment that draws from them", True)):
        elsewhere(5)
        want = drawn()
        elsewhere(5)
        measure(m, agent, log, 4, 7, loose)
        got = drawn()
        for name in want:
            yield expect(f"what {name} draws afterwards{what}", got[name], want[name])
    yield expect("entries in the memory, which had one", len(agent.memory), 1)


@check("T3", "the same question has the same answer")
def repeated(m):
    agent, found = Agent(), []
    for entropy in (5, 6):
        elsewhere(entropy)
        found.append(measure(m, agent, [], 4, 7, loose=True))
        elsewhere(entropy)
    yield expect("returns of a second evaluation", found[1][0], found[0][0])
    yield expect("lengths of a second evaluation", found[1][1], found[0][1])


@check("T3", "the best of several, measured on other episodes")
def chosen(m):
    for kinds, n, seed in (
        (((0.2,), (0.9,), (0.4,)), 3, 0),
        (((-0.5,), (-0.1,), (-0.3,), (-0.2,)), 5, 20),
        (((0.3,), (0.3001,), (0.3002,), (0.1,)), 1, 3),
        (((0.3,), (0.0, 3.0), (0.1,)), 6, 57),
        (((0.7,),), 2, 100),
    ):
        agents, log = [Agent(*k) for k in kinds], []
        index, mean = m.best(agents, lambda log=log: Track(log), n, seed)
        label = f"of {len(kinds)} agents with {n} episodes from seed {seed}"
        asked = [e[1] for e in log if e[0] == "reset"]
        first = sorted(s for s in asked if s < seed + n)
        want = sorted([*range(seed, seed + n)] * len(kinds))
        yield expect(f"seeds of the choice {label}", first, want)
        then = [s for s in asked if s >= seed + n]
        yield expect(f"seeds of the measurement {label}", then, [*range(seed + n, seed + 2 * n)])
        means = [np.mean([alone(a, seed + k)[0] for k in range(n)]) for a in agents]
        want = int(np.argmax(means))
        yield expect(f"index of the best {label}", int(index), want)
        again = np.mean([alone(agents[want], seed + n + k)[0] for k in range(n)])
        yield expect(f"its mean return {label}", float(mean), float(again))


def elsewhere(entropy):
    torch.manual_seed(entropy)
    np.random.seed(entropy)
    random.seed(entropy)


def drawn():
    return {
        "torch": torch.randn(2).tolist(),
        "numpy's global generator": np.random.rand(2).tolist(),
        "Python's generator": [random.random(), random.random()],
    }
