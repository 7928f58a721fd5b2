import numpy as np
import torch
from gymnasium.spaces import Box

from exercises.lab import Record, Wrong, check, expect
from exercises.worlds import Script

GO, END, LIMIT = (False, False), (True, False), (False, True)


def step(i, obs_dim, act_dim):
    """Transition number i, in which every number is another one."""
    obs, act, next_obs = (np.arange(n, dtype=np.float32) for n in (obs_dim, act_dim, obs_dim))
    return obs + 10 * i, -0.25 - act - i, 0.5 + i, next_obs + 10 * i + 0.125, i % 3 == 1


def filled(m, size, count, obs_dim=2, act_dim=3):
    memory = m.Replay(size, obs_dim, act_dim)
    for i in range(count):
        memory.add(*step(i, obs_dim, act_dim))
    return memory


def fields(memory, *slots):
    """What is in these slots, field by field."""
    batch = memory.sample(torch.tensor(slots))
    context = [f"sample(torch.tensor({list(slots)}))"]
    for name in ("obs", "act", "rew", "next_obs", "term"):
        yield Record(name, getattr(batch, name), context=context)


@check("T3", "three transitions in a memory of five")
def three(m):
    memory = m.Replay(5, 2, 3)
    yield expect("len of an empty memory", len(memory), 0)
    for i in range(3):
        memory.add(*step(i, 2, 3))
        yield expect(f"len after {i + 1} of 3", len(memory), i + 1)
    yield from fields(memory, 0, 1, 2)
    yield from fields(memory, 2)
    yield from fields(memory, 2, 0, 0, 1)


@check("T3", "seven transitions in a memory of five, twelve in one of four")
def ring(m):
    for size, count in ((5, 5), (5, 6), (5, 7), (4, 12)):
        memory = filled(m, size, count)
        yield expect(f"len after {count} in {size} slots", len(memory), size)
        yield from fields(memory, *range(size))


@check("T3", "a single slot of single numbers")
def single(m):
    for count in (1, 2, 3):
        memory = filled(m, 1, count, 1, 1)
        yield expect(f"len after {count} in one slot", len(memory), 1)
        yield from fields(memory, 0)


@check("T3", "the caller's arrays are used again")
def reused(m):
    for dtype in (np.float32, np.float64):
        memory = m.Replay(4, 2, 1)
        obs, act, next_obs = np.zeros(2, dtype), np.zeros(1, dtype), np.zeros(2, dtype)
        for i in range(3):
            now = step(i, 2, 1)
            obs[:], act[:], next_obs[:] = now[0], now[1], now[3]
            memory.add(obs, act, now[2], next_obs, now[4])
        yield from fields(memory, 0, 1, 2)
        for part in memory.sample(torch.tensor([0, 1, 2])):
            part.zero_()  # a batch is the learner's own, too
        yield from fields(memory, 0, 1, 2)


@check("T3", "episodes that end by a terminal state, by a time limit and by both")
def episodes(m):
    ends = [(1.0, *GO), (2.0, *END)], [(3.0, *GO), (4.0, *GO), (5.0, *LIMIT)], [(6.0, True, True)]
    env = Script(list(ends), Box(-1, 1, (1,)))
    memory, obs = m.Replay(20, 2, 1), None
    for i in range(9):
        if obs is None:
            obs = env.reset()[0].copy()
        act = np.float32([(-0.5, 0.0, 0.5)[i % 3]])
        next_obs, rew, term, trunc, _ = env.step(act)
        memory.add(obs, act, rew, next_obs, term)
        obs = None if term or trunc else next_obs.copy()
    yield from fields(memory, *range(9))


@check("T2", "which slots are drawn", free=True)
def drawn(m):
    memory = filled(m, 50, 40)
    index = memory.draw(40)
    if not isinstance(index, torch.Tensor):
        raise Wrong(f"draw has to return a tensor of int64, not a {type(index).__name__}")
    says = "40 independent draws from 40 slots nearly always have a slot twice"
    repeated = len(set(index.tolist())) < 40
    yield expect("draw(40) from 40 has a slot twice", repeated, True, says=says)
    near = (index[1:] - index[:-1] == 1).double().mean().item()
    says = "Slots that follow each other are drawn together: the draws are not independent"
    yield expect("draw(40) goes up by one mostly", near > 0.5, False, says=says)
    says = "Two draws are the same: an old minibatch would come again and again"
    alike = memory.draw(20).tolist() == memory.draw(20).tolist()
    yield expect("draw(20) twice gives the same", alike, False, says=says)
    for size, count in ((5, 3), (5, 5), (5, 8), (7, 1), (1, 2)):
        memory = filled(m, size, count, 1, 2)
        index = memory.draw(1000)
        filled_slots = min(size, count)
        where = f"draw(1000) with {filled_slots} of {size} slots filled"
        yield expect(f"shape of {where}", list(index.shape), [1000])
        yield expect(f"dtype of {where}", index.dtype, torch.int64)
        found = sorted(set(index.tolist()))
        yield expect(f"slots in {where}", found, list(range(filled_slots)))
        rare = min(index.tolist().count(slot) for slot in found)
        says = "Some slots are drawn much less often than others: each should be as likely"
        yield expect(f"evenly in {where}", rare > 600 / filled_slots, True, says=says)
