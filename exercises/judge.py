"""Runs the checks of an exercise on a learner's file and says the first thing that is wrong.

The learner's code runs in a forked child with limits of time, its output caught, its errors shown
by its own lines only. An answer that equals a known mutant in every quantity is named as that one.
"""

import ast
import contextlib
import importlib
import importlib.util
import io
import itertools
import json
import linecache
import os
import random
import re
import resource
import select
import signal
import sys
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch

from exercises import lab
from exercises.course import Result, Task, Variant, Verdict
from exercises.lab import EXACT, SECONDS, Check, Record, Wrong

LEARNER, REFERENCE = "exercise", "reference"  # names of the two modules
ENDLESS = 97  # exit code of a child that could not be stopped otherwise
PRINTED = 20  # lines of a learner's output that are shown


def own(task: Task) -> str | None:
    """The text of an exercise that the learner has passed: the runner puts its memory here."""
    return None


@dataclass
class Trace:
    """One pass through a check: what was recorded, and what ended it."""

    records: list[Record]
    error: BaseException | None = None


class TooLong(BaseException):
    """The time of a check is over. Not an Exception, so that `except Exception` lets it pass."""


def without_compiler() -> None:
    """Let optimisers of torch step without its compiler, whose loading takes longer than a check.

    The first step of torch.optim.Adam imports torch._dynamo only to tell it where to stop; this
    stands there instead. Whatever else is asked of it loads the real one.
    """
    name = "torch._dynamo"
    stub = ModuleType(name)
    stub.graph_break = lambda *_, **__: None
    stub.disable = lambda fn, *_, **__: fn

    def real(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if sys.modules.get(name) is stub:
            del sys.modules[name]
            torch._dynamo = importlib.import_module(name)
        return getattr(sys.modules[name], attribute)

    stub.__getattr__ = real
    sys.modules[name] = torch._dynamo = stub


if "torch._dynamo" not in sys.modules:
    without_compiler()


# ---- loading


def load(text: str, path: str, name: str) -> Any:
    """A module made from this text; an answer in TOML becomes a namespace."""
    if path.endswith(".toml"):
        return SimpleNamespace(__text__=text, **tomllib.loads(text))
    module = ModuleType(name)
    module.__file__, module.__text__ = path, text
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    sys.modules[name] = module  # dataclasses look there
    exec(compile(text, path, "exec"), module.__dict__)
    return module


@cache
def reference(task: Task) -> Any:
    return load(task.solution, f"<solution of {task.id}>{task.ending}", REFERENCE)


def passed(task: Task) -> Any:
    """The learner's own module of an exercise, if there is one that passes."""
    text = own(task)
    return load(text, f"<{task.label}>{task.ending}", LEARNER) if text else None


@cache
def mutant(task: Task, variant: Variant) -> Any:
    return load(task.variant(variant), f"<{variant.name}>{task.ending}", REFERENCE)


@cache
def module(task: Task) -> ModuleType:
    """The check.py of an exercise."""
    path = task.folder / "check.py"
    spec = importlib.util.spec_from_file_location(f"check_{task.name}", path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


@cache
def checks(task: Task) -> list[Check]:
    found = [f.check for f in vars(module(task)).values() if hasattr(f, "check")]
    return [c for c in found if isinstance(c, Check)]


# ---- running


def run(check: Check, code: Any, seed: int = 0, /, **more: Any) -> Trace:
    """One pass through a check, from its own random numbers."""
    for draw in (torch.manual_seed, np.random.seed, random.seed):
        draw(1000 * seed + sum(check.name.encode()))
    torch.set_default_dtype(torch.float64 if check.tier in ("T1", "T2", "T4") else torch.float32)
    torch.set_grad_enabled(True)  # whatever was left behind
    trace = Trace([])
    try:
        for record in check.steps(code, **more):
            trace.records.append(record)
    except BaseException as e:
        trace.error = e
    finally:
        torch.set_default_dtype(torch.float32)
    return trace


@contextlib.contextmanager
def quiet(out: io.TextIOBase) -> Iterator[None]:
    """What is printed goes to `out`, warnings too."""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        yield


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """TooLong after so much CPU time, or ten times as much on the clock; in the main thread."""

    ticks = itertools.count()

    def over(*_: Any) -> None:
        if next(ticks) > 3:  # whoever catches everything, again and again
            os._exit(ENDLESS)
        raise TooLong

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, 1), (signal.ITIMER_REAL, signal.SIGALRM, 10))
    for timer, number, factor in timers:
        signal.signal(number, over)
        signal.setitimer(timer, seconds * factor, 1)  # again and again: a bare except may catch one
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)


