"""Learning curves: figures or tables from run folders, and a curve in characters for the terminal.

    plot(["data"])                                                   # data/curve.png
    plot(["data/ppo_CartPole-v1"], "kl.svg", ["KL", "LossPi"], smooth=11)
    plot(["data"], "curves.csv", estimate="iqm", band="ci")          # the numbers behind a figure

The bold line is the mean over the seeds, each thin line a seed, and the band goes from the lowest
to the highest seed. Why no confidence interval? With few seeds it promises what it cannot keep: a
"95 %" bootstrap interval of the mean contains it 74 times in 100 with three seeds, 83 with five.
Lowest to highest is simply what happened. Nothing is smoothed unless you ask for it. With more than
FEW experiments there are the bold lines alone.

The guide is docs/guide/plotting.md.
"""

import difflib
import os
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlcourse.utils import folders
from rlcourse.utils.config import UserError, nearest
from rlcourse.utils.logger import read, table

STEPS, RETURN, TEST = "TotalEnvInteracts", "AverageEpRet", "AverageTestEpRet"
WORDS = {
    STEPS: "environment steps",
    "Epoch": "epochs",
    "Time": "seconds of training",
    RETURN: "return per episode",
    TEST: "return per test episode",
}
ESTIMATES = {"mean": "mean", "iqm": "interquartile mean", "median": "median"}
BANDS = {
    "range": "lowest to highest",
    "ci": "its 95 % bootstrap interval",
    "std": "one standard deviation up and down",
    "none": "",
}
RESAMPLES = 1000  # of the seeds, for a bootstrap interval
MOST = 500  # points on a common axis that no run has of its own
FEW = 5  # experiments; a figure of more shows their bold lines alone
KINDS = (".png", ".svg", ".pdf", ".csv")
# Okabe and Ito's colours, told apart with any colour vision; without yellow, too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", (0, (5, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))  # the next seven experiments, and so on
GREY = "#666666"
TESTED = {"ls": (0, (4, 2)), "lw": 1, "marker": "o", "ms": 4.5, "mfc": "white", "zorder": 4}
TESTED["clip_on"] = False  # the last circle stands on the edge
STYLE = {
    "axes.labelcolor": GREY,
    "figure.constrained_layout.h_pad": 0.1,  # inches
    "figure.constrained_layout.w_pad": 0.1,
    "savefig.dpi": 200,  # 1600 pixels wide: crisp when shown at 800
    "svg.hashsalt": "rlcourse",  # the same data makes the same file
    "text.parse_math": False,  # a name is printed as it is, dollars and all
}
Series = tuple[np.ndarray, np.ndarray]  # x (n,), ascending, and values (n,)


class Run(NamedTuple):
    """One run folder; `columns` maps a name to (rows,) floats, NaN where the cell is empty."""

    folder: Path
    config: dict[str, Any]
    columns: dict[str, np.ndarray]


class How(NamedTuple):
    """What is the x axis, and how the seeds become a line and a band."""

    xaxis: str
    estimate: str
    band: str
    window: int  # rows that are averaged


class Curve(NamedTuple):
    """A column of an experiment: its seeds, and what they have in common, four arrays (n,)."""

    label: str
    env: str
    column: str
    seeds: list[Series]
    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray  # NaN where there is no band
    high: np.ndarray


