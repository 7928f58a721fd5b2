import copy

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box

from exercises.lab import Record, at_least, at_most, call, check, expect
from exercises.worlds import PROBES, Script

FIELDS = ("obs", "act", "rew", "next_obs", "term")
GO, END, LIMIT, BOTH = (False, False), (True, False), (False, True), (True, True)
EPISODES = [
    [(0.5, *GO), (1.5, *GO), (-2.5, *END)],
    [(3.0, *GO), (4.25, *LIMIT)],
    [(-5.5, *END)],
    [(6.0, *GO), (7.0, *GO), (8.0, *GO), (9.5, *BOTH)],
]


def batch(m, B, obs_dim, act_dim, term=None):
    term = (torch.rand(B) < 0.4).to(torch.get_default_dtype()) if term is None else term
    obs, next_obs = torch.randn(2, B, obs_dim)
    return m.Batch(obs, torch.rand(B, act_dim) * 2 - 1, torch.randn(B), next_obs, term)


def nets(m, obs_dim, act_dim, hidden=4):
    """π, and a Q of which each twin is the lower one somewhere."""
    pi, q = m.Policy(obs_dim, act_dim, hidden), m.TwinQ(obs_dim, act_dim, hidden)
    with torch.no_grad():
        for p in (*pi.parameters(), *q.parameters()):
            p.mul_(2.0)
    return pi, q