@cache
def expected(task: Task, check: Check, seed: int, run_seed: int | None) -> Trace:
    """The reference's pass, which is the same for every answer."""
    more = {} if run_seed is None else {"seed": run_seed}
    trace = run(check, reference(task), seed, **more)
    if trace.error:
        raise trace.error
    return trace


def compare(got: Trace, want: Trace) -> list[str]:
    """The first record that differs, after what agreed before it; none if all agree."""
    agreed: list[str] = []
    for mine, other in zip(got.records, want.records, strict=False):
        lines = lab.differs(mine, other)
        if lines:
            return [*before(agreed), *lines, *(f"called as {c}" for c in mine.context)]
        agreed.append(mine.label)
    if not got.error and len(got.records) != len(want.records):
        return [f"{len(want.records)} quantities are expected, {len(got.records)} came"]
    return []


def before(agreed: list[str]) -> list[str]:
    """What was equal, as a line: all of it if it is short, else the last."""
    labels = list(dict.fromkeys(agreed))
    if len(labels) > 4:
        return [f"equal so far: {len(labels)} quantities, the last of them {labels[-1]}"]
    return [f"equal so far: {', '.join(labels)}"] if labels else []


def same(one: Trace, two: Trace) -> bool:
    """Do two answers agree in everything that was recorded?"""
    if type(one.error) is not type(two.error) or len(one.records) != len(two.records):
        return False
    if isinstance(one.error, Wrong) and str(one.error) != str(two.error):
        return False
    pairs = zip(one.records, two.records, strict=True)
    return all(r.label == s.label and not lab.difference("", r.got, s.got) for r, s in pairs)


def judge(
    task: Task, text: str, path: str, seed: int = 0, skip: tuple[str, ...] = ("T6",)
) -> Verdict:
    """All checks in their order until one fails. Runs the code here: see `forked`."""
    verdict = Verdict(task.id, "pass")
    verdict.checks = [Result(c.tier, c.name) for c in checks(task)]
    learner = Learner(task, text, path)
    out = Printed()
    if text == task.blank and "raise NotImplementedError" not in text:
        number = next(n for n, row in enumerate(text.splitlines(), 1) if row in task.gaps)
        verdict.status, verdict.lines = "blank", [f"{task.id} is not written yet"]
        verdict.where = learner.place(number)
        return verdict
    for check in checks(task):  # before anything of the learner's can have an influence on it
        if check.tier in EXACT and check.tier not in skip:
            expected(task, check, seed, None)
    try:
        with quiet(out), limit(SECONDS["T1"] + 2):
            code = load(text, path, LEARNER)
    except (Exception, SystemExit, TooLong) as e:
        learner.explain(e, verdict)
        return verdict
    for check, result in zip(checks(task), verdict.checks, strict=True):
        if check.tier in skip:
            continue
        began = time.perf_counter()
        with quiet(out):
            trace, lines = attempt(task, check, code, seed)
        result.seconds = round(time.perf_counter() - began, 3)
        result.status = "FAIL" if trace.error or lines else "ok"
        result.lines = lines
        if result.status == "FAIL":
            verdict.status = "fail"
            if not lines:
                learner.explain(trace.error, verdict, check)
                result.lines, verdict.lines = verdict.lines, []
            if verdict.status == "fail":
                m = diagnose(task, check, trace, code, seed)
                if m:
                    verdict.mutant, verdict.says = m.name, m.says
                verdict.where = verdict.where or learner.line_of(m)
            break
    verdict.printed = out.shown()
    return verdict