# ---------------------------------------------------------------------------------------- reading


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of a progress.csv, each (rows,), NaN where a cell is empty or unreadable."""
    rows = read(path)
    return {name: np.array([row[name] for row in rows], dtype=float) for name in (rows or [{}])[0]}


def _read_run(folder: Path) -> Run:
    try:
        config = folders.read_config(folder)
    except UserError:  # a curve can be drawn without it
        config = None
    return Run(folder, config or {}, read_columns(folder / "progress.csv"))


def curves(
    paths: Sequence[str | Path],
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    count: bool = False,
) -> dict[str, list[Run]]:
    """The runs under `paths` (runs, experiments or whole data folders), by experiment.

    <exp>/<exp>_s<seed>/ belongs to <exp>; a run folder of another name is an experiment by itself,
    and so is every run with `count`. Of the runs, those are taken whose path, from the folder that
    was named, contains all texts of `select` and none of `exclude`, and that have a finished epoch.
    """
    names: dict[Path, str] = {}  # of all runs, as --select sees them
    for path in map(Path, paths):
        path = path.parent if path.name == "progress.csv" else path
        found = {file.parent.resolve() for file in path.rglob("progress.csv")}
        if not found and not (path.is_file() and len(paths) > 1):  # what a shell's * brings along
            raise UserError(_no_run(path))
        for folder in sorted(found, key=_natural):
            names.setdefault(folder, str(folder.relative_to(path.resolve().parent)))
    if not names:
        raise UserError(_no_run(Path(paths[0])))
    wanted = [
        folder
        for folder, name in names.items()
        if all(text in name for text in select) and not any(text in name for text in exclude)
    ]
    where = ", ".join(map(str, paths))
    if not wanted:
        rules = [f"--select {text}" for text in select] + [f"--exclude {text}" for text in exclude]
        raise UserError(f"{where}: {' '.join(rules)} leaves no run.{_near(select, names)}")
    groups: dict[Path, list[Run]] = {}
    for folder in wanted:
        run = _read_run(folder)
        if any(map(len, run.columns.values())):
            groups.setdefault(_experiment(folder, count), []).append(run)
    if not groups:
        raise UserError(f"{where}: no run has finished an epoch yet; wait for the first one")
    root = os.path.commonpath([key.parent for key in groups])
    return {os.path.relpath(key, root): runs for key, runs in groups.items()}


def _experiment(folder: Path, count: bool) -> Path:
    """Where a run belongs: to its folder's folder, to that with its own name, or to its own."""
    if not folder.name.startswith(f"{folder.parent.name}_s"):
        return folder
    return folder.parent.with_name(folder.name) if count else folder.parent


def _near(select: Sequence[str], names: dict[Path, str]) -> str:
    known = {part for folder in names for part in (folder.parent.name, folder.name)}
    unknown = [text for text in select if not any(text in name for name in names.values())]
    hint = "".join(nearest(text, known) for text in unknown)
    return hint or f" Their paths are such as {next(iter(names.values()))}"


def _natural(path: Path) -> list[Any]:
    """For sorting: texts and numbers in turn, so that s2 < s10 and lr1e-05 < lr0.001."""
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", str(path))
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]


def _no_run(path: Path) -> str:
    if path.exists():
        return f"{path}: no run in there (no progress.csv); name a run, an experiment or data/"
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, siblings, 1)
    hint = f"did you mean {path.parent / near[0]}?" if near else "train a run first"
    return f"{path}: no such folder; {hint}"


# ------------------------------------------------------------------------------------- arithmetic


def series(run: Run, column: str, xaxis: str = STEPS, window: int = 1) -> Series:
    """A column of a run, where it has values; empty where the run has no such column."""
    y = smoothed(run.columns.get(column, np.empty(0)), window)
    x = run.columns.get(xaxis, np.nan * y) if len(y) else y
    ok = np.isfinite(x) & np.isfinite(y)
    x, first = np.unique(x[ok], return_index=True)
    return x, y[ok][first]


