"""One run: all that an algorithm's `train` needs and that is not mathematics.

Seeds, device, folder, log, evaluation, checkpoints and signals. `run.epochs(agent, envs)` yields
the epochs that are still to be done; what has to happen between two of them happens there. A run
that was cut off continues from its last checkpoint as if it had never stopped, bit for bit.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import torch
from torch import nn

from rlcourse.utils import checkpoint, folders, mpi, policy, replay, spaces
from rlcourse.utils.config import Settings, UserError, check, check_shares
from rlcourse.utils.console import Display
from rlcourse.utils.envs import Envs
from rlcourse.utils.evaluate import Evaluation
from rlcourse.utils.logger import Logger, read
from rlcourse.utils.optim import Adam
from rlcourse.utils.replay import Replay
from rlcourse.utils.spaces import Spaces

DRAWS = 2  # the stream of what is drawn outside the environments; see envs.TRAIN and EVAL


class Run:
    """One experiment with one seed. Without a folder nothing is written; `rows` holds the log."""

    def __init__(
        self,
        cfg: Any,
        settings: Settings = Settings(),
        folder: Path | str | None = None,
        show: bool = True,
    ):
        check(cfg)
        check(settings)
        if mpi.size() > 1:
            settings = replace(settings, cpu=mpi.size())
        elif settings.cpu > 1:
            raise UserError(f"--cpu {settings.cpu} from Python: start the script with mpiexec")
        check_shares(cfg, mpi.size())
        self.cfg, self.settings = cfg, settings
        self.folder = Path(folder) if folder else None
        self.show = show and mpi.rank() == 0
        self.device = device(settings.device)
        self.rows: list[dict[str, Any]] = []
        self.logger = self.display = self.lock = self.signals = None
        torch.set_num_threads(settings.threads)
        mpi.timeout = settings.mpi_timeout
        own = np.random.SeedSequence(cfg.seed, spawn_key=(DRAWS, mpi.rank()))
        torch.manual_seed(int(own.generate_state(1)[0]))

    def build(self, Agent: type[nn.Module], envs: Envs, cfg: Any) -> nn.Module:
        """An agent on this run's device, with the same parameters in all processes."""
        with self.device:
            agent = mpi.sync(Agent(envs.obs_dim, envs.act_space, cfg))
        if self.settings.compile:
            check_compile(Agent)
            agent.loss = compiled(agent.loss)
        return agent

    def store(self, **metrics: Any) -> None:
        """Add numbers or tensors to the epoch's means, whose names are columns of progress.csv."""
        self.logger.store(**metrics)

    def epochs(self, agent: nn.Module, envs: Envs, memory: Replay | None = None) -> Iterator[int]:
        """The epochs still to be done, numbered from 0; afterwards everything is saved."""
        self.agent, self.envs, self.memory = agent, envs, memory
        config = folders.describe(self.cfg, self.settings)
        self.policy = policy.Policy(agent, envs.spaces, self.settings.device, config)
        self.best, self.seconds = -np.inf, 0.0
        notes = self._start_from()  # before anything is made
        start, found = self._open() if self.folder else (0, [])
        notes += found
        if self.settings.compile:
            notes.append("the loss is compiled first, which takes ten seconds or so")
        if start == self.cfg.epochs:
            self.close()
            return
        self.evaluation = Evaluation(self.cfg.env, self.cfg.seed, self.settings)
        self.logger = Logger(self.folder, self.rows, folders.hparams(self.cfg, self.settings))
        self.rows = self.logger.rows
        self.began = time.monotonic() - self.seconds
        self.saved = time.monotonic()
        if self.show:
            print(*notes, sep="\n", end="\n" * bool(notes))
            self.display = Display(self._title(start), self.cfg.epochs, start)
        self.signals = Signals() if self.folder else None
        try:
            for epoch in range(start, self.cfg.epochs):
                self.tick = time.monotonic()
                compiling = self.settings.compile and epoch == start
                with held_back(signal.SIGINT) if compiling else nullcontext():
                    yield epoch  # Ctrl-C would end the compiler, and its end the run
                self._finish(epoch)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of terminal, files and signals; a second call does nothing."""
        for held in (self.signals, self.logger, self.display, self.lock):
            if held:
                held.close()

    # ---- between two epochs

    def _finish(self, epoch: int) -> None:
        """Log, evaluate, save, and stop if a signal asked for it."""
        if mpi.size() > 1:
            mpi.check_equal(self.policy.digest())
        last = epoch + 1 == self.cfg.epochs
        row = {"Epoch": epoch + 1, "TotalEnvInteracts": (epoch + 1) * self._steps_per_epoch()}
        row |= self._episodes("EpRet", "EpLen", self.envs.finished)
        self.envs.finished = []
        learning = time.monotonic() - self.tick
        evaluated = last or (epoch + 1) % self.settings.eval_every == 0
        scores = self.evaluation.play(self.policy, epoch) if evaluated else []
        row |= self._episodes("TestEpRet", "TestEpLen", scores)
        row |= self.logger.averages()
        row["StepsPerSec"] = self._steps_per_epoch() / learning
        row["TestTime"] = time.monotonic() - self.tick - learning if evaluated else None
        row["Time"] = self.seconds = time.monotonic() - self.began
        self.logger.write(row)
        if self.folder and evaluated and row["AverageTestEpRet"] >= self.best:
            self.best = row["AverageTestEpRet"]
            self._save_policy("best.pt", row)
        due = last or time.monotonic() - self.saved >= self.settings.save_every
        asked = self.signals.number if self.signals else 0
        stop, due = mpi.highest([asked, due and mpi.rank() == 0])  # all processes do the same
        if self.folder and (due or stop):
            self._save(row)
        if self.display:
            self.display.show(self.rows)
        if stop:
            self._leave(int(stop))

    def _steps_per_epoch(self) -> int:
        return self.cfg.horizon * self.cfg.num_envs

    @staticmethod
    def _episodes(ret: str, length: str, episodes: list[tuple[float, int]]) -> dict[str, Any]:
        """Statistics of returns and lengths over all processes; None where no episode has ended."""
        returns = mpi.statistics([r for r, _ in episodes])
        lengths = mpi.statistics([n for _, n in episodes])
        row = {kind + ret: returns.get(kind) for kind in ("Average", "Std", "Max", "Min")}
        return row | {length: lengths.get("Average")}

    # ---- folder

    def _start_from(self) -> list[str]:
        """Take the agent that --init names, unless the run has begun; what there is to say."""
        self.origin: dict[str, Any] = {}
        path = self.folder and self.folder / "checkpoint.pt"
        begun = path and (path.exists() or checkpoint.previous(path).exists())
        if begun or not self.settings.init:
            return []
        found = policy.initial(self.settings.init, self.cfg, self.envs.spaces)
        self.agent.load_state_dict(found.agent.state_dict())
        mpi.sync(self.agent)  # the file may have been written anew while the processes read it
        self.origin = found.log | {"sha256": self.policy.digest()}
        return [f"starting from {self.settings.init}, after {found.log['TotalEnvInteracts']} steps"]

    def _open(self) -> tuple[int, list[str]]:
        """Take the folder, and its checkpoint if there is one: epochs done, and what to say."""
        done, notes = 0, []
        if mpi.rank() == 0:
            self.lock = folders.take(self.folder)
            folders.check_same(self.folder, self.cfg, self.settings)
        # One process reads: what is wrong is told once, and all continue from the same.
        state, note = mpi.first(self._newest() if mpi.rank() == 0 else None)
        if state:
            notes = [note] * bool(note) + sum(mpi.gather(self._restore(state)), [])
            done, self.origin = state["epoch"], state.get("init", {})
            self.rows = read(self.folder / "progress.csv", done)
            if len(self.rows) < done:
                notes.append(
                    f"{self.folder / 'progress.csv'} has lost {done - len(self.rows)} rows"
                )
        mpi.barrier()
        if mpi.rank() == 0:
            if note:  # or the next save would keep the damaged one instead of the good one
                (self.folder / "checkpoint.pt").unlink(missing_ok=True)
            more = {"init": self.origin} if self.origin else {}
            folders.write_config(self.folder, self.cfg, self.settings, **more)
        return done, notes

    def _newest(self) -> tuple[dict[str, Any] | None, str]:
        """The newest whole checkpoint of this very run, and what there is to say about it."""
        state, note = checkpoint.load_newest(self.folder / "checkpoint.pt", self._check_memory)
        if state:
            folders.compare(self.folder, state["config"], folders.describe(self.cfg, self.settings))
            there = Spaces(*(spaces.from_plain(state[name]) for name in ("obs", "act")))
            policy.compare(self.folder, there, self.envs.spaces)
        return state, note

    def _check_memory(self, state: dict[str, Any]) -> None:
        """UserError if a file with what the agent remembers, in any process, is damaged."""
        for rank, mine in enumerate(state["ranks"]):
            for _ in replay.read(self.folder / "replay", mine.get("memory"), rank):
                pass

    def _save(self, row: dict[str, Any]) -> None:
        """The policy for use, and everything that continuing needs."""
        mine = {"torch": torch.get_rng_state(), "envs": self.envs.state_dict()}
        if self.memory is not None:
            mine["memory"] = self.memory.save(self.folder / "replay")
        ranks = mpi.gather(mine | self._cuda())
        if mpi.rank() == 0:
            self._save_policy("model.pt", row)
            self.logger.sync()
            state = {
                "config": self.policy.config,
                "obs": spaces.plain(self.envs.spaces.obs),
                "act": spaces.plain(self.envs.spaces.act),
                "epoch": row["Epoch"],
                "seconds": self.seconds,
                "best": float(self.best),
                "init": self.origin,
                "agent": self.agent.state_dict(),
                "optimizers": {n: opt.state_dict() for n, opt in self._optimizers().items()},
                "ranks": ranks,
            }
            checkpoint.save(self.folder / "checkpoint.pt", state)
        mpi.barrier()  # nobody leaves while process 0 writes
        if self.memory is not None:
            self.memory.prune(self.folder / "replay")
        self.saved = time.monotonic()

    def _restore(self, state: dict[str, Any]) -> list[str]:
        self.agent.load_state_dict(state["agent"])
        for name, opt in self._optimizers().items():
            opt.load_state_dict(state["optimizers"][name])
        self.seconds, self.best = state["seconds"], state["best"]
        mine = state["ranks"][mpi.rank()]
        complaints = self.envs.load_state_dict(mine["envs"])
        if self.memory is not None:
            self.memory.load(self.folder / "replay", mine["memory"])
        torch.set_rng_state(mine["torch"])
        if "cuda" in mine:
            torch.cuda.set_rng_state(mine["cuda"], self.device)
        return complaints

    def _cuda(self) -> dict[str, Any]:
        return {"cuda": torch.cuda.get_rng_state(self.device)} if self.device.type == "cuda" else {}

    def _optimizers(self) -> dict[str, Adam]:
        return {n: x for n, x in vars(self.agent).items() if isinstance(x, Adam)}

    def _save_policy(self, name: str, row: dict[str, Any]) -> None:
        if mpi.rank() == 0:
            log = {n: row[n] for n in ("Epoch", "TotalEnvInteracts", "AverageTestEpRet")}
            policy.save(self.folder / name, self.policy, log)

    def _leave(self, number_: int) -> None:
        if mpi.rank() == 0:
            name = signal.Signals(number_).name
            print(f"stopped by {name}, saved: the same command continues", flush=True)
        mpi.barrier()  # the first that exits ends the others
        sys.exit(128 + number_)

    def _title(self, start: int) -> str:
        what = f"{folders.algo_of(self.cfg)} on {self.cfg.env}, seed {self.cfg.seed}"
        if mpi.size() > 1:
            what += f", {mpi.size()} processes"
        where = f"  ->  {self.folder}" if self.folder else ""
        return what + where + (f"  (continuing after epoch {start})" if start else "")


class Signals:
    """SIGINT and SIGTERM while it is open: `number` is the first, another one ends all at once.

    Within a second it is the same one: both a terminal and a parent may have passed it on.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None):
        self.number, self.caught, self.at_once = 0, 0.0, at_once
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            both = (signal.SIGINT, signal.SIGTERM)
            self.before = {n: signal.signal(n, self._handle) for n in both}

    def _handle(self, number_: int, frame: Any) -> None:
        if not self.number:
            self.number, self.caught = number_, time.monotonic()
        elif time.monotonic() - self.caught > 1:
            self.at_once()
            print("\x1b[?25h" * sys.stdout.isatty(), end="", flush=True)  # shows the cursor
            os._exit(128 + number_)

    def close(self) -> None:
        """Put the handlers back that were there; a second call does nothing."""
        for number_, handler in self.before.items():
            signal.signal(number_, handler)
        self.before = {}


