"""Several runs at a time, each in a process of its own.

A job is a fork of this process. So it begins at once, without importing anything, and it knows what
this process knows: an environment that a script registered, an equation that it replaced. What it
prints goes to log.txt in its folder. It never outlives this process.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from multiprocessing.connection import wait
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn

from rlcourse.utils import folders
from rlcourse.utils.config import UserError, cores
from rlcourse.utils.console import clock, console, number
from rlcourse.utils.grid import Experiment, Failure, reason, score, train_one
from rlcourse.utils.logger import newest
from rlcourse.utils.run import Signals

INTERVAL = 0.5  # seconds between two looks at the jobs
FAILED = "failed: "  # begins the last line of a log
_fork = multiprocessing.get_context("fork")


class Job:
    """One run in its process, and how far it is."""

    def __init__(self, run: Experiment, overwrite: bool, slot: int):
        if owner := folders.owner(run.folder):
            raise UserError(f"{run.folder} is in use by process {owner}")
        if overwrite:
            folders.clear(run.folder)
        self.run, self.slot, self.log = run, slot, run.folder / "log.txt"
        self.start, self.ret = epoch(run), None
        self.look()
        self.began = time.monotonic()
        self.process = _fork.Process(target=_work, args=(run, self.log, os.getpid()))
        self.process.start()

    def look(self) -> None:
        """Read what the run has written last."""
        self.row = newest(self.run.folder / "progress.csv")
        self.epoch = max(self.start, self.row.get("Epoch", 0))
        if self.row.get("AverageEpRet") is not None:
            self.ret = self.row["AverageEpRet"]

    def left(self) -> str:
        """The time until its end, if the rest goes like what was done."""
        return _left(self.began, self.epoch - self.start, self.run.cfg.epochs - self.epoch)

    def reason(self) -> str:
        """Why it has failed."""
        code = self.process.exitcode
        if code < 0:
            return f"ended by {signal.Signals(-code).name}"
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        last = text.rstrip().rpartition("\n")[2]
        known = last.startswith((FAILED, "stopped by "))
        return last.removeprefix(FAILED) if known else f"ended with exit code {code}"


def _work(run: Experiment, log: Path, parent: int) -> None:
    """What the process of a job does."""
    for number_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number_, signal.SIG_DFL)  # until the run catches them itself
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    run.folder.mkdir(parents=True, exist_ok=True)
    file = open(log, "a", buffering=1, encoding="utf-8", errors="replace")
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)
    sys.stdout = sys.stderr = file
    try:
        train_one(run)
    except Exception as e:
        print(FAILED + reason(e))
        sys.exit(1)


def _follow(parent: int) -> None:
    """End this process soon after its parent, however that has ended."""
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    os._exit(1)


def epoch(run: Experiment) -> int:
    """The last epoch in the run's progress.csv."""
    return newest(run.folder / "progress.csv").get("Epoch", 0)


def _left(began: float, done: int, rest: int) -> str:
    return f"{clock((time.monotonic() - began) / done * rest)} left" if done > 0 else ""


