"""What stands on a page and is made from the sources while building, so that it cannot be stale.

{sibling-diff} vpg ppo          the diff of two algorithms, a sentence above each hunk
{exercise-table}                all exercises
{exercise-set} 4                statement and blank of each exercise of a set
{command-help} rlcourse.run ppo the help of a command
"""

import contextlib
import difflib
import io
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from exercises.course import ROOT, SETS, Task, tasks


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
    def run(self) -> list[nodes.Node]:
        lines = ["| | exercise | you write | minutes |", "|---|---|---|---|"]
        for t in tasks().values():
            page = SETS[t.ps][0]
            mark = " ☾" * t.evening
            names = ", ".join(f"`{p}`" for p in dict.fromkeys(t.parts))
            link = f"[{t.name}]({page}.md#{t.id.replace('.', '')}-{slug(t)}){mark}"
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


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("sibling-diff", SiblingDiff)
    app.add_directive("exercise-table", ExerciseTable)
    app.add_directive("exercise-set", ExerciseSet)
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
