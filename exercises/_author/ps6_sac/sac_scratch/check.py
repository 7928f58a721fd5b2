from dataclasses import replace
from math import log

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from torch.optim.optimizer import register_optimizer_step_pre_hook

from exercises.lab import Record, Wrong, at_least, at_most, call, check, expect
from exercises.worlds import PROBES, Probe, Script

# ---- 1 and 2: the networks


def randomise(net, scale=0.7):
    """Larger weights than those of the start, so that everything matters."""
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(scale * torch.randn(p.shape))
    return net


def policy(pi, obs):
    return pi(obs)


def values(q, obs, act):
    return q(obs, act)


def small(m, **fields):
    return replace(m.Config(), hidden=5, **fields)


@check("T1", "1 policy: one row, one dimension")
def one_action(m):
    pi = randomise(m.Squashed(1, 1, small(m)))
    yield from call(policy, pi, torch.randn(1, 1), names=("a", "logp"))


@check("T1", "1 policy: four rows, three dimensions")
def actions(m):
    pi = randomise(m.Squashed(2, 3, small(m)))
    yield from call(policy, pi, torch.randn(4, 2), names=("a", "logp"))


@check("T1", "1 policy: u = ±20, log σ that is cut, and u = ±800")
def far(m):
    pi = randomise(m.Squashed(2, 2, small(m)), 0.1)
    for mu, log_std in ((20.0, -3.0), (-20.0, 0.0), (0.0, 5.0), (0.3, -14.0), (800.0, 0.0)):
        with torch.no_grad():
            list(pi.parameters())[-1].copy_(torch.tensor([mu, -mu, log_std, log_std - 1]))
        yield from call(policy, pi, torch.randn(3, 2), names=("a", "logp"))


@check("T2", "1 policy: the density integrates to 1")
def density(m):
    pi = m.Squashed(1, 1, small(m))
    with torch.no_grad():
        list(pi.parameters())[-1].copy_(torch.tensor([0.4, -0.3]))
        list(pi.parameters())[-2].zero_()
        a, logp = pi(torch.zeros(4000, 1))
    order = a[:, 0].argsort()
    a, p = a[order, 0], logp[order].exp()
    mass = (a.diff() * (p[1:] + p[:-1]) / 2).sum()
    yield expect("∫ π(a|s) da over what 4000 draws span", float(mass), 1.0, tol=0.01)


@check("T1", "2 critics")
def critics(m):
    for B, obs_dim, act_dim in ((1, 1, 1), (5, 3, 2)):
        q = randomise(m.TwinQ(obs_dim, act_dim, small(m)))
        args = q, torch.randn(B, obs_dim), torch.rand(B, act_dim) * 2 - 1
        yield from call(values, *args, names=("q",))


# ---- 3 and 4: the losses and the slow copies


def batch(m, B, obs_dim, act_dim):
    obs, next_obs = torch.randn(2, B, obs_dim)
    act = torch.rand(B, act_dim) * 2 - 1
    return m.Batch(obs, act, 2 * torch.randn(B), next_obs, (torch.arange(B) % 3 == 1).double())


def networks(m, obs_dim, act_dim):
    kinds = m.TwinQ, m.TwinQ, m.Squashed
    return [randomise(kind(obs_dim, act_dim, small(m))) for kind in kinds]


def in_order(found, *labels):
    """The outputs as they arise, then the gradients."""
    yield from sorted(found[:3], key=lambda r: labels.index(r.label))
    yield from found[3:]


@check("T1", "3 losses: Eq. 1 and 2")
def q_losses(m):
    for B, obs_dim, act_dim, alpha, gamma in (
        (1, 1, 1, 0.2, 0.9),
        (2, 1, 3, 1.0, 0.8),
        (7, 3, 2, 2.0, 0.97),
    ):
        q, q_targ, pi = networks(m, obs_dim, act_dim)
        args = q, q_targ, pi, torch.tensor(alpha), batch(m, B, obs_dim, act_dim), gamma
        found = call(m.loss_q, *args, names=("loss", "val", "y"), grads=("loss",))
        yield from in_order(list(found), "y", "val", "loss")


@check("T1", "3 losses: Eq. 3")
def pi_losses(m):
    for B, obs_dim, act_dim, alpha in ((1, 1, 1, 0.2), (2, 1, 3, 1.0), (7, 3, 2, 2.0)):
        q, _, pi = networks(m, obs_dim, act_dim)
        args = q, pi, torch.tensor(alpha), batch(m, B, obs_dim, act_dim)
        found = call(m.loss_pi, *args, names=("loss", "act", "logp"), grads=("loss",))
        kept = [r for r in found if "respect to" not in r.label or " pi." in r.label]
        yield from in_order(kept, "act", "logp", "loss")


