"""Figures of closed forms and of small exact computations."""

from collections.abc import Callable, Iterable
from math import e, log, log10, pi, sqrt

import torch
from _figures.panel import Panel, Points
from _figures.play import impulse, objective
from torch import Tensor
from torch.nn.functional import softplus
from torch.special import ndtr as Phi

from rlcourse.algos import ppo, sac
from rlcourse.utils.distributions import Categorical, Normal

FLOAT = torch.float64


def line(low: float, high: float, n: int = 201) -> Tensor:
    return torch.linspace(low, high, n, dtype=FLOAT)


def xy(x: Tensor, y: Tensor) -> Points:
    return zip(x.tolist(), y.tolist(), strict=True)


def phi(x: Tensor) -> Tensor:
    return (-(x**2) / 2).exp() / sqrt(2 * pi)


# ------------------------------------------------------------------------------- the corridor


def corridor() -> tuple[Tensor, Tensor]:
    """P (cell, action, next cell), 3 is the exit, and the mean rewards; docs/theory/mdp.md."""
    P = torch.zeros(3, 2, 4, dtype=FLOAT)
    for s in range(3):
        P[s, 0, max(s - 1, 0)] = 1
        P[s, 1, s + 1], P[s, 1, s] = 0.8, 0.2
    return P, 11 * P[..., 3] - 1


def errors(improve: Callable[[Tensor], Tensor], rounds: int) -> list[float]:
    """How far V is from its fixed point, for every round from 0 on; `improve` makes V of Q."""
    P, r = corridor()
    V = [torch.zeros(3, dtype=FLOAT)]
    for _ in range(500):
        V.append(improve(r + 0.9 * P[..., :3] @ V[-1]))
    return [(v - V[-1]).abs().max().item() for v in V[: rounds + 1]]


def contraction() -> list[Panel]:
    panel = Panel((0, 20), (-4, 1.3), "round k", "largest error of V in the corridor", log="y")
    mean, best = errors(lambda q: q.mean(1), 20), errors(lambda q: q.max(1).values, 20)
    for error, cls, text in (mean, "c1", "the random policy"), (best, "c0", "the best policy"):
        bound = [(k, log10(error[0] * 0.9**k)) for k in range(21)]
        panel.add(bound, f"{cls} dash", f"bound 0.9ᵏ, {text}")
        points = [(k, log10(x)) for k, x in enumerate(error) if x > 1e-5]
        panel.add(points, cls, text).add(points, cls, kind="dots")
    return [panel]


def gae_moments(lam: float) -> tuple[float, float]:
    """Bias and deviation of the advantage of docs/theory/advantage.md, exactly: 25 steps back."""
    P, r = corridor()
    v = torch.linalg.solve(torch.eye(3, dtype=FLOAT) - 0.9 * P.mean(1)[:, :3], r.mean(1))
    wrong = torch.cat([v + torch.tensor([2.0, 0.0, -2.0], dtype=FLOAT), torch.zeros(1).double()])
    reward = torch.tensor([-1.0, -1.0, -1.0, 10.0], dtype=FLOAT)
    delta = reward + 0.9 * wrong - wrong[:3, None]  # (cell, next cell)
    one = two = torch.zeros(4, dtype=FLOAT)  # means of A and of A²
    for k in range(25):
        p = P[:, 1] if k == 24 else P.mean(1)  # the first step goes to the right
        ahead = 0.9 * lam * one
        new = (p * (delta + ahead)).sum(1)
        two = (p * (delta**2 + 2 * delta * ahead + (0.9 * lam) ** 2 * two)).sum(1)
        one, two = (torch.cat([x, torch.zeros(1).double()]) for x in (new, two))
    truth = (r + 0.9 * P[..., :3] @ v)[1, 1] - v[1]
    return (one[1] - truth).item(), sqrt(two[1] - one[1] ** 2)