def vector(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# ---- 1 to 4: the formulas


@check("T1", "1. explore")
def explored(m):
    for rows, act_dim, sigma in (((), 1, 0.1), ((5,), 3, 0.3), ((4,), 2, 2.0), ((3,), 2, 0.0)):
        pi, _ = nets(m, 2, act_dim)
        yield from call(m.explore, pi, torch.randn(*rows, 2), sigma, names=("a",), grads=())


@check("T1", "2. smooth")
def smoothed(m):
    for rows, act_dim, sigma, c in ((1, 1, 0.2, 0.5), (5, 3, 2.0, 0.3), (6, 2, 0.8, 0.9)):
        pi, _ = nets(m, 2, act_dim)
        yield from call(m.smooth, pi, 3 * torch.randn(rows, 2), sigma, c, names=("ã",), grads=())


@check("T1", "3. loss_q")
def critic(m):
    for b in (batch(m, 1, 1, 1, torch.zeros(1)), batch(m, 7, 3, 2)):
        pi, q = nets(m, b.obs.shape[1], b.act.shape[1])
        _, q_targ = nets(m, b.obs.shape[1], b.act.shape[1])
        args = q, q_targ, pi, b, 0.9, 0.3, 0.4
        names = "loss", "val", "y"
        yield from reversed_outputs(call(m.loss_q, *args, names=names, grads=("loss",)), names)
        says = "It is for the log, and whoever keeps it would keep all that led to it in memory"
        for name, value in zip(names[1:], m.loss_q(*args)[1:], strict=True):
            yield expect(f"{name} has a gradient", value.requires_grad, False, says=says)


def reversed_outputs(records, names):
    """The target comes before the loss that is made of it."""
    outs = [next(records) for _ in names]
    yield from reversed(outs)
    yield from records


@check("T1", "4. loss_pi")
def actor(m):
    for B, obs_dim, act_dim in ((1, 1, 1), (6, 3, 2)):
        pi, q = nets(m, obs_dim, act_dim)

        def loss_pi(pi, b, q=q):
            return m.loss_pi(q, pi, b)

        yield from call(loss_pi, pi, batch(m, B, obs_dim, act_dim), names=("loss", "act"))
        says = "q is frozen afterwards, and its own loss can move it no more"
        free = [p.requires_grad for p in q.parameters()]
        yield expect("q can learn", free, [True] * len(free), says=says)


# ---- 5: updates


def agent_of(m, cfg):
    """An agent whose four networks have given parameters."""
    agent = m.Agent(3, 2, cfg)
    pi, q = nets(m, 3, 2, cfg.hidden)
    with torch.no_grad():
        for mine, given in ((agent.pi, pi), (agent.q, q), (agent.pi_targ, pi), (agent.q_targ, q)):
            for p, value in zip(mine.parameters(), given.parameters(), strict=True):
                p.copy_(value)
    return agent


@check("T1", "5. Agent: networks and copies at the start")
def start(m):
    agent = m.Agent(3, 2, m.Config(hidden=7))
    sizes = [len(vector(net)) for net in (agent.pi, agent.q)]
    yield expect("parameters of pi and q", sizes, [100, 212])
    yield expect("pi_targ at the start", vector(agent.pi_targ), vector(agent.pi))
    yield expect("q_targ at the start", vector(agent.q_targ), vector(agent.q))


def updates(m, cfg, count, shown):
    """What arises in some of so many updates, in the order in which it does."""
    agent = agent_of(m, cfg)
    for n in range(1, count + 1):
        b = batch(m, 6, 3, 2)
        if n in shown:
            args = agent.q, agent.q_targ, agent.pi_targ, b, cfg.gamma, cfg.smooth, cfg.smooth_clip
            torch.manual_seed(n)
            loss, _, y = m.loss_q(*args)
            yield Record(f"y in update {n}", y)
            yield Record(f"L in update {n}", loss)
            grads = torch.autograd.grad(loss, list(agent.q.parameters()))
            grad = torch.cat([g.flatten() for g in grads])
            yield Record(f"gradient of L in update {n}", grad)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(n)
            agent.update(b, cfg)
        if n in shown:
            for name in ("q", "pi", "q_targ", "pi_targ"):
                yield Record(f"{name} after update {n}", vector(getattr(agent, name)))


@check("T4", "5. Agent: parameters after 1, 2, 3 and 20 updates")
def twice(m):
    yield from updates(m, m.Config(lr=0.01, rho=0.9, hidden=4), 20, (1, 2, 3, 20))


@check("T4", "5. Agent: κ = 3, wide noise, and κ = 1")
def thrice(m):
    cfg = m.Config(gamma=0.8, lr=0.05, rho=0.7, smooth=0.6, smooth_clip=0.3, delay=3, hidden=5)
    yield from updates(m, cfg, 4, range(1, 5))
    yield from updates(m, cfg._replace(delay=1), 2, (1, 2))


# ---- 6: a step of the environment


class Notes:
    """A memory that takes notes of what it is given."""

    def __init__(self, size=0):
        self.rows, self.size = [], size

    def __len__(self):
        return self.size + len(self.rows)

    def add(self, obs, act, rew, next_obs, term):
        row = obs, act, rew, next_obs, term
        self.rows.append([torch.as_tensor(np.array(x), dtype=torch.float32) for x in row])

    def column(self, name):
        return torch.stack([row[FIELDS.index(name)] for row in self.rows])


def pi(obs):
    """Depends on the observation, a tensor, and takes one or many."""
    return torch.stack([torch.sin(obs[..., 0] - obs[..., 1]), torch.cos(obs[..., 0] + 2)], -1)


class Fresh(Script):
    """A script that gives a new array each time."""

    def reset(self, **how):
        obs, info = super().reset(**how)
        return obs.copy(), info

    def step(self, action):
        obs, *rest = super().step(action)
        return obs.copy(), *rest


def played(m, count, cfg, box, memory, world=Script):
    env = world(EPISODES, box)
    obs, _ = env.reset(seed=0)
    for _ in range(count):
        obs = m.collect(env, obs, pi, memory, cfg)
    return env


WIDE = Box(np.float32([-2.0, 0.0]), np.float32([4.0, 1.0]))


def mapped(act, box=WIDE):
    low, high = torch.from_numpy(box.low), torch.from_numpy(box.high)
    return low + (act + 1) / 2 * (high - low)


def remembered(m, world):
    memory = Notes()
    env = played(m, 12, m.Config(random_steps=0, noise=0.0), Box(-1, 1, (2,)), memory, world)
    for name in FIELDS:
        yield Record(f"{name} of each step", memory.column(name))
    yield expect("episodes begun", env.resets, 5)


@check("T3", "6. collect: what is remembered of twelve steps")
def transcript(m):
    yield from remembered(m, Fresh)


@check("T3", "6. collect: the same, in a world that has one array for all observations")
def one_array(m):
    yield from remembered(m, Script)


@check("T3", "6. collect: what is played where the bounds are not ±1")
def scaled(m):
    memory = Notes()
    env = played(m, 12, m.Config(random_steps=0, noise=0.0), WIDE, memory)
    yield Record("act in the memory", memory.column("act"))
    acts = torch.as_tensor(np.stack(env.acts), dtype=torch.float32)
    yield expect("act that was played", acts, mapped(memory.column("act")))


@check("T3", "6. collect: first at random, then π with noise", free=True)
def random_first(m):
    cfg = m.Config(random_steps=230, noise=0.0)
    memory = Notes(30)
    env = played(m, 210, cfg, WIDE, memory)
    act, target = memory.column("act"), pi(memory.column("obs"))
    drawn, later = act[:200], act[200:]
    says = "Random actions should reach from −1 to 1 in each dimension, all parts of it alike"
    alike = ((drawn - target[:200]).abs() < 1e-6).all(-1).sum()
    yield expect("random actions that are those of π", int(alike), 0)
    yield expect("random actions beyond ±1", int((drawn.abs() > 1).sum()), 0, says=says)
    for part in (-0.9, -0.4, 0.1, 0.6):  # a fifth of the range each, so about 40 of 200
        count = ((drawn > part - 0.1) & (drawn < part + 0.3)).sum(0).min().item()
        yield expect(f"few random actions near {part + 0.1:.1f}", count < 12, False, says=says)
    both = (drawn.prod(-1) > 0).float().mean().item()
    says = "Each dimension of a random action is drawn by itself"
    yield expect("dimensions mostly alike", both > 0.75, False, says=says)
    yield expect("actions after random_steps", later, target[200:])
    acts = torch.as_tensor(np.stack(env.acts), dtype=torch.float32)
    off = ((acts - mapped(act)).abs() > 1e-4).any(-1)
    says = "What goes into env.step is the remembered action, mapped to the bounds of env"
    yield expect("steps that play another action than they remember", int(off.sum()), 0, says=says)

    memory = Notes()
    played(m, 300, cfg._replace(random_steps=0, noise=0.4), WIDE, memory)
    act, target = memory.column("act"), pi(memory.column("obs"))
    inside = target.abs() < 0.5
    spread = (act - target)[inside].std().item()
    says = "After random_steps the action is that of explore, noise and all"
    yield expect("deviation from π is near 0.4", 0.25 < spread < 0.55, True, says=says)


# ---- 7: the loop


class Watched:
    """Notes what every update of any Agent is given, as long as it is entered."""

    def __init__(self, m):
        self.agent, self.batches, self.after = m.Agent, [], {}

    def __enter__(self):
        self.update = self.agent.update

        def update(agent, b, cfg):
            self.batches.append(b)
            self.seen.append(len(self.env.acts))
            self.update(agent, b, cfg)
            self.after[self.seen[-1]] = copy.deepcopy(agent.pi)

        self.seen, self.agent.update = [], update
        return self

    def __exit__(self, *_):
        self.agent.update = self.update


def trained(m, steps, cfg, seed=3, box=WIDE):
    with Watched(m) as watched:
        watched.env = Script(EPISODES, box)
        agent = m.td3(watched.env, steps, cfg, seed)
    return agent, watched


def scripted(episodes):
    """[episode, step, step + 1, reward, term] of each step."""
    return [
        [k, s, s + 1, rew, float(term)]
        for k in range(episodes)
        for s, (rew, term, _) in enumerate(EPISODES[k % 4])
    ]


@check("T3", "7. td3: when it learns, and from what", free=True)
def loop(m):
    cfg = m.Config(random_steps=10, minibatch=40, hidden=4, memory=15)
    agent, watched = trained(m, 30, cfg)
    yield expect("steps of the environment", len(watched.env.acts), 30)
    says = "After each step from random_steps on there is one update"
    first = watched.seen[0] if watched.seen else "none at all"
    yield expect("steps before the first update", first, 10, says=says)
    yield expect("steps before each update", watched.seen, list(range(10, 31)), says=says)
    shapes = [[list(part.shape) for part in b] for b in watched.batches]
    want = [[40, 2], [40, 2], [40], [40, 2], [40]]
    yield expect("shapes of the minibatches", shapes, [want] * 21)
    says = "A minibatch holds transitions that never were: the parts of a row belong together"
    for i in (0, 20):
        b = watched.batches[i]
        row = torch.stack([b.obs[:, 0], b.obs[:, 1], b.next_obs[:, 1], b.rew, b.term], -1)
        past = scripted(13)[max(0, 10 + i - 15) : 10 + i]
        strange = [r for r in row.tolist() if r not in past]
        yield expect(f"strange rows in minibatch {i}", strange, [], says=says)
        fresh = len({tuple(r) for r in row.tolist()})
        yield expect(f"minibatch {i} has most of the memory", fresh >= min(8, len(past)), True)
    alike = torch.equal(watched.batches[-1].obs, watched.batches[-2].obs)
    yield expect("two minibatches are the same", alike, False)
    yield expect("what td3 returns is the Agent", isinstance(agent, m.Agent), True)


@check("T3", "7. td3: who plays", free=True)
def player(m):
    cfg = m.Config(random_steps=6, minibatch=5, hidden=4, noise=0.0, lr=0.05, delay=1)
    _, watched = trained(m, 18, cfg)
    states = torch.tensor(scripted(9))[:, :2]
    acts = torch.as_tensor(np.stack(watched.env.acts), dtype=torch.float32)
    with torch.no_grad():
        want = {t: mapped(watched.after[t](states[t])) for t in range(6, 18)}
    alike = [torch.allclose(acts[t], act, atol=1e-4) for t, act in want.items()]
    says = "After random_steps it is agent.pi that plays, as the update before has left it"
    yield expect("actions of agent.pi among the last 12, without noise", sum(alike), 12, says=says)


@check("T3", "7. td3: the same seed, the same run")
def seeded(m):
    cfg = m.Config(random_steps=6, minibatch=5, hidden=4)
    agent, first = trained(m, 14, cfg, seed=3)
    yield expect("seed of the first reset", first.env.np_random_seed, 3)
    again, second = trained(m, 14, cfg, seed=3)
    _, other = trained(m, 14, cfg, seed=4)
    acts = [torch.as_tensor(np.stack(w.env.acts)) for w in (first, second, other)]
    says = "Two runs with one seed differ: something draws numbers that the seed does not reach"
    yield expect("actions of both are equal", torch.equal(acts[0], acts[1]), True, says=says)
    yield expect("pi of both is equal", torch.equal(vector(agent.pi), vector(again.pi)), True)
    says = "Runs with different seeds are the same run"
    yield expect("actions with another seed", torch.equal(acts[0], acts[2]), False, says=says)


# ---- whole runs

STATES = torch.tensor([[-1.0], [1.0]])


def solved(m, name, steps, cfg, **kwargs):
    """What an agent makes of a probe: π(±1), and Q(±1, a) over a of both twins."""
    env = PROBES[name](**kwargs)
    agent = m.td3(env, steps, cfg, int(torch.randint(1000, ())))
    with torch.no_grad():
        acts = torch.linspace(-1, 1, 5)
        q = torch.stack([agent.q(STATES, a.expand(2, 1)) for a in acts], -1)
        return agent.pi(STATES), q, agent


def short(m, **kwargs):
    cfg = dict(gamma=0.5, rho=0.9, lr=0.005, hidden=16, minibatch=32, random_steps=50, noise=0.3)
    return m.Config(**cfg | kwargs)


@check("T5", "7. whole runs: values")
def values(m):
    for name, want, steps, kwargs, says in (
        ("constant", 1.0, 150, {}, "Every reward is 1, and the episode is over"),
        ("delayed", 2 / 3, 300, {}, "0, then 1, indistinguishable: Q = (γ Q + 1) / 2, γ = 0.5"),
        ("endless", 2.0, 250, {}, "The time limit is no end: Q = 1 / (1 − γ) with γ = 0.5"),
    ):
        _, _, agent = solved(m, name, steps, short(m), discrete=False, **kwargs)
        with torch.no_grad():
            q = agent.q(torch.zeros(1, 1), torch.zeros(1, 1)).mean().item()
        yield at_most(f"error of Q, '{name}'", abs(q - want), 0.2, says=says)
    _, q, _ = solved(m, "observed", 250, short(m), discrete=False)
    error = (q - STATES.view(1, 2, 1)).abs().mean().item()
    yield at_most("error of Q, 'observed'", error, 0.2, says="The reward is the observation, ±1")


@check("T5", "7. whole runs: actions")
def actions(m):
    cfg = short(m, hidden=32, delay=1)
    agent = solved(m, "action", 150, cfg, discrete=False)[2]
    act = agent.pi(torch.zeros(1, 1)).item()
    yield at_least("π, 'action'", act, 0.7, says="The reward is the action, so that 1 is the best")
    act, _, _ = solved(m, "pulled", 350, cfg)
    error = (act - STATES / 2).abs().max().item()
    yield at_most(
        "error of π, 'pulled'", error, 0.3, says="The best action is half the observation"
    )


class Held(gym.Wrapper):
    """Each action is held for four steps, so that an episode has 50 decisions and not 200."""

    def step(self, action):
        total = 0.0
        for _ in range(4):
            obs, rew, term, trunc, info = self.env.step(action)
            total += rew
            if term or trunc:
                break
        return obs, total, term, trunc, info


@check("T6", "7. Pendulum-v1, 3000 actions of four steps each", seeds=3, needed=2)
def pendulum(m, seed):
    cfg = m.Config(gamma=0.95, rho=0.98, lr=2e-3)
    agent = m.td3(Held(gym.make("Pendulum-v1")), 3000, cfg, seed)
    env, returns = Held(gym.make("Pendulum-v1")), []
    for episode in range(10):
        obs, _ = env.reset(seed=1000 + episode)
        returns.append(0.0)
        over = False
        while not over:
            with torch.no_grad():
                act = agent.pi(torch.as_tensor(obs)).numpy()
            obs, rew, term, trunc, _ = env.step(2 * act)
            returns[-1] += rew
            over = term or trunc
    says = "π of the trained agent, without noise, in ten episodes"
    yield at_least("mean return", float(np.mean(returns)), -600.0, says=says)
