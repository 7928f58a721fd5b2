"""Watch mode: the file of the current exercise is checked whenever it is saved.

torch is loaded once, in this process, which runs no code of the learner's and no backward pass;
each check is a fork of it. Keys work on a terminal; elsewhere plain lines come, one verdict a save.
"""

import contextlib
import os
import select
import sys
import termios
import time
import tty
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

from exercises import __main__ as commands
from exercises import screen
from exercises.course import UserError
from exercises.screen import say
from exercises.state import State, digest

EVERY = 0.3  # seconds between two looks at the file
KEYS = (
    "h hint · n next · l list · r again · f with training · e explain · d page · x reset · q quit"
)


class Watch:
    def __init__(self, state: State, judge: Any, judged: Callable, full: bool):
        self.state, self.judge, self.judged, self.full = state, judge, judged, full
        self.asked = ""  # the key before
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty()

    def loop(self) -> int:
        with self.keys():
            seen = before = None
            if self.state.text(self.state.current()) is None:
                self.state.go_to(self.state.current())
            while True:
                task = self.state.current()
                now = task.id, digest(self.state.text(task) or "")
                if now != seen and now == before and self.state.text(task):  # saved, and whole
                    seen = now
                    self.show(task, self.full)
                before = now
                for key in self.pressed():
                    if key == "q":
                        return 0
                    self.key(key, task)

    def key(self, key: str, task: Any) -> None:
        asked, self.asked = self.asked, key
        if key == "n":
            self.forward(task)
        elif key in ("r", "f"):
            self.show(task, self.full or key == "f")
        elif key == "x" and asked != "x":
            say("x again puts the blank back; yours is kept in .rlcourse/backup")
        else:
            self.do(key, task.id)

    def show(self, task: Any, full: bool) -> None:
        if full and any(c.tier == "T6" for c in self.judge.checks(task)):
            say("training: about a minute ...")
        v, attempt = self.judged(self.state, task, full)
        self.state.save()
        if self.terminal:
            print("\x1b[2J\x1b[H", end="")  # clears the screen
        say(screen.verdict(task, v, attempt, self.state.of(task)["hints"]))
        say(f"\n{screen.colour(KEYS, 'dim')}\n" if self.terminal else f"{'-' * 60}")

    def forward(self, task: Any) -> None:
        following = self.state.following(task)
        if following is None:
            say("all exercises are done")
            return
        self.state.go_to(following)
        self.state.save()

    def do(self, key: str, id_: str) -> None:
        """A command by its key, on the current exercise."""
        name = {"h": "hint", "l": "list", "e": "explain", "d": "page", "x": "reset"}.get(key)
        if name == "page":
            task = self.state.current()
            say(f"{commands.shown(commands.ROOT / task.page.split('#')[0])}   {task.equation}")
        elif name:
            ids = [id_] if name == "reset" else id_
            try:
                commands.COMMANDS[name](
                    Namespace(ids=ids, all=False, set=None, json=False), self.state
                )
            except UserError as e:
                say(str(e))
        else:
            say(screen.colour(KEYS, "dim"))

    @contextlib.contextmanager
    def keys(self) -> Iterator[None]:
        """Single keys without Enter, while it is open."""
        if not self.terminal:
            yield
            return
        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setcbreak(sys.stdin)
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def pressed(self) -> str:
        """The keys pressed in the time between two looks; q where the terminal is gone."""
        if not self.terminal:
            time.sleep(EVERY)
            return ""
        ready, _, _ = select.select([sys.stdin], [], [], EVERY)
        if not ready:
            return ""
        try:
            return os.read(sys.stdin.fileno(), 32).decode(errors="replace") or "q"
        except OSError:
            return "q"
