"""{update-trace} ppo loss_pi 1: all tensors of a function's second call in a tiny training.

It is trained by the real code. When a function returns, its variables are copied; where each was
computed is looked up in the function's own source, its symbol in docs/reference/notation.md.
"""

import ast
import inspect
import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from rlcourse.utils import optim
from rlcourse.utils.config import Settings
from rlcourse.utils.run import Run

NOTATION = Path(__file__).parent.parent / "reference/notation.md"
SMALL = dict(seed=0, epochs=1, num_envs=2, hidden=(8,))
TINY = {
    "ppo": dict(env="CartPole-v1", horizon=6, passes=2, minibatch=3, lr=0.03, max_kl=9.0) | SMALL,
    "sac": dict(env="Pendulum-v1", horizon=2, random_steps=4, minibatch=3, memory=100) | SMALL,
}
SECTIONS = {"ppo": "On-policy: VPG and PPO", "sac": "Off-policy: DDPG, TD3 and SAC"}
ALL = 12  # so many numbers are shown one by one, of more the lowest and the highest
HARD = "\N{NO-BREAK SPACE}"
Call = tuple[str, dict[str, Any], Any]  # function, its variables, what it returned


@cache
def calls(algo: str) -> list[Call]:
    """What happened in one epoch of training."""
    module, found = import_module(f"rlcourse.algos.{algo}"), []
    files = {module.__file__, optim.__file__}

    def note(frame: FrameType, event: str, result: Any) -> None:
        code = frame.f_code
        if event == "return" and code.co_filename in files:
            variables = {name: copied(value) for name, value in frame.f_locals.items()}
            batch = f"{type(result).__name__}." * hasattr(result, "_asdict")
            result = copied(result)
            if batch:
                result = {batch + name: x for name, x in result.items()}
            found.append((code.co_name, variables, result))

    cfg = module.Config(**TINY[algo])
    run = Run(cfg, Settings(eval_episodes=1, max_ep_len=4), show=False)
    sys.setprofile(note)
    try:
        module.train(cfg, run)
    finally:
        sys.setprofile(None)
    return found


def copied(value: Any) -> Any:
    """Tensors as they are now, alone or in tuples and dictionaries; nothing else is needed."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if hasattr(value, "_asdict"):
        return {name: copied(x) for name, x in value._asdict().items()}
    if isinstance(value, dict):
        return {name: copied(x) for name, x in value.items()}
    return tuple(map(copied, value)) if isinstance(value, tuple) else value


def origins(function: Any) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """Of each variable, and of each value returned: the code that computes it, its equation."""
    source = inspect.getsource(inspect.unwrap(function))
    rows, found, returned = source.splitlines(), {}, []

    def code(node: ast.expr) -> str:
        return " ".join(ast.get_source_segment(source, node).split())

    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assign | ast.Return) or node.value is None:
            continue
        tag = re.search(r"# (Eq\. \d+)$", rows[node.end_lineno - 1])
        equation = tag[1] if tag else ""
        if isinstance(node, ast.Return):
            parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            returned = [(code(part), equation) for part in parts]
            continue
        for target in node.targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                name = name.value if isinstance(name, ast.Subscript) else name
                found[ast.unparse(name)] = code(node.value), equation
    return found, returned


@cache
def symbols(algo: str) -> dict[str, list[str]]:
    """The symbols of each identifier, in the order of the tables that concern an algorithm."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", NOTATION.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        if part.splitlines()[0] in (
            "What the environment gives",
            "Policies and values",
            SECTIONS[algo],
        ):
            for row in re.findall(r"^\|(.*?)\|(.*?)\|", part, re.MULTILINE):
                several, names = re.findall(r"\$.*?\$", row[0]), re.findall(r"`(\w+)`", row[1])
                for i, name in enumerate(names):
                    found.setdefault(name, []).append(
                        (several[i:] or several or [row[0].strip()])[0]
                    )
    return found


def shown(x: Any) -> tuple[str, str] | None:
    """Shape and values; None for what is no number."""
    if isinstance(x, bool | int | float):
        return "()", f"{x:.3g}"
    if not isinstance(x, torch.Tensor):
        return None
    x, shape = x.float(), str(tuple(x.shape)).replace(" ", HARD)
    if x.numel() > ALL:
        return shape, f"{x.min():.3g} to {x.max():.3g}"
    if x.ndim < 2:
        return shape, " ".join(f"{v:.3g}" for v in x.flatten())
    rows = (HARD.join(f"{v:.3g}" for v in row) for row in x.reshape(-1, x.shape[-1]))
    return shape, "<br>".join(rows)


class UpdateTrace(SphinxDirective):
    required_arguments = 2
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        algo, name, *index = self.arguments
        module = import_module(f"rlcourse.algos.{algo}")
        self.env.note_dependency(module.__file__)
        self.env.note_dependency(str(NOTATION))
        _, variables, result = [c for c in calls(algo) if c[0] == name][int((index or ["0"])[0])]
        function = getattr(module, name)
        source = inspect.getsource(inspect.unwrap(function))
        found, returned = origins(function)
        found |= {
            x: ("given", "") for x in inspect.signature(function).parameters if x not in found
        }
        rows = []
        for variable, value in variables.items():
            if variable == "_" or variable not in found:  # what a loop counts
                continue
            fields = value if isinstance(value, dict) else {"": value}
            for field, x in fields.items():
                full = f"{variable}.{field}" if field else variable
                if variable != "b" or full in source:  # of a batch, what is used
                    rows.append((full, x, *found[variable]))
        if isinstance(result, dict):
            rows += [(column, x, "returned", "") for column, x in result.items()]
        elif isinstance(result, tuple) or len(returned) == 1:
            results = result if isinstance(result, tuple) else (result,)
            for (code, equation), x in zip(returned, results, strict=True):
                if code.removesuffix(".detach()") not in variables:
                    rows.append(("returned", x, code, equation))
        lines = ["| name | symbol | shape | values | from |", "|---|---|---|---|---|"]
        for variable, x, code, equation in rows:
            if cells := shown(x):
                code = code if code in ("given", "returned") else f"`{code}`".replace("|", r"\|")
                code = f"{equation}: {code}".replace("Eq. ", f"Eq.{HARD}") if equation else code
                row = (f"`{variable}`", self.symbol(algo, name, variable), *cells, code)
                lines.append(f"| {' | '.join(row)} |")
        return self.parse_text_to_nodes("\n".join(lines))

    @staticmethod
    def symbol(algo: str, function: str, variable: str) -> str:
        """Of two symbols: on-policy the later one in a batch, off-policy the earlier one."""
        known = symbols(algo).get(variable.rpartition(".")[2], [""])
        in_batch = variable.startswith(("b.", "Batch."))
        later = in_batch if algo == "ppo" else not in_batch and function != "collect"
        return known[-1 if later else 0].replace("|", r"\|")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("update-trace", UpdateTrace)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
