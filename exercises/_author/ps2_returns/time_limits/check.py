import torch

from exercises import worlds
from exercises.lab import Record, call, check, expect

COLUMNS = ("rew", "val", "next_val", "term", "done")
ENDS = {"goes on": (0, 0), "terminated": (1, 0), "truncated": (0, 1), "both at once": (1, 1)}


class Script(worlds.Script):
    """Every observation is an array of its own."""

    def reset(self, **kwargs):
        obs, info = super().reset(**kwargs)
        return obs.copy(), info

    def step(self, action):
        obs, *rest = super().step(action)
        return obs.copy(), *rest


def script(*ends, pays=lambda step: float(step)):
    """Episodes of (length, how they end), whose steps are paid by their number from 1 on."""
    step, episodes = 0, []
    for length, end in ends:
        flags = [(False, False)] * (length - 1) + [tuple(map(bool, ENDS[end]))]
        episodes.append([(pays(step + i + 1), *f) for i, f in enumerate(flags)])
        step += length
    return Script(episodes)


def act(obs):
    """The action tells which observation it was chosen for."""
    return int(10 * obs[0] + obs[1])


def value(obs):
    return 100.0 + 10 * float(obs[0]) + float(obs[1])


def played(m, steps, *ends):
    env = script(*ends)
    rows = m.collect(env, act, value, steps)
    episodes = ", ".join(f"{length} steps ({end})" for length, end in ends)
    values = "V of step t of episode i is 100 + 10 i + t"
    context = [f"collect(..., steps={steps}), episodes of {episodes}; {values}"]
    yield Record("actions", torch.tensor([int(a) for a in env.acts]), context=context)
    for name, row in zip(COLUMNS, rows, strict=True):
        yield Record(name, row, context=context)


def behind(m, *ends):
    term, trunc = torch.tensor([ENDS[e] for e in ends]).unbind(1)

    def bootstrap(term, trunc, next_val):
        return m.bootstrap(term.double(), trunc.double(), next_val)

    yield from call(bootstrap, term=term, trunc=trunc, next_val=torch.rand(len(ends)) + 1)


@check("T1", "the value behind a step of each kind, one at a time")
def one(m):
    for end in ENDS:
        yield from behind(m, end)


@check("T1", "the value behind six steps")
def six(m):
    ends = ("goes on", "truncated", "both at once", "goes on", "terminated", "truncated")
    yield from behind(m, *ends)


@check("T3", "three steps of one episode")
def open_end(m):
    yield from played(m, 3, (5, "goes on"))


@check("T3", "an episode that is terminated, and the next")
def terminated(m):
    yield from played(m, 4, (2, "terminated"), (3, "goes on"))


@check("T3", "an episode that is truncated, and the next")
def truncated(m):
    yield from played(m, 4, (2, "truncated"), (3, "goes on"))


@check("T3", "an episode that is terminated and truncated at once, and the next")
def both(m):
    yield from played(m, 4, (2, "both at once"), (3, "goes on"))


@check("T3", "five episodes of all kinds, one of them of one step, the last cut")
def many(m):
    ends = [(3, "truncated"), (1, "terminated"), (4, "terminated"), (2, "both at once")]
    yield from played(m, 13, *ends, (5, "truncated"))


@check("T3", "the last step is the last of its episode")
def exact(m):
    yield from played(m, 3, (3, "truncated"))


@check("T2", "where every step pays 1, V = 1 / (1 − γ) has no error, but at a terminal state")
def fixed_point(m):
    env = script((3, "truncated"), (2, "terminated"), (4, "truncated"), pays=lambda step: 1.0)
    rew, val, next_val, term, done = m.collect(env, act, lambda obs: 10.0, 8)
    delta = rew + 0.9 * m.bootstrap(term, done - term, next_val) - val
    want = torch.tensor([0.0, 0, 0, 0, -9, 0, 0, 0])
    says = "a time limit is no loss, and a terminal state loses all that V had promised"
    yield expect("r + 0.9 bootstrap − V(s)", delta, want, says=says)
