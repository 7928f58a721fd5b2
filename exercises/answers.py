"""Answers that are not code: a prediction made before the result is seen, and runs of one's own."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from exercises import judge, screen
from exercises.course import HERE, ROOT, Task, UserError
from exercises.screen import CALL, say
from exercises.state import State

RUNS = re.compile(r'^runs = \[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\]', re.M)


def predict(task: Task, state: State, judged: Callable) -> int:
    """Record the prediction, then show what was measured. The first one is the one that counts."""
    reveal = getattr(judge.module(task), "reveal", None)
    if reveal is None:
        raise UserError(f"{task.label} asks for no prediction: {CALL} check {task.id}")
    text, record = state.text(task), state.of(task)
    if text is None or text == task.blank:
        say(f"{task.label} is not written yet: {screen_path(state, task)}")
        return 1
    v, attempt = judged(state, task)
    say(screen.verdict(task, v, attempt, record["hints"]))
    if v.lines:  # no answer at all, such as a file that is no TOML
        return 1
    record.setdefault("prediction", text)
    state.save()
    say(f"\nWhat was measured:\n\n{reveal()}")
    if record["prediction"] != text:
        say("\nThis is not your first prediction: what you know now was shown after that one.")
    return int(v.status != "pass")


def submit(task: Task, runs: list[Path], state: State, judged: Callable) -> int:
    """Write the folders of these runs into the claim, and check it."""
    text = state.text(task) or task.blank
    if not RUNS.search(text):
        raise UserError(f"{task.label} takes no runs: {CALL} check {task.id}")
    for run in runs:
        if not (run / "progress.csv").exists():
            raise UserError(f"{run} is no folder of a run: it has no progress.csv")
    names = "".join(f"    {json.dumps(place(run), ensure_ascii=False)},\n" for run in runs)
    text = RUNS.sub(lambda m: f"runs = [\n{names}]", text, count=1)
    state.file(task).parent.mkdir(parents=True, exist_ok=True)
    state.file(task).write_text(text, encoding="utf-8")
    v, attempt = judged(state, task)
    state.save()
    say(screen.verdict(task, v, attempt, state.of(task)["hints"]))
    return int(v.status != "pass")


def place(run: Path) -> str:
    """A run's folder as a claim names it: from the root of the project if it is below it."""
    path = run.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()


def screen_path(state: State, task: Task) -> str:
    path = state.file(task)
    return str(path.relative_to(HERE.parent) if path.is_relative_to(HERE.parent) else path)
