from types import SimpleNamespace

import gymnasium as gym
import torch
from torch.distributions import Categorical

from exercises.lab import Record, Wrong, at_least, at_most, check, expect
from exercises.worlds import PROBES, Script

ON, TERMINAL, LIMIT, BOTH = (False, False), (True, False), (False, True), (True, True)
EPISODES = [
    [(1.0, *ON), (-2.0, *ON), (0.5, *TERMINAL)],
    [(3.0, *LIMIT)],
    [(0.0, *ON), (7.0, *BOTH)],
    [(float(r), *ON) for r in range(20)],
]


# ---- collect


class Watched(Script):
    """A script that also notes how it was reset, and takes only what an environment takes."""

    def __init__(self, episodes):
        super().__init__(episodes)
        self.seeds = []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        return super().reset(seed=seed, options=options)

    def step(self, action):
        if not self.action_space.contains(action):
            raise Wrong(f"env.step got {action!r}: it wants an action as an int")
        return super().step(action)


class Planned(Categorical):
    """A distribution whose sample is known from the observation, and is never the likeliest."""

    def __init__(self, obs):
        self.plan = (2 * obs[..., 0] + obs[..., 1] ** 2).long() % 3
        other = torch.nn.functional.one_hot((self.plan + 1) % 3, 3)
        super().__init__(probs=0.1 + 0.7 * other)

    def sample(self, sample_shape=()):
        return self.plan.expand(torch.Size(sample_shape) + self.plan.shape).clone()


def told(env, horizon):
    """The call and the script that was played, in a line."""
    ends = {ON: "", TERMINAL: " terminal", LIMIT: " limit", BOTH: " terminal and limit"}
    episodes = []
    for steps in env.episodes:
        rews = [f"{rew:g}{ends[(term, trunc)]}" for rew, term, trunc in steps]
        episodes.append(f"[{', '.join(rews if len(rews) < 5 else [*rews[:3], '...', rews[-1]])}]")
    return f"collect, horizon {horizon}; rewards and ends of the episodes {' '.join(episodes)}"


def collected(m, env, horizon):
    agent = SimpleNamespace(pi=Planned, v=lambda obs: obs.sum(-1))
    out = m.collect(env, agent, m.Config(horizon=horizon))
    if not isinstance(out, m.Rollout):
        raise Wrong(f"collect has to return a Rollout, but returned a {type(out).__name__}")
    context = [told(env, horizon)]
    played = torch.tensor([int(a) for a in env.acts[-horizon:]])
    yield Record("actions that were played", played, context=context)
    for name, value in out._asdict().items():
        yield Record(name, value, context=context)
    seeds = [s for s in env.seeds if s is not None]
    yield Record("seeds given to env.reset", seeds, context=context)


@check("T3", "two steps, nothing ends")
def nothing_ends(m):
    yield from collected(m, Watched(EPISODES[3:]), 2)


@check("T3", "a terminal state, then two steps of the next episode")
def terminal(m):
    yield from collected(m, Watched([EPISODES[0], EPISODES[3]]), 5)


@check("T3", "a time limit, then one step of the next episode")
def time_limit(m):
    yield from collected(m, Watched([EPISODES[1], EPISODES[3]]), 2)


@check("T3", "ends of all kinds, the last episode cut, then a second rollout")
def all_kinds(m):
    env = Watched(EPISODES)
    yield from collected(m, env, 10)
    yield from collected(m, env, 8)


# ---- update


class Noted(torch.optim.SGD):
    """Plain gradient descent that notes the gradients it is given."""

    def __init__(self, params, lr):
        super().__init__(params, lr)
        self.seen = []

    def step(self, closure=None):
        params = [p for group in self.param_groups for p in group["params"]]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
        self.seen.append(torch.cat([g.flatten() for g in grads]).clone())
        return super().step(closure)


