"""Exercises in deep reinforcement learning: write it, and have it checked in seconds.

  python -m exercises                 watch the current exercise: it is checked whenever you save it
  python -m exercises list            all of them, with minutes and where you are
  python -m exercises start ID        go to any of them
  python -m exercises next            go to the next one that is not done
  python -m exercises check [ID ...]  check once; --all, --full (with training), --json
  python -m exercises hint [ID]       the next of four hints
  python -m exercises explain [ID]    what the check tries, and why that
  python -m exercises trace ID        yours and ours side by side, quantity by quantity
  python -m exercises diff [ID]       what you have written; after a pass, beside ours
  python -m exercises solution ID     ours, to read
  python -m exercises reset ID        the blank again; yours is kept in .rlcourse/backup
  python -m exercises train ID        train with your function in the place of the course's
  python -m exercises predict ID      record a prediction, then see what was measured
  python -m exercises submit ID RUN.. have your own runs checked
  python -m exercises bug new         find a bug that is planted into a real algorithm
  python -m exercises progress        what you have done
  python -m exercises doctor          is this machine ready?
  python -m exercises grade FOLDER..  for teachers: check the folders of a class; --json

Each command says more with --help. --folder DIR works on another copy of the problem sets.
"""

import argparse
import gc
import json
import os
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from exercises import screen
from exercises.course import HERE, Task, UserError, Verdict, find, tasks
from exercises.screen import CALL, say
from exercises.state import State


def main(argv: list[str]) -> int:
    """Run one command: 0 is a pass, 1 a fail, 2 a mistake in the call or a broken set-up."""
    parser = commands()
    if argv and argv[0] in ("-h", "--help", "help"):
        say(__doc__.strip())
        return 0
    try:
        args, args.flags = parser.parse_known_args(argv or ["watch"])
        if args.flags and "train" not in (args.command, getattr(args, "do", "")):
            raise UserError(f"what is {args.flags[0]}? (see {CALL} {args.command} --help)")
        if args.command == "dev":
            from exercises import dev

            return dev.main(args)
        return COMMANDS[args.command](args, State(args.folder)) or 0
    except (UserError, PermissionError) as e:
        print(f"exercises: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors and no abbreviations."""

    def __init__(self, **more: Any):
        super().__init__(allow_abbrev=False, **more)

    def error(self, message: str) -> None:
        raise UserError(f"{message} (see {self.prog} --help)")


def commands() -> Parser:
    parser = Parser(prog=CALL, description=__doc__, add_help=False)
    sub = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, about: str, *words: str, ids: str = "") -> argparse.ArgumentParser:
        p = sub.add_parser(name, help=about, description=about, prog=f"{CALL} {name}")
        p.add_argument("--folder", type=folder, default=HERE, help="where the problem sets are")
        if ids:
            p.add_argument("ids", nargs=ids, metavar="ID", help="such as 2.3 or gae")
        for word in words:
            p.add_argument(f"--{word}", action="store_true", help=FLAGS[word])
        return p

    add("watch", "Check the current exercise whenever its file is saved.", "full", ids="?")
    add("check", "Check once.", "all", "full", "json", "traceback", ids="*")
    p = add("list", "All exercises.", "json")
    p.add_argument("--set", metavar="PS4", help="only this problem set")
    add("next", "Go to the next exercise that is not done.")
    add("start", "Go to an exercise.", ids=1)
    add("hint", "The next of four hints.", "all", ids="?")
    add("explain", "What the check tries, and why that.", ids="?")
    add("trace", "Yours and the reference, quantity by quantity.", ids="?")
    add("diff", "Your file beside the blank; after a pass beside the solution.", ids="?")
    add("solution", "Write the solution to exercises/solutions.", "give-up", ids=1)
    add("reset", "Put the blank back; your file goes to .rlcourse/backup.", ids=1)
    add(
        "train",
        "Train with your function in the place of the course's; more flags go to it.",
        ids=1,
    )
    add("predict", "Record your prediction, then show what was measured.", ids=1)
    p = add("submit", "Have your own runs checked.", ids=1)
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs")
    p = add("bug", "Find a bug that is planted into a real algorithm.")
    p.add_argument("do", choices=("new", "list", "check", "train", "reveal"))
    p.add_argument("name", nargs="?", help="of a hunt, the newest if left out")
    p.add_argument("--algo", choices=("vpg", "ppo", "ddpg", "td3", "sac"))
    p.add_argument(
        "--level", type=int, choices=(1, 2, 3), help="fatal, worse, invisible in the return"
    )
    p.add_argument("--seed", type=int, help="draw the same bug as somebody else")
    add("progress", "What you have done.", "json")
    add("doctor", "Is this machine ready?")
    p = add("grade", "Check the folders of a class.", "json", "full")
    p.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    p = add("dev", "For authors: see exercises/_author/README.md.", "json")
    p.add_argument(
        "do", choices=("check", "survivors", "generate", "matrix", "calibrate", "mutants", "new")
    )
    p.add_argument("ids", nargs="*", metavar="ID")
    p.add_argument("--runs", type=int, default=100, help="of a calibration")
    return parser