def attempt(task: Task, check: Check, code: Any, seed: int) -> tuple[Trace, list[str]]:
    """A check with all of its runs: the trace, and what is wrong in lines."""
    failed: list[tuple[Trace, list[str]]] = []
    for i in range(check.seeds):
        run_seed = i if check.seeds > 1 else None
        want = expected(task, check, seed, run_seed) if check.tier in EXACT else None
        with limit(SECONDS[check.tier]):
            trace = run(check, code, seed, **({} if run_seed is None else {"seed": i}))
        lines = compare(trace, want or trace)
        if trace.error or lines:
            failed.append((trace, lines))
        if len(failed) > check.seeds - check.needed:
            return failed[0]
        if i + 1 - len(failed) >= check.needed:
            break
    return trace, []


def diagnose(task: Task, check: Check, trace: Trace, code: Any, seed: int) -> Variant | None:
    """The mutant that a learner's answer is, after this check was failed with this trace."""
    known = {check: trace}

    def of(c: Check) -> Trace:
        if c not in known:
            with limit(SECONDS[c.tier]):
                known[c] = run(c, code, seed)
        return known[c]

    with quiet(io.StringIO()):
        return name_mutant(task, check, of, seed)


def name_mutant(
    task: Task, check: Check, of: Callable[[Check], Trace], seed: int
) -> Variant | None:
    """The mutant whose every quantity an answer has, of which `of` gives the traces.

    Compared are the checks that use what the mutant changes, so that a mistake is named while
    other functions are not written yet, or wrong too.
    """
    if check.tier not in EXACT:
        return None
    rest = [c for c in checks(task) if c.tier in EXACT and not c.free and c is not check]
    for m in task.mutants:
        asked = [check, *(c for c in rest if changed(task, m) & used(task, c))]
        if all(alike(of(c), of_mutant(task, m, c, seed)) for c in asked):
            return m
    return None


def alike(mine: Trace, mutants: Trace) -> bool:
    return isinstance(mine.error, NotImplementedError) or same(mine, mutants)


@cache
def changed(task: Task, variant: Variant) -> frozenset[str]:
    """The functions and classes in which a variant differs from the solution."""
    if task.ending == ".toml":
        return frozenset({""})
    texts = (task.solution, task.variant(variant))
    one, two = ({ast.dump(n): n for n in ast.parse(t).body} for t in texts)
    return frozenset(getattr(n, "name", "") for k, n in two.items() if k not in one)


@cache
def used(task: Task, check: Check) -> frozenset[str]:
    """The functions and classes that a check asks for, and those that these use in turn."""
    found: set[str] = {""}

    class Asked:
        def __getattr__(self, name: str) -> Any:
            found.add(name)
            return getattr(reference(task), name)

    run(check, Asked())
    own, todo = vars(reference(task)), [*found]
    if all(name.startswith("__") for name in found - {""}):  # it looks at the text as a whole
        return frozenset(own) | {""}
    while todo:
        for name in _names(own.get(todo.pop())) & own.keys() - found:
            found.add(name)
            todo.append(name)
    return frozenset(found)


def _names(value: Any) -> set[str]:
    """The global names in the code of a function, or of the methods of a class."""
    if isinstance(value, type):
        return set().union(*map(_names, vars(value).values())) | {
            b.__name__ for b in value.__bases__
        }
    code = getattr(getattr(value, "__wrapped__", value), "__code__", None)
    names, todo = set(), [code] if code else []
    while todo:
        part = todo.pop()
        names |= set(part.co_names)
        todo += [c for c in part.co_consts if hasattr(c, "co_names")]
    return names


@cache
def of_mutant(task: Task, variant: Variant, check: Check, seed: int) -> Trace:
    """A known mutant's pass through a check."""
    with limit(SECONDS[check.tier]):
        return run(check, mutant(task, variant), seed)


