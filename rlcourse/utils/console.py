"""What a person sees of a run: a live table on a terminal, a line per epoch elsewhere."""

import sys
import time
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlcourse.utils.logger import group

TITLES = {"rollout": "training episodes", "eval": "evaluation", "train": "learning", "time": "time"}
LINE = {  # columns of a plain line, and their widths
    "Epoch": 6,
    "TotalEnvInteracts": 18,
    "AverageEpRet": 13,
    "AverageTestEpRet": 17,
    "LossPi": 10,
    "LossV": 10,
    "LossQ": 10,
    "KL": 9,
    "Entropy": 8,
    "Time": 8,
}
HEADER_EVERY = 25  # lines


def console() -> Console:
    """Standard output, drawn with what its encoding has."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, soft_wrap=True)


def number(value: float | None) -> str:
    """At most six significant digits, whole numbers in full.

    >>> number(3), number(0.123456), number(12345.678)
    ('3', '0.1235', '12345.7')
    """
    if value is None:
        return ""
    if isinstance(value, int) or float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value)}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss.

    >>> clock(3661)
    '1:01:01'
    """
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def sparkline(values: list[float]) -> str:
    """A row of bars, one for each value.

    >>> sparkline([0, 1, 2])
    '▁▄█'
    """
    low, high = min(values), max(values)
    bars = "▁▂▃▄▅▆▇█"
    return "".join(bars[int((v - low) / ((high - low) or 1) * (len(bars) - 1))] for v in values)


def columns(rows: list[tuple[str, ...]]) -> str:
    """Rows as lines with aligned cells; what may be long goes into the last column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


class Display:
    """Shows the rows of one run as they come."""

    def __init__(self, title: str, epochs: int, start: int = 0):
        self.title, self.epochs, self.start = title, epochs, start
        self.began = time.monotonic()
        self.console = console()
        self.live = None
        self.console.print(title, markup=False)
        if self.console.is_terminal:
            self.live = Live(console=self.console, auto_refresh=False)
            self.live.start()

    def show(self, rows: list[dict[str, Any]]) -> None:
        """Draw the table anew, or print a line for the last row."""
        if self.live:
            self.live.update(self._table(rows), refresh=True)
        else:
            self._line(rows[-1], len(rows))

    def close(self) -> None:
        """Leave the terminal as it was, with the last table on it."""
        if self.live:
            self.live.stop()

    def left(self, epoch: int) -> float:
        """Seconds until the last epoch, if the rest goes like what was done."""
        done = epoch - self.start
        return (time.monotonic() - self.began) / done * (self.epochs - epoch)

    def _line(self, row: dict[str, Any], count: int) -> None:
        columns = {name: width for name, width in LINE.items() if name in row}
        if (count - self.start - 1) % HEADER_EVERY == 0:
            self.console.print(" ".join(f"{n:>{w}}" for n, w in columns.items()) + "     Left")
        cells = [f"{number(row[n]):>{w}}" for n, w in columns.items()]
        self.console.print(" ".join(cells) + f"  {clock(self.left(row['Epoch'])):>7}")

    def _table(self, rows: list[dict[str, Any]]) -> Group:
        row, blocks = rows[-1], []
        for name, title in TITLES.items():
            block = Table(box=None, show_header=True, header_style="bold", padding=(0, 1, 0, 0))
            block.add_column(title)
            block.add_column(justify="right", style="cyan", min_width=9)
            for column, value in row.items():
                if group(column) == name:
                    shown = value if value is not None else last(rows, column)
                    block.add_row(column, number(shown))
            blocks.append(block)
        returns = [r["AverageEpRet"] for r in rows if r["AverageEpRet"] is not None]
        curve = Text("no episode has ended yet", style="dim")
        if returns:
            curve = Text(f"AverageEpRet  {number(min(returns))} ")
            if self.console.encoding.startswith("utf"):
                curve.append(sparkline(thin(returns, 40)), style="green")
            curve.append(f" {number(max(returns))}")
        done = row["Epoch"]
        progress = Table.grid(padding=(0, 2))
        progress.add_row(
            ProgressBar(total=self.epochs, completed=done, width=40),
            f"epoch {done}/{self.epochs}",
            f"{clock(self.left(done))} left"
            if done < self.epochs
            else f"{clock(row['Time'])} in all",
        )
        return Group("", Columns(blocks, padding=(0, 3)), "", curve, progress)


def last(rows: list[dict[str, Any]], column: str) -> float | None:
    """The newest value of a column that is not filled in every row."""
    return next((row[column] for row in reversed(rows) if row[column] is not None), None)


def thin(values: list[float], most: int) -> list[float]:
    """Means over equal stretches, at most so many."""
    size = -(-len(values) // most)
    return [
        sum(part) / len(part)
        for part in (values[i : i + size] for i in range(0, len(values), size))
    ]