FLAGS = {
    "all": "all of them",
    "full": "with training, which takes about a minute",
    "json": "for other programs",
    "traceback": "also the traceback of Python",
    "give-up": "do not ask",
}


def folder(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_dir():
        raise UserError(f"{text} is no folder")
    return path / "exercises" if (path / "exercises").is_dir() else path


def shown(path: Path) -> Path:
    """A path as one would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def chosen(args: Any, state: State) -> Task:
    ids = [args.ids] if isinstance(args.ids, str) else args.ids or []
    return state.choose(ids)[0]


# ---- checking


def judged(state: State, task: Task, full: bool = False) -> tuple[Verdict, int]:
    """The verdict on the learner's file, noted; the number of the attempt."""
    judge = warm(state)
    v = judge.forked(task, shown(state.file(task)), skip=() if full else ("T6",))
    trained = all(c.status == "ok" for c in v.checks)
    return v, state.attempt(task, v.status, v.tier, trained)


def warm(state: State | None) -> Any:
    """The judge, with torch imported and the learner's own functions at hand."""
    gc.disable()  # importing torch is a quarter faster
    from exercises import judge

    gc.freeze()
    gc.enable()
    if state:
        judge.own = state.passed
    return judge


def check(args: Any, state: State) -> int:
    chosen_ = list(tasks().values()) if args.all else state.choose(args.ids)
    results = []
    for i, task in enumerate(chosen_):
        v, attempt = judged(state, task, args.full)
        results.append(v)
        if args.json:
            continue
        if len(chosen_) > 1:
            say(f"{i + 1:>3}/{len(chosen_)}  {screen.line(task, v)}")
        else:
            say(screen.verdict(task, v, attempt, state.of(task)["hints"], args.traceback))
        state.save()
    if args.json:
        say(json.dumps([as_json(v) for v in results], ensure_ascii=False, indent=1))
    if any(v.status == "broken" for v in results):
        return 2
    return int(any(v.status != "pass" for v in results))


def as_json(v: Verdict) -> dict[str, Any]:
    data = asdict(v) | {"name": find(v.id).name, "tier": v.tier}
    del data["trace"]
    return data


def watch(args: Any, state: State) -> int:
    from exercises.watch import Watch

    if args.ids:
        state.go_to(find(args.ids))
    state.save()
    return Watch(state, warm(state), judged, args.full).loop()


def trace(args: Any, state: State) -> int:
    task = chosen(args, state)
    judge = warm(state)
    if state.text(task) is None:
        raise UserError(f"{shown(state.file(task))} is not there: {CALL} reset {task.id} writes it")
    lines, equal = judge.traced(task, shown(state.file(task)))
    say("\n".join([screen.head(task), "", *lines]))
    return int(not equal)


def train(args: Any, state: State) -> int:
    task = find(args.ids[0])
    if not task.plugs:
        raise UserError(
            f"{task.label} has no place in an algorithm: those that have are marked in list"
        )
    if state.passed(task) is None:
        say(f"{task.label} does not pass yet: {CALL} check {task.id}")
        return 1
    alone(args.flags)
    judge, (algo, name) = warm(state), task.plugs.split(".")
    from importlib import import_module

    from rlcourse import run

    mine = getattr(judge.passed(task), name)
    setattr(import_module(f"rlcourse.algos.{algo}"), name, mine)
    say(f"{task.plugs} is your {name}\n")
    return run.main(
        [*task.train.split(), "--exp-name", f"my_{task.name}", "--overwrite", *args.flags]
    )


def alone(flags: list[str]) -> None:
    """Only this process has the learner's function: UserError if others would be started."""
    if "--cpu" in flags:
        raise UserError("--cpu starts processes that have the course's function: leave it out")


# ---- texts


def list_(args: Any, state: State) -> int:
    rows = [row(state, t) for t in tasks().values()]
    if args.set:
        wanted = args.set.upper().removeprefix("PS")
        rows = [r for r in rows if str(r["set"]) == wanted]
        if not rows:
            raise UserError(f"there is no problem set {args.set}: PS1 to PS9")
    say(json.dumps(rows, ensure_ascii=False, indent=1) if args.json else screen.table(rows))
    return 0


def row(state: State, task: Task) -> dict[str, Any]:
    r = state.of(task)
    names = ("id", "name", "title", "minutes", "difficulty", "page", "evening")
    return {n: getattr(task, n) for n in names} | {
        "set": task.ps,
        "file": str(shown(state.file(task))),
        "status": state.status(task),
        "attempts": r["attempts"],
        "hints": r["hints"],
        "tier": r.get("tier", ""),
        "current": task is state.current(),
    }


def start(args: Any, state: State) -> int:
    return goto(state, find(args.ids[0]))


def next_(args: Any, state: State) -> int:
    here = state.current()
    at_start = state.status(here) == "todo" and not state.data["current"]
    task = here if at_start else state.following(here)
    if task is None:
        say(f"All exercises are done. {CALL} bug new has more.")
        return 0
    return goto(state, task)


def goto(state: State, task: Task) -> int:
    state.go_to(task)
    state.save()
    say(screen.head(task))
    parts = [] if task.bug else [*dict.fromkeys(task.parts)]  # of a hunt they are the answer
    say(f"\n  {shown(state.file(task))}     {', '.join([f'about {task.minutes} min', *parts])}")
    say(f"  {task.page}     {task.equation}")
    own = "" if state.folder == HERE else f" --folder {shown(state.folder)}"
    say(f"\nNext: write it, and {CALL} watch{own} checks it whenever you save.")
    return 0


def hint(args: Any, state: State) -> int:
    task = chosen(args, state)
    record = state.of(task)
    first = 0 if args.all else min(record["hints"], 3)
    last = 4 if args.all else first + 1
    say(screen.head(task))
    for i in range(first, last):
        say(
            f"\nHint {i + 1} of 4\n\n"
            + "\n".join(f"    {x}" for x in task.hints[i].strip().split("\n"))
        )
    record["hints"] = max(record["hints"], last)
    state.save()
    left = 4 - last
    more = (
        f"{left} more: the same command again"
        if left
        else f"the whole of it: {CALL} solution {task.id}"
    )
    say(f"\n{more}")
    return 0


def explain(args: Any, state: State) -> int:
    task = chosen(args, state)
    say(screen.head(task) + "\n")
    say(screen.fold(task.why, "  "))
    judge = warm(state)
    say("\n  The checks:")
    for c in judge.checks(task):
        say(f"    {c.tier} {judge.lab.TIERS[c.tier]:<20} {c.name}")
    say(screen.calibration(task))
    say(f"\n  {task.page}     {task.equation}")
    wrong, right = len(task.mutants), len(task.equivalents) + 1
    say(f"  {wrong} wrong answers are known to fail, {right} right ones to pass.")
    return 0


def diff(args: Any, state: State) -> int:
    task = chosen(args, state)
    mine = state.text(task)
    if mine is None:
        raise UserError(f"{shown(state.file(task))} is not there: {CALL} reset {task.id} writes it")
    done = state.status(task) in ("passed", "passing", "seen")
    say(screen.difference(task, mine, task.solution if done else task.blank, done))
    return 0


def solution(args: Any, state: State) -> int:
    task = find(args.ids[0])
    record = state.of(task)
    if state.passed(task) is None and "first_pass" not in record and not args.give_up:
        if not sys.stdin.isatty():
            say(f"{task.label} does not pass yet; --give-up shows the solution all the same")
            return 1
        answer = input(
            f"{task.label} does not pass yet. {4 - record['hints']} hints are left. Show it? [y/N] "
        )
        if answer.strip().lower() not in ("y", "yes"):
            return 1
    if "first_pass" not in record:
        record["seen_first"] = True
    path = state.folder / "solutions" / Path(task.path).name
    path.parent.mkdir(exist_ok=True)
    path.write_text(task.solution, encoding="utf-8")
    state.save()
    if state.passed(task) is not None:
        say(screen.difference(task, state.text(task), task.solution, True))
    else:
        say(task.solution)
    say(f"\nwritten to {shown(path)}")
    return 0


def reset(args: Any, state: State) -> int:
    task = find(args.ids[0])
    kept = state.put_blank(task)
    for key in ("passed", "file"):
        state.of(task).pop(key, None)
    state.save()
    say(f"{shown(state.file(task))} is blank again" + (f"; yours is {shown(kept)}" if kept else ""))
    return 0


def predict(args: Any, state: State) -> int:
    from exercises import answers

    return answers.predict(find(args.ids[0]), state, judged)


def submit(args: Any, state: State) -> int:
    from exercises import answers

    return answers.submit(find(args.ids[0]), args.runs, state, judged)


def bug(args: Any, state: State) -> int:
    from exercises import bugs

    return (bugs.hunts if args.do == "list" else getattr(bugs, args.do))(args, state)


def progress(args: Any, state: State) -> int:
    rows = [row(state, t) | {"seconds": state.of(t)["seconds"]} for t in tasks().values()]
    say(json.dumps(rows, ensure_ascii=False, indent=1) if args.json else screen.progress(rows))
    return 0


def doctor(args: Any, state: State) -> int:
    """Versions, what can be written, and how long a check takes here."""
    began = time.perf_counter()
    judge, (first, *_) = warm(state), tasks().values()
    loaded = time.perf_counter()
    v = judge.in_child(lambda: asdict(judge.judge(first, first.solution, "solution.py")), 60)
    checked = time.perf_counter()
    works = isinstance(v, dict) and v["status"] == "pass"
    state.home.mkdir(parents=True, exist_ok=True)
    writable = os.access(state.home, os.W_OK) and os.access(state.folder, os.W_OK)
    missing = [t.id for t in tasks().values() if state.text(t) is None]
    packages = {n: version(n) for n in ("torch", "numpy", "gymnasium")}
    lines = [
        ("Python", sys.version.split()[0], sys.version_info >= (3, 11)),
        *((n, found, True) for n, found in packages.items()),
        ("cores", str(os.cpu_count()), True),
        ("exercises", f"{len(tasks())}, files in {shown(state.folder)}", True),
        ("missing files", f"{' '.join(missing) or 'none'}", not missing),
        ("history", f"{shown(state.path)}", writable),
        ("loading torch", f"{loaded - began:.1f} s", loaded - began < 5),
        ("one check", f"{checked - loaded:.2f} s", works and checked - loaded < 2),
    ]
    for name, value, fine in lines:
        say(f"  {screen.mark(fine)}  {name:<16} {value}")
    if missing:
        say(f"\n{CALL} reset ID writes a missing file")
    return 0 if all(fine for *_, fine in lines[:-2]) and works else 2


def grade(args: Any, state: State) -> int:
    """One line for each folder, or all verdicts as JSON."""
    report, bad, judge = {}, 0, warm(None)
    for given in args.folders:
        if given.is_file():  # such as a list of names that class/* matches too
            print(f"exercises: {given} is no folder, and left out", file=sys.stderr)
            continue
        place = folder(str(given))
        verdicts = {
            t.id: judge.forked(t, place / t.path, skip=() if args.full else ("T6",))
            for t in tasks().values()
        }
        report[str(place)] = {i: as_json(v) for i, v in verdicts.items()}
        marks = {i: v.status for i, v in verdicts.items()}
        passed = [i for i, m in marks.items() if m == "pass"]
        bad += len(passed) < len(marks)
        if not args.json:
            name = place.parent.name if place.name == "exercises" else place.name
            tried = [i for i, m in marks.items() if m == "fail"]
            say(
                f"{name:<24} {len(passed):>2} of {len(marks)}   passed {' '.join(passed) or '-'}"
                f"   failed {' '.join(tried) or '-'}"
            )
    if args.json:
        say(json.dumps(report, ensure_ascii=False, indent=1))
    return int(bool(bad))


COMMANDS = {
    "watch": watch, "check": check, "list": list_, "next": next_, "start": start, "hint": hint,
    "explain": explain, "trace": trace, "diff": diff, "solution": solution, "reset": reset,
    "train": train, "predict": predict, "submit": submit, "bug": bug, "progress": progress,
    "doctor": doctor, "grade": grade,
}  # fmt: skip


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without the seconds that torch takes to be taken down
