"""What a learner sees: one verdict, one list, in plain lines; colours on a terminal only."""

import ast
import difflib
import json
import os
import sys
import textwrap
from typing import Any

from exercises.course import AUTHOR, SETS, Task, Verdict

WIDTH = 98
COLOURS = {"ok": "32", "FAIL": "31;1", "dim": "2", "bold": "1", "todo": "2", "started": "33",
           "passing": "36", "passed": "32", "seen": "35", "stale": "33"}  # fmt: skip
CALL = "python -m exercises"


def colour(text: str, name: str) -> str:
    if name not in COLOURS or not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{COLOURS[name]}m{text}\x1b[0m"


def mark(fine: bool) -> str:
    return colour("ok  ", "ok") if fine else colour("FAIL", "FAIL")


def say(text: str = "") -> None:
    """Print, also where the terminal has no Greek letters."""
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), flush=True)


def fold(text: str, indent: str) -> str:
    """Running text within the width, paragraph by paragraph."""
    return f"\n{indent}\n".join(_paragraph(p, indent) for p in text.strip().split("\n\n"))


def _paragraph(text: str, indent: str) -> str:
    rows = textwrap.wrap(" ".join(text.split()), WIDTH - len(indent), break_long_words=False)
    return "\n".join(indent + row for row in rows)


def wrap(line: str, indent: str) -> str:
    """A line as it is, its columns too, if it fits."""
    return indent + line if len(indent + line) <= WIDTH else fold(line, indent)


def head(task: Task, attempt: int = 0) -> str:
    parts = [colour(task.label, "bold"), f"PS{task.ps} {SETS[task.ps][1]}"]
    parts += [f"attempt {attempt}"] * bool(attempt) + [task.page]
    return "  ·  ".join(parts)


def verdict(task: Task, v: Verdict, attempt: int, hints: int, trace: bool = False) -> str:
    """The whole screen of a check."""
    lines = [head(task, attempt if v.status != "blank" else 0), ""]
    if v.status == "blank" and not any(c.status == "ok" for c in v.checks):
        lines = [f"{colour(task.label, 'bold')}  ·  {not_written(v)}", f"  {v.where}"]
        lines += [
            "",
            f"Next: read {task.page} ({task.equation}), then write it: about {task.minutes} min.",
        ]
        lines += [f"      {CALL} hint {task.id}     (hint {min(hints, 3) + 1} of 4)"]
        return "\n".join(lines)
    if v.lines:
        lines += [
            colour("  FAIL  ", "FAIL") + v.lines[0],
            *(f"        {line}" for line in v.lines[1:]),
        ]
    left = [c for c in v.checks if c.status == "not run"]
    for c in v.checks:
        if c.status != "not run":
            status = colour(c.status.ljust(4), c.status)
            lines += [f"  {status}  {c.tier}  {c.name:<62} {c.seconds:5.2f} s"]
            lines += [wrap(line, "          ") for line in c.lines]
    if v.says:
        lines += [fold(v.says, "        ")]
    if v.where and v.status == "fail":
        lines += [f"        {v.where}"]
    if left and v.status == "fail":
        tiers = ", ".join(dict.fromkeys(c.tier for c in left))
        lines += [colour(f"  not run  {tiers} ({len(left)})", "dim")]
    if v.printed:
        lines += ["", "  your code printed:", *(f"    {line}" for line in v.printed)]
    if trace and v.trace:
        lines += ["", v.trace.rstrip()]
    lines += ["", *_next(task, v, hints, left)]
    return "\n".join(lines)


def line(task: Task, v: Verdict) -> str:
    """A verdict among many."""
    first = next((x for c in v.checks if c.status == "FAIL" for x in c.lines), "")
    told = " ".join((v.says or first or " ".join(v.lines)).split())
    word = {"pass": colour("pass ", "ok"), "fail": colour("FAIL ", "FAIL")}.get(v.status, v.status)
    shown = told if v.status in ("fail", "broken") else ""
    return f"{task.label:<24} {word:<5}  {shown}"[:WIDTH].rstrip()


