import torch

from exercises.lab import Record, Wrong, check, expect

BASELINES = ("none", "constant", "value", "action", "own")


def tried(fn, names, **args):
    """Outputs of fn as tensors, whatever kind of number they are."""
    copies = {k: v.clone() for k, v in args.items()}
    out = fn(**copies)
    outs = out if len(names) > 1 else (out,)
    if out is None:
        raise Wrong(f"{fn.__name__} returned None: is a return missing?")
    if not isinstance(outs, tuple | list) or len(outs) != len(names):
        raise Wrong(f"{fn.__name__} has to return {len(names)} values: {', '.join(names)}")
    for name, value in zip(names, outs, strict=True):
        yield Record(name, torch.as_tensor(value, dtype=torch.float64).detach())
    for name, value in args.items():
        if not torch.equal(copies[name].detach(), value):
            raise Wrong(f"{fn.__name__} changed its argument {name} in place: work on a new tensor")


def stats(m, **args):
    return tried(m.gradient_stats, ("mean", "variance"), **args)


def sample(K, T, S, A):
    """Any trajectories, with probabilities that are all different."""
    p = torch.rand(K) + 0.05
    obs, act = torch.randint(S, (K, T)), torch.randint(A, (K, T))
    obs.view(-1)[:S], act.view(-1)[:A] = torch.arange(S), torch.arange(A)
    return dict(p=p / p.sum(), obs=obs, act=act), 3 * torch.randn(K, T)


def world(m, S=2, A=2, T=3):
    """A world, a policy, and all of its trajectories with their rewards to go."""
    w, theta = m.World(S, A, T), torch.randn(S, A)
    p, obs, act, ret = w.trajectories(theta)
    return w, theta, dict(p=p, obs=obs, act=act), ret


def conditional(p, keys, ret):
    """The mean of ret for each key and time, by looking them all up."""
    found = {}
    for k, row in enumerate(keys.tolist()):
        for t, key in enumerate(row):
            found.setdefault((t, key), []).append(k)
    base = torch.zeros_like(ret)
    for (t, _), ks in found.items():
        base[ks, t] = (p[ks] * ret[ks, t]).sum() / p[ks].sum()
    return base


@check("T1", "V of two trajectories of one step that meet")
def meet(m):
    args = dict(p=torch.tensor([0.75, 0.25]), obs=torch.tensor([[1], [1]]))
    yield from tried(m.value, ("V",), **args, ret=torch.tensor([[4.0], [8.0]]))


@check("T1", "V where the same state comes at another time")
def time(m):
    args = dict(p=torch.tensor([0.5, 0.2, 0.3]), obs=torch.tensor([[0, 1], [0, 0], [1, 1]]))
    ret = torch.tensor([[2.0, 1.0], [-3.0, 5.0], [0.0, -1.0]])
    yield from tried(m.value, ("V",), **args, ret=ret)


@check("T1", "V of nine trajectories of four steps")
def many(m):
    args, ret = sample(9, 4, 3, 2)
    yield from tried(m.value, ("V",), p=args["p"], obs=args["obs"], ret=ret)


@check("T1", "mean and variance of one step: one state, two actions")
def bandit(m):
    args = dict(p=torch.tensor([0.6, 0.4]), obs=torch.tensor([[0], [0]]))
    args |= dict(act=torch.tensor([[0], [1]]), weight=torch.tensor([[1.0], [3.0]]))
    yield from stats(m, theta=torch.tensor([[0.4, -0.0054651]]), **args)


@check("T1", "mean and variance of one trajectory only")
def alone(m):
    args = dict(p=torch.ones(1), obs=torch.tensor([[0, 1, 0]]), act=torch.tensor([[2, 0, 1]]))
    yield from stats(m, theta=torch.randn(2, 3), **args, weight=torch.tensor([[1.0, -2.0, 0.5]]))


@check("T1", "mean and variance of seven trajectories of four steps")
def seven(m):
    args, weight = sample(7, 4, 3, 2)
    yield from stats(m, theta=2 * torch.randn(3, 2), **args, weight=weight)


@check("T2", "V leaves a mean of 0 in each state at each time")
def centred(m):
    _, _, a, ret = world(m, 3, 2, 2)
    v = m.value(a["p"], a["obs"], ret)
    for t in range(2):
        for s in range(3):
            here = a["p"] * (a["obs"][:, t] == s)
            yield expect(f"mean of G − V in state {s} at time {t}", here @ (ret - v)[:, t], 0.0)
    yield expect(
        "V of returns that are 2 higher, minus 2", m.value(a["p"], a["obs"], ret + 2) - 2, v
    )


@check("T2", "the mean is the exact gradient, with any constant baseline")
def exact(m):
    w, theta, a, ret = world(m)
    want = w.gradient(theta)
    for base in (0.0, 10.0, -0.7):
        mean, _ = m.gradient_stats(theta, **a, weight=ret - base)
        yield expect(f"mean with the baseline {base}", torch.as_tensor(mean).detach(), want)


@check("T7", "which baselines leave the mean as it is")
def answers(m):
    w, theta, a, ret = world(m)
    bases = {
        "none": 0 * ret,
        "constant": 0 * ret + 10,
        "value": conditional(a["p"], a["obs"], ret),
        "action": conditional(a["p"], 100 * a["obs"] + a["act"], ret),
        "own": ret.mean(1, keepdim=True).expand_as(ret),
    }
    said = m.unbiased()
    if not isinstance(said, dict) or set(said) != set(BASELINES):
        raise Wrong(f"unbiased() has to return a dictionary with the keys {', '.join(BASELINES)}")
    if not all(isinstance(said[name], bool) for name in BASELINES):
        raise Wrong("unbiased() has to say True or False for each of the five")
    one_hot = torch.nn.functional.one_hot
    score = one_hot(a["act"], 2) - theta.softmax(-1)[a["obs"]]
    rows = one_hot(a["obs"], 2).float()
    for name, base in bases.items():
        mean = torch.einsum("k,kts,kta,kt->sa", a["p"], rows, score, ret - base)
        right = bool((mean - w.gradient(theta)).norm() < 1e-4)
        yield expect(f"unbiased()[{name!r}]", said[name], right, says="Run the file to see it.")