def gae_tradeoff() -> list[Panel]:
    lams = [i / 50 for i in range(51)]
    moments = [gae_moments(lam) for lam in lams]
    parts = Panel((0, 1), (0, 7), "λ", "of one advantage in the corridor")
    parts.add(zip(lams, [-b for b, _ in moments], strict=True), "c1 dash", "bias, downwards")
    parts.add(zip(lams, [s for _, s in moments], strict=True), "c0", "standard deviation")
    total = Panel((0, 1), (0, 2.5), "λ", "error of a mean of n")
    for n, cls in (10, "c3 dot"), (100, "c2 dash"), (10_000, "c0"):
        error = [sqrt(b**2 + s**2 / n) for b, s in moments]
        total.add(zip(lams, error, strict=True), cls, f"n = {n:,}")
        best = error.index(min(error))
        total.add([(lams[best], error[best])], cls.split()[0], kind="dots")
    return [parts, total]


def estimates() -> tuple[float, dict[str, list[tuple[float, float]]]]:
    """(probability, estimate) of the slope of U in one logit, "right" in cell 0, for each of the 27
    trajectories and four estimators; and the true slope (docs/theory/policy-gradient.md).
    """
    P, _ = corridor()
    V = torch.zeros(4, 4, dtype=FLOAT)  # V[t, s]
    for t in reversed(range(3)):
        V[t, :3] = (P @ (0.9 * V[t + 1]) + 11 * P[..., 3] - 1).mean(1)

    def trajectories(s: int = 0, p: float = 1.0, steps: tuple = ()) -> Iterable[tuple]:
        if len(steps) == 3 or s == 3:
            yield p, steps
            return
        for a, s2 in P[s].nonzero().tolist():
            reward = 10.0 if s2 == 3 else -1.0
            yield from trajectories(s2, p / 2 * P[s, a, s2].item(), (*steps, (s, a, reward)))

    weights = {
        "the whole return": lambda g, t, s: g[0],
        "reward to go": lambda g, t, s: 0.9**t * g[t],
        "reward to go − U": lambda g, t, s: 0.9**t * (g[t] - V[0, 0].item()),
        "reward to go − V": lambda g, t, s: 0.9**t * (g[t] - V[t, s].item()),
    }
    out: dict[str, list[tuple[float, float]]] = {name: [] for name in weights}
    for p, steps in trajectories():
        g = [sum(0.9**j * r for j, (*_, r) in enumerate(steps[t:])) for t in range(len(steps))]
        for name, weight in weights.items():
            pulls = [weight(g, t, s) * (a - 0.5) for t, (s, a, _) in enumerate(steps) if s == 0]
            out[name].append((p, sum(pulls)))
    return sum(p * x for p, x in out["reward to go − V"]), out


def pg_variance() -> list[Panel]:
    truth, rows = estimates()
    names = [(float(-i), name) for i, name in enumerate(rows)]
    limits = (-4.6, 4.6), (-3.6, 0.6)
    about = "slope in one logit, from one episode"
    panel = Panel(*limits, about, yticks=names, size=(420, 230))
    panel.add([(truth, -3.6), (truth, 0.6)], "c4 dash", "the true slope, and the mean of each row")
    for i, row in enumerate(rows.values()):
        std = sqrt(sum(p * (x - truth) ** 2 for p, x in row))
        panel.add([(truth - std, -i), (truth + std, -i)], "c1 thick", "± a deviation", "whiskers")
        panel.add([(x, -i) for _, x in row], "c0", "a trajectory", "dots")
    return [panel]


# ------------------------------------------------------------------------------- policies


