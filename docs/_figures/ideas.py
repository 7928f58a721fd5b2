"""The corridor, and the idea of each algorithm: what flows where. New parts have a colour."""

from _figures.panel import Diagram

from rlcourse.algos import ppo, td3

NEW = "c0"


def corridor_diagram() -> list[Diagram]:
    d = Diagram(400, 180)
    xs = [50.0, 150.0, 250.0, 350.0]
    for x, name in zip(xs, ("0", "1", "2", "exit"), strict=True):
        d.circle(x, 95, 26, name, NEW if name == "exit" else "")
    for i, x in enumerate(xs[:3]):
        d.arrow((x + 22, 81), (x + 78, 81), cls="c1", bend=14)
        d.note("0.8, +10" if i == 2 else "0.8", x + 52, 62)
        d.loop(x, 69, "0.2", cls="c1")
    for x in xs[1:3]:
        d.arrow((x - 22, 109), (x - 78, 109), cls="c2 dash", bend=14)
        d.note("1", x - 50, 137)
    d.loop(xs[0], 121, "1", cls="c2 dash", up=False)
    d.key = [("line", "c1", "action 1: right"), ("line", "c2 dash", "action 0: left")]
    return [d]


def cycle(d: Diagram, policy: tuple[str, ...], cls: str = "") -> None:
    """The policy acts in the environment: the left column of all five."""
    d.box(62, 45, 116, 50, "environment")
    d.box(62, 250, 116, 50, *policy, cls=cls)
    d.arrow((42, 225), (42, 70)).arrow((82, 70), (82, 225))
    d.note("a", 30, 152).note("s, r", 100, 152)


def on_policy(objective: tuple[str, ...], cls: str, data: str) -> Diagram:
    d = Diagram(406, 292)
    cycle(d, ("policy π",))
    d.box(202, 45, 116, 50, "rollout", data)
    d.box(342, 45, 116, 50, "advantage Â", "GAE of δ")
    d.box(202, 150, 116, 50, "value V", "learns R")
    high = 18 * len(objective) + 16
    d.box(312, 250, 176, high, *objective, cls=cls)
    d.arrow((120, 45), (144, 45)).arrow((260, 45), (284, 45))
    d.arrow((236, 125), (290, 70)).arrow((320, 70), (260, 142))
    d.note("V", 252, 98).note("R", 306, 110)
    d.arrow((370, 70), (370, 250 - high / 2)).arrow((224, 250), (120, 250))
    d.note("step of π", 172, 242)
    return d


def vpg_idea() -> list[Diagram]:
    return [on_policy(("J = E[log π(a|s) Â]", "one step, then new data"), "", "T·N steps of π")]


def ppo_idea() -> list[Diagram]:
    cfg = ppo.Config(env="")
    passes = f"{cfg.passes} passes; KL ≤ {cfg.max_kl:g}"
    d = on_policy(("min(w Â, clip(w) Â)", "w = π(a|s) / π_old(a|s)", passes), NEW, "with log π_old")
    d.key = [("area", NEW, "new against VPG")]
    return [d]


def off_policy(
    target: tuple[str, ...],
    value: tuple[str, ...],
    copies: tuple[str, ...],
    policy: tuple[str, ...],
    objective: tuple[str, ...],
    new: str = "",
) -> Diagram:
    """`new` has a letter for each box that is new: t, v, c, p, o."""
    d = Diagram(424, 284)
    mark = {letter: NEW for letter in new}
    half = 9 * len(target) + 7
    cycle(d, policy, mark.get("p", ""))
    d.box(182, 45, 88, 50, "memory", "s, a, r, s′, d")
    d.box(334, 45, 178, 2 * half, *target, cls=mark.get("t", ""))
    d.box(350, 150, 140, 50, *value, cls=mark.get("v", ""))
    d.box(192, 150, 106, 50, *copies, cls=mark.get("c", ""))
    d.box(330, 250, 184, 50, *objective, cls=mark.get("o", ""))
    d.arrow((120, 45), (138, 45)).arrow((226, 45), (245, 45))
    d.arrow((360, 45 + half), (360, 125)).note("(Q − y)²", 392, 106)
    d.arrow((280, 150), (245, 150)).note("ρ", 262, 143)
    d.arrow((228, 125), (290, 45 + half))
    d.arrow((360, 175), (360, 225)).note("slope", 382, 204)
    d.arrow((238, 250), (120, 250)).note("step of π", 178, 242)
    return d


def ddpg_idea() -> list[Diagram]:
    return [
        off_policy(
            ("target y", "r + γ (1 − d) Q̄(s′, π̄(s′))"),
            ("value Q", "towards y"),
            ("slow copies", "Q̄ and π̄"),
            ("policy π", "plus noise"),
            ("J = E[Q(s, π(s))]", "uphill in Q"),
        )
    ]


def td3_idea() -> list[Diagram]:
    delay = td3.Config(env="").delay
    d = off_policy(
        ("target y, ã = π̄(s′) + noise", "r + γ (1 − d) minᵢ Q̄ᵢ(s′, ã)"),
        ("twins Q₁, Q₂", "towards the same y"),
        ("slow copies", "Q̄₁, Q̄₂ and π̄"),
        ("policy π", "plus noise"),
        ("J = E[Q₁(s, π(s))]", f"once for {delay} steps of Qᵢ"),
        "tvo",
    )
    d.key = [("area", NEW, "new against DDPG")]
    return [d]


def sac_idea() -> list[Diagram]:
    d = off_policy(
        ("target y, ã drawn from π", "r + γ (1 − d) (minᵢ Q̄ᵢ(s′, ã)", "− α log π(ã|s′))"),
        ("twins Q₁, Q₂", "towards the same y"),
        ("slow copies", "Q̄₁ and Q̄₂"),
        ("policy π, random", "entropy near H (α)"),
        ("minᵢ Qᵢ(s, ã) − α log π(ã|s)", "through the sample ã"),
        "tcpo",
    )
    d.key = [("area", NEW, "new against TD3")]
    return [d]
