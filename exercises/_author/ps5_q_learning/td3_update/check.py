import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from exercises.lab import Record, Wrong, call, check, expect


def batch(m, B, obs_dim, act_dim, term=None):
    term = (torch.rand(B) < 0.4).double() if term is None else torch.tensor(term)
    obs, next_obs = torch.randn(2, B, obs_dim)
    return m.Batch(obs, torch.rand(B, act_dim) * 2 - 1, torch.randn(B), next_obs, term)


def nets(m, obs_dim, act_dim):
    """π, and a Q of which each twin is the lower one somewhere."""
    pi, q = m.Policy(obs_dim, act_dim, 4), m.TwinQ(obs_dim, act_dim, 3)
    with torch.no_grad():
        for p in (*pi.parameters(), *q.parameters()):
            p.mul_(2.0)
    return pi, q


def vector(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@check("T1", "smooth: one number, then five rows of three")
def smoothed(m):
    for B, act_dim in ((1, 1), (5, 3), (3, 7)):
        pi, _ = nets(m, 2, act_dim)
        for sigma, c in ((0.2, 0.5), (2.0, 0.3), (0.0, 0.5)):
            obs = torch.randn(B, 2)
            name = f"ã (σ = {sigma}, c = {c})"
            yield from call(m.smooth, pi, obs, sigma, c, names=(name,), grads=(), seed=B)


@check("T1", "smooth at the ends of the range")
def bounded(m):
    pi, obs = m.Policy(2, 3, 4), 30 * torch.randn(6, 2)
    with torch.no_grad():
        for p in pi.parameters():
            p.mul_(20.0)
    yield from call(m.smooth, pi, obs, 0.4, 0.5, names=("ã (σ = 0.4, c = 0.5)",), grads=())


def critic(m, b, gamma=0.9, sigma=0.3, c=0.4):
    pi, q = nets(m, b.obs.shape[1], b.act.shape[1])
    _, q_targ = nets(m, b.obs.shape[1], b.act.shape[1])
    args = q, q_targ, pi, b, gamma, sigma, c
    yield from call(m.loss_q, *args, names=("loss", "val", "y"))


@check("T1", "L of one transition, then of seven")
def losses(m):
    yield from critic(m, batch(m, 1, 1, 1, [0.0]))
    yield from critic(m, batch(m, 7, 3, 2))
    yield from critic(m, batch(m, 5, 2, 4), gamma=0.5, sigma=1.0, c=0.2)


@check("T1", "−J of one state, then of six")
def climbs(m):
    for B, obs_dim, act_dim in ((1, 1, 1), (6, 3, 2)):
        pi, q = nets(m, obs_dim, act_dim)

        def loss_pi(pi, b, q=q):
            return m.loss_pi(q, pi, b)

        args = pi, batch(m, B, obs_dim, act_dim)
        yield from call(loss_pi, *args, names=("loss", "act"))
        says = "q is frozen afterwards, and its own loss can move it no more"
        free = [p.requires_grad for p in q.parameters()]
        yield expect("q can learn", free, [True] * len(free), says=says)


def updated(agent, b, cfg):
    """One update; the gradient with which an optimiser stepped Q in it."""
    params, grads = list(agent.q.parameters()), []

    def before(opt, *_):
        if any(p is params[0] for group in opt.param_groups for p in group["params"]):
            found = [torch.zeros_like(p) if p.grad is None else p.grad for p in params]
            grads.append(torch.cat([g.flatten() for g in found]))

    hook = register_optimizer_step_pre_hook(before)
    try:
        agent.update(b, cfg)
    finally:
        hook.remove()
    if len(grads) != 1:
        raise Wrong(f"Q took {len(grads)} steps of an optimiser in one update: it takes one")
    return grads[0]


def updates(m, cfg, count, shown):
    """Parameters after some of so many updates, in the order in which they arise."""
    pi, q = nets(m, 3, 2)
    other_pi, other_q = nets(m, 3, 2)
    agent = m.Agent(pi, q, cfg)
    yield Record("q_targ before any update", vector(agent.q_targ))
    yield Record("pi_targ before any update", vector(agent.pi_targ))
    with torch.no_grad():  # other networks than their copies, so that it is seen who is asked
        for net, other in ((pi, other_pi), (q, other_q)):
            for p, value in zip(net.parameters(), other.parameters(), strict=True):
                p.copy_(value)
    for n in range(1, count + 1):
        b = batch(m, 5, 3, 2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(n)
            grad = updated(agent, b, cfg)
        if n in shown:
            yield Record(f"gradient of q in update {n}", grad)
            for name in ("q", "pi", "q_targ", "pi_targ"):
                yield Record(f"{name} after update {n}", vector(getattr(agent, name)))


@check("T4", "κ = 2: parameters after 1, 2, 3 and 20 updates")
def twice(m):
    yield from updates(m, m.Config(lr=0.01, rho=0.9), 20, (1, 2, 3, 20))


@check("T4", "κ = 3, wide noise: parameters after each of seven updates")
def thrice(m):
    cfg = m.Config(gamma=0.8, lr=0.05, rho=0.7, smooth=0.6, smooth_clip=0.3, delay=3)
    yield from updates(m, cfg, 7, range(1, 8))


@check("T4", "κ = 1: every update moves all")
def always(m):
    yield from updates(m, m.Config(lr=0.01, rho=0.5, delay=1), 2, (1, 2))


@check("T4", "two agents do not share anything")
def apart(m):
    cfg = m.Config(lr=0.01, rho=0.9)
    one, other = (m.Agent(*nets(m, 3, 2), cfg) for _ in range(2))
    before = vector(other.pi)
    for n in range(3):
        torch.manual_seed(n)
        one.update(batch(m, 5, 3, 2), cfg)
    yield expect("pi of an agent that was not updated", vector(other.pi), before)
    torch.manual_seed(9)
    other.update(batch(m, 5, 3, 2), cfg)
    says = "Another agent's updates were counted as well: the counter belongs to each agent"
    yield expect("pi after its first update", vector(other.pi), before, says=says)
