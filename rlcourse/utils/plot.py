"""Learning curves: figures from run folders, and a curve in characters for the terminal.

    plot(["data"])                                          # data/curve.png
    plot(["data/ppo_CartPole-v1"], "kl.svg", ["KL", "LossPi"])

The bold line is the mean over the seeds, each thin line a seed, and the band goes from the lowest
to the highest seed. Why no confidence interval? With few seeds it promises what it cannot keep: a
"95 %" bootstrap interval of the mean contains it 74 times in 100 with three seeds, 83 with five.
Lowest to highest is simply what happened. Nothing is smoothed.
"""

import csv
import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlcourse.utils.config import UserError

STEPS, RETURN, TEST = "TotalEnvInteracts", "AverageEpRet", "AverageTestEpRet"
WORDS = {STEPS: "environment steps", RETURN: "return per episode", TEST: "return per test episode"}
# Okabe and Ito's colours, told apart with any colour vision; without yellow, too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", (0, (5, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))  # the next seven experiments, and so on
GREY = "#666666"
TESTED = {"ls": (0, (4, 2)), "lw": 1, "marker": "o", "ms": 4.5, "mfc": "white", "zorder": 4}
STYLE = {
    "axes.labelcolor": GREY,
    "figure.constrained_layout.h_pad": 0.1,  # inches
    "figure.constrained_layout.w_pad": 0.1,
    "savefig.dpi": 200,  # 1600 pixels wide: crisp when shown at 800
    "svg.hashsalt": "rlcourse",  # the same data makes the same file
    "text.parse_math": False,  # a name is printed as it is, dollars and all
}
Curve = tuple[np.ndarray, np.ndarray]  # environment steps (n,), ascending, and values (n,)


class Run(NamedTuple):
    """One run folder; `columns` maps a name to (rows,) floats, NaN where the cell is empty."""

    folder: Path
    config: dict[str, Any]
    columns: dict[str, np.ndarray]


# ---------------------------------------------------------------------------------------- reading


def read_csv(path: Path) -> dict[str, np.ndarray]:
    """The columns of a progress.csv, each (rows,), without its torn rows."""
    text = path.read_text(encoding="utf-8", errors="replace")
    # A last row without its line feed may be torn even if it looks complete: 20 of 2048.
    head, *rows = list(csv.reader(text[: text.rfind("\n") + 1].splitlines())) or [[]]
    table = [[_number(cell) for cell in row] for row in rows if len(row) == len(head)]
    columns = np.array(table, dtype=float).reshape(len(table), len(head)).T
    return dict(zip(head, columns, strict=True))


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _read_run(folder: Path) -> Run:
    import yaml

    try:
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):  # a curve can be drawn without it
        config = None
    config = config if isinstance(config, dict) else {}
    return Run(folder, config, read_csv(folder / "progress.csv"))


def curves(paths: Sequence[str | Path]) -> dict[str, list[Run]]:
    """The runs under `paths` (runs, experiments or whole data folders), by experiment.

    <exp>/<exp>_s<seed>/ belongs to <exp>; a run folder of another name is an experiment by itself.
    Runs without a finished epoch are left out.
    """
    groups: dict[Path, dict[Path, Run]] = {}
    for path in map(Path, paths):
        folders = {file.parent.resolve() for file in path.rglob("progress.csv")}
        if not folders:
            raise UserError(_no_run(path))
        for folder in sorted(folders, key=lambda f: (f.parent, len(f.name), f.name)):  # s2 < s10
            run, parent = _read_run(folder), folder.parent
            if any(map(len, run.columns.values())):
                key = parent if folder.name.startswith(f"{parent.name}_s") else folder
                groups.setdefault(key, {})[folder] = run
    if not groups:
        where = ", ".join(map(str, paths))
        raise UserError(f"{where}: no run has finished an epoch yet; wait for the first one")
    root = os.path.commonpath([key.parent for key in groups])
    return {os.path.relpath(key, root): list(runs.values()) for key, runs in groups.items()}


def _no_run(path: Path) -> str:
    if path.exists():
        return f"{path}: no run in there (no progress.csv); name a run, an experiment or data/"
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, 1)
    hint = f"did you mean {path.parent / near[0]}?" if near else "train a run first"
    return f"{path}: no such folder; {hint}"


