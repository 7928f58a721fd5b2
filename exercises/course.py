"""What exercises there are: their texts, and the blank, solution and mutants made from one source.

An exercise is a folder below _author/: task.toml (texts, hints, mutants), source.py (the statement
and the solution, between BEGIN SOLUTION and END SOLUTION) and check.py (what is tried, see lab.py).
This module does not import torch, so that lists and hints come at once.
"""

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
AUTHOR = HERE / "_author"

SETS = {
    1: ("ps1_distributions", "Distributions and shapes"),
    2: ("ps2_returns", "Returns and advantages"),
    3: ("ps3_policy_gradient", "Policy gradient"),
    4: ("ps4_ppo", "PPO"),
    5: ("ps5_q_learning", "Q-learning for continuous actions"),
    6: ("ps6_sac", "SAC"),
    7: ("ps7_engineering", "Engineering that decides results"),
    8: ("ps8_statistics", "Statistics and reproduction"),
    9: ("ps9_bugs", "Find the silent bug"),
}
BLOCK = re.compile(r"^([ ]*)# BEGIN SOLUTION\n(.*?)^[ ]*# END SOLUTION\n", re.M | re.S)
DEF = re.compile(r"^([ ]*)(?:def|class) (\w+)", re.M)


@dataclass
class Result:
    """One check of an exercise."""

    tier: str
    name: str
    status: str = "not run"  # ok, FAIL, not run
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)


@dataclass
class Verdict:
    """What all of them came to; `status` is pass, fail, blank (not written) or broken (no file)."""

    id: str
    status: str
    checks: list[Result] = field(default_factory=list)
    says: str = ""  # the mutant's text, if the answer equals one
    mutant: str = ""
    where: str = ""  # file:line and the line
    lines: list[str] = field(default_factory=list)  # of an error before any check
    printed: list[str] = field(default_factory=list)
    trace: str = ""  # of Python, for --traceback

    @property
    def tier(self) -> str:
        """The last tier that passed."""
        return next((c.tier for c in reversed(self.checks) if c.status == "ok"), "")


class UserError(Exception):
    """A mistake in how the runner was called: one line, exit code 2."""


@dataclass(frozen=True, eq=False)
class Variant:
    """The solution with one text replaced: a mutant, which is wrong, or an equivalent, not."""

    name: str
    replace: str | list[str] = ""  # or several texts, each with its own replacement
    with_: str | list[str] = ""
    on: str = "solution"  # or blank: what it is made from
    file: str = ""  # instead of replace and with: a whole file beside task.toml
    says: str = ""  # what a learner is told whose answer equals this mutant
    tier: str = "T1"  # the last tier that may notice it
    twin: str = ""  # another mutant that no check can tell from this one


