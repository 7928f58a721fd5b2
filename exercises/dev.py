"""The author's side: proves that the checks are right, on wrong answers and on right ones.

`check` of an exercise asserts, gate by gate, what _author/README.md promises of it. `automatic`
makes mutants by operators and lists those that no check kills.
"""

import ast
import inspect
import io
import json
import re
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from exercises import bugs, judge, lab, screen
from exercises.course import AUTHOR, BLOCK, HERE, ROOT, SETS, Task, UserError, Variant, find, tasks
from exercises.judge import Trace, Verdict
from exercises.lab import EXACT, FLAGS, Check
from rlcourse.utils.config import cores

SEEDS = (0, 1, 2)
LIMIT = 60  # seconds of CPU for the exact tiers of all solutions
PATH = "answer"
TRAINED = ("T5", "T6")  # tiers with training in them
MATRIX = ROOT / "docs" / "exercises" / "matrix.md"


class Proof:
    """The gates of one exercise; `failures` are lines, none if all hold."""

    def __init__(self, task: Task):
        self.task = task
        self.failures: list[str] = []
        self.kills: dict[str, str] = {}  # mutant to the tier that notices it
        self.seconds = 0.0  # of CPU, for the solution's exact tiers

    def all(self) -> "Proof":
        for gate in (
            "text",
            "blanks",
            "solution",
            "mutants",
            "equivalents",
            "integrity",
            "fixtures",
        ):
            try:
                getattr(self, gate)()
            except Exception as e:  # the exercise is broken: the other gates are still of interest
                self.need(False, gate, f"{type(e).__name__}: {e}")
        return self

    def need(self, holds: Any, gate: str, what: str) -> None:
        if not holds:
            self.failures.append(f"{self.task.label}: {gate}: {what}")

    def judge(self, text: str, seed: int = 0, skip: tuple[str, ...] = ("T6",)) -> Verdict:
        return judge.judge(self.task, text, PATH + self.task.ending, seed, skip)

    @cached_property
    def answers(self) -> bool:
        """Is an answer asked for, so that a part of it is no part of a program?"""
        return self.task.path.endswith(".toml") or bool(self.task.bug)

    # ---- gates

    def text(self) -> None:
        t = self.task
        page, _, anchor = t.page.partition("#")
        self.need((ROOT / page).exists(), "text", f"the page {page} is not there")
        if anchor and (ROOT / page).exists():
            heads = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}
            self.need(anchor in slugs, "text", f"{page} has no heading #{anchor}")
        self.need(len(t.hints) == 4, "text", f"{len(t.hints)} hints, 4 are wanted")
        self.need(len(t.mutants) >= 3, "text", f"{len(t.mutants)} mutants, 3 are the least")
        self.need(t.minutes > 0 and 1 <= t.difficulty <= 5, "text", "minutes or difficulty")
        self.need(t.ps in SETS and t.why.strip() and t.parts, "text", "set, why or gap")
        code = {"".join(line.split()) for gap in self._gaps() for line in gap.splitlines()}
        for i, hint in enumerate(t.hints[:3]):
            for line in hint.splitlines():
                bare = "".join(line.split())
                self.need(
                    len(bare) < 12 or bare not in code, "text", f"hint {i + 1} has a solution line"
                )
        self.need("____" in t.hints[-1] or self.answers, "text", "the last hint has no blank ____")
        for m in t.mutants:
            self.need(len(m.says) > 20, "text", f"mutant '{m.name}' says too little")
        alone = t.bug or not re.search(r"^(from|import) rlcourse", t.source, re.M)
        self.need(alone, "text", "a blank imports the package")
        self.need(t.equation.strip(), "text", "no equation")

    def _gaps(self) -> Iterator[str]:
        return (m[2] for m in BLOCK.finditer(self.task.source))

    def blanks(self) -> None:
        for i, part in enumerate(self.task.parts):
            v = self.judge(self.task.blank_but(i))
            told = " ".join([*v.lines, *(line for c in v.checks for line in c.lines)])
            fine = v.status == "blank" and self.task.id in told and v.where
            self.need(
                fine or self.answers and v.status == "fail", "blank", f"{part} open: {v.status}"
            )
        whole = self.judge(self.task.blank)
        self.need(whole.status == "blank", "blank", f"is {whole.status}, not blank")

    def solution(self) -> None:
        """It passes on each seed; the tiers that train a little, on the first."""
        for seed in SEEDS:
            began = time.process_time()
            v = self.judge(self.task.solution, seed, TRAINED)
            self.seconds = self.seconds or time.process_time() - began
            if not seed:
                v = self.judge(self.task.solution)
            lines = [line for c in v.checks for line in c.lines] + v.lines
            self.need(v.status == "pass", "solution", f"seed {seed}: {v.status}: {lines}")
            self.need(not v.printed, "solution", "it prints")

    def mutants(self) -> None:
        """Each is noticed in time, and told by its own name where no chance is in it."""
        for m in self.task.mutants:
            check, trace, lines = self.noticed(m)
            if check is None:
                self.need(False, "mutant", f"'{m.name}' passes")
                continue
            self.kills[m.name] = check.tier
            late = f"'{m.name}' is noticed at {check.tier}, not {m.tier}"
            self.need(check.tier <= m.tier, "mutant", late)
            crash = trace.error and not lines and not isinstance(trace.error, lab.Wrong)
            told = not crash or m.name.endswith("(raises)")
            self.need(told, "mutant", f"'{m.name}' is only caught by {trace.error!r}")
            if check.tier in EXACT:
                named = judge.name_mutant(self.task, check, partial(self.trace, m), 0)
                name = named.name if named else ""
                own = name in (m.name, m.twin or m.name)
                self.need(own, "mutant", f"'{m.name}' is told as '{name}'")

    def trace(self, m: Variant, check: Check) -> Trace:
        return judge.of_mutant(self.task, m, check, 0)

    def noticed(self, m: Variant) -> tuple[Check | None, Trace, list[str]]:
        """The first check that a mutant fails."""
        for c in judge.checks(self.task):
            if c.tier in EXACT:
                trace = judge.of_mutant(self.task, m, c, 0)
                lines = judge.compare(trace, judge.expected(self.task, c, 0, None))
            elif c.tier != "T6":
                trace, lines = judge.attempt(self.task, c, judge.mutant(self.task, m), 0)
            if c.tier != "T6" and (trace.error or lines):
                return c, trace, lines
        return None, Trace([]), []

    def equivalents(self) -> None:
        for e in self.task.equivalents:
            v = self.judge(self.task.variant(e), skip=TRAINED)
            lines = [line for c in v.checks for line in c.lines] + v.lines
            self.need(v.status == "pass", "equivalent", f"'{e.name}' is {v.status}: {lines}")

    def integrity(self) -> None:
        """With a mutant in the reference's place the solution must fail, or nothing is compared."""
        right = judge.load(self.task.solution, PATH + self.task.ending, judge.LEARNER)
        for c in judge.checks(self.task):
            if c.tier not in EXACT:
                continue
            mine, want = judge.run(c, right), judge.expected(self.task, c, 0, None)
            for m in self.task.mutants:
                wrong = self.trace(m, c)
                pairs = zip(wrong.records, want.records, strict=False)
                record = next((r for r, other in pairs if lab.differs(r, other)), None)
                if record and record.want is lab.NOTHING and record.least is record.most is None:
                    fails = judge.compare(mine, wrong)
                    self.need(fails, "integrity", f"'{m.name}' as reference passes '{c.name}'")

    def fixtures(self) -> None:
        """Over all checks each flag is seen as 0 and 1, and each shape is not a square."""
        if self.answers:
            return
        seen: dict[str, list[torch.Tensor]] = {}
        module = judge.load(self.task.solution, f"<{PATH}>", judge.LEARNER)
        spied = SimpleNamespace(
            **{k: _spy(v, seen) for k, v in vars(module).items() if k[0] != "_"}
        )
        for c in judge.checks(self.task):
            if c.tier in EXACT:
                judge.run(c, spied)
        for name, tensors in seen.items():
            if name in FLAGS:
                values = set(torch.cat([t.flatten().double() for t in tensors]).tolist())
                self.need(values == {0.0, 1.0}, "fixtures", f"the flag {name} is only {values}")
            shapes = {tuple(t.shape) for t in tensors if t.ndim == 2}
            self.need(
                not shapes or any(a != b for a, b in shapes),
                "fixtures",
                f"{name} is always square: {shapes}",
            )


