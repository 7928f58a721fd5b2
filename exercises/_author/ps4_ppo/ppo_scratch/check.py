from types import SimpleNamespace

import gymnasium as gym
import torch
from gymnasium.spaces import Box, Discrete
from torch import nn

from exercises._author.ps4_ppo.parts import Adam, Gaussian, Softmax, loss_of, moved, sampled
from exercises.given import mlp
from exercises.lab import Record, at_least, at_most, call, check, expect
from exercises.worlds import PROBES, Script

TOL = 1e-5  # clip_grad_norm_ adds 1e-6 to the norm; whoever scales by hand need not


class Value(nn.Module):
    def __init__(self, obs_dim):
        super().__init__()
        self.net = mlp([obs_dim, 4, 1])

    def forward(self, obs):
        return self.net(obs).squeeze(-1)


# ---- 1


def box(dim):
    return Box(-1, 1, (dim,))


def shapes(pi, obs, act):
    dist = pi(obs)
    n = len(obs)
    says = "One number for each row of obs: the dimensions of an action are summed."
    yield expect("shape of sample()", list(dist.sample().shape), list(act.shape))
    yield expect("shape of log_prob(act)", list(dist.log_prob(act).shape), [n], says=says)
    yield expect("shape of entropy()", list(dist.entropy().shape), [n], says=says)


def learnt(pi, obs, act):
    """Which parameters the log-probabilities and the entropy depend on."""
    for name, value in (("log_prob", pi(obs).log_prob(act)), ("entropy", pi(obs).entropy())):
        says = (
            f"{name}() cannot be changed by learning: what it is made of is no parameter of Actor."
        )
        yield expect(f"{name} can be differentiated", value.requires_grad, True, says=says)
    params = list(pi.parameters())
    grads = torch.autograd.grad(pi(obs).log_prob(act).sum(), params, allow_unused=True)
    idle = sum(g is None or not g.any() for g in grads)
    yield expect("parameters of Actor without a gradient", idle, 0)


@check("T2", "1 Actor and Critic: shapes, densities, parameters")
def networks(m):
    obs = torch.randn(5, 3)
    v = m.Critic(3)
    says = "V(s) is one number for each row: (B, 1) less (B,) would be (B, B)."
    yield expect("shape of V", list(v(obs).shape), [5], says=says)
    yield at_least("spread of V over the observations", v(obs).std().detach(), 1e-4)
    idle = sum(g is None for g in torch.autograd.grad(v(obs).sum(), list(v.parameters())))
    yield expect("parameters of Critic without a gradient", idle, 0)

    pi = m.Actor(3, Discrete(4))
    yield from shapes(pi, obs, torch.tensor([0, 1, 2, 3, 0]))
    every = torch.arange(4)
    logp = pi(obs[:1].expand(4, -1)).log_prob(every).detach()
    p = logp.exp()
    yield expect("sum of the probabilities", p.sum(), torch.tensor(1.0))
    entropy = pi(obs[:1]).entropy()[0].detach()
    yield expect("entropy()", entropy, -(p * logp).sum())
    often = pi(obs[:1].expand(4000, -1)).sample()
    share = (often == every[:, None]).double().mean(1)
    yield at_most(
        "share of an action in 4000 samples, less its probability", abs(share - p).max(), 0.05
    )
    other = pi(obs[1:2].expand(4, -1)).log_prob(every).detach()
    yield at_least("change of log_prob with the observation", (other - logp).abs().max(), 1e-4)
    yield from learnt(pi, obs, torch.tensor([0, 1, 2, 3, 0]))

    for dim in (1, 2):
        pi = m.Actor(3, box(dim))
        yield from shapes(pi, obs, torch.zeros(5, dim))
        line = torch.linspace(-8, 8, 81)
        grid = torch.cartesian_prod(*[line] * dim).view(-1, dim)
        logp = pi(obs[:1].expand(len(grid), -1)).log_prob(grid).detach()
        p = logp.exp() * 0.2**dim  # of each cell of the grid
        yield expect(f"integral of the density, act_dim = {dim}", p.sum(), torch.tensor(1.0), 1e-3)
        entropy = pi(obs[:1]).entropy()[0].detach()
        yield expect(f"entropy(), act_dim = {dim}", entropy, -(p * logp).sum(), 1e-2)
        often = pi(obs[:1].expand(4000, -1)).sample()
        mean = p @ grid
        std = (p @ (grid - mean) ** 2).sqrt()
        start = torch.full((dim,), -0.5).exp()
        yield expect(f"std at the start, act_dim = {dim}", std, start, 1e-3)
        off = ((often.mean(0) - mean).abs() / std).max()
        yield at_most(f"mean of 4000 samples, in stds off, act_dim = {dim}", off, 0.1)
        ratio = (often.std(0) / std - 1).abs().max()
        yield at_most(f"std of 4000 samples, relative error, act_dim = {dim}", ratio, 0.1)
        yield from learnt(pi, obs, torch.zeros(5, dim))


