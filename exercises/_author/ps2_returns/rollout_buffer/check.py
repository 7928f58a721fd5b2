import numpy as np
import torch

from exercises.lab import Record, check, expect
from exercises.worlds import Script

NAMES = ("obs", "act", "adv", "ret")
GO, TERM, TRUNC = (False, False), (True, False), (False, True)


def value(obs):
    """Of each observation [episode, step] another one, of both signs."""
    return float(np.cos(5 * obs[0] + obs[1]))


def epoch(buf, env, size):
    """`size` steps with everything told to the buffer, in an array that is used again."""
    shown = np.zeros(2, np.float32)
    obs, _ = env.reset()
    for t in range(size):
        shown[:] = obs
        act = len(env.acts) % 3  # other actions in each epoch
        obs, rew, term, trunc, _ = env.step(act)
        buf.store(shown, act, rew, value(shown))
        if term or trunc or t == size - 1:
            buf.finish_path(0.0 if term else value(obs))
        if term or trunc:
            obs, _ = env.reset()
    return buf.get()


def records(out, *context):
    obs, act, adv, ret = out
    for name, x in (("obs", obs), ("act", act), ("ret", ret), ("adv", adv)):
        yield Record(name, x, context=list(context))


def paths(m, *paths):
    """Paths of steps (rew, val), each with its last_val, at γ = 0.5 and λ = 0.5."""
    size = sum(len(steps) for steps, _ in paths)
    buf, number = m.Rollout(size, 1, 0.5, 0.5), 0
    for steps, last_val in paths:
        for rew, val in steps:
            buf.store(np.float32([number]), number, rew, val)
            number += 1
        buf.finish_path(last_val)
    told = [", ".join([*map(str, steps), f"finish_path({last})"]) for steps, last in paths]
    yield from records(buf.get(), f"Rollout({size}, 1, 0.5, 0.5), (rew, val) {', '.join(told)}")


def script(*ends):
    """Episodes of (length, how they end); the reward of a step is its number, and then the half."""
    episodes, number = [], 0
    for length, end in ends:
        number += 1
        steps = [(number / (i + 1), *GO) for i in range(length - 1)]
        episodes.append([*steps, (number / length, *end)])
    return Script(episodes)


@check("T3", "one path of two steps")
def smallest(m):
    yield from paths(m, ([(3.0, 1.0), (1.0, 2.0)], 0.0))


@check("T3", "one path of three steps, terminated")
def terminated(m):
    yield from paths(m, ([(1.0, 0.5), (0.0, 1.0), (2.0, 1.5)], 0.0))


@check("T3", "one path of three steps, cut")
def cut(m):
    yield from paths(m, ([(1.0, 0.5), (0.0, 1.0), (2.0, 1.5)], 4.0))


@check("T3", "two paths, the first terminated, the second cut")
def two(m):
    yield from paths(m, ([(1.0, 0.5), (0.0, 1.0)], 0.0), ([(2.0, 1.5), (-1.0, 2.0)], 4.0))


@check("T3", "two paths of one step, whose advantages are alike")
def alike(m):
    yield from paths(m, ([(3.0, 1.0)], 0.0), ([(2.0, 1.0)], 2.0))


@check("T3", "three episodes and a cut one, all observations in one array")
def played(m):
    env = script((3, TERM), (1, TRUNC), (4, TRUNC), (5, TERM))
    yield from records(epoch(m.Rollout(11, 2, 0.9, 0.8), env, 11))


@check("T3", "three epochs with the same buffer")
def epochs(m):
    env, buf = script((2, TERM), (3, TRUNC), (6, TERM)), m.Rollout(7, 2, 0.9, 0.8)
    given, copies = [], []
    for i in range(3):
        out = epoch(buf, env, 7)
        given.append(out)
        copies.append([x.detach().clone() if torch.is_tensor(x) else x for x in out])
        yield from records(copies[i], f"epoch {i + 1} of 3, with the same buffer")
    says = "get has to give tensors that the buffer does not write into again"
    for name, now, then in zip(NAMES, given[0], copies[0], strict=True):
        yield expect(f"after two more epochs, epoch 1's {name}", now, then, says=says)


@check("T2", "adv has mean 0 and std 1; λ = 1 gives discounted sums, λ = 0 one-step targets")
def identities(m):
    env = script((3, TERM), (4, TRUNC), (5, TERM))
    ret = {}
    for lam in (0.0, 1.0):
        _, _, adv, ret[lam] = (x.double() for x in epoch(m.Rollout(9, 2, 0.5, lam), env, 9))
        yield expect(f"mean of adv with λ = {lam:g}", adv.mean() + 1, 1.0, 1e-5)
        yield expect(f"std of adv with λ = {lam:g}", adv.std(correction=0), 1.0, 1e-5)
        env = script((3, TERM), (4, TRUNC), (5, TERM))
    v = [[value([i, j]) for j in range(6)] for i in range(3)]
    says = "the first episode, terminated after rewards of 1, 1/2 and 1/3, at γ = 0.5"
    want = torch.tensor([1 + 1 / 4 + 1 / 12, 1 / 2 + 1 / 6, 1 / 3])
    yield expect("ret with λ = 1", ret[1.0][:3], want, 1e-5, says)
    want = torch.tensor([1 + v[0][1] / 2, 1 / 2 + v[0][2] / 2, 1 / 3])
    yield expect("ret with λ = 0", ret[0.0][:3], want, 1e-5, says)
    says = "the last episode, cut after rewards of 3 and 3/2, at γ = 0.5"
    want = torch.tensor([3 + 3 / 4 + v[2][2] / 4, 3 / 2 + v[2][2] / 2])
    yield expect("ret with λ = 1", ret[1.0][7:], want, 1e-5, says)