def densities() -> list[Panel]:
    logits = torch.tensor([[0.0, log(3)]])
    p = Categorical(logits.log_softmax(-1)).logp.exp()[0].tolist()
    actions = [(0, "0"), (1, "1")]
    size = (236, 220)
    one = Panel((-0.7, 1.7), (0, 1), "action", "categorical: probability", actions, size=size)
    one.add(enumerate(p), "c2", "logits (0, log 3)", "bars-40")
    two = Panel((-3, 3), (0, 2), "action a", "Gaussian: density", size=size)
    three = Panel((-1, 1), (0, 2), "action a", "squashed Gaussian: density", size=size)
    x, u = line(-3, 3), line(-5, 5, 401)
    for mu, std, cls in (0.0, e**-0.5, "c0"), (1.0, 0.25, "c1 dash"), (0.0, 1.5, "c3 dot"):
        text = f"μ = {mu:g}, σ = {std:.2g}"
        for panel, points, logp in (two, x, Normal.log_prob), (three, u, sac.squashed_logp):
            normal = Normal(torch.full((len(points), 1), mu).double(), torch.tensor([log(std)]))
            y = logp(normal, points[:, None]).exp()
            panel.add(xy(points.tanh() if panel is three else points, y), cls, text)
    return [one, two, three]


def tanh_error() -> list[Panel]:
    forms = {
        "log(1 − tanh²(u))": (lambda u: torch.log(1 - u.tanh() ** 2), "c1 dash"),
        "… + 1e-6 in the logarithm": (lambda u: torch.log(1 - u.tanh() ** 2 + 1e-6), "c3 dot"),
        "the form of the code": (lambda u: 2 * (log(2) - u - softplus(-2 * u)), "c0"),
    }
    value = Panel((0, 12), (-9, 1.5), "u", "error of the value, 32 bits", log="y")
    slope = Panel((0, 12), (-9, 1.5), "u", "error of the slope, 32 bits", log="y")
    u = torch.linspace(0.05, 12, 240).requires_grad_()
    exact = 2 * (log(2) - u.double() - softplus(-2 * u.double()))
    for text, (form, cls) in forms.items():
        y = form(u)
        (d,) = torch.autograd.grad(y.sum(), u)
        for panel, off in (value, y - exact), (slope, d + 2 * u.double().tanh()):
            off = off.detach().abs().clamp(min=1e-9).log10()
            fine = off.isfinite()
            panel.add(xy(u.detach()[fine], off[fine]), cls, text)
    return [value, slope]


# ------------------------------------------------------------------------------- returns


def discount_weights() -> list[Panel]:
    panel = Panel((0, 200), (0, 1), "steps ahead, k", "weight of the reward, γᵏ")
    for gamma, cls in (0.9, "c1 dash"), (0.97, "c2 dot"), (0.99, "c0"):
        panel.add([(k, gamma**k) for k in range(201)], cls, f"γ = {gamma:g}")
        k = 1 / (1 - gamma)
        panel.add(
            [(k, gamma**k)], cls.split()[0], "at 1 / (1 − γ)" if gamma == 0.99 else "", "dots"
        )
    return [panel]


def cut_path() -> list[Panel]:
    """The robot that earns 1 in every step, with the time limit L = 200."""
    left = list(range(1, 201))
    wrong = [(1 - 0.99**n) / (1 - 0.99) for n in left]
    panel = Panel((0, 200), (0, 110), "steps that are left before the limit", "target of V")
    panel.add([(1, 100), (200, 100)], "c0", "d = 0: the rest is V(s′)")
    panel.add(zip(left, wrong, strict=True), "c1 dash", "d = 1: nothing follows")
    mean = sum(wrong) / len(wrong)
    panel.add([(1, mean), (200, mean)], "c4 dot", f"its mean, {mean:.1f}: what V can learn")
    return [panel]


# ------------------------------------------------------------------------------- advantages, PPO


def gae_weights() -> list[Panel]:
    panel = Panel((0, 60), (0, 1), "steps ahead, l", "weight of the surprise δ at t + l")
    for lam, cls in (0.0, "c4"), (0.5, "c1 dash"), (0.8, "c2 dot"), (0.95, "c0"), (1.0, "c3 dash"):
        panel.add(enumerate(impulse(lam, 0.99, 61)), cls, f"λ = {lam:g}")
    return [panel]