# ---- 2


class Env(Script):
    """A script that remembers the seeds of its resets; if `fresh`, each array is a new one."""

    def __init__(self, episodes, act_space=None, fresh=False):
        super().__init__(episodes, act_space)
        self.fresh, self.seeds = fresh, []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        obs, info = super().reset(seed=seed)
        return obs.copy() if self.fresh else obs, info

    def step(self, action):
        obs, *rest = super().step(action)
        return obs.copy() if self.fresh else obs, *rest


class Played:
    """A policy that plays its actions one after the other; as a distribution it is itself."""

    def __init__(self, acts):
        self.acts, self.drawn = torch.tensor(acts), 0
        self.weight = nn.Parameter(torch.tensor(0.1))

    def __call__(self, obs):
        dist = SimpleNamespace(obs=torch.as_tensor(obs))
        dist.sample = lambda: self.next(dist.obs)
        dist.log_prob = lambda act: self.log_prob(dist.obs, act)
        dist.mode = 0 * self.acts[0].expand(*dist.obs.shape[:-1], *self.acts.shape[1:])
        return dist

    def next(self, obs):
        act = self.acts[self.drawn % len(self.acts)]
        self.drawn += 1
        return act.expand(*obs.shape[:-1], *act.shape).clone()

    def log_prob(self, obs, act):
        act = torch.as_tensor(act)
        act = act.float() if self.acts.ndim == 1 else act.sum(-1)
        return -self.weight * (1 + obs @ torch.tensor([3.0, 1.0]) + act)


EPISODES = [
    [(1.0, False, False), (-2.0, False, False), (3.0, True, False)],
    [(0.5, False, False), (0.25, False, True)],
    [(4.0, True, True)],
    [(1.5, False, False), (2.5, False, False), (-1.0, False, False), (0.0, True, False)],
]


def collected(m, env, pi, *steps):
    obs, _ = env.reset(seed=0)
    for i, n in enumerate(steps, 1):
        roll, obs = m.collect(env, obs, pi, n)
        for name, x in zip(m.Rollout._fields, roll, strict=True):
            yield Record(f"{name} of rollout {i}", x)
        yield Record(f"observation to go on from after rollout {i}", torch.tensor(obs).flatten())
    acts = [torch.as_tensor(a).flatten().tolist() for a in env.acts]
    yield Record("actions that the environment got", torch.tensor(acts))
    yield Record("resets", env.resets)
    says = "Only the very first reset has a seed: a second one would play the same episode again."
    yield expect("resets with a seed", len(env.seeds) - env.seeds.count(None), 1, says=says)


@check("T3", "2 collect: twelve scripted steps, and five that go on from there")
def collecting(m):
    acts = [2, 0, 1, 1, 2, 2, 0]
    yield from collected(m, Env(EPISODES, fresh=True), Played(acts), 1, 3)
    yield from collected(m, Env(EPISODES, fresh=True), Played(acts), 12, 5)
    yield from collected(m, Env(EPISODES), Played(acts), 7, 4)
    wide = [[0.5, -0.25], [1.75, -0.5], [-3.0, 2.0]]
    yield from collected(m, Env(EPISODES, box(2)), Played(wide), 8, 3)
    yield from collected(m, Env(EPISODES, box(1), fresh=True), Played([[0.5], [-2.0]]), 5)


