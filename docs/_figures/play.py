"""Figures with sliders, at any setting; docs/_static/play.js computes the same in the browser.

Each function takes the settings and gives the panels, in which the series that move have names,
and the numbers of the sentence below. The numbers come from the course's own code, and
tests/test_site.py holds the script's against them.
"""

from collections.abc import Callable
from html import escape
from itertools import combinations_with_replacement
from math import factorial, log, prod
from typing import Any, NamedTuple

import numpy as np
import torch
from _figures.panel import Panel, tag

from rlcourse.algos import ppo, sac
from rlcourse.utils.distributions import Normal


class Knob(NamedTuple):
    name: str
    label: str
    low: float
    high: float
    step: float
    start: float

    @property
    def digits(self) -> int:
        return len(f"{self.step:g}".partition(".")[2])


class Switch(NamedTuple):
    """A box to tick; its setting is 1 or 0."""

    name: str
    label: str
    start: float


class Figure(NamedTuple):
    name: str
    alt: str
    knobs: tuple[Knob | Switch, ...]
    says: str  # with {number:digits} or {word}
    draw: Callable[..., tuple[list[Panel], dict[str, Any]]]
    data: str = ""  # what the script has to know besides, as JSON

    def start(self) -> dict[str, float]:
        return {k.name: k.start for k in self.knobs}

    def html(self, picture: Callable[[list[Panel]], str]) -> str:
        panels, facts = self.draw(**self.start())
        sentence = "".join(map(str, self.sentence(facts)))
        knobs = "".join(map(self.control, self.knobs))
        form = tag("form", knobs, cls="knobs", hidden="hidden", autocomplete="off")
        inside = picture(panels) + form + tag("p", sentence, cls="says")
        return tag("div", inside, data_play=self.name, data_more=self.data or None)

    def control(self, k: Knob | Switch) -> str:
        at = f"{self.name}-{k.name}"
        if isinstance(k, Switch):
            box = tag("input", id=at, name=k.name, type="checkbox", checked="" if k.start else None)
            return tag("div", box + tag("label", k.label, **{"for": at}))
        value = f"{k.start:.{k.digits}f}"
        limits = dict(min=f"{k.low:g}", max=f"{k.high:g}", step=f"{k.step:g}", value=value)
        slider = tag("input", id=at, name=k.name, type="range", **limits)
        shown = tag("output", value, **{"for": at}, data_digits=k.digits)
        return tag("div", tag("label", k.label, **{"for": at}) + slider + shown)

    def sentence(self, facts: dict[str, Any]) -> list[str]:
        """`says` with its numbers, each in an element that the script finds by its name."""
        out = []
        for i, part in enumerate(self.says.replace("}", "{").split("{")):
            name, _, digits = part.partition(":")
            if i % 2 == 0:
                out.append(escape(part))
            elif digits:
                text = f"{facts[name]:.{digits}f}".replace("-", "−")
                out.append(tag("b", text, data_fact=name, data_digits=digits))
            else:
                out.append(tag("b", facts[name], data_fact=name))
        return out


# ------------------------------------------------------------------------------- λ in GAE


def gae(lam: float, gamma: float) -> tuple[list[Panel], dict[str, Any]]:
    n = 31
    weights = impulse(lam, gamma, n)
    deltas = Panel((-0.8, 30.5), (0, 1), "steps ahead, l", "weight of the surprise δ at t + l")
    deltas.add(enumerate(weights), "c0", kind="bars-6", name="deltas")
    mean = Panel((0.2, 31.5), (0, 1), "steps that it looks ahead, k", "weight of the estimate A⁽ᵏ⁾")
    ks = [(k, (1 - lam) * lam ** (k - 1)) for k in range(1, 31)]
    mean.add(ks, "c1", kind="bars-6", name="estimates")
    total = 1 / (1 - gamma * lam)
    return [deltas, mean], {"total": total, "rest": 100 * lam**30, "tenth": weights[10]}


