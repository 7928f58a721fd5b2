"""What stands on a page and is made from the sources while building, so that it cannot be stale.

{sibling-diff} vpg ppo          the diff of two algorithms, a sentence above each hunk
{exercise-table}                all exercises, or those whose ids are given
{exercise-set} 4                statement and blank of each exercise of a set
{command-help} rlcourse.run ppo the help of a command
{fault-table}                   what is promised, and the tests of it
{bug-table} ppo                 how bad the mistakes are that can be planted into an algorithm
{results} cartpole ppo          where the stored runs of an algorithm ended
"""

import ast
import contextlib
import difflib
import io
import tomllib
from collections import Counter, defaultdict
from math import inf
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from exercises import bugs
from exercises.course import ROOT, SETS, Task, tasks
from rlcourse.utils.logger import read


class SiblingDiff(SphinxDirective):
    """Its content has a paragraph for each hunk, in their order; another number is an error."""

    required_arguments = 2
    has_content = True

    def run(self) -> list[nodes.Node]:
        sources = [(ROOT / f"rlcourse/algos/{a}.py").read_text("utf-8") for a in self.arguments]
        for algo in self.arguments:
            self.env.note_dependency(str(ROOT / f"rlcourse/algos/{algo}.py"))
        found = hunks(*(s.splitlines() for s in sources))
        said = [p for p in "\n".join(self.content).split("\n\n") if p.strip()]
        if len(said) != len(found):
            raise self.error(f"{len(found)} hunks, {len(said)} sentences: one is wanted for each")
        out: list[nodes.Node] = []
        for sentence, rows in zip(said, found, strict=True):
            out += self.parse_text_to_nodes(sentence)
            out.append(literal("\n".join(rows), "diff"))
        return out


def hunks(one: list[str], two: list[str]) -> list[list[str]]:
    """The changed stretches below the module's docstring, with a line around each."""
    one, two = (rows[rows.index('"""', 1) + 1 :] for rows in (one, two))
    rows = list(difflib.unified_diff(one, two, lineterm="", n=1))[2:]
    found: list[list[str]] = []
    for row in rows:
        if row.startswith("@@"):
            found.append([])
        else:
            found[-1].append(row)
    return found


def literal(text: str, language: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language)


class ExerciseTable(SphinxDirective):
    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        wanted = self.arguments[0].split() if self.arguments else [*tasks()]
        lines = ["| | exercise | you write | minutes |", "|---|---|---|---|"]
        for t in map(tasks().__getitem__, wanted):
            page = SETS[t.ps][0]
            mark = " ☾" * t.evening
            names = ", ".join(f"`{p}`" for p in dict.fromkeys(t.parts))
            link = f"[{t.name}](/exercises/{page}.md#{t.id.replace('.', '')}-{slug(t)}){mark}"
            lines.append(f"| {t.id} | {link} | {names} | {t.minutes} |")
        return self.parse_text_to_nodes("\n".join(lines))