def check_compile(Agent: type[nn.Module]) -> None:
    """UserError unless its method `loss` is there and can be compiled."""
    if not hasattr(Agent, "loss"):
        algo = Agent.__module__.rpartition(".")[2]
        raise UserError(f"--compile needs an Agent with a method `loss`, as ppo's: {algo} has none")
    if not which(os.environ.get("CXX", "g++")):
        raise UserError(
            "--compile needs a C++ compiler and Python's headers: install g++ and python3-dev, "
            "or name a compiler in CXX"
        )


def compiled(loss: Callable) -> Callable:
    """The same function as one program; the first call, and its first gradient, compile it."""
    torch.compiler.reset()  # what was compiled for runs before this one in the same process
    options = {"compile_threads": 1}  # no pool of workers
    return torch.compile(loss, fullgraph=True, dynamic=False, options=options)


@contextmanager
def held_back(number: int) -> Iterator[None]:
    """The signal arrives when this is over, and not at all at processes that are started within."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def device(name: str) -> torch.device:
    """A torch device that is there; UserError otherwise."""
    try:
        found = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name} is unknown: choose cpu, cuda or cuda:N") from None
    if found.type not in ("cpu", "cuda"):
        raise UserError(f"--device {name} is unknown: choose cpu, cuda or cuda:N")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise UserError(f"--device {name}: torch sees {torch.cuda.device_count()} GPUs")
    return found