def impulse(lam: float, gamma: float, n: int) -> list[float]:
    """The weight of δ at step l in the first advantage, from the course's `gae`."""
    zero = torch.zeros(n, n, dtype=torch.float64)
    one = torch.eye(n, dtype=torch.float64)  # environment l has one surprise, in step l
    return ppo.gae(one, zero, zero, zero, zero, gamma, lam)[0][0].tolist()


# ------------------------------------------------------------------------------- the clip of PPO


class Fixed(NamedTuple):
    """A policy that gives its one action a known log-probability."""

    logp: torch.Tensor

    def __call__(self, obs: Any) -> "Fixed":
        return self

    def log_prob(self, act: Any) -> torch.Tensor:
        return self.logp

    def entropy(self) -> torch.Tensor:
        return torch.zeros(1)


def objective(w: float, adv: float, clip: float) -> tuple[float, float]:
    """J of one step and its slope in w, from the course's `loss_pi`."""
    ratio = torch.tensor([w], dtype=torch.float64, requires_grad=True)
    batch = ppo.Batch(None, None, torch.zeros(1), torch.tensor([adv], dtype=torch.float64), None)
    loss, _ = ppo.loss_pi(Fixed(ratio.log()), batch, clip, 0.0)
    (slope,) = torch.autograd.grad(-loss, ratio)
    return -loss.item(), slope.item()


def ppo_clip(clip: float, adv: float, w: float) -> tuple[list[Panel], dict[str, Any]]:
    grid = [i / 50 for i in range(1, 101)]
    line = Panel((0, 2), (-2, 2), "ratio w", "objective of one step")
    line.add([(0, 0), (2, 2 * adv)], "c4 dash", "w Â", name="plain")
    line.add([(x, objective(x, adv, clip)[0]) for x in grid], "c0", "J", name="clipped")
    value, slope = objective(w, adv, clip)
    line.add([(w, value)], "c1", "this step", "dots", name="here")
    plane = Panel((0, 2), (-2, 2), "ratio w", "advantage Â")
    silent = [(1 + clip, 0), (1 + clip, 2), (2, 2), (2, 0)]
    plane.add(silent, "c2", "slope 0: the step is silent", "area", name="up")
    plane.add([(0, 0), (0, -2), (1 - clip, -2), (1 - clip, 0)], "c2", kind="area", name="down")
    plane.add([(w, adv)], "c1", "this step", "dots", name="there")
    plane.note("enough", 1.98, 1.65, "end").note("enough", 0.03, -1.85)
    plane.note("come back", 0.03, 1.65).note("come back", 1.98, -1.85, "end")
    return [line, plane], {"value": value, "slope": slope}


# ------------------------------------------------------------------------- the squashed Gaussian


def tanh_gaussian(mu: float, sigma: float, u: float) -> tuple[list[Panel], dict[str, Any]]:
    us = torch.linspace(-4, 4, 401, dtype=torch.float64)
    normal = Normal(torch.full((401, 1), mu).double(), torch.full((1,), log(sigma)).double())
    logn, logp = normal.log_prob(us[:, None]), sac.squashed_logp(normal, us[:, None])
    one = Normal(torch.full((1, 1), mu).double(), torch.full((1,), log(sigma)).double())
    at = torch.tensor([[u]], dtype=torch.float64)
    here_n, here_p = one.log_prob(at).item(), sac.squashed_logp(one, at).item()
    left = Panel((-4, 4), (0, 2), "u", "density of u")
    left.add(zip(us.tolist(), logn.exp().tolist(), strict=True), "c0", name="normal")
    left.add([(u, np.exp(here_n))], "c1", kind="dots", name="before")
    right = Panel((-1, 1), (0, 4), "a = tanh u", "density of the action a")
    pairs = zip(us.tanh().tolist(), logp.exp().tolist(), strict=True)
    right.add(pairs, "c0", name="squashed")
    right.add([(np.tanh(u), np.exp(here_p))], "c1", kind="dots", name="after")
    wide = torch.linspace(mu - 8 * sigma, mu + 8 * sigma, 401, dtype=torch.float64)[:, None]
    mass = (normal.log_prob(wide)).exp() * 16 * sigma / 400
    facts = {
        "a": np.tanh(u),
        "logn": here_n,
        "logp": here_p,
        "mode": np.tanh(mu),
        "entropy": -(mass * sac.squashed_logp(normal, wide)).sum().item(),
    }
    return [left, right], facts