def smoothed(y: np.ndarray, window: int) -> np.ndarray:
    """Each value of (rows,) as the mean of the rows around it, window // 2 on either side.

    Near an end it is the mean of those that there are. Cells without a value neither count nor get
    one.

    >>> smoothed(np.array([0.0, 0.0, 3.0]), 3)
    array([0. , 1. , 1.5])
    """
    rows = np.flatnonzero(np.isfinite(y))
    if window < 2 or not len(rows):
        return y
    start = np.searchsorted(rows, rows - window // 2)
    end = np.searchsorted(rows, rows + window // 2, "right")
    sums = np.add.reduceat(np.append(y[rows], 0), np.stack([start, end], 1).ravel())[::2]
    result = np.full(len(y), np.nan)
    result[rows] = sums / (end - start)
    return result


def resample(seeds: Sequence[Series]) -> Series:
    """A common axis (n,) and values (seeds, n): each x of any seed, within what all seeds have.

    Seeds that share their x keep their values as they are; the others' are interpolated linearly,
    never beyond their ends, at no more than MOST points. Seeds without values do not count.

    >>> long, short = np.array([0.0, 2.0]), np.array([1.0])
    >>> x, ys = resample([(long, long), (short, 5 * short)])
    >>> x, ys.tolist()
    (array([1.]), [[1.0], [5.0]])
    """
    seeds = [(x, y) for x, y in seeds if len(x)]
    if not seeds:
        return np.empty(0), np.empty((1, 0))
    low, high = max(x[0] for x, _ in seeds), min(x[-1] for x, _ in seeds)
    steps = np.unique(np.concatenate([x for x, _ in seeds]))
    shared = len(steps) == max(len(x) for x, _ in seeds)
    steps = steps[(low <= steps) & (steps <= high)]
    if len(steps) > MOST and not shared:
        steps = steps[np.linspace(0, len(steps) - 1, MOST).astype(int)]
    return steps, np.stack([np.interp(steps, x, y) for x, y in seeds])


def middle(ys: np.ndarray, estimate: str) -> np.ndarray:
    """The mean, interquartile mean or median over the seeds of (..., seeds, n).

    >>> ys = np.array([[0.0], [1.0], [8.0]])
    >>> [round(middle(ys, name).item(), 6) for name in ("mean", "iqm", "median")]
    [3.0, 2.0, 1.0]
    """
    if estimate == "mean":
        return ys.mean(-2)
    if estimate == "median":
        return np.median(ys, -2)
    # The middle half of the seeds; one that lies on its border counts by its share.
    shares = np.diff(np.clip(np.linspace(0, 1, ys.shape[-2] + 1), 0.25, 0.75)) * 2
    return np.einsum("...sn,s->...n", np.sort(ys, -2), shares)


def spread(ys: np.ndarray, estimate: str, band: str) -> Series:
    """The lower and upper end (n,) of the band around the middle of (seeds, n); NaN for none.

    >>> low, high = spread(np.array([[0.0], [1.0], [8.0]]), "mean", "range")
    >>> low.item(), high.item()
    (0.0, 8.0)
    """
    seeds, n = ys.shape
    if band == "none" or seeds == 1:
        return np.full(n, np.nan), np.full(n, np.nan)
    if band == "range":
        return ys.min(0), ys.max(0)
    if band == "std":
        return middle(ys, estimate) - ys.std(0, ddof=1), middle(ys, estimate) + ys.std(0, ddof=1)
    # Whole seeds are drawn, the same for all x, and always the same ones for the same figure.
    drawn = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    parts = np.array_split(ys, -(-n // 100) or 1, axis=1)  # as much as fits a processor's cache
    ends = [np.percentile(middle(y[drawn], estimate), [2.5, 97.5], axis=0) for y in parts]
    low, high = np.concatenate(ends, axis=1)
    return low, high


# ---------------------------------------------------------------------------------------- drawing


def plot(
    paths: str | Path | Sequence[str | Path],
    out: str | Path = "",
    value: str | Sequence[str] | None = None,
    *,
    xaxis: str = STEPS,
    estimate: str = "mean",
    band: str = "",
    smooth: int = 1,
    count: bool = False,
    legend: Sequence[str] = (),
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    window: bool = False,
) -> Path | None:
    """Draw the learning curves under `paths` into the file `out` and return its path.

    `out` ends in .png, .svg or .pdf, or in .csv for the numbers, or is a folder; the default is
    <first path>/curve.png, or with `window`, where there is a screen, a window and no file.
    `value` names columns of progress.csv, a panel each, and that for each environment; the default
    is the return in training, with the deterministic evaluation as a dashed line if there is one.
    `estimate` is a key of ESTIMATES, `band` of BANDS; `smooth` is how many rows are averaged, where
    an even number takes one more. With `count` each run is an experiment by itself. `legend` has a
    name for each experiment. For `select` and `exclude` see `curves`.
    """
    for flag, word, known in (("--estimate", estimate, ESTIMATES), ("--band", band, ["", *BANDS])):
        if word not in known:
            raise UserError(f"{flag} '{word}' is none of {', '.join(filter(None, known))}")
    if smooth < 1:
        raise UserError(f"--smooth {smooth} is out of range: it must be 1 or more")
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    values = [value] if isinstance(value, str) and value else list(value or [RETURN])
    window, out = window and not out, _target(out, Path(paths[0]))
    groups = curves(paths, select, exclude, count)
    for name in (xaxis, *values):
        _check_column([run for runs in groups.values() for run in runs], name, xaxis)
    labels = _labels(groups, legend)
    numbers = out.suffix.lower() == ".csv"
    crowded = len(set(labels.values())) > FEW and not numbers
    how = How(xaxis, estimate, band or ("none" if crowded else "range"), smooth // 2 * 2 + 1)
    found = [
        curve
        for name, runs in groups.items()
        for column in (values if value or crowded else [RETURN, TEST])
        if (curve := _curve(labels[name], runs, column, how)).seeds
    ]
    if not any(len(curve.x) for curve in found):
        raise UserError(f"the seeds have no {xaxis} in common yet; wait, or take --count")
    try:
        if numbers:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(table(list(_rows(found, how))), encoding="utf-8")
            return out
        entries = {
            label: label if count else _entry(label, labels, groups) for label in labels.values()
        }
        return _draw(found, values, entries, how, crowded, out, window)
    except OSError as error:
        raise UserError(f"{out}: cannot write the figure; {error.strerror}") from None


def _target(out: str | Path, first: Path) -> Path:
    """The file to write; UserError if its kind is unknown."""
    out = Path(out or (first.parent if first.is_file() else first))
    out = out / "curve.png" if out.is_dir() or out == first else out
    if out.suffix.lower() not in KINDS:
        known = f"{', '.join(KINDS[:-1])} or {KINDS[-1]}"
        raise UserError(f"{out}: unknown kind of figure; let its name end in {known}")
    return out


def _check_column(runs: list[Run], name: str, xaxis: str) -> None:
    if any(len(series(run, name, xaxis)[0]) for run in runs):
        return
    where = runs[0].folder / "progress.csv"
    known = list(dict.fromkeys(column for run in runs for column in run.columns))
    if name in known:
        raise UserError(f"{where}: {name} has no value yet; wait, or name another column")
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UserError(f"{where}: no column {name}; {hint}")


def _env(runs: list[Run]) -> str:
    return str(runs[0].config.get("env", ""))


def _readable(name: str) -> str:
    """A name that the file system does not have in UTF-8 cannot be drawn, nor written."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _labels(groups: dict[str, list[Run]], legend: Sequence[str]) -> dict[str, str]:
    """What each experiment is called: without its environment, which is the title of its panel."""
    envs = {name: _env(runs) for name, runs in groups.items()}
    labels = {name: name.replace(f"_{folders.text(envs[name])}", "") for name in groups}
    if len({(labels[name], envs[name]) for name in groups}) < len(groups):
        labels = {name: name for name in groups}
    labels = {name: _readable(label) for name, label in labels.items()}
    legend = [_readable(label) for label in legend]
    order = list(dict.fromkeys(labels.values()))
    if not legend:
        return labels
    if len(legend) != len(order):
        what = f"{len(order)} names ({', '.join(order)})"
        raise UserError(f"--legend takes {what}, not {len(legend)}")
    if len(set(legend)) < len(legend):
        raise UserError(f"--legend {' '.join(legend)} has a name twice")
    return {name: legend[order.index(label)] for name, label in labels.items()}


def _entry(label: str, labels: dict[str, str], groups: dict[str, list[Run]]) -> str:
    """The label and the number of its seeds, which may differ between environments."""
    counts = [len(groups[name]) for name in groups if labels[name] == label]
    low, high = min(counts), max(counts)
    seeds = f"{low}–{high} seeds" if low < high else f"{low} seed{'s' * (low > 1)}"
    return f"{label} ({seeds})"


def _curve(label: str, runs: list[Run], column: str, how: How) -> Curve:
    seeds = [series(run, column, how.xaxis, how.window) for run in runs]
    seeds = [seed for seed in seeds if len(seed[0])]
    x, ys = resample(seeds)
    ends = spread(ys, how.estimate, how.band)
    return Curve(label, _env(runs), column, seeds, x, middle(ys, how.estimate), *ends)


def _notes(found: list[Curve], how: How) -> str:
    """What lines and bands are, for those who see the figure alone."""
    notes = []
    if any(len(curve.seeds) > 1 for curve in found):
        notes.append(f"bold: {ESTIMATES[how.estimate]}, as far as all seeds have come")
        notes.extend([f"band: {BANDS[how.band]}"] if BANDS[how.band] else [])
    return "; ".join(notes + [f"smoothed over {how.window} epochs"] * (how.window > 1))


def _rows(found: list[Curve], how: How) -> Iterator[dict[str, Any]]:
    """The numbers of a figure, a row for each point of a bold line."""
    for curve in found:
        about = {
            "experiment": curve.label,
            "environment": curve.env,
            "value": curve.column,
            "seeds": len(curve.seeds),
        }
        arrays = (curve.x, curve.middle, curve.low, curve.high)
        for x, *numbers in zip(*(array.tolist() for array in arrays), strict=True):
            mid, low, high = (None if np.isnan(number) else number for number in numbers)
            x = int(x) if x.is_integer() else x
            yield about | {how.xaxis: x, how.estimate: mid, "low": low, "high": high}


def _draw(
    found: list[Curve],
    values: list[str],
    entries: dict[str, str],
    how: How,
    crowded: bool,
    out: Path,
    window: bool,
) -> Path | None:
    """Show the figure in a window, if one is wanted and there is a screen, or else write it."""
    import matplotlib.style

    if window:
        from matplotlib.pyplot import figure as make
        from matplotlib.pyplot import show
    else:
        from matplotlib.figure import Figure as make
    with matplotlib.style.context(["default", STYLE]):
        figure = _figure(found, values, entries, how, crowded, make)
        if window and figure.canvas.required_interactive_framework:
            show()
            return None
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, metadata={"Date": None} if out.suffix.lower() == ".svg" else None)
    return out


def _figure(
    found: list[Curve],
    values: list[str],
    entries: dict[str, str],
    how: How,
    crowded: bool,
    make: Callable,
) -> Any:
    """A panel for each environment and column, and below them an entry for each experiment."""
    from matplotlib.lines import Line2D

    envs = list(dict.fromkeys(curve.env for curve in found))
    panels = [(env, column) for env in envs for column in values]
    cols = min(len(panels), 2 if len(envs) == 1 or len(values) != 3 else 3)
    rows, order = -(-len(panels) // cols), list(entries)
    width, height = 4 * max(cols, 2), 4.5 if len(panels) == 1 else 1 + 2.8 * rows  # inches
    figure = make(figsize=(width, height), layout="constrained")
    lines: dict[str, Any] = {}
    for i, (env, column) in enumerate(panels, 1):
        mine = [c for c in found if c.env == env and (c.column == column or c.column not in values)]
        if not mine:  # of this environment no run has the column
            continue
        title = textwrap.fill(env.rpartition(":")[2], int(9 * (width / cols - 0.7)))
        axes = framed(figure.add_subplot(rows, cols, i), title, column, how.xaxis)
        for curve in mine:
            k = order.index(curve.label)
            look = {"color": COLOURS[k % 7], "ls": DASHES[k // 7 % 4]}
            if curve.column == column:
                thin = how.band != "none" and not crowded
                lines[entries[curve.label]] = _lines(axes, curve, look, thin)
            else:
                every = 1 + len(curve.x) // 25
                axes.plot(curve.x, curve.middle, color=look["color"], markevery=every, **TESTED)
    if any(curve.column not in values for curve in found):
        lines["deterministic evaluation"] = Line2D([], [], color=GREY, **TESTED)
    figure.align_ylabels()
    _legend(figure, lines, _notes(found, how))
    return figure


def framed(axes: Any, title: str, column: str, xaxis: str) -> Any:
    """A panel in the look of the house."""
    from matplotlib.ticker import EngFormatter

    axes.set(xlabel=WORDS.get(xaxis, xaxis), ylabel=WORDS.get(column, column))
    axes.set_title(title, loc="left", weight="bold")
    if xaxis in (STEPS, "Epoch"):
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))  # 20k, 1M
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.01)
    axes.grid(color="#ebebeb")
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=GREY)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color("#999999")
    return axes


def _lines(axes: Any, curve: Curve, look: dict[str, Any], thin: bool) -> Any:
    """A line for each seed, if `thin`, the band and the middle; returns the line of the middle."""
    if thin and len(curve.seeds) > 1:
        for seed in curve.seeds:
            axes.plot(*seed, lw=0.7, alpha=0.45, **look)
    if not np.isnan(curve.low).all():
        axes.fill_between(curve.x, curve.low, curve.high, color=look["color"], alpha=0.14, lw=0)
    marker = "o" * (len(curve.x) == 1)
    return axes.plot(curve.x, curve.middle, lw=2, marker=marker, zorder=3, **look)[0]


def _legend(figure: Any, lines: dict[str, Any], notes: str) -> None:
    """Below the panels, in as many columns as fit, for which the figure is made higher."""
    names = [textwrap.fill(name, int(11 * figure.get_figwidth())) for name in lines]
    texts = [figure.text(0, 0, name) for name in names]
    # In pixels; beside its name, an entry has a line and gaps as wide as five letters M.
    widths = [text.get_window_extent().width + figure.dpi / 72 * 5 * 10 for text in texts]
    for text in texts:
        text.remove()
    for rows in range(1, len(names) + 1):
        cols = -(-len(names) // rows)
        if sum(max(part) for part in np.array_split(widths, cols)) <= figure.bbox.width:
            break
    legend = figure.legend(
        lines.values(),
        names,
        loc="outside lower center",
        ncols=cols,
        frameon=False,
        title=notes,
        title_fontsize="small",
    )
    legend.get_title().set_color(GREY)
    wraps = sum(name.count("\n") for name in names)
    figure.set_figheight(figure.get_figheight() + 0.22 * (rows - 1 + wraps))  # inches


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
