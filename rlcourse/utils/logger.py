"""A run's diagnostics: averaged over an epoch and the processes, as CSV and for TensorBoard.

Columns have Spinning Up's names. One may begin late; a cell without a value stays empty.
TensorBoard's tags are rollout/, eval/, train/ and time/ followed by the column; its x axis is the
number of environment steps of all processes.

The guide is docs/guide/logging.md.
"""

import csv
import io
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlcourse.utils import mpi
from rlcourse.utils.checkpoint import room, write

if TYPE_CHECKING:  # plots read the log, and need no torch
    from torch import Tensor

TIMES = ("Epoch", "TotalEnvInteracts")


def group(column: str) -> str:
    """rollout, eval, train or time.

    >>> group("AverageEpRet"), group("AverageTestEpRet"), group("KL"), group("StepsPerSec")
    ('rollout', 'eval', 'train', 'time')
    """
    if column in TIMES or "Time" in column or "PerSec" in column:
        return "time"
    if "Test" in column:
        return "eval"
    return "rollout" if column.endswith(("EpRet", "EpLen")) else "train"


class Logger:
    """The rows of one run; without a folder they are kept in memory only."""

    def __init__(
        self, folder: Path | None, rows: list[dict[str, Any]], hparams: dict[str, Any] | None = None
    ):
        self.rows = list(rows)
        self.stored: dict[str, list[Any]] = defaultdict(list)
        self.writes = folder is not None and mpi.rank() == 0
        if not self.writes:
            return
        self.path = folder / "progress.csv"
        write(self.path, table(self.rows).encode())  # drops rows that a checkpoint does not cover
        self.shows = True  # in TensorBoard
        self._optional(self._begin, folder, hparams or {})

    def _begin(self, folder: Path, hparams: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes half a second

        done = self.rows[-1]["TotalEnvInteracts"] + 1 if self.rows else 0
        self.events = SummaryWriter(str(folder), purge_step=done)  # hides later steps of before
        self._begin_session(hparams)

    def _begin_session(self, hparams: dict[str, Any]) -> None:
        """What TensorBoard's hparams page shows of the run, in the run's own event file.

        Of the three summaries only the start of the session: from the runs that have no other one
        TensorBoard finds out itself what they were trained with, what differs, and what came out.
        """
        from torch.utils.tensorboard.summary import hparams as summaries

        plain = {}
        for name, value in hparams.items():
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            plain[name] = value if type(value) in (int, float) else text
        _, start, _ = summaries(plain, {})
        self.events.file_writer.add_summary(start)
        self.events.flush()

    def store(self, **values: Any) -> None:
        """Keep numbers, or the means of tensors, for the epoch's averages."""
        for column, value in values.items():
            if hasattr(value, "detach"):  # a tensor; torch need not be loaded to read a log
                value = value.detach().float().mean()
            self.stored[column].append(value)

    def averages(self) -> dict[str, float]:
        """The mean of what was stored since the last call, over all processes."""
        means = {}
        for column, values in self.stored.items():
            sum_, count = mpi.total([sum(map(float, values)), len(values)])
            means[column] = float(sum_ / count)
        self.stored.clear()
        return means

    def write(self, row: dict[str, Any]) -> None:
        """Add one epoch; None is an empty cell."""
        columns = list(self.rows[0]) if self.rows else []
        grown = not set(row) <= set(columns)  # as when learning begins after some epochs
        if grown:
            columns = [*row, *(c for c in columns if c not in row)]
            self.rows[:] = [{c: r.get(c) for c in columns} for r in self.rows]
        row = {c: row.get(c) for c in columns}
        self.rows.append(row)
        if not self.writes:
            return
        if grown:
            write(self.path, table(self.rows).encode())
        else:
            with room(self.path), open(self.path, "a", newline="") as file:
                file.write(table([row], header=False))
        self._optional(self._show, row)

    def _show(self, row: dict[str, Any]) -> None:
        for column, value in row.items():
            if value is not None:
                self.events.add_scalar(f"{group(column)}/{column}", value, row["TotalEnvInteracts"])
        self.events.flush()

    def _optional(self, write: Callable[..., None], *what: Any) -> None:
        """A run can do without TensorBoard: a full disk ends its events, which is told once."""
        if not self.shows:
            return
        try:
            write(*what)
        except (OSError, UnicodeError) as e:  # it knows only folders whose names are UTF-8
            self.shows = False
            why = getattr(e, "strerror", None) or "the name of its folder is not UTF-8"
            print(f"rlcourse: no more events for TensorBoard: {why}", file=sys.stderr)

    def sync(self) -> None:
        """Make the rows survive a power failure."""
        with open(self.path, "a") as file:
            os.fsync(file.fileno())

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self.writes:
            self._optional(self._end)

    def _end(self) -> None:
        self.events.close()


def explained(predicted: "Tensor", target: "Tensor") -> "Tensor":
    """The share of a target's variance that was predicted: 1 at best, 0 for a constant guess.

    >>> import torch
    >>> ret = torch.tensor([1.0, 2.0, 3.0])
    >>> explained(ret, ret), explained(torch.zeros(3), ret).abs().round(decimals=3)
    (tensor(1.), tensor(0.))
    """
    missed = (target - predicted.detach()).var(correction=0)
    return 1 - missed / (target.var(correction=0) + 1e-8)


def table(rows: list[dict[str, Any]], header: bool = True) -> str:
    r"""Rows as CSV text.

    >>> table([{"Epoch": 1, "KL": 0.01}, {"Epoch": 2, "KL": None}])
    'Epoch,KL\n1,0.01\n2,\n'
    """
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def read(path: Path, most: int | None = None) -> list[dict[str, Any]]:
    """The rows of a progress.csv, which may be growing; with `most` those of so many epochs.

    A row that was cut short is left out; an empty or unreadable cell is None.
    """
    rows = read_text(path.read_text("utf-8", "replace")) if path.exists() else []
    if most is None:
        return rows
    epochs = range(1, most + 1)
    return [row for row in rows if row.get("Epoch") in epochs and row.get("TotalEnvInteracts")]


def read_text(text: str) -> list[dict[str, Any]]:
    r"""Rows from CSV text; `read` says which are left out.

    >>> read_text("Epoch,KL\n1,0.01\n2,\n3,0.0")
    [{'Epoch': 1, 'KL': 0.01}, {'Epoch': 2, 'KL': None}]
    """
    # A last row without its line feed may be torn even if it looks complete: 20 of 2048. Nothing
    # is quoted in what we write; to csv.reader one damaged byte could be a quote without end.
    head, *rows = [line.split(",") for line in text.split("\n")[:-1]] or [[]]
    whole = [row for row in rows if len(row) == len(head)]
    return [dict(zip(head, map(_number, row), strict=True)) for row in whole]


def newest(path: Path) -> dict[str, Any]:
    """The last whole row of a progress.csv, quickly however long it is; {} if there is none."""
    try:
        with open(path, "rb") as file:
            header = file.readline().decode(errors="replace").strip()
            start, end = file.tell(), file.seek(0, os.SEEK_END)
            file.seek(max(start, end - 2**14))
            whole = file.read().decode(errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        return {}
    found = read_text(f"{header}\n{whole[-1]}\n") if whole else []
    return found[0] if found else {}


def _number(text: str) -> float | int | None:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return None