# ------------------------------------------------------------------------- a bootstrap interval


SAMPLES = np.random.default_rng(0).standard_normal((40, 8)).round(2)  # 40 experiments, 8 seeds


def weights(n: int) -> tuple[np.ndarray, np.ndarray]:
    """All ways to draw n of n with replacement, as counts, and the probability of each."""
    counts = np.array(
        [np.bincount(drawn, minlength=n) for drawn in combinations_with_replacement(range(n), n)]
    )
    ways = [factorial(n) / prod(factorial(c) for c in row) for row in counts.tolist()]
    return counts, np.array(ways) / n**n


def interval(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    """All means that resampling can give, their probabilities, and the middle 95 % of them."""
    counts, chance = weights(len(sample))
    means = counts @ sample / len(sample)
    order = np.argsort(means, kind="stable")
    means, chance = means[order], chance[order]
    below = np.cumsum(chance)
    low, high = (means[np.searchsorted(below, q - 1e-12)] for q in (0.025, 0.975))
    return means, chance, low, high


def bootstrap(n: float, which: float) -> tuple[list[Panel], dict[str, Any]]:
    n, which = int(n), int(which)
    sample = SAMPLES[which - 1, :n]
    means, chance, low, high = interval(sample)
    one = Panel((-3, 3), (0, 0.6), "mean of a resample", "share of the resamples")
    bins = np.clip(np.floor((means + 3) / 0.2 + 1e-9).astype(int), 0, 29)
    shares = np.bincount(bins, weights=chance, minlength=30)
    heights = [(-2.9 + 0.2 * i, share) for i, share in enumerate(shares.tolist())]
    one.add(heights, "c0", "all resamples", "bars-10", name="resamples")
    one.add([(low, 0.56), (high, 0.56)], "c1", "middle 95 %", "whiskers", name="interval")
    one.add([(x, 0.51) for x in sample.tolist()], "c2", "the seeds", "dots", name="seeds")
    one.add([(0, 0), (0, 0.6)], "c4 dash", "truth")
    ends = [interval(s[:n])[2:] for s in SAMPLES]
    good = [(k, lo, hi) for k, (lo, hi) in enumerate(ends, 1) if lo <= 0 <= hi]
    bad = [(k, lo, hi) for k, (lo, hi) in enumerate(ends, 1) if not lo <= 0 <= hi]
    many = Panel((0, 41), (-3, 3), "experiment", "interval of the mean")
    many.add([(0, 0), (41, 0)], "c4 dash", "truth")
    many.add(pairs(good), "c0", "contains it", "whiskers", name="good")
    many.add(pairs(bad), "c1 thick", "misses it", "whiskers", name="bad")
    many.add([(which, -2.9)], "c2", "this experiment", "dots", name="this")
    facts = {
        "mean": sample.mean(),
        "low": low,
        "high": high,
        "verdict": "contains" if low <= 0 <= high else "misses",
        "hits": len(good),
    }
    return [one, many], facts


def pairs(rows: list[tuple[int, float, float]]) -> list[tuple[float, float]]:
    return [point for k, low, high in rows for point in ((k, low), (k, high))]


# ------------------------------------------------------------------------- terminal, or time over


def time_limit(
    gamma: float, lam: float, after: float, cut: float
) -> tuple[list[Panel], dict[str, Any]]:
    """`cut` is 1 if the time was over, 0 if s' was terminal."""
    val = [2.0, 1.0, 3.0]
    column = lambda *xs: torch.tensor(xs, dtype=torch.float64)[:, None]  # noqa: E731 - (T, 1)
    adv, ret = ppo.gae(
        column(1.0, 0.0, 2.0),
        column(*val),
        column(*val[1:], after),
        column(0.0, 0.0, 1.0 - cut),
        column(0.0, 0.0, 1.0),
        gamma,
        lam,
    )
    rets, advs = ret.flatten().tolist(), adv.flatten().tolist()
    steps = [(0, "0"), (1, "1"), (2, "2")]
    left = Panel((-0.6, 2.6), (-4, 12), "step t", "return R", xticks=steps)
    left.add(enumerate(rets), "c0", "R", "bars-34", name="returns")
    left.add([(-0.6, 0), (2.6, 0)], "axis")
    left.add(enumerate(val), "c1", "V(s), what was expected", "dots")
    right = Panel((-0.6, 2.6), (-8, 8), "step t", "advantage A", xticks=steps)
    right.add(enumerate(advs), "c2", "A = R − V(s)", "bars-34", name="advantages")
    right.add([(-0.6, 0), (2.6, 0)], "axis")
    facts = {f"{k}{t}": v for k, xs in (("r", rets), ("a", advs)) for t, v in enumerate(xs)}
    return [left, right], facts


FIGURES = {
    f.name: f
    for f in (
        Figure(
            "gae",
            "Bars that fall by the factor γλ from surprise to surprise, and by λ from estimate to"
            " estimate.",
            (Knob("lam", "λ", 0, 1, 0.01, 0.95), Knob("gamma", "γ", 0.8, 0.99, 0.01, 0.99)),
            "All weights of surprises together: {total:1}. The one ten steps ahead counts"
            " {tenth:3}. Estimates that look more than 30 steps ahead have {rest:1} % of the"
            " weight.",
            gae,
        ),
        Figure(
            "ppo-clip",
            "The objective of one step over the ratio w, flat where the clip has cut it, and the"
            " two regions of w and Â in which a step has no slope.",
            (
                Knob("clip", "ε", 0.05, 0.5, 0.05, 0.2),
                Knob("adv", "Â", -2, 2, 0.1, 1.0),
                Knob("w", "w", 0.05, 2, 0.05, 1.3),
            ),
            "This step adds {value:3} to the objective, and its slope in w is {slope:1}.",
            ppo_clip,
        ),
        Figure(
            "tanh-gaussian",
            "The bell of a Gaussian, and what tanh makes of it between −1 and 1.",
            (
                Knob("mu", "μ", -2, 2, 0.1, 0.5),
                Knob("sigma", "σ", 0.2, 2, 0.05, 0.8),
                Knob("u", "u", -3, 3, 0.1, 1.0),
            ),
            "Here a = {a:3}, log N(u) = {logn:3} and log π(a) = {logp:3}. Evaluation plays"
            " {mode:3}. The entropy is {entropy:3}, of at most log 2 = 0.693.",
            tanh_gaussian,
        ),
        Figure(
            "bootstrap",
            "The distribution of the means of all resamples of one experiment, and the intervals"
            " of 40 experiments, several of which miss the true mean.",
            (Knob("n", "seeds", 2, 8, 1, 3), Knob("which", "experiment", 1, 40, 1, 1)),
            "Mean {mean:2}, interval from {low:2} to {high:2}: it {verdict} the true mean 0. Of"
            " the 40 intervals {hits:0} contain it; 95 % would be 38.",
            bootstrap,
            str(SAMPLES.tolist()),
        ),
        Figure(
            "time-limit",
            "Returns and advantages of three steps, higher if the last state was cut by the clock"
            " and has a value.",
            (
                Knob("gamma", "γ", 0.5, 1, 0.05, 0.9),
                Knob("lam", "λ", 0, 1, 0.05, 1.0),
                Knob("after", "V(s′)", -5, 5, 0.5, 3.0),
                Switch("cut", "the time was over (not terminal)", 1.0),
            ),
            "R = ({r0:3}, {r1:3}, {r2:3}), A = ({a0:3}, {a1:3}, {a2:3}).",
            time_limit,
        ),
    )
}
