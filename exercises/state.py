"""What a learner has done so far: one small file, which is only a memory and never a lock.

`.rlcourse/state.json` lies beside the problem sets' folder. Deleting it loses the history; `check
--all` finds out again what passes. Nothing in it leaves the machine.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from exercises.course import HERE, Task, UserError, find, tasks

SCHEMA = 1
PAUSE = 600  # seconds between two attempts that still count as work


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class State:
    """The learner's files and history; `folder` is the one with ps1_distributions and so on."""

    def __init__(self, folder: Path = HERE):
        self.folder = folder
        self.home = folder.parent / ".rlcourse" if folder == HERE else folder / ".rlcourse"
        self.path = self.home / "state.json"
        self.data: dict[str, Any] = {"schema": SCHEMA, "current": "", "exercises": {}}
        if self.path.exists():
            try:
                self.data |= json.loads(self.path.read_text(encoding="utf-8"))
            except (ValueError, TypeError):
                kept = self.path.rename(self.path.with_suffix(f".broken-{int(time.time())}"))
                raise UserError(
                    f"{self.path} could not be read and is now {kept.name}: "
                    f"call the command again; `check --all` finds what passes"
                ) from None
        if self.data["schema"] > SCHEMA:
            raise UserError(f"{self.path} was written by a newer version: update this clone")

    def save(self) -> None:
        """All at once, or not at all."""
        self.home.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(f".{os.getpid()}.tmp")
        new.write_text(json.dumps(self.data, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(new, self.path)

    # ---- one exercise

    def of(self, task: Task) -> dict[str, Any]:
        """The record of an exercise: what is unknown in it is kept."""
        return self.data["exercises"].setdefault(task.id, {"attempts": 0, "hints": 0, "seconds": 0})

    def file(self, task: Task) -> Path:
        return self.folder / task.path

    def text(self, task: Task) -> str | None:
        try:
            return self.file(task).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def status(self, task: Task) -> str:
        """todo, started, passing (training not yet run), passed, seen (the solution) or stale."""
        text, record = self.text(task), self.of(task)
        if "passed" in record:
            if text is None or record["passed"] != digest(text) or record["task"] != version(task):
                return "stale"
            if record.get("seen_first"):
                return "seen"
            return "passed" if record.get("full", True) else "passing"
        if record.get("seen_first"):
            return "seen"
        touched = text is not None and text != task.blank
        return "started" if touched else "todo"

    def passed(self, task: Task) -> str | None:
        """The learner's text, if it is the one that passed."""
        return self.text(task) if self.status(task) in ("passed", "passing") else None

    def attempt(self, task: Task, status: str, tier: str, full: bool) -> int:
        """Note the outcome of a check; the number of this attempt."""
        record, now, text = self.of(task), time.time(), self.text(task) or ""
        if (
            status in ("blank", "broken")
            or record.get("file") == digest(text)
            and record.get("passed")
        ):
            return record["attempts"]
        if record.get("file") != digest(text):
            record["attempts"] += 1
            gap = now - record.get("last", now)
            record["seconds"] += round(gap) if gap < PAUSE else 0
        record |= {"last": round(now), "file": digest(text), "tier": tier}
        if status == "pass":
            record.setdefault("first_pass", round(now))
            record |= {"passed": digest(text), "task": version(task), "full": full}
        return record["attempts"]

    def put_blank(self, task: Task, backup: bool = True) -> Path | None:
        """Write the blank; what was there goes to a backup, whose path is returned."""
        kept, path, text = None, self.file(task), self.text(task)
        if backup and text not in (None, task.blank):
            name = f"{task.id}-{time.strftime('%Y%m%d-%H%M%S')}{path.suffix}"
            kept = self.home / "backup" / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(path.read_bytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(task.blank, encoding="utf-8")
        return kept

    # ---- which one

    def current(self) -> Task:
        """The exercise that is being worked on: the first, to begin with."""
        known = tasks()
        return known.get(self.data["current"]) or next(iter(known.values()))

    def choose(self, words: list[str]) -> list[Task]:
        return [find(w) for w in words] or [self.current()]

    def go_to(self, task: Task) -> None:
        self.data["current"] = task.id
        if self.text(task) is None:
            self.put_blank(task)

    def following(self, task: Task) -> Task | None:
        """The next one that is not done, from here on and then from the beginning."""
        known = list(tasks().values())
        i = [t.id for t in known].index(task.id)
        rest = [
            t for t in known[i + 1 :] + known[:i] if self.status(t) in ("todo", "started", "stale")
        ]
        return rest[0] if rest else None


def version(task: Task) -> str:
    """Changes with what is asked and with what is checked."""
    return digest(task.blank + (task.folder / "check.py").read_text(encoding="utf-8"))