# ---------------------------------------------------------------------------------------- drawing


def series(run: Run, column: str) -> Curve:
    """A column of a run, where it has values; empty where the run has no such column."""
    y = run.columns.get(column, np.empty(0))
    x = run.columns.get(STEPS, np.nan * y) if len(y) else y
    ok = np.isfinite(x) & np.isfinite(y)
    x, first = np.unique(x[ok], return_index=True)
    return x, y[ok][first]


def resample(seeds: Sequence[Curve]) -> Curve:
    """Steps (n,) and values (seeds, n): each step that any seed has, within what all seeds have.

    Seeds that share their steps keep their values as they are; the others' are interpolated
    linearly, never beyond their ends. Seeds without values do not count.
    """
    seeds = [(x, y) for x, y in seeds if len(x)]
    if not seeds:
        return np.empty(0), np.empty((1, 0))
    low, high = max(x[0] for x, _ in seeds), min(x[-1] for x, _ in seeds)
    steps = np.unique(np.concatenate([x for x, _ in seeds]))
    steps = steps[(low <= steps) & (steps <= high)]
    return steps, np.stack([np.interp(steps, x, y) for x, y in seeds])


def plot(
    paths: str | Path | Sequence[str | Path],
    out: str | Path = "",
    value: str | Sequence[str] | None = None,
) -> Path:
    """Draw the learning curves under `paths` into the file `out` and return its path.

    `out` ends in .png, .svg or .pdf, or is a folder; the default is <first path>/curve.png.
    `value` names columns of progress.csv, a panel each, and that for each environment; the default
    is the return in training, with the deterministic evaluation as a dashed line if there is one.
    """
    import matplotlib.style

    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    values = [value] if isinstance(value, str) and value else list(value or [RETURN])
    groups = curves(paths)
    out = Path(out or paths[0])
    out = out / "curve.png" if out.is_dir() else out
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UserError(f"{out}: unknown kind of figure; let its name end in .png, .svg or .pdf")
    for name in (STEPS, *values):
        _check_column([run for runs in groups.values() for run in runs], name)
    with matplotlib.style.context(["default", STYLE]):
        figure = _figure(groups, values, tests=not value)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(out, metadata={"Date": None} if out.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise UserError(f"{out}: cannot write the figure; {error.strerror}") from None
    return out


def _check_column(runs: list[Run], name: str) -> None:
    if any(len(series(run, name)[0]) for run in runs):
        return
    where = runs[0].folder / "progress.csv"
    known = list(dict.fromkeys(column for run in runs for column in run.columns))
    if name in known:
        raise UserError(f"{where}: {name} has no value yet; wait, or name another column")
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UserError(f"{where}: no column {name}; {hint}")


def _figure(groups: dict[str, list[Run]], values: list[str], tests: bool) -> Any:
    """A panel for each environment and column, and below them an entry for each experiment."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    envs = {name: str(runs[0].config.get("env", "")) for name, runs in groups.items()}
    labels = {name: name.replace(f"_{env}", "") for name, env in envs.items()}  # the title has it
    if len({(labels[name], envs[name]) for name in groups}) < len(groups):
        labels = {name: name for name in groups}
    order = list(dict.fromkeys(labels.values()))
    panels = [(env, column) for env in dict.fromkeys(envs.values()) for column in values]
    rows, cols = -(-len(panels) // 2), min(2, len(panels))
    figure = Figure(figsize=(8, 4.5 if cols == 1 else 1 + 2.8 * rows), layout="constrained")
    lines: dict[str, Any] = {}
    tested: dict[str, Any] = {}
    for i, (env, column) in enumerate(panels, 1):
        axes = _axes(figure.add_subplot(rows, cols, i), env, column)
        for name in (name for name in groups if envs[name] == env):
            k = order.index(labels[name])
            look = {"color": COLOURS[k % 7], "ls": DASHES[k // 7 % 4]}
            lines[labels[name]] = _draw(axes, [series(run, column) for run in groups[name]], look)
            x, ys = resample([series(run, TEST) for run in groups[name] if tests])
            if len(x):
                axes.plot(x, ys.mean(0), color=look["color"], markevery=1 + len(x) // 25, **TESTED)
                tested["deterministic evaluation"] = Line2D([], [], color=GREY, **TESTED)

    sizes = {label: [len(groups[n]) for n in groups if labels[n] == label] for label in order}
    entries = {f"{label} ({_seeds(sizes[label])})": line for label, line in lines.items()} | tested
    _draw_legend(figure, entries, any(len(runs) > 1 for runs in groups.values()))
    return figure


def _draw_legend(figure: Any, entries: dict[str, Any], bands: bool) -> None:
    cols = max(1, 110 // (max(map(len, entries)) + 9))  # characters in a row
    figure.set_figheight(figure.get_figheight() + 0.22 * (-(-len(entries) // cols) - 1))  # inches
    figure.legend(
        entries.values(),
        entries,
        loc="outside lower center",
        ncols=cols,
        frameon=False,
        title="bold: mean, as far as all seeds have come; band: lowest to highest" * bands,
        title_fontsize="small",
    ).get_title().set_color(GREY)


def _seeds(counts: list[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}–{high} seeds" if low < high else f"{low} seed{'s' * (low > 1)}"


def _axes(axes: Any, title: str, column: str) -> Any:
    from matplotlib.ticker import EngFormatter

    axes.set(xlabel=WORDS[STEPS], ylabel=WORDS.get(column, column))
    axes.set_title(title, loc="left", weight="bold")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 20k, 1M
    axes.margins(x=0.01)
    axes.grid(color="#ebebeb")
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color("#999999")
    return axes


def _draw(axes: Any, seeds: list[Curve], look: dict[str, Any]) -> Any:
    """Thin lines of the seeds, their band and their mean; returns the line of the mean."""
    x, ys = resample(seeds)
    if len(ys) > 1:
        for seed in seeds:
            axes.plot(*seed, lw=0.7, alpha=0.45, **look)
        axes.fill_between(x, ys.min(0), ys.max(0), color=look["color"], alpha=0.14, lw=0)
    return axes.plot(x, ys.mean(0), lw=2, marker="o" * (len(x) == 1), zorder=3, **look)[0]


# ---------------------------------------------------------------------------------- in characters


def text_curve(
    values: Sequence[float | None], width: int = 60, height: int = 8, ascii_only: bool = False
) -> str:
    """The values, one per epoch, as a line drawn in `width` (32 or more) times `height` characters.

    The axes bear the highest and lowest, and the first and last value. None and NaN are bridged.
    """
    y = np.array(values, dtype=float)
    there = np.flatnonzero(np.isfinite(y))
    if not len(there):
        return "(no values yet)"
    y = np.interp(np.arange(there[0], there[-1] + 1), there, y[there])
    high, low, first, last = (f"{v:.5g}" for v in (y.max(), y.min(), y[0], y[-1]))
    margin, height = max(len(high), len(low)), max(height, 2)
    bits = np.array([[1]] if ascii_only else [[1, 8], [2, 16], [4, 32], [64, 128]])  # of Braille
    cells = max(width, 32) - margin - 2
    rows, cols = height * len(bits), cells * bits.shape[1]

    # So many points between two values that the line has no gap, however steep it is
    gaps = max(1, len(y) - 1)
    x = np.linspace(0, len(y) - 1, (len(y) - 1) * rows * -(-cols // gaps) + 1)
    level = (np.interp(x, np.arange(len(y)), y) - y.min()) / (np.ptp(y) or 1)
    dots = np.zeros((rows, cols), dtype=int)
    i, j = (1 - level) * (rows - 1), x / gaps * (cols - 1)
    dots[np.rint(i).astype(int), np.rint(j).astype(int)] = 1
    codes = np.einsum("hrwc,rc->hw", dots.reshape(height, len(bits), cells, -1), bits)

    ink, bar, corner, line = "*|+-" if ascii_only else " │└─"
    marks = [high * (high != low), *[""] * (height - 2), low]
    lines = []
    for mark, row in zip(marks, codes, strict=True):
        drawn = "".join((ink if ascii_only else chr(0x2800 + c)) if c else " " for c in row)
        lines.append(f"{mark:>{margin}} {bar}{drawn}".rstrip())
    lines.append(" " * (margin + 1) + corner + line * cells)
    lines.append(" " * (margin + 2) + f"first {first}{f'last {last}':>{cells - 6 - len(first)}}")
    return "\n".join(lines)