@check("T1", "3 losses: Eq. 5")
def alpha_losses(m):
    for alpha, logp, H in ((0.5, torch.tensor([-2.0]), -1.0), (2.0, 3 * torch.randn(5), 0.4)):
        found = call(m.loss_alpha, torch.tensor(log(alpha)), logp, H, names=("loss",))
        yield from (r for r in found if not r.label.endswith(" logp"))


@check("T1", "4 slow copies")
def slow(m):
    q, q_targ, _ = networks(m, 2, 1)
    for rho in (0.9, 0.0):
        yield from call(m.track, q_targ, q, rho, changes=("targ",))


# ---- 5: an update


def flat(tensors):
    return torch.cat([t.detach().flatten() for t in tensors])


class Watch:
    """The gradients of each part of an agent when an optimiser steps it."""

    def __init__(self, agent):
        self.parts = {
            "q": list(agent.q.parameters()),
            "pi": list(agent.pi.parameters()),
            "log_alpha": [agent.log_alpha],
        }
        self.grads = {}

    def __enter__(self):
        self.hook = register_optimizer_step_pre_hook(self.before)
        return self

    def __exit__(self, *_):
        self.hook.remove()

    def before(self, opt, *_):
        stepped = {id(p) for group in opt.param_groups for p in group["params"]}
        for name, params in self.parts.items():
            if any(id(p) in stepped for p in params):
                grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
                self.grads[name] = flat(grads).clone()


def learner(m):
    torch.manual_seed(3)
    cfg = small(m, gamma=0.9, rho=0.8, lr=0.01, lr_alpha=0.03, alpha=0.3)
    return m.Agent(3, 2, cfg), cfg


def after(m, count):
    """The quantities of the last of so many updates, in the order in which they arise."""
    agent, cfg = learner(m)
    for n in range(count):
        torch.manual_seed(100 + n)
        b = batch(m, 6, 3, 2)
        torch.manual_seed(200 + n)
        with Watch(agent) as watch:
            info = agent.update(b, cfg)
    yield from pipeline(agent, info, watch.grads)


def pipeline(agent, info, grads):
    keys = ("alpha", "y", "loss_q", "loss_pi", "loss_alpha")
    if not isinstance(info, dict) or not all(k in info for k in keys):
        raise Wrong(f"update has to return a dict with {', '.join(keys)}")
    for name in ("q", "pi", "log_alpha"):
        if name not in grads:
            raise Wrong(f"no optimiser has stepped {name}")

    def number(key):
        value = torch.as_tensor(info[key], dtype=torch.float64)
        return Record(key, value.detach().clone())

    yield number("alpha")
    tracked = getattr(info["alpha"], "requires_grad", False)
    yield expect("alpha has a gradient", tracked, False, says="α is read as a number.")
    yield number("y")
    for name, net in (("q", agent.q), ("pi", agent.pi)):
        yield number(f"loss_{name}")
        yield Record(f"gradient of {name}", grads[name])
        yield Record(f"{name} afterwards", flat(net.parameters()))
    yield number("loss_alpha")
    yield Record("gradient of log_alpha", grads["log_alpha"])
    yield Record("log_alpha afterwards", agent.log_alpha.detach().clone())
    yield Record("q_targ afterwards", flat(agent.q_targ.parameters()))


@check("T4", "5 agent: slow copies at the start")
def start(m):
    agent, _ = learner(m)
    own = list(agent.q.parameters())
    yield expect("q_targ", flat(agent.q_targ.parameters()), flat(own))
    yield expect(
        "parameters that q_targ shares with q",
        sum(any(p is o for o in own) for p in agent.q_targ.parameters()),
        0,
        says="Slow copies must have parameters of their own, or they are not slow.",
    )


@check("T4", "5 agent: the first update")
def first(m):
    yield from after(m, 1)


@check("T4", "5 agent: the second update")
def second(m):
    yield from after(m, 2)


@check("T4", "5 agent: the twentieth update")
def twentieth(m):
    yield from after(m, 20)


# ---- 6 to 8: memory and loop


def row(*numbers):
    return np.float32(numbers)


def kept(memory, n=600):
    """The different transitions in a large sample, sorted."""
    b = memory.sample(n)
    rows = torch.cat([b.obs, b.act, b.rew[:, None], b.next_obs, b.term[:, None]], -1)
    return rows.unique(dim=0)


