"""Figures of closed forms and of small exact computations."""

from collections.abc import Sequence

from _figures.panel import Panel
from _figures.play import impulse, objective


def gae_weights() -> list[Panel]:
    panel = Panel((0, 60), (0, 1), "steps ahead, l", "weight of the surprise δ at t + l")
    for lam, cls in (0.0, "c4"), (0.5, "c1 dash"), (0.8, "c2 dot"), (0.95, "c0"), (1.0, "c3 dash"):
        panel.add(enumerate(impulse(lam, 0.99, 61)), cls, f"λ = {lam:g}")
    return [panel]


def ppo_clip() -> list[Panel]:
    panels = []
    for adv, name in (1.0, "Â = 1: a good action"), (-1.0, "Â = −1: a bad action"):
        low, high = (0, 2) if adv > 0 else (-2, 0)
        panel = Panel((0, 2), (low, high), "ratio w", f"objective, {name}")
        panel.add([(0, 0), (2, 2 * adv)], "c4 dash", "w Â")
        grid = [i / 50 for i in range(1, 101)]
        panel.add([(w, objective(w, adv, 0.2)[0]) for w in grid], "c0", "J, clipped at ε = 0.2")
        panel.add([(1, adv)], "c1", "where an update begins", "dots")
        panels.append(panel)
    return panels
