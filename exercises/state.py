"""What a learner has done so far: one small file, which is only a memory and never a lock.

`.rlcourse/state.json` lies beside the problem sets' folder. Deleting it loses the history; `check
--all` finds out again what passes. Nothing in it leaves the machine.
"""

import copy
import fcntl
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
        inside = folder.name == "exercises"  # of a clone
        self.home = (folder.parent if inside else folder) / ".rlcourse"
        self.path = self.home / "state.json"
        self.data = self._read()
        self.before = copy.deepcopy(self.data)

    def _read(self) -> dict[str, Any]:
        data: dict[str, Any] = {"schema": SCHEMA, "current": "", "exercises": {}, "bugs": {}}
        if not self.path.exists():
            return data
        try:
            data |= json.loads(self.path.read_text(encoding="utf-8"))
            for part in ("exercises", "bugs"):
                if not all(isinstance(r, dict) for r in data[part].values()):
                    raise ValueError(part)
            newer = data["schema"] > SCHEMA
        except (ValueError, TypeError, AttributeError):
            kept = self.path.rename(self.path.with_suffix(f".broken-{int(time.time())}"))
            raise UserError(
                f"{self.path} could not be read and is now {kept.name}: "
                f"call the command again; `check --all` finds what passes"
            ) from None
        if newer:
            raise UserError(f"{self.path} was written by a newer version: update this clone")
        return data

    def save(self) -> None:
        """What was changed here goes into the file, all at once; what others wrote stays."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            now = self._read()
            for part in ("exercises", "bugs"):
                for key, record in self.data[part].items():
                    if record != self.before[part].get(key):
                        now[part][key] = record
            if self.data["current"] != self.before["current"]:
                now["current"] = self.data["current"]
            new = self.path.with_suffix(".tmp")
            new.write_text(json.dumps(now, indent=1, ensure_ascii=False), encoding="utf-8")
            os.replace(new, self.path)
        self.data, self.before = now, copy.deepcopy(now)

    # ---- one exercise

    def of(self, task: Task) -> dict[str, Any]:
        """The record of an exercise: what is unknown in it is kept."""
        record = self.data["exercises"].setdefault(task.id, {})
        for key in ("attempts", "hints", "seconds"):
            record.setdefault(key, 0)
        return record

    def file(self, task: Task) -> Path:
        return self.folder / task.path

    def text(self, task: Task) -> str | None:
        try:
            return self.file(task).read_text(encoding="utf-8-sig", errors="replace")
        except (FileNotFoundError, IsADirectoryError):
            return None

    def status(self, task: Task) -> str:
        """todo, started, passing (training not yet run), passed, seen (the solution) or stale."""
        text, record = self.text(task), self.of(task)
        if record.get("seen_first"):
            return "seen"
        if self.passed(task) is not None:
            return "passed" if record.get("full") else "passing"
        if "passed" in record:
            return "stale"
        touched = text is not None and text != task.blank
        return "started" if touched else "todo"

    def passed(self, task: Task) -> str | None:
        """The learner's text, if it is the one that passed, and the exercise is the same still."""
        text, record = self.text(task), self.of(task)
        key = (record.get("passed"), record.get("task"))
        return text if text is not None and key == (digest(text), version(task)) else None

    def attempt(self, task: Task, status: str, tier: str, full: bool) -> int:
        """Note the outcome of a check; the number of this attempt."""
        record, now, text = self.of(task), time.time(), self.text(task) or ""
        if status in ("blank", "broken") or not text.strip():
            return record["attempts"]
        if record.get("file") != digest(text):
            record["attempts"] += 1
            gap = now - record.get("last", now)
            record["seconds"] += round(gap) if gap < PAUSE else 0
        record |= {"last": round(now), "file": digest(text), "tier": tier}
        if status == "pass":
            full = full or self.passed(task) is not None and bool(record.get("full"))
            record.setdefault("first_pass", round(now))
            record |= {"passed": digest(text), "task": version(task), "full": full}
        return record["attempts"]

    def put_blank(self, task: Task) -> Path | None:
        """Write the blank; what was there goes to a backup, whose path is returned."""
        kept, path, text = None, self.file(task), self.text(task)
        if text not in (None, task.blank):
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
        in_turn = known[i + 1 :] + known[: i + 1]
        return next((t for t in in_turn if self.status(t) in ("todo", "started", "stale")), None)


def version(task: Task) -> str:
    """Changes with what is asked and with what is checked."""
    return digest(task.blank + (task.folder / "check.py").read_text(encoding="utf-8"))