def rollout(m, T, obs_dim, actions, ends=0.25):
    """Random steps in which episodes end in every way."""
    obs, next_obs = torch.randn(2, T, obs_dim)
    term, trunc = (torch.rand(2, T) < ends).double()
    act = torch.arange(T) % actions
    return m.Rollout(obs, act, 3 * torch.randn(T) + 1, next_obs, term, torch.max(term, trunc))


def theta(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def updated(m, agent, b, cfg):
    """One update; the rollout must be as it was."""
    before = [x.clone() for x in b]
    m.update(agent, b, cfg)
    for name, was, now in zip(b._fields, before, b, strict=True):
        if not torch.equal(was, now):
            raise Wrong(f"update changed b.{name} in place: work on a new tensor")


@check("T4", "gradients and parameters of one update, by plain gradient descent")
def first_update(m):
    cfg = m.Config(gamma=0.9, lam=0.8, passes=3)
    agent = m.Agent(2, 3, cfg)
    agent.opt_pi = Noted(agent.logits.parameters(), 0.5)
    agent.opt_v = Noted(agent.value.parameters(), 0.05)
    updated(m, agent, rollout(m, 7, 2, 3), cfg)
    yield Record("number of steps of opt_pi", len(agent.opt_pi.seen))
    yield Record("gradient of π in the first step", agent.opt_pi.seen[:1])
    yield Record("parameters of π", theta(agent.logits))
    yield Record("number of steps of opt_v", len(agent.opt_v.seen))
    yield Record("gradient of V in the first step", agent.opt_v.seen[:1])
    yield Record("gradient of V in the last step", agent.opt_v.seen[-1:])
    yield Record("parameters of V", theta(agent.value))


@check("T4", "parameters after 1, 2 and 20 updates")
def twenty(m):
    cfg = m.Config(gamma=0.95, lam=0.7, passes=2)
    agent = m.Agent(3, 4, cfg)
    for n in range(1, 21):
        updated(m, agent, rollout(m, 9, 3, 4), cfg)
        if n in (1, 2, 20):
            yield Record(f"parameters of π after {n} updates", theta(agent.logits), tol=1e-6)
            yield Record(f"parameters of V after {n} updates", theta(agent.value), tol=1e-6)


# ---- the whole


def probe(m, name, steps=600, **settings):
    cfg = m.Config(horizon=40, gamma=0.8, **settings)
    agent, _ = m.vpg(PROBES[name], 0, steps, cfg)
    return agent


def v(agent, obs):
    with torch.no_grad():
        return agent.v(torch.tensor([float(obs)])).item()


def p(agent, obs):
    """The probability of action 1."""
    with torch.no_grad():
        return agent.pi(torch.tensor([float(obs)])).probs[1].item()


@check("T5", "values: a constant reward, one that is seen, a time limit that is none")
def values(m):
    yield expect("V where each episode pays 1", v(probe(m, "constant"), 0), 1.0, tol=0.1)
    agent = probe(m, "observed")
    for s in (1, -1):
        yield expect(f"V({s}) where the reward is what is seen", v(agent, s), float(s), tol=0.15)
    agent = probe(m, "endless", 1200, passes=40)
    says = "The episodes end by a time limit only: V looks past it and is 1/(1 − γ)."
    yield expect("V where each step pays 1", v(agent, 0), 5.0, tol=0.15, says=says)


@check("T5", "actions: one is better, or which is better depends on the observation")
def actions(m):
    yield at_least("probability of the better action", p(probe(m, "action"), 0), 0.9)
    agent = probe(m, "matching")
    yield at_least("probability of action 1 where it is right", p(agent, 1), 0.9)
    yield at_most("probability of action 1 where it is wrong", p(agent, -1), 0.1)


@check("T6", "CartPole-v1: 25 000 steps", seeds=3, needed=2)
def cartpole(m, seed):
    _, returns = m.vpg(lambda: gym.make("CartPole-v1"), seed, 25_000)
    mean = sum(returns) / max(len(returns), 1)
    yield at_least("mean return of all episodes of training", mean, 50)
