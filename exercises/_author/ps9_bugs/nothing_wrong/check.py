import re
from math import comb
from pathlib import Path

from exercises.lab import Wrong, check, expect

SUSPECT, TRAINED, RUNS, LEVEL = -500, -182, 5, 0.05  # seed 4: test and training return
VERDICTS = ("update", "evaluation", "rate", "seed", "nothing")


def table():
    """Training and test return of the reference runs, from the text of the exercise."""
    text = Path(__file__).with_name("source.toml").read_text(encoding="utf-8")
    text = text[text.index("seed training  test") : text.index("What would you answer")]
    cells = re.findall(r"(\d+) +(-\d+) +(-\d+) *(?:\||$)", text, re.M)
    assert len(cells) == 30, cells
    return [(int(train), int(test)) for _, train, test in cells]


def chances():
    """What is right for alone, worst and bar."""
    rows = table()
    share = sum(test <= SUSPECT for _, test in rows) / len(rows)
    return share, 1 - (1 - share) ** RUNS, 1 - (1 - LEVEL) ** (1 / RUNS)


def compared(m, key, want, tol, mistakes):
    """A record if the number is right; Wrong says of which mistake it is the result, if known."""
    value = getattr(m, key, None)
    if value in ("", "?"):
        raise Wrong(f"{key} is not filled in: a verdict without evidence is an opinion")
    if type(value) not in (int, float):
        raise Wrong(f"{key} is a number, not {value!r}")
    if abs(value - want) <= tol:
        return expect(key, True, True)
    if abs(value / 100 - want) <= tol:
        raise Wrong(f"{key} is a number from 0 to 1, not in percent")
    for what, wrong in mistakes.items():
        if abs(value - wrong) <= tol:
            raise Wrong(f"{key}: {what}")
    raise Wrong(f"{key}: {value:.4g} is not what follows from the table")


@check("T7", "alone: how often a right run looks at least as bad")
def one(m):
    rows = table()
    share, worst, _ = chances()
    trained = sum(train <= TRAINED for train, _ in rows) / len(rows)
    mistakes = {
        "no run is worse than seed 4, but some are as bad": 0,
        "this is the share of the runs that look better": 1 - share,
        "this is a share of the training returns, and in those seed 4 does not look bad": trained,
        "this is the share of the five runs: how often does the reference look so?": 1 / RUNS,
        "this is a number of runs: divide it by how many there are": share * len(rows),
        "this is for the worst of five: first the chance of one run is asked for": worst,
    }
    yield compared(m, "alone", share, 0.01, mistakes)


@check("T7", "worst: how often the worst of five right ones does")
def five(m):
    rows = table()
    share, worst, _ = chances()
    bad = round(share * len(rows))
    mistakes = {
        "this is the chance of one run: five were trained, and the worst was shown to you": share,
        "chances of runs cannot be added up, since two may look so at once": RUNS * share,
        "this is the chance that all five look so": share**RUNS,
        "this is the chance that none of the five looks so": 1 - worst,
        "this is the chance that one looks so and the other four do not: more may": (
            RUNS * share * (1 - share) ** (RUNS - 1)
        ),
        "this is for five of these thirty runs: new ones are independent of each other": (
            1 - comb(len(rows) - bad, RUNS) / comb(len(rows), RUNS)
        ),
    }
    yield compared(m, "worst", worst, 0.01, mistakes)


@check("T7", "bar: how rare a look would have to be")
def rare(m):
    mistakes = {
        "a look that one run has with this chance, the worst of five has far more often": LEVEL,
        "this is the worst of five if one run looks so with chance 0.05: now the other way": (
            1 - (1 - LEVEL) ** RUNS
        ),
        "five runs make a look more likely, not less, so one run's must be rarer": LEVEL * RUNS,
        "this is the chance of one run at which all five look so with chance 0.05": (
            LEVEL ** (1 / RUNS)
        ),
    }
    yield compared(m, "bar", chances()[2], 0.0005, mistakes)


@check("T7", "the verdict that follows")
def verdict(m):
    said = getattr(m, "verdict", None)
    if said not in VERDICTS:
        raise Wrong(f"verdict is one of {', '.join(VERDICTS)}")
    if said != "nothing":
        often = f"{round(100 * chances()[1])} times in 100"
        raise Wrong(
            f'"{said}" does not follow: the worst of five right runs looks so bad {often}, by '
            "your own numbers"
        )
    yield expect("verdict", True, True)