# ---- 3


@check("T1", "3 gae: without an end, with a terminal state, with a time limit, with all of them")
def advantages(m):
    rew, val, next_val = torch.tensor([[1.0, 0.0, 2.0], [0.5, 1.0, 1.5], [1.0, 1.5, 3.0]])
    no, first = torch.zeros(3), torch.tensor([1.0, 0.0, 0.0])
    for end, term, done in (
        ("no end", no, no),
        ("a terminal state after step 0", first, first),
        ("a time limit after step 0", no, first),
    ):
        names = (f"adv with {end}", f"ret with {end}")
        args = rew, val, next_val, term, done.clone()
        yield from call(m.gae, *args, gamma=0.9, lam=0.8, names=names)
    term, trunc = (torch.rand(2, 11) < 0.3).double()
    args = *torch.randn(3, 11), term, torch.max(term, trunc)
    yield from call(m.gae, *args, gamma=0.97, lam=0.9, names=("adv", "ret"))


# ---- 4


@check("T1", "4 prepare: values of s and s', advantages, returns")
def preparing(m):
    for n, act in ((9, torch.arange(9) % 3), (4, torch.randn(4, 2))):
        term, trunc = (torch.arange(n) % 3 == 1).double(), (torch.arange(n) % 4 == 2).double()
        flags = dict(term=term, done=torch.max(term, trunc))
        obs, next_obs = torch.randn(2, n, 3)
        logp, rew = torch.randn(2, n)
        roll = m.Rollout(obs=obs, act=act, logp=logp, rew=5 * rew + 2, next_obs=next_obs, **flags)
        names = ("obs", "act", "logp_old", "adv", "ret")
        order = ("ret", "adv", "obs", "act", "logp_old")
        args = dict(roll=roll, v=Value(3), gamma=0.9, lam=0.8)
        records = list(call(m.prepare, **args, names=names, grads=("adv", "ret")))
        yield from sorted(records, key=lambda r: order.index(r.label) if r.label in order else 9)


# ---- 5


@check("T1", "5 losses: value and gradient, with w inside and outside of the clip")
def losses(m):
    loss_pi = loss_of(m, m.Batch)
    pi = Softmax(3, 4)
    for w in (1.0, 1.5, 0.5):
        for adv in (1.5, -2.0):
            b = moved(m.Batch, pi, torch.ones(1, 3), torch.tensor([2]), [w], [adv])
            at = f"at w = {w}, Â = {adv}"
            yield from call(loss_pi, pi, b, 0.2, 0.0, names=(f"loss_pi {at}", f"KL {at}"))
    w = torch.linspace(0.31, 2.13, 11)
    b = moved(m.Batch, pi, torch.randn(11, 3), torch.arange(11) % 4, w, torch.randn(11))
    names = ("loss_pi of 11 discrete steps", "KL of 11 discrete steps")
    yield from call(loss_pi, pi, b, 0.3, 0.5, names=names)
    pi, v = Gaussian(2, 3), Value(2)
    b = moved(m.Batch, pi, torch.randn(7, 2), torch.randn(7, 3), w[:7], torch.randn(7))
    names = ("loss_pi of 7 continuous steps", "KL of 7 continuous steps")
    yield from call(loss_pi, pi, b, 0.2, 0.01, names=names)

    def loss_v(v, b):
        return m.loss_v(v, m.Batch(*(x.detach() for x in b)))

    yield from call(loss_v, v, b)


# ---- 6


def settings(m, **changed):
    usual = dict(passes=1, minibatch=64, entropy=0.0, max_kl=1e9, max_norm=1e9)
    return m.Config(**usual | changed)


