"""What no flag changes: a function is replaced, and the runs of a lesson's grid are done with it.

    python experiments/ablations.py time_limit          after experiments/time_limit.yaml
    python experiments/ablations.py details --jobs 2

The names of the runs end in the name of the change. Each is one that people make, or leave out, in
programs of their own.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from rlcourse.algos import ppo, sac  # noqa: E402
from rlcourse.utils import grid  # noqa: E402
from rlcourse.utils.envs import Envs  # noqa: E402
from rlcourse.utils.nets import mlp  # noqa: E402

Step = tuple[Tensor, Tensor, Tensor, Tensor]
step = Envs.step


def terminal(self: Envs, act: Tensor) -> Step:
    """The end of the time is told as the end of the world, as `done or truncated` does."""
    next_obs, rew, _, done = step(self, act)
    return next_obs, rew, done, done


def plain(sizes: list[int], activation: str, **more: Any) -> nn.Module:
    """The initial weights of torch.nn.Linear, in the last layer too."""
    return mlp(sizes, activation)


def normed(sizes: list[int], activation: str, n: int = 1) -> nn.Module:
    """Critics (n = 2) with layer norm in front of each activation, without gain and bias."""
    net = mlp(sizes, activation, n=n)
    if n == 1:
        return net
    layers = [
        [layer, nn.LayerNorm(layer.bias.shape[-1], elementwise_affine=False)]
        for layer in net[0:-1:2]
    ]
    return type(net)(*(x for pair in layers for x in [*pair, net[1]]), net[-1])


def raw(adv: Tensor) -> Tensor:
    """Advantages in the units of the returns."""
    return adv


# Lesson, name of the change: where, which function, what takes its place.
CHANGES: dict[tuple[str, str], tuple[Any, str, Callable]] = {
    ("time_limit", "terminal"): (Envs, "step", terminal),
    ("details", "raw-advantages"): (ppo, "standardise", raw),
    ("details", "plain-init"): (ppo, "mlp", plain),
    ("layer_norm", "layer-norm"): (sac, "mlp", normed),
}


def changed(run: grid.Experiment, name: str) -> grid.Experiment:
    """The run with the name of the change behind that of its experiment."""
    exp = f"{run.folder.parent.name}_{name}"
    folder = run.folder.parents[1] / exp / f"{exp}_s{run.cfg.seed}"
    return replace(run, settings=replace(run.settings, exp_name=exp), folder=folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lesson", choices=sorted({lesson for lesson, _ in CHANGES}))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    given = parser.parse_args()
    first = grid.read(HERE / f"{given.lesson}.yaml")[:1]  # the one that is changed
    failures = []
    for (lesson, name), (where, function, other) in CHANGES.items():
        if lesson == given.lesson:
            right = getattr(where, function)
            setattr(where, function, other)
            runs = [changed(run, name) for run in grid.expand(first)]
            grid.check(runs, given.jobs)
            failures += grid.train(runs, given.jobs)
            grid.show_results(runs)
            setattr(where, function, right)
    for failure in failures:
        print(f"{failure.where}: {failure.reason}")
    return bool(failures)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
