"""What blanks may import: a network to start from, and the functions of exercises done before."""

from types import SimpleNamespace

from torch import nn


def mlp(sizes: list[int], activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """Linear layers of these sizes with the activation between them, none behind the last."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def use(id_: str) -> SimpleNamespace:
    """The functions of another exercise: yours once its check has passed, or the course's."""
    from exercises import judge
    from exercises.course import find

    task = find(id_)
    module = judge.passed(task) or judge.reference(task)
    return SimpleNamespace(**{k: v for k, v in vars(module).items() if k[0] != "_"})