def _spy(value: Any, seen: dict[str, list[torch.Tensor]]) -> Any:
    """A function that remembers the tensors that it is given, by name."""
    if not inspect.isfunction(value):
        return value
    signature = inspect.signature(value)

    def spied(*args: Any, **kwargs: Any) -> Any:
        for name, arg in signature.bind(*args, **kwargs).arguments.items():
            for k, t in lab._leaves(name, arg):
                if not isinstance(arg, torch.nn.Module):
                    seen.setdefault(k.split(".")[-1], []).append(t.detach().clone())
        return value(*args, **kwargs)

    spied.__signature__, spied.__name__ = signature, value.__name__
    return spied


def prove(id_: str) -> tuple[list[str], dict[str, str], float]:
    torch.set_num_threads(1)
    with judge.quiet(io.StringIO()):
        proof = Proof(find(id_)).all()
    return proof.failures, proof.kills, proof.seconds


# ---- automatic mutants

SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "amin": "amax", "amax": "amin", "mean": "sum", "sum": "mean",
         "exp": "log", "log": "exp"}  # fmt: skip
DROPPED = ("detach", "clamp", "clone", "squeeze", "copy", "exp")  # x.detach() becomes x


def automatic(task: Task) -> Iterator[tuple[int, str]]:
    """Line and text of each mutant of the solution that operators make."""
    tree = ast.parse(task.solution)
    lines = {n for m in _gap_lines(task) for n in m}
    guards = {k.value for k in ast.walk(tree) if isinstance(k, ast.keyword) and k.arg == "strict"}
    for node in ast.walk(tree):
        if node in guards:  # of lengths that are equal anyway
            continue
        for part, undo in _changes(node, lines):
            yield part.lineno, ast.unparse(tree)
            undo()