class Jobs:
    """The jobs of a grid, and what a person sees of them: a line each, and one for all."""

    def __init__(self, todo: list[Experiment], count: int, overwrite: bool):
        self.count, self.overwrite = min(count, len(todo)), overwrite
        self.waiting, self.running = deque(todo), []
        self.finished, self.saved, self.failures = 0, 0, []
        self.runs, self.began = len(todo), time.monotonic()
        self.rest = sum(run.cfg.epochs - (0 if overwrite else epoch(run)) for run in todo)
        self.done = 0  # epochs of jobs that have ended
        cells = "{task.description}", BarColumn(20), "{task.fields[what]}", "{task.fields[left]}"
        columns = [TextColumn(c, markup=False) if isinstance(c, str) else c for c in cells]
        self.progress = Progress(*columns, console=console(), auto_refresh=False, transient=True)
        self.say = lambda text: self.progress.console.print(text, markup=False)
        self.live = self.progress.console.is_terminal
        self.slots = [self._line() for _ in range(self.count)]
        self.total = self._line()

    def _line(self) -> int:
        return self.progress.add_task("", what="", left="", visible=False)

    def work(self) -> list[Failure]:
        """Do all runs; those that failed. SIGINT or SIGTERM lets the jobs save, and exits."""
        import torch.utils.tensorboard  # noqa: F401  half a second, here once for all jobs

        self.say(f"{self.runs} runs, {self.count} at a time")
        threads = self.count * self.waiting[0].settings.threads
        if threads > cores():
            self.say(f"{threads} threads share {cores()} cores: expect them to wait")
        if self.live:
            self.progress.start()
        signals, told = Signals(at_once=self._kill), False
        try:
            while self.running or (self.waiting and not signals.number):
                while self.waiting and self.slots and not signals.number:
                    self._begin(self.waiting.popleft())
                wait([job.process.sentinel for job in self.running], INTERVAL)
                if signals.number and not told:
                    told = True
                    self.say("stopping: each run saves at the end of its epoch (again: at once)")
                    for job in self.running:
                        os.kill(job.process.pid, signals.number)
                for job in [*self.running]:
                    self._look(job, signals.number)
                self._draw()
        finally:
            self._kill()
            if self.live:
                self.progress.stop()
            signals.close()
        if signals.number:
            rest = self.runs - self.finished - self.saved - len(self.failures)
            self.say(
                f"stopped by {signal.Signals(signals.number).name}: {self.finished} finished, "
                f"{self.saved} saved, {rest} not begun; the same command continues"
            )
            sys.exit(128 + signals.number)
        return self.failures

    def _begin(self, run: Experiment) -> None:
        try:
            self.running.append(Job(run, self.overwrite, self.slots[0]))
        except UserError as e:
            self._fail(Failure(run, str(e), run.folder))
        else:
            self.slots.pop(0)
            if not self.live:
                self.say(f"started   {run.folder}")

    def _look(self, job: Job, stopped: int) -> None:
        code = job.process.exitcode  # first: what is written then is the last
        job.look()
        if code is None:
            return
        job.process.join()
        self.running.remove(job)
        self.slots.append(job.slot)
        self.progress.update(job.slot, visible=False)
        self.done += job.epoch - job.start
        if code == 0:
            self.finished += 1
            self.say(f"finished  {clock(job.row['Time'])}  {score(job.row)}  {job.run.folder}")
        elif stopped and code == 128 + stopped:
            self.saved += 1
        elif not (stopped and code == -stopped):  # which came before the run had begun
            self._fail(Failure(job.run, job.reason(), job.log))

    def _fail(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.say(f"failed    {failure.where}: {failure.reason}")

    def _draw(self) -> None:
        for job in self.running:
            of = job.run.cfg.epochs
            what = f"epoch {job.epoch}/{of}" + f"  return {number(job.ret)}" * (job.ret is not None)
            self._show(job.slot, short(job.run.folder.name), job.epoch, of, what, job.left())
        done = self.done + sum(job.epoch - job.start for job in self.running)
        what = f"{self.finished} of {self.runs} runs"
        what += f", {len(self.failures)} failed" if self.failures else ""
        left = _left(self.began, done, self.rest - done)
        self._show(self.total, "all", done, self.rest, what, left)
        if self.live:
            self.progress.refresh()

    def _show(self, line: int, name: str, done: int, of: int, what: str, left: str) -> None:
        self.progress.update(
            line, description=name, completed=done, total=of, what=what, left=left, visible=True
        )

    def _kill(self) -> None:
        for job in self.running:
            job.process.kill()


def short(name: str, width: int = 40) -> str:
    """The end of a long name, where those of a grid differ."""
    return name if len(name) <= width else "..." + name[3 - width :]