def updates(m, case, pi, lr, rows, count=1, **changed):
    torch.manual_seed(0)
    v = Value(pi.net[0].in_features)
    opt = Adam(lr, pi=pi, v=v)
    for i in range(1, count + 1):
        torch.manual_seed(i)  # whoever draws all orders at first draws more before a stop
        b = sampled(m.Batch, pi, torch.randn(rows, pi.net[0].in_features))
        opt.seen.clear()
        m.update(pi, v, opt, b, settings(m, **changed))
        yield Record(f"{case}: steps taken in update {i}", len(opt.seen))
        if count == 1:
            for k, (grads, params) in enumerate(opt.seen, 1):
                yield Record(f"{case}: gradient in step {k}", grads, tol=TOL)
                yield Record(f"{case}: parameters after step {k}", params, tol=TOL)
        if i in (2, 20):
            yield Record(f"parameters after update {i}", opt.now(), tol=TOL)


@check("T4", "6 update: gradients and parameters, step by step, then after 1, 2 and 20 updates")
def updating(m):
    softmaxes, gaussians = [Softmax(3, 4) for _ in range(4)], [Gaussian(3, 2) for _ in range(2)]
    yield from updates(m, "one step", softmaxes[0], 0.02, 6, entropy=0.1)
    yield from updates(m, "minibatches", softmaxes[1], 0.02, 11, passes=3, minibatch=4)
    how = dict(passes=2, minibatch=3, max_norm=0.5)
    yield from updates(m, "long gradients", gaussians[0], 0.02, 7, **how)
    for pi, max_kl in zip(softmaxes[2:], (0.001, 0.02), strict=True):
        how = dict(passes=4, minibatch=5, max_kl=max_kl, max_norm=0.5)
        yield from updates(m, f"max_kl = {max_kl}", pi, 0.05, 13, **how)
    how = dict(minibatch=8, entropy=0.01, max_kl=0.03, max_norm=0.5)
    yield from updates(m, "20 updates", gaussians[1], 0.003, 13, 20, **how)


# ---- 7