def _gap_lines(task: Task) -> Iterator[range]:
    """The lines of the solution that the learner writes."""
    removed = 0
    for m in BLOCK.finditer(task.source):
        first = task.source[: m.start()].count("\n") + 1 - removed
        body = re.sub(r"^[ ]*# BLANK:.*\n", "", m[2], flags=re.M)
        yield range(first, first + body.count("\n"))
        removed += m[0].count("\n") - body.count("\n")


def _changes(node: ast.AST, lines: set[int]) -> Iterator[tuple[ast.AST, Any]]:
    """Make each change to a node in turn; yields where it is and what takes it back."""

    def put(field: str, value: Any, part: ast.AST = node) -> Any:
        old = getattr(node, field)
        setattr(node, field, value)
        return part, lambda: setattr(node, field, old)

    body = getattr(node, "body", None)
    for i, statement in enumerate(body if isinstance(body, list) else []):
        kept = isinstance(statement, ast.Return | ast.FunctionDef | ast.ClassDef | ast.Pass)
        if not kept and statement.lineno in lines:
            yield put("body", [*body[:i], ast.Pass(), *body[i + 1 :]], statement)
    if getattr(node, "lineno", 0) not in lines:
        return
    for field, child in ast.iter_fields(node):  # x.detach() becomes x
        if isinstance(child, ast.Call) and getattr(child.func, "attr", "") in DROPPED:
            yield put(field, child.func.value)
    if type(getattr(node, "op", None)) in SWAPS:
        yield put("op", SWAPS[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield put("ops", [SWAPS[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield put("value", node.value + 1)
        if node.value not in (0, 1):
            yield put("value", -node.value)
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        yield put("value", not node.value)
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield put("attr", NAMES[node.attr])
    last = ast.unparse(node) == "-1"  # an axis mostly, and of two it is the same as 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not last:
        yield put("op", ast.UAdd())


def survivors(id_: str) -> tuple[int, list[str]]:
    """How many automatic mutants there are, and those that no exact check notices, as lines."""
    torch.set_num_threads(1)
    task, found, count = find(id_), [], 0
    lines = task.solution.splitlines()
    plain = ast.unparse(ast.parse(task.solution)).splitlines()
    for number, text in automatic(task):
        count += 1
        changed = [row.strip() for row in text.splitlines() if row not in plain]
        with judge.quiet(io.StringIO()):
            if unnoticed(task, text):
                was = lines[number - 1].strip()
                found.append(f"{was}  ->  {'; '.join(changed) or 'left out'}")
    return count, found


def unnoticed(task: Task, text: str) -> bool:
    try:
        with judge.limit(2):
            code = judge.load(text, PATH + task.ending, judge.LEARNER)
    except (Exception, judge.TooLong):
        return False
    for c in judge.checks(task):
        if c.tier in EXACT:
            with judge.limit(lab.SECONDS[c.tier]):
                trace = judge.run(c, code)
            if trace.error or judge.compare(trace, judge.expected(task, c, 0, None)):
                return False
    return True


# ---- the command


def main(args: Any) -> int:
    """`python -m exercises dev ...`; 1 if anything is wrong."""
    return globals()[f"dev_{args.do}"](args)


def dev_check(args: Any) -> int:
    """The gates of these exercises or of all, in parallel, and of what is made from them."""
    ids = args.ids or list(tasks())
    began, failures, seconds, kills = time.perf_counter(), [], 0.0, {}
    for id_, (bad, killed, spent) in zip(ids, proofs(ids), strict=True):
        mark = "FAIL" if bad else "ok  "
        print(f"{mark}  {find(id_).label:<24} {len(killed):>3} mutants  {spent:6.2f} s")
        print(*(f"      {line}" for line in bad), sep="\n", end="\n" * bool(bad), flush=True)
        failures, seconds, kills[id_] = failures + bad, seconds + spent, killed
    if not args.ids:
        failures += unlike(blanks(), "generate") + unlike({MATRIX: matrix(kills)}, "matrix")
        failures += planted()
    if seconds > LIMIT:
        failures.append(f"exact tiers of all solutions take {seconds:.0f} s, {LIMIT} are the most")
        print(f"FAIL  {failures[-1]}")
    total = sum(map(len, kills.values()))
    print(f"{len(ids)} exercises, {total} mutants, {len(failures)} failures")
    print(f"exact tiers of all solutions {seconds:.1f} s of CPU", end=", ")
    print(f"{time.perf_counter() - began:.0f} s in all")
    return int(bool(failures))


def proofs(ids: list[str]) -> Iterator[tuple[list[str], dict[str, str], float]]:
    if len(ids) == 1:
        yield prove(ids[0])
        return
    with ProcessPoolExecutor(min(cores(), len(ids))) as pool:
        yield from pool.map(prove, ids)


def blanks() -> dict[Path, str]:
    return {HERE / t.path: t.blank for t in tasks().values()}


def unlike(files: dict[Path, str], command: str) -> list[str]:
    """The files that are not what their sources make, as lines; prints them."""
    found = []
    for path, text in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            found.append(f"{path.relative_to(ROOT)} is not what its source makes")
            print(f"FAIL  {found[-1]}: python -m exercises dev {command}")
    return found


def planted() -> list[str]:
    """Each mistake for the hunts changes what its algorithm does, and was measured."""
    failures = []
    for bug in bugs.bugs().values():
        if (bug.name, bugs.SEEDS[0]) not in bugs.stored(bug.algo):
            failures.append(f"{bug.id} was not measured")
        if not set(bug.mechanism) <= set(bugs.MECHANISMS):
            failures.append(f"{bug.id}: {bug.mechanism}")
        if not bugs.compared(bug.planted, bug.algo):
            failures.append(f"{bug.id} changes nothing")
    failures += [
        f"{a} is not equal to itself" for a in bugs.TRAINED if bugs.compared(bugs.source(a), a)
    ]
    print(f"{'FAIL' if failures else 'ok  '}  {len(bugs.bugs())} bugs to hunt")
    print(*(f"      {line}" for line in failures), sep="\n", end="\n" * bool(failures))
    return failures


def dev_generate(args: Any) -> int:
    """Write the blanks."""
    for path, text in blanks().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


def dev_survivors(args: Any) -> int:
    """Automatic mutants that pass and are not declared right; 1 if there are any."""
    declared = tomllib.loads((AUTHOR / "survivors.toml").read_text(encoding="utf-8"))
    ids = args.ids or [t.id for t in tasks().values() if t.path.endswith(".py") and not t.bug]
    new = 0
    with ProcessPoolExecutor(min(cores(), len(ids))) as pool:
        for id_, (count, found) in zip(ids, pool.map(survivors, ids), strict=True):
            known = declared.get(find(id_).name, {})
            fresh = [line for line in found if line not in known]
            gone = [line for line in known if line not in found]
            told = f"{count:>4} mutants, {len(found)} survive, {len(fresh)} undeclared"
            print(f"{find(id_).label:<24} {told}")
            print(*(f"    {line}" for line in fresh), sep="\n", end="\n" * bool(fresh), flush=True)
            print(
                *(f"    declared, but killed: {x}" for x in gone), sep="\n", end="\n" * bool(gone)
            )
            new += len(fresh) + len(gone)
    return int(bool(new))


def dev_mutants(args: Any) -> int:
    """What a learner with each wrong answer sees."""
    for id_ in args.ids or list(tasks()):
        task = find(id_)
        for m in task.mutants:
            path = f"{Path(task.path).name}"
            v = judge.judge(task, task.variant(m), path)
            print(f"\n---- {m.name}\n{screen.verdict(task, v, 1, 0)}")
    return 0


def matrix(kills: dict[str, dict[str, str]]) -> str:
    """Which wrong answer is noticed by which tier, as a page."""
    total = sum(map(len, kills.values()))
    tiers = [t for t in lab.TIERS if any(t in k.values() for k in kills.values())]
    lines = [
        "# What the checks are proved on",
        "",
        f"{total} wrong answers to {len(kills)} exercises, and the first tier that notices each.",
        "All fail, and all are recognised where the tier is exact. The page is made by",
        "`python -m exercises dev matrix`.",
        "",
        "| exercise | wrong answers | " + " | ".join(f"{t} {lab.TIERS[t]}" for t in tiers) + " |",
        "|---|---|" + "---|" * len(tiers),
    ]
    for id_, killed in kills.items():
        counts = (sum(k == t for k in killed.values()) or "" for t in tiers)
        lines.append(f"| {find(id_).label} | {len(killed)} | {' | '.join(map(str, counts))} |")
    for id_, killed in kills.items():
        lines += ["", f"## {find(id_).label}", "", "| wrong answer | noticed by |", "|---|---|"]
        lines += [f"| {name} | {tier} |" for name, tier in killed.items()]
    return "\n".join(lines) + "\n"


def dev_matrix(args: Any) -> int:
    ids = list(tasks())
    kills = {id_: killed for id_, (_, killed, _) in zip(ids, proofs(ids), strict=True)}
    MATRIX.parent.mkdir(parents=True, exist_ok=True)
    MATRIX.write_text(matrix(kills), encoding="utf-8")
    return 0


def dev_calibrate(args: Any) -> int:
    """Train the reference and note how often it misses the bars; `bugs` measures the hunts."""
    if args.ids == ["bugs"]:
        bugs.record([])
        return 0
    path = AUTHOR / "calibration.json"
    for id_ in args.ids or [t.id for t in tasks().values() if trained(t)]:
        data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        old = data.get(id_, {"runs": 0, "missed": 0, "sittings": 0, "seconds": 0.0, "values": []})
        first = old["runs"]
        jobs = [(id_, seed) for seed in range(first, first + args.runs)]
        with ProcessPoolExecutor(cores()) as pool:
            results = list(pool.map(trial, jobs))
        runs = first + len(results)
        spent = old["seconds"] * first + sum(seconds for _, _, seconds in results)
        data[id_] = {
            "runs": runs,
            "missed": old["missed"] + sum(missed for missed, _, _ in results),
            "sittings": old["sittings"] + 1,
            "seconds": round(spent / runs, 1),
            "values": old["values"] + [value for _, value, _ in results],
        }
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        told = {k: v for k, v in data[id_].items() if k != "values"}
        print(f"{find(id_).label}: {told}, lowest {min(data[id_]['values'])}", flush=True)
    return 0


def trained(task: Task) -> list[Any]:
    return [c for c in judge.checks(task) if c.tier == "T6"]


def trial(job: tuple[str, int]) -> tuple[bool, float, float]:
    """One training run of the reference: did it miss a bar, its lowest value, CPU time."""
    torch.set_num_threads(1)
    id_, seed = job
    began, missed, values = time.process_time(), False, []
    for c in trained(find(id_)):
        trace = judge.run(c, judge.reference(find(id_)), 0, seed=seed)
        missed |= bool(trace.error or judge.compare(trace, trace))
        values += [float(r.got) for r in trace.records if r.least is not None]
    return missed, round(min(values), 2), time.process_time() - began


def dev_new(args: Any) -> int:
    """The three files of a new exercise, to be filled in."""
    if len(args.ids) != 2 or not re.fullmatch(r"[1-9]\.\d+", args.ids[0]):
        raise UserError("give an id and a name: dev new 2.5 n_step")
    id_, name = args.ids
    if id_ in tasks() or name in {t.name for t in tasks().values()}:
        raise UserError(f"{id_} or {name} is there already")
    folder = AUTHOR / SETS[int(id_[0])][0] / name
    folder.mkdir(parents=True)
    for file, text in TEMPLATE.items():
        (folder / file).write_text(text.replace("ID", id_).replace("NAME", name), encoding="utf-8")
    print(f"{folder.relative_to(ROOT)}: see exercises/_author/README.md")
    return 0


TEMPLATE = {
    "task.toml": '''id = "ID"
name = "NAME"
title = ""
minutes = 15
difficulty = 2
page = "docs/algorithms/vpg.md"
equation = ""
why = """
"""
hints = [
  """""",
  """""",
  """""",
  """____""",
]

[[mutant]]
name = ""
replace = ""
with = ""
says = """"""
''',
    "source.py": '''"""ID Title

The idea, and the formula with every symbol.
"""


def NAME(x):
    """What it is: (B, dim) -> (B,)."""
    # BEGIN SOLUTION
    return x.sum(-1)
    # END SOLUTION
''',
    "check.py": """import torch

from exercises.lab import call, check


@check("T1", "one row")
def one(m):
    yield from call(m.NAME, torch.randn(1, 3))
""",
}
