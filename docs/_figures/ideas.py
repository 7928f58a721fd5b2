"""The corridor, and the idea of each algorithm, as diagrams."""

from _figures.panel import Diagram


def vpg_idea() -> list[Diagram]:
    return [Diagram(480, 300).box(240, 150, 100, 40, "VPG")]


def ppo_idea() -> list[Diagram]:
    return [Diagram(480, 300).box(240, 150, 100, 40, "PPO")]


def ddpg_idea() -> list[Diagram]:
    return [Diagram(480, 300).box(240, 150, 100, 40, "DDPG")]


def td3_idea() -> list[Diagram]:
    return [Diagram(480, 300).box(240, 150, 100, 40, "TD3")]


def sac_idea() -> list[Diagram]:
    return [Diagram(480, 300).box(240, 150, 100, 40, "SAC")]