def traced(task: Task, path: Path) -> tuple[list[str], bool]:
    """Quantity by quantity, the learner's and the reference's, up to the first difference."""

    def work() -> dict[str, Any]:
        lines: list[str] = []
        learner = Learner(task, path.read_text(encoding="utf-8-sig"), str(path))
        exact = [c for c in checks(task) if c.tier in EXACT]
        exact = [c for c in exact if not (task.bug and c.tier == "T7")]  # answers are no trace
        want = {c: expected(task, c, 0, None) for c in exact}
        try:
            with quiet(io.StringIO()), limit(SECONDS["T1"] + 2):
                code = load(learner.text, learner.path, LEARNER)
        except BaseException as e:
            return {"lines": learner.words(e), "equal": False}
        for c in exact:
            with quiet(io.StringIO()), limit(SECONDS[c.tier]):
                got = run(c, code)
            pairs = list(zip(got.records, want[c].records, strict=False))
            wrong = [lab.differs(*pair) for pair in pairs]
            if not got.error and not any(wrong):
                lines += [f"{c.tier} {c.name}: all {len(pairs)} equal"]
                continue
            lines += [f"{c.tier} {c.name}"]
            for (record, _), found in zip(pairs, wrong, strict=True):
                mark = "differs   <- first difference" if found else "equal"
                lines += [f"    {record.label:<56} {mark}"]
                if found:
                    return {"lines": lines + [f"        {x}" for x in found], "equal": False}
            lines += [f"    {x}" for x in learner.words(got.error, c)]
            return {"lines": [*lines, "    your code ends here"], "equal": False}
        return {"lines": lines, "equal": True}

    data = in_child(work, budget(task))
    return ([data], False) if isinstance(data, str) else (data["lines"], data["equal"])


# ---- words for errors


class Learner:
    """The learner's text, for saying where in it something is."""

    def __init__(self, task: Task, text: str, path: str):
        self.task, self.text, self.path = task, text, path
        self.rows = text.split("\n")

    def place(self, number: int) -> str:
        row = self.rows[number - 1].strip() if 0 < number <= len(self.rows) else ""
        return f"{self.path}:{number}   {row}".rstrip()

    def frame(self, e: BaseException) -> int | None:
        """The learner's last line that an exception passed through."""
        return line_in(e, self.path)

    def explain(self, e: BaseException, v: Verdict, check: Check | None = None) -> None:
        """Put an exception into the verdict, in words."""
        v.status = "fail"
        v.trace = "" if isinstance(e, Wrong) else "".join(traceback.format_exception(e))
        number = self.frame(e)
        if isinstance(e, SyntaxError) and (number is None or check is None):
            number = e.lineno or 1
            v.lines = [f"{type(e).__name__}: {e.msg}"]
        elif isinstance(e, NotImplementedError) and str(e).startswith(self.task.id):
            v.status = "blank"
            v.lines = [f'not written yet: NotImplementedError("{e}")']
        elif isinstance(e, tomllib.TOMLDecodeError):
            v.lines = [f"this is not TOML: {e}"]
        elif isinstance(e, Wrong):
            v.lines = [str(e)]
        elif isinstance(e, TooLong):
            budget = SECONDS[check.tier] if check else SECONDS["T1"]
            v.lines = [
                f"stopped after {budget} s of computing or {10 * budget} s of waiting: "
                f"does a loop never end?"
            ]
        elif isinstance(e, ModuleNotFoundError | ImportError):
            v.lines = [f"{e}: an exercise needs torch, numpy, gymnasium and exercises.given only"]
        elif isinstance(e, AttributeError) and getattr(e.obj, "__name__", "") == LEARNER:
            v.lines = [f"{e.name} is not defined in {self.path}: was it renamed or deleted?"]
        elif isinstance(e, AttributeError) and e.name == "__name__":
            v.lines = ["what is called must be a function: a def with the name that was given"]
        elif isinstance(e, SystemExit):
            v.lines = ["the code ended the program (sys.exit): leave that out"]
        elif isinstance(e, EOFError):
            v.lines = ["the code waits for input, which a check has not: leave that out"]
        elif isinstance(e, RecursionError):
            v.lines = ["your code calls itself without end (RecursionError)"]
        elif number is None:
            v.lines = [f"what came back cannot be used: {type(e).__name__}: {e}"]
        elif "leaf Variable that requires grad" in str(e):
            v.lines = ["your code changes an argument in place: work on a new tensor"]
        else:
            v.lines = [" ".join(told(e).split())]
            v.lines += [f"called as {c}" for c in getattr(e, "called", [])]
        v.where = self.place(number) if number else ""

    def words(self, e: BaseException, check: Check | None = None) -> list[str]:
        """An exception in words, and where it was."""
        v = Verdict(self.task.id, "fail")
        self.explain(e, v, check)
        return [*v.lines, *[v.where] * bool(v.where)]

    def line_of(self, known: Variant | None) -> str:
        """Where a mutant's own text stands in what the learner wrote, if it does."""
        if known is None or known.file:
            return ""
        right = {bare(row) for row in self.task.solution.splitlines()}
        wrong = [bare(row) for row in self.task.variant(known).splitlines()]
        wrong = [row for row in wrong if row and row not in right]
        for number, row in enumerate(self.rows, 1):
            if bare(row) in wrong:
                return self.place(number)
        return ""