def difference(task: Task, mine: str, other: str, done: bool) -> str:
    """A file beside the blank, as a whole; beside the solution by function, from ours to yours."""
    if not done:
        pair = other.splitlines(), mine.splitlines()
        rows = list(difflib.unified_diff(*pair, "the blank", "yours", lineterm=""))
        return "\n".join(rows) or "this is the blank"
    ours, yours = parts(other, task.ending), parts(mine, task.ending)
    out = []
    for name in ours:
        pair = ours[name], yours.get(name, [])
        rows = list(
            difflib.unified_diff(*pair, f"{name}, ours", f"{name}, yours", lineterm="", n=30)
        )
        out += rows or [f"{name}: the same as ours"]
    return "\n".join(out)


def parts(text: str, ending: str) -> dict[str, list[str]]:
    """The lines of each function and class of a file, or all of it if it is no Python."""
    rows = text.splitlines()
    if ending == ".toml":
        return {"the answer": rows}
    try:
        nodes = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    except SyntaxError:
        return {"the file": rows}
    return {n.name: rows[n.lineno - 1 : n.end_lineno] for n in nodes}


def calibration(task: Task) -> str:
    """How often the reference misses the bar of its training checks, if it was measured."""
    path = AUTHOR / "calibration.json"
    found = json.loads(path.read_text(encoding="utf-8")).get(task.id) if path.exists() else None
    if not found:
        return ""
    missed = f"{found['missed']} of {found['runs']} runs of the reference miss the bar"
    cost = f"{found['sittings']} sittings, {found['seconds']:.0f} s of CPU each"
    return f"\n  Training: {missed} ({cost})."


def progress(rows: list[dict[str, Any]]) -> str:
    """What has been done, by sets."""
    lines = []
    for number, (_, title) in SETS.items():
        own = [r for r in rows if r["set"] == number]
        done = [r for r in own if r["status"] in ("passed", "passing")]
        bar = "■" * len(done) + "·" * (len(own) - len(done))
        spent = sum(r["seconds"] for r in own) / 60
        used = sum(r["hints"] for r in own)
        tried = sum(r["attempts"] for r in own)
        cells = f"{spent:5.0f} min  {tried:>3} attempts  {used:>2} hints"
        lines += [f"PS{number}  {bar:<6} {title:<34} {cells}"]
    return "\n".join(lines)


def not_written(v: Verdict) -> str:
    return next(
        (line for line in [*v.lines, *(x for c in v.checks for x in c.lines)]), "not written yet"
    )


def _next(task: Task, v: Verdict, hints: int, left: list) -> list[str]:
    if v.status == "broken":
        return []
    if v.status == "fail":
        if hints == 4:
            return [f"Next: {CALL} hint {task.id} --all     (all four again)"]
        return [f"Next: {CALL} hint {task.id}     (hint {hints + 1} of 4)"]
    proven = ", ".join(dict.fromkeys(c.tier for c in v.checks if c.status == "ok"))
    lines = [colour(f"PASS  {task.label}", "ok") + f"   ({proven})"]
    if left:
        lines += [f"      not run: training. {CALL} check {task.id} --full"]
    lines += [f"Next: {CALL} next"]
    if task.plugs:
        lines += [f"      {CALL} train {task.id}     trains with your {task.plugs.split('.')[-1]}"]
    return lines + [f"      {CALL} solution {task.id}     ours, beside yours"]


def table(rows: list[dict[str, Any]]) -> str:
    """The list of exercises, by sets."""
    lines, last = [], 0
    for r in rows:
        if r["set"] != last:
            lines += ["", colour(f"PS{r['set']}  {SETS[r['set']][1]}", "bold")]
            last = r["set"]
        done = [f"{r['attempts']} attempts"] * (r["attempts"] > 0) + [f"{r['hints']} hints"] * (
            r["hints"] > 0
        )
        mark = ">" if r["current"] else " "
        cells = f"{mark} {r['id']:<4} {r['name']:<20} {r['minutes']:>4} min  "
        lines += [
            cells
            + colour(f"{r['status']:<8}", r["status"])
            + f" {r['title']:<52} {', '.join(done)}".rstrip()
        ]
    passed = sum(r["status"] in ("passed", "passing") for r in rows)
    left = sum(r["minutes"] for r in rows if r["status"] not in ("passed", "passing"))
    return "\n".join(
        [*lines[1:], "", f"{passed} of {len(rows)} done, about {left / 60:.1f} hours are left"]
    )
