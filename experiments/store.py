"""Put finished runs where the tables and figures are made from.

    python experiments/store.py classic seeds       data/classic to experiments/results/classic, ...
    python -m rlcourse.run report experiments/results

Of a run are kept its configuration and its progress.csv: numbers with six digits, without columns
that are empty.
"""

import argparse
import shutil
from pathlib import Path

import yaml

from rlcourse.utils import logger

RESULTS = Path(__file__).parent / "results"


def store(run: Path, to: Path) -> bool:
    """Copy what figures need; False for a run that has not come to its end."""
    config = yaml.safe_load((run / "config.yaml").read_text("utf-8"))
    rows = logger.read(run / "progress.csv")
    if not rows or rows[-1]["Epoch"] < config["epochs"]:
        return False
    kept = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    to.mkdir(parents=True)
    shutil.copyfile(run / "config.yaml", to / "config.yaml")
    short = [{name: rounded(row[name]) for name in kept} for row in rows]
    (to / "progress.csv").write_text(logger.table(short), encoding="utf-8")
    return True


def rounded(value: float | None) -> float | None:
    """Six digits, as a figure needs them; whole numbers stay as they are.

    >>> rounded(1234.56789), rounded(2_048_000), rounded(None)
    (1234.57, 2048000, None)
    """
    return value if value is None or value == int(value) else float(f"{value:.6g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="+", metavar="NAME", help="of grids: data/NAME")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the runs are (data)")
    given = parser.parse_args()
    for name in given.names:
        runs = sorted(file.parent for file in (given.data / name).rglob("progress.csv"))
        new = RESULTS / f".{name}"
        shutil.rmtree(new, ignore_errors=True)
        done = [store(run, new / run.relative_to(given.data / name)) for run in runs]
        if not any(done):
            raise SystemExit(f"{given.data / name}: no finished run; what is stored stays as it is")
        shutil.rmtree(RESULTS / name, ignore_errors=True)
        new.rename(RESULTS / name)
        print(f"{name}: {sum(done)} runs stored, {len(done) - sum(done)} not finished")


if __name__ == "__main__":
    main()