@dataclass(frozen=True, eq=False)
class Task:
    id: str
    name: str
    title: str
    minutes: int
    difficulty: int  # 1 to 5
    page: str  # where it is explained, below the root of the project
    equation: str
    hints: list[str]  # a question, the formula, the plan, the code with blanks
    why: str  # what the check tries, and why that
    folder: Path
    evening: bool = False  # on the shortest way through the course
    bug: str = ""  # planted in an algorithm, whose source then stands for `# ALGORITHM`
    plugs: str = ""  # module.function of rlcourse/algos that a learner's function can replace
    train: str = ""  # the command to see it learn with
    mutants: list[Variant] = field(default_factory=list)
    equivalents: list[Variant] = field(default_factory=list)

    @property
    def ps(self) -> int:
        return int(self.id.split(".")[0])

    @property
    def label(self) -> str:
        return f"{self.id} {self.name}"

    @property
    def _file(self) -> Path:
        return next(self.folder.glob("source.*"))

    @cached_property
    def source(self) -> str:
        text = self._file.read_text(encoding="utf-8")
        return self._with_bug(text) if self.bug else text

    def _with_bug(self, text: str) -> str:
        """Fill in the algorithm, what the bug does to it, and the line where it is."""
        from exercises import bugs

        bug = bugs.bugs()[self.bug]
        parts = {"ALGORITHM": bug.both, "SYMPTOM": bugs.log(bug), "MECHANISMS": bugs.mechanisms()}
        for name, part in parts.items():
            text = text.replace(f"# {name}\n", part)
        before = BLOCK.sub(self._gap, text).split(bug.planted)[0]
        line = before.count("\n") + bug.lines[0]
        return text.replace("LINE = ...", f"LINE = {line}")

    @property
    def ending(self) -> str:
        """.py, or .toml where an answer is wanted instead of code."""
        return self._file.suffix

    @property
    def path(self) -> str:
        """Where the learner's file is, below the folder of the problem sets."""
        return f"{SETS[self.ps][0]}/{self.id.replace('.', '_')}_{self.name}{self.ending}"

    @property
    def parts(self) -> list[str]:
        """What is to be written: the function or class around each gap."""
        return [self._part(m) for m in BLOCK.finditer(self.source)]

    @cached_property
    def gaps(self) -> set[str]:
        """The lines that the blank has in the place of the solution's."""
        return {row for m in BLOCK.finditer(self.source) for row in self._gap(m).splitlines()}

    @cached_property
    def solution(self) -> str:
        kept = BLOCK.sub(lambda m: m[2], self.source)
        return re.sub(r"^[ ]*# BLANK:.*\n", "", kept, flags=re.M)

    @cached_property
    def blank(self) -> str:
        return BLOCK.sub(self._gap, self.source)

    def blank_but(self, part: int) -> str:
        """The solution with only this gap left open."""
        count = iter(range(len(self.parts)))
        opened = BLOCK.sub(lambda m: self._gap(m) if next(count) == part else m[2], self.source)
        return re.sub(r"^[ ]*# BLANK:.*\n", "", opened, flags=re.M)

    def variant(self, v: Variant) -> str:
        if v.file:
            return (self.folder / v.file).read_text(encoding="utf-8")
        text = getattr(self, v.on)
        listed = isinstance(v.replace, list)
        pairs = zip(v.replace, v.with_, strict=True) if listed else [(v.replace, v.with_)]
        for old, new in pairs:
            if text.count(old) != 1:
                times = text.count(old)
                raise ValueError(f"'{v.name}' replaces a text that is there {times} times")
            text = text.replace(old, new)
        line = re.search(r"^LINE = (\d+)", self.solution, re.M)
        return text.replace("@LINE@", line[1] if line else "")

    def _gap(self, m: re.Match) -> str:
        given = re.findall(r"^[ ]*# BLANK:[ ]?(.*)$", m[2], re.M)
        lines = given or [f'raise NotImplementedError("{self.id}: write {self._part(m)}")']
        return "".join(f"{m[1]}{line}\n" for line in lines)

    def _part(self, m: re.Match) -> str:
        """The names around a gap, from the outermost: Actor.sample."""
        names, indent = [], len(m[1]) or 1
        for d in reversed(list(DEF.finditer(self.source[: m.start()]))):
            if len(d[1]) < indent:
                names.insert(0, d[2])
                indent = len(d[1])
        return ".".join(names) or self.name


@cache
def read(folder: Path) -> Task:
    """One exercise; KeyError or TypeError names what its task.toml lacks or has too much."""
    data = tomllib.loads((folder / "task.toml").read_text(encoding="utf-8"))
    mutants = [_variant(v) for v in data.pop("mutant", [])]
    equivalents = [_variant(v) for v in data.pop("equivalent", [])]
    return Task(folder=folder, mutants=mutants, equivalents=equivalents, **data)


def _variant(data: dict) -> Variant:
    return Variant(**{"with_" if k == "with" else k: v for k, v in data.items()})


@cache
def tasks() -> dict[str, Task]:
    """All exercises by id, in the order of the course."""
    found = [read(path.parent) for path in AUTHOR.glob("*/*/task.toml")]
    found.sort(key=lambda t: [int(n) for n in t.id.split(".")])
    return {t.id: t for t in found}


def find(word: str) -> Task:
    """An exercise by id (2.3) or name (gae)."""
    wanted = re.compile(rf'^(?:id|name) = "{re.escape(word)}"$', re.M)
    for path in AUTHOR.glob("*/*/task.toml"):
        if wanted.search(path.read_text(encoding="utf-8")):
            return read(path.parent)
    names = [n for t in tasks().values() for n in (t.id, t.name)]
    near = difflib.get_close_matches(word, names, n=1)
    hint = f"did you mean {near[0]}?" if near else "`python -m exercises list` shows all"
    raise UserError(f"there is no exercise '{word}': {hint}")