def slug(t: Task) -> str:
    kept = "".join(c for c in t.title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


class ExerciseSet(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        text = []
        for t in tasks().values():
            if t.ps == int(self.arguments[0]):
                self.env.note_dependency(str(t.folder / "task.toml"))
                text += self.exercise(t)
        return self.parse_text_to_nodes("\n".join(text), allow_section_headings=True)

    @staticmethod
    def exercise(t: Task) -> list[str]:
        page, _, anchor = t.page.partition("#")
        link = f"[{page}](/{page.removeprefix('docs/')}{'#' * bool(anchor)}{anchor})"
        language = "toml" if t.ending == ".toml" else "python"
        wrong, right = len(t.mutants), len(t.equivalents) + 1
        return [
            f"## {t.id} {t.title}",
            "",
            f"About {t.minutes} minutes. Before it: {link}, {t.equation}.",
            f"The check knows {wrong} wrong answers and {right} right ones.",
            "",
            statement(t),
            "",
            ":::{dropdown} What is given",
            f"````{language}",
            t.blank.rstrip(),
            "````",
            ":::",
            "",
            f"```sh\npython -m exercises start {t.id}\n```",
            "",
        ]


def statement(t: Task) -> str:
    """What a learner reads on top of the blank, without its title; formulas are indented there."""
    if t.ending == ".toml":
        rows = t.blank.splitlines()
        end = next(i for i, row in enumerate(rows) if not row.startswith("#"))
        rows = [row.removeprefix("#").removeprefix(" ") for row in rows[:end]]
    else:
        rows = t.source.split('"""')[1].strip().splitlines()
    return "\n".join(rows[1:]).strip("\n")


class CommandHelp(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        module, *words = self.arguments[0].split()
        from importlib import import_module

        main = import_module(module if module == "rlcourse.run" else f"{module}.__main__").main
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main([*words, "--help"])
        return [literal(out.getvalue().rstrip(), "text")]


class BugTable(SphinxDirective):
    """By level, and not by name: which mistake has which effect is what a hunt asks for."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        (algo,) = self.arguments
        for name in ("bugs.toml", f"{algo}.csv"):
            self.env.note_dependency(str(bugs.FOLDER / name))
        planted = [b for b in bugs.bugs().values() if b.algo == algo]
        lines = ["| the return is | mistakes | it ends at |", "|---|---|---|"]
        lines.append(f"| right | | {bugs.last_return(algo, ''):.0f} |")
        for level, name in bugs.LEVELS.items():
            ends = sorted(bugs.last_return(algo, b.name) for b in planted if b.level == level)
            told = [f"{e:.0f}" for e in ends if e > -inf]  # the others met a number not finite
            stopped = [f"{len(ends) - len(told)} stopped"] * (len(told) < len(ends))
            span = " to ".join(dict.fromkeys([*told[:1], *told[-1:]]))
            lines.append(f"| {name.split()[0]} | {len(ends)} | {'; '.join([span, *stopped])} |")
        kinds = Counter(b.mechanism[0] for b in planted).most_common()
        lines += ["", f"Their kinds: {', '.join(f'{kind} {n}' for kind, n in kinds)}."]
        return self.parse_text_to_nodes("\n".join(lines))


class Results(SphinxDirective):
    """A row for each stored run of experiments/results/NAME, and what they were made with."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        name, algo = self.arguments
        folders = sorted((ROOT / "experiments/results" / name).glob(f"{algo}_*/*/config.yaml"))
        if not folders:
            raise self.error(f"there are no runs of {algo} in experiments/results/{name}")
        lines = ["| seed | evaluation | training | steps | seconds |", "|---|---|---|---|---|"]
        scores, made = [], set()
        for path in folders:
            table = path.with_name("progress.csv")
            for file in (path, table):
                self.env.note_dependency(str(file))
            config, last = yaml.safe_load(path.read_text("utf-8")), read(table)[-1]
            versions = config["about"]["versions"]
            made.add(", ".join(f"{k} {versions[k]}" for k in ("torch", "gymnasium", "numpy")))
            scores.append(last["AverageTestEpRet"])
            cells = [config["seed"], f"{scores[-1]:.1f} ± {last['StdTestEpRet']:.1f}"]
            cells += [f"{last['AverageEpRet']:.1f}", f"{last['TotalEnvInteracts']:,}"]
            lines.append("| " + " | ".join(map(str, [*cells, round(last["Time"])])) + " |")
        mean, low, high = sum(scores) / len(scores), min(scores), max(scores)
        lines += [
            f"| all | **{mean:.1f}**, {low:.1f} to {high:.1f} | | | |",
            "",
            f"Evaluation: {config['eval_episodes']} episodes of the deterministic policy after the "
            "last update, mean ± deviation between them. Training: the episodes that ended in the "
            "last epoch. Seconds: one process, on a core that had other work as well. "
            f"Made with {'; '.join(sorted(made))}.",
        ]
        return self.parse_text_to_nodes("\n".join(lines))


class FaultTable(SphinxDirective):
    """Promises and faults of tests/faults/faults.toml, and the tests that are marked with them."""

    def run(self) -> list[nodes.Node]:
        source = ROOT / "tests/faults/faults.toml"
        self.env.note_dependency(str(source))
        data = tomllib.loads(source.read_text("utf-8"))
        tests = fault_tests()
        lines = []
        for promise, says in data["promises"].items():
            faults = [f for f in data["fault"] if f["promise"] == promise]
            lines += [f"**{says}**", "", "| what happens | what follows | tests |", "|---|---|---|"]
            for f in faults:
                lines.append(f"| {f['what']} | {f.get('then', '')} | {len(tests[f['name']])} |")
            lines += ["", ":::{dropdown} Its tests"]
            lines += [f"- {test}" for f in faults for test in tests[f["name"]]]
            lines += [":::", ""]
        return self.parse_text_to_nodes("\n".join(lines))


def fault_tests() -> dict[str, list[str]]:
    """The names of the tests that bring each fault about, in words."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            for mark in getattr(node, "decorator_list", []):
                if ast.unparse(mark).startswith("pytest.mark.fault("):
                    words = node.name.removeprefix("test_").replace("_", " ")
                    found[ast.literal_eval(mark.args[0])].append(words)
    return found


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("sibling-diff", SiblingDiff)
    app.add_directive("exercise-table", ExerciseTable)
    app.add_directive("exercise-set", ExerciseSet)
    app.add_directive("command-help", CommandHelp)
    app.add_directive("bug-table", BugTable)
    app.add_directive("results", Results)
    app.add_directive("fault-table", FaultTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