@check("T3", "6 memory: three transitions, then more than it holds", free=True)
def memory(m):
    replay, rows = m.Replay(5, 2, 1), []
    obs, act = np.zeros(2, np.float32), np.zeros(1, np.float32)  # used again and again
    for i in range(13):
        obs[:], act[:] = (i, -i), 0.1 * i
        rew, term = 10.0 + i, i % 3 == 1
        replay.add(obs, act, rew, row(i + 0.5, -i), term)
        rows.append(torch.tensor([i, -i, 0.1 * i, rew, i + 0.5, -i, float(term)]))
        if i in (0, 2, 4, 6, 12):
            want = torch.stack(rows[-5:])
            yield expect(f"transitions drawn after {i + 1} of them, size 5", kept(replay), want)
    b = replay.sample(4)
    for name, x, size in zip(b._fields, b, ((4, 2), (4, 1), (4,), (4, 2), (4,)), strict=True):
        yield expect(f"shape of {name} in a sample of 4", list(x.shape), list(size))
        yield expect(f"dtype of {name}", x.dtype, torch.float32)
    counts = replay.sample(1000).rew.unique(return_counts=True)[1]
    yield at_least("least often drawn of 5, in 1000 draws", int(counts.min()), 130)


class Fresh(Script):
    """A script that gives a new array each time."""

    def reset(self, **how):
        obs, info = super().reset(**how)
        return obs.copy(), info

    def step(self, action):
        obs, *rest = super().step(action)
        return obs.copy(), *rest


class Notes:
    """A memory and an agent that write down what is done with them."""

    def __init__(self):
        self.rows, self.acts, self.events, self.seen = [], [], [], []

    def add(self, obs, act, rew, next_obs, term):
        self.events.append("add")
        self.acts.append(torch.tensor(np.array(act), dtype=torch.float32))
        parts = obs, [rew], next_obs, [term]
        self.rows.append(torch.tensor(np.concatenate(parts).astype(np.float32)))

    def sample(self, n):
        self.events.append(f"sample {n}")
        return n

    def act(self, obs):
        self.events.append("act")
        self.seen.append(torch.tensor(np.array(obs)))
        return np.float32([0.3 * obs[0] - 0.2 * obs[1], 1 - 0.4 * obs[1]])

    def update(self, b, cfg):
        self.events.append("update")


SPACE = Box(np.float32([-2, 0]), np.float32([2, 5]))
ON, TERM, TRUNC = (False, False), (True, False), (False, True)
EPISODES = [
    [(1.0, *ON), (2.0, *ON), (3.0, *TERM)],
    [(4.0, *ON), (5.0, *TRUNC)],
    [(6.0, True, True)],
    [(7.0, *TRUNC)],
]


def transcript(m, world):
    """What memory and environment get in each step."""
    env, notes = world(EPISODES, SPACE), Notes()
    obs, _ = env.reset()
    for t in range(9):
        obs = m.interact(env, notes, obs, np.float32([np.cos(t), -np.sin(t)]))
        if len(notes.rows) != t + 1:
            raise Wrong(f"after {t + 1} steps memory.add was called {len(notes.rows)} times")
        yield Record(f"step {t}: action of the environment", torch.tensor(env.acts[-1]).float())
        yield Record(f"step {t}: action in memory", notes.acts[-1])
        for name, part in zip(
            ("obs", "rew", "next_obs", "term"), notes.rows[-1].split([2, 1, 2, 1]), strict=True
        ):
            yield Record(f"step {t}: {name} in memory", part)
        yield Record(f"step {t}: observation to act on next", torch.tensor(np.array(obs)))


@check("T3", "7 a step: nine steps with ends of all kinds")
def steps(m):
    yield from transcript(m, Fresh)


@check("T3", "7 a step: an environment that has one array for all observations")
def one_array(m):
    yield from transcript(m, Script)


def loop(m, world, steps, random_steps):
    env, notes = world(EPISODES, SPACE), Notes()
    m.sac(env, notes, notes, small(m, steps=steps, random_steps=random_steps, batch=7))
    return env, notes


def happened(events, random_steps, case):
    """What was done in each of ten steps."""
    learning = ["act", "add", "sample 7", "update"]
    want = [(t, x) for t in range(10) for x in (["add"] if t < random_steps else learning)]
    for i, (t, event) in enumerate(want):
        got = events[i] if i < len(events) else "nothing more"
        yield expect(f"event {i + 1}, which is of step {t}" + case, got, event)
    yield expect("events behind the last step" + case, events[len(want) :], [])


@check("T3", "8 the whole: observations, actions and updates in their order")
def whole(m):
    for world in (Fresh, Script):
        for random_steps in (0, 4):
            env, notes = loop(m, world, 10, random_steps)
            case = f" ({10 - random_steps} steps after {random_steps} random ones)"
            yield from happened(notes.events, random_steps, case)
            yield Record("observations the agent acts on" + case, torch.stack(notes.seen))
            yield Record("obs, rew, next_obs, term in memory" + case, torch.stack(notes.rows))
            acts = torch.stack(notes.acts)[random_steps:]
            yield Record("actions in memory" + case, acts)
            done = torch.tensor(np.array(env.acts)).float()[random_steps:]
            yield Record("actions of the environment" + case, done)