def by_parts(m, env, seed, cfg):
    """What ppo comes to if it is made of the other six in this order."""
    torch.manual_seed(seed)
    pi, v = m.Actor(2, env.action_space), m.Critic(2)
    opt = torch.optim.Adam([*pi.parameters(), *v.parameters()], lr=cfg.lr, eps=1e-5)
    obs, _ = env.reset(seed=seed)
    for _ in range(cfg.steps // cfg.horizon):
        roll, obs = m.collect(env, obs, pi, cfg.horizon)
        m.update(pi, v, opt, m.prepare(roll, v, cfg.gamma, cfg.lam), cfg)
    return named(pi), named(v)


def named(net):
    return {k: p.detach().clone() for k, p in net.named_parameters()}


@check("T3", "7 ppo: seeds, steps, returns, and parameters as the parts would make them")
def whole(m):
    for space, seed, steps, horizon in (
        (Discrete(3), 3, 0, 6),
        (Discrete(3), 3, 6, 6),
        (Discrete(3), 4, 20, 7),
        (box(2), 5, 10, 5),
    ):
        cfg = m.Config(steps=steps, horizon=horizon, minibatch=4, passes=1, gamma=0.9, lam=0.8)
        envs = []

        def make(space=space, envs=envs):
            envs.append(Env(EPISODES, space, fresh=True))
            return envs[-1]

        at = f"with steps = {steps}, horizon = {horizon}"
        torch.manual_seed(99)
        pi, v, returns = m.ppo(make, seed, cfg)
        env, other = envs[-1], Env(EPISODES, space, fresh=True)
        yield expect(f"environments made {at}", len(envs), 1)
        want = by_parts(m, other, seed, cfg)
        yield expect(f"steps of the environment {at}", len(env.acts), horizon * (steps // horizon))
        yield expect(f"seeds of its resets {at}", env.seeds, other.seeds)
        ends = [sum(rew for rew, _, _ in e) for e in EPISODES]
        count = env.resets - (not env.over)
        yield expect(f"returns {at}", list(returns), (ends * 9)[:count])
        says = "The seed comes first, then Actor, then Critic, and nothing else draws."
        if steps:
            says = "The other six parts, put together as the comments say, come to something else."
        yield expect(f"parameters of pi {at}", named(pi), want[0], says=says)
        yield expect(f"parameters of v {at}", named(v), want[1], says=says)
        if steps != 6:
            continue
        torch.manual_seed(98)
        again, _, _ = m.ppo(make, seed, cfg)
        yield expect(f"parameters of pi in a second run {at}", named(again), named(pi))


# ---- all of it


STATES = torch.tensor([[-1.0], [1.0], [0.0]])
QUICK = dict(horizon=128, minibatch=64, passes=8, lr=5e-3, gamma=0.9, max_kl=0.1)
CAREFUL = dict(horizon=256, minibatch=64, passes=6, lr=3e-3, gamma=0.9, max_kl=0.05, entropy=0.02)


def trained(m, name, seed, **cfg):
    pi, v, _ = m.ppo(PROBES[name], seed, m.Config(**cfg))
    with torch.no_grad():
        return pi, [round(x, 4) for x in v(STATES).tolist()]


@check("T5", "probes of V: constant, observed, delayed, and cut off by a time limit")
def values(m, seed=0):
    _, v = trained(m, "constant", seed, steps=768, **QUICK)
    yield at_most("constant: error of V, which is 1", abs(v[2] - 1), 0.1)
    _, v = trained(m, "observed", seed, steps=1024, **QUICK)
    yield at_most("observed: error of V(-1), which is -1", abs(v[0] + 1), 0.15)
    yield at_most("observed: error of V(1), which is 1", abs(v[1] - 1), 0.15)
    _, v = trained(m, "delayed", seed, steps=1024, **QUICK | dict(gamma=0.5))
    yield at_most("delayed: error of V, which is near 0.74 with γ = 0.5", abs(v[2] - 0.74), 0.1)
    _, v = trained(m, "endless", seed, steps=2560, **QUICK | dict(gamma=0.8))
    yield at_most("endless: error of V, which is 1/(1 - γ) = 5", abs(v[2] - 5), 0.75)


@check("T5", "probes of π: the action counts, then the action and the state")
def actions(m, seed=0):
    one = torch.ones(3, dtype=torch.int64)
    pi, _ = trained(m, "action", seed, steps=1536, **CAREFUL)
    p = pi(STATES).log_prob(one).exp().detach()
    yield at_least("action: probability of action 1, which is paid", p[2], 0.8)
    pi, _ = trained(m, "matching", seed, steps=2560, **CAREFUL)
    p = pi(STATES).log_prob(one).exp().detach()
    yield at_most("matching: probability of action 1 in state -1", p[0], 0.2)
    yield at_least("matching: probability of action 1 in state 1", p[1], 0.8)


@check("T5", "a probe of π with a continuous action: half the state")
def pulled(m, seed=0):
    pi, _ = trained(m, "pulled", seed, steps=4096, **CAREFUL)
    mean = pi(STATES[:2].repeat_interleave(2000, 0)).sample().view(2, 2000).mean(1)
    yield at_most("error of the mean action in state -1, which is -0.5", abs(mean[0] + 0.5), 0.25)
    yield at_most("error of the mean action in state 1, which is 0.5", abs(mean[1] - 0.5), 0.25)


BAR = 150.0  # a random policy has 22, the best possible is 500


@check("T6", "CartPole-v1: the best mean return of 20 episodes in a row", seeds=3, needed=2)
def cartpole(m, seed):
    _, _, returns = m.ppo(lambda: gym.make("CartPole-v1"), seed, m.Config())
    best = max((sum(returns[i : i + 20]) / 20 for i in range(len(returns) - 19)), default=0.0)
    yield at_least(f"best mean of 20 of {len(returns)} returns", best, BAR)