def ppo_clip() -> list[Panel]:
    clip = ppo.Config(env="").clip
    panels = []
    for adv, name in (1.0, "Â = 1: a good action"), (-1.0, "Â = −1: a bad action"):
        limits = (0, 2) if adv > 0 else (-2, 0)
        panel = Panel((0, 2), limits, "ratio w", f"objective, {name}")
        panel.add([(0, 0), (2, 2 * adv)], "c4 dash", "w Â")
        grid = [i / 50 for i in range(1, 101)]
        text = f"J, clipped with ε = {clip:g}"
        panel.add([(w, objective(w, adv, clip)[0]) for w in grid], "c0", text)
        panel.add([(1, adv)], "c1", "where an update begins", "dots")
        panels.append(panel)
    return panels


# ------------------------------------------------------------------------------- overestimation


def maximum_bias() -> list[Panel]:
    panel = Panel((-3, 4), (0, 0.7), "largest of n estimates", "density; the true values are 0")
    x = line(-3, 4)
    wide = line(-12, 12, 4001)
    for n, cls in (1, "c4"), (2, "c2 dot"), (5, "c1 dash"), (10, "c0"):
        panel.add(xy(x, n * phi(x) * Phi(x) ** (n - 1)), cls, f"n = {n}")
        mean = ((wide * n * phi(wide) * Phi(wide) ** (n - 1)).sum() * 24 / 4000).item()
        panel.add([(mean, 0)], cls.split()[0], "the mean" if n == 1 else "", "dots")
    return [panel]


def overestimation() -> list[Panel]:
    x = line(-12, 12, 4001)
    many = Panel((0, 20), (-0.75, 2.5), "actions of equal value, n", "excess, in units of s")
    largest, lower = [], []
    for n in range(1, 21):
        top = n * phi(x) * Phi(x) ** (n - 1)
        largest.append((n, (x * top).sum().item() * 24 / 4000))
        twins = x * (top * Phi(-x) + (1 - Phi(x) ** n) * phi(x))
        lower.append((n, twins.sum().item() * 24 / 4000))
    bound = [(n / 5, sqrt(2 * log(n / 5))) for n in range(5, 101)]
    many.add([(0, 0), (20, 0)], "axis")
    many.add(bound, "c4 dash", "bound (c)")
    many.add(largest, "c1", "maximum").add(largest, "c1", kind="dots")
    many.add(lower, "c0", "lower of independent twins").add(lower, "c0", kind="dots")
    two = Panel((0, 3), (0, 0.6), "gap g of two actions, in units of s", "excess (b)")
    g = line(0, 3)
    for c, cls in (0.0, "c1"), (0.5, "c2 dash"), (0.9, "c3 dot"):
        k = sqrt(2 * (1 - c))
        two.add(xy(g, k * phi(g / k) - g * Phi(-g / k)), cls, f"correlation {c:g}")
    return [many, two]


# ------------------------------------------------------------------------------- maximum entropy


def soft_hard() -> list[Panel]:
    q = line(-4, 4)
    choice = Panel(
        (-4, 4), (0, 1), "Q of action 1; that of action 0 is 0", "probability of action 1"
    )
    value = Panel((-4, 4), (0, 4.5), "Q of action 1; that of action 0 is 0", "value V of the state")
    choice.add([(-4, 0), (0, 0), (0, 1), (4, 1)], "c4", "the maximum, α = 0")
    value.add(xy(q, q.clamp(min=0)), "c4", "the maximum, α = 0")
    for alpha, cls in (0.2, "c2 dot"), (1.0, "c0"), (2.0, "c1 dash"):
        choice.add(xy(q, (q / alpha).sigmoid()), cls, f"α = {alpha:g}")
        value.add(xy(q, alpha * softplus(q / alpha)), cls, f"α = {alpha:g}")
    return [choice, value]