def bare(row: str) -> str:
    """A line without its blanks and its comment."""
    return "".join(row.split("#")[0].split())


def line_in(e: BaseException, path: str) -> int | None:
    """The last line of a file that an exception passed through."""
    frames = traceback.extract_tb(e.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename == path), None)


class Printed(io.TextIOBase):
    """The first lines of what a learner's code prints."""

    def __init__(self) -> None:
        self.text, self.count = "", 0

    def write(self, s: str) -> int:
        self.count += s.count("\n")
        if len(self.text) < 200 * PRINTED:
            s = re.sub(r" \(Triggered internally at [^)]*\)", "", s)  # where torch was built
            self.text += s[: 200 * PRINTED].replace("\x1b", "")
        return len(s)

    def shown(self) -> list[str]:
        lines = self.text.splitlines()[:PRINTED]
        more = self.count - len(lines)
        return lines + [f"... and {more} more lines: is a print in a loop?"] * (more > 0)


# ---- in a child


def forked(task: Task, path: Path, **how: Any) -> Verdict:
    """The verdict on a file, judged in a forked child: nothing that it does harms the runner."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        lines = [
            f"{path} is not there",
            f"python -m exercises reset {task.id} puts the blank there",
        ]
        return Verdict(task.id, "broken", lines=lines)
    except UnicodeDecodeError as e:
        return Verdict(task.id, "fail", lines=[f"{path} is not UTF-8 text (byte {e.start})"])
    data = in_child(lambda: asdict(judge(task, text, str(path), **how)), budget(task, **how))
    if isinstance(data, str):
        return Verdict(task.id, "fail", lines=[data])
    return Verdict(**{**data, "checks": [Result(**r) for r in data["checks"]]})


def budget(task: Task, seed: int = 0, skip: tuple[str, ...] = ("T6",)) -> int:
    """Seconds of CPU for all checks of an exercise that are run, twice for naming a mutant."""
    return 20 + 2 * sum(SECONDS[c.tier] * c.seeds for c in checks(task) if c.tier not in skip)


def in_child(work: Callable[[], dict], seconds: int) -> Any:
    """What `work` returns, computed in a forked child; a text that says why there is nothing.

    The child has a session and limits of its own, and what it writes to the terminal goes nowhere.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        own, code = os.getpid(), 1
        try:
            os.setsid()
            nowhere = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(nowhere, fd)
            sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
            torch.set_num_threads(1)
            data = json.dumps(work()).encode()
            if os.getpid() == own:  # not a process that the learner's code has forked
                with os.fdopen(send, "wb") as pipe:
                    pipe.write(data)
                code = 0
        except BaseException as e:
            with contextlib.suppress(BaseException):
                os.write(send, json.dumps({"raised": told(e)}).encode())
        finally:
            os._exit(code)
    os.close(send)
    data, end = b"", time.monotonic() + 10 * seconds
    try:
        while time.monotonic() < end:
            if select.select([receive], [], [], 0.05)[0]:
                part = os.read(receive, 1 << 16)
                data += part
                if not part:
                    break
            elif os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break  # a process that it has left behind may hold the pipe
    finally:  # also after Ctrl-C: nothing of it stays
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        os.close(receive)
        _, status = os.waitpid(pid, 0)
    return outcome(data, os.waitstatus_to_exitcode(status))


def outcome(data: bytes, code: int) -> Any:
    """What came through the pipe, or what the end of a child means."""
    with contextlib.suppress(ValueError):
        found = json.loads(data)
        return found["raised"] if "raised" in found else found
    if code in (ENDLESS, -signal.SIGXCPU, -signal.SIGKILL):
        return "stopped: it did not end in time, or took all memory: does a loop never end?"
    if code < 0:
        return f"the process died of {signal.Signals(-code).name}"
    return f"the code ended the process (status {code}): leave that out"


def told(e: BaseException) -> str:
    try:
        return f"your code raised {type(e).__name__}: {e}"
    except Exception:
        return f"your code raised {type(e).__name__}"