@check("T3", "8 the whole: uniform actions at first", free=True)
def uniform(m):
    env, notes = loop(m, Fresh, 300, 300)
    for name, acts, low, high in (
        ("memory", torch.stack(notes.acts), torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 1.0])),
        (
            "the environment",
            torch.tensor(np.array(env.acts)),
            torch.tensor([-2.0, 0.0]),
            torch.tensor([2.0, 5.0]),
        ),
    ):
        share = (acts.float() - low) / (high - low)
        for i in range(2):
            what = f"random actions of {name}, dimension {i}, as a share of its range: "
            yield at_least(what + "least", float(share[:, i].min()), -1e-6)
            yield at_most(what + "least", float(share[:, i].min()), 0.06)
            yield at_least(what + "greatest", float(share[:, i].max()), 0.94)
            yield at_most(what + "greatest", float(share[:, i].max()), 1 + 1e-6)
            yield at_least(what + "mean", float(share[:, i].mean()), 0.4)
            yield at_most(what + "mean", float(share[:, i].mean()), 0.6)
    both = torch.stack(notes.acts).T
    yield at_most("correlation of the two dimensions", float(torch.corrcoef(both)[0, 1].abs()), 0.3)


# ---- the agent on probes


def learn(m, env, **fields):
    cfg = replace(m.Config(), **fields)
    dims = env.observation_space.shape[0], env.action_space.shape[0]
    agent, memory = m.Agent(*dims, cfg), m.Replay(cfg.steps, *dims)
    env.reset(seed=0)
    m.sac(env, agent, memory, cfg)
    return agent


QUICK = dict(gamma=0.8, rho=0.8, lr=5e-3, batch=32, hidden=32)
FIXED = dict(lr_alpha=0.0, alpha=0.01)


def q_of(agent, obs):
    """The mean of both critics over actions."""
    acts = torch.linspace(-0.8, 0.8, 9)[:, None]
    return float(agent.q(torch.full((9, 1), obs), acts).detach().mean())


@check("T5", "Q of a reward that depends on the observation")
def observed(m):
    agent = learn(
        m, PROBES["observed"](discrete=False), steps=250, random_steps=100, **QUICK, **FIXED
    )
    for s in (-1.0, 1.0):
        yield at_most(f"error of Q where every episode pays {s:.0f}", abs(q_of(agent, s) - s), 0.15)


@check("T5", "an episode without an end, of which five steps are seen at a time")
def endless(m):
    agent = learn(
        m, PROBES["endless"](discrete=False), steps=300, random_steps=100, **QUICK, **FIXED
    )
    yield at_most("error of Q, which is 1/(1 − γ) = 5", abs(q_of(agent, 0.0) - 5), 0.5)


@check("T5", "an entropy bonus and no reward")
def bonus(m):
    env = Probe(lambda s, a, t: 0.0, 5, discrete=False, trunc=True, blind=True)
    agent = learn(m, env, steps=350, random_steps=100, lr_alpha=0.0, alpha=0.5, **QUICK)
    want = 0.8 * 0.5 * log(2) / (1 - 0.8)
    yield at_most("error of Q, which is γ α log 2 / (1 − γ)", abs(q_of(agent, 0.0) - want), 0.3)


@check("T5", "a best action that depends on the observation")
def pulled(m):
    agent = learn(m, PROBES["pulled"](), steps=400, random_steps=150, alpha=0.1, **QUICK)
    for s in (-1.0, 1.0):
        error = abs(float(agent.best(row(s))[0]) - 0.5 * s)
        yield at_most(f"distance to the best action, {0.5 * s}", error, 0.2)


# ---- the agent on a task


@check("T6", "Pendulum-v1, 5000 steps", seeds=3, needed=2)
def pendulum(m, seed):
    torch.manual_seed(seed)
    np.random.seed(seed)
    env = gym.make("Pendulum-v1")
    cfg = replace(m.Config(), steps=5000)
    agent, memory = m.Agent(3, 1, cfg), m.Replay(cfg.steps, 3, 1)
    env.reset(seed=seed)
    m.sac(env, agent, memory, cfg)
    returns = []
    for episode in range(10):
        obs, over, total = env.reset(seed=1000 + episode)[0], False, 0.0
        while not over:
            obs, rew, term, trunc, _ = env.step(2 * agent.best(obs))
            over, total = term or trunc, total + float(rew)
        returns.append(total)
    yield at_least("mean return of ten test episodes", float(np.mean(returns)), -900.0)
