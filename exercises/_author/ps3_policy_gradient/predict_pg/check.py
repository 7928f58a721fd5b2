import json
from itertools import combinations, permutations
from math import log
from pathlib import Path
from statistics import mean, median, stdev

from exercises.lab import check, expect

MEASURED = json.loads(Path(__file__).with_name("measured.json").read_text(encoding="utf-8"))
KINDS = tuple(MEASURED["noise"])
QUESTIONS = {"by_noise": "noise", "by_return": "return"}


def decided(quantity):
    """Pairs, the higher one first, whose ratio is more than two standard errors from 1.

    All four were measured at the same policies, or from the same seeds: so the ratio is taken
    there, one by one, and its logarithm has a mean and a standard error.
    """
    found = []
    for (one, x), (two, y) in combinations(MEASURED[quantity].items(), 2):
        ratios = [log(a / b) for a, b in zip(x, y, strict=True)]
        if abs(mean(ratios)) > 2 * stdev(ratios) / len(ratios) ** 0.5:
            found.append((one, two) if mean(ratios) > 0 else (two, one))
    return found


def right(order, quantity):
    return all(order.index(high) < order.index(low) for high, low in decided(quantity))


def chance():
    """The share of all pairs of orders that would pass."""
    orders = list(permutations(KINDS))
    shares = [mean(right(o, q) for o in orders) for q in QUESTIONS.values()]
    return shares[0] * shares[1]


assert chance() < 0.05, "too little is decided: a guess would pass"


def answered(m, key):
    said = getattr(m, key, None)
    names = sorted(map(str, said)) if isinstance(said, list) else said
    yield expect(f"names in {key}", names, sorted(KINDS), says="Each of the four is needed once.")
    if names == sorted(KINDS):
        for high, low in decided(QUESTIONS[key]):
            first = said.index(high) < said.index(low)
            yield expect(f"{key}: {high} comes before {low}", first, True)


@check("T7", "the order by noise")
def noise(m):
    yield from answered(m, "by_noise")


@check("T7", "the order by return")
def returns(m):
    yield from answered(m, "by_return")


def reveal():
    """What was measured: medians, with the lowest and the highest."""
    rows = [f"{'':16}{'noise':>24}{'return':>24}"]
    for kind in KINDS:
        cells = (MEASURED[quantity][kind] for quantity in QUESTIONS.values())
        texts = (f"{median(x):.1f} ({min(x):.1f} to {max(x):.1f})" for x in cells)
        rows.append(f"{kind:16}" + "".join(f"{text:>24}" for text in texts))
    for key, quantity in QUESTIONS.items():
        pairs = ", ".join(f"{high} > {low}" for high, low in decided(quantity))
        rows.append(f"{key}, beyond two standard errors: {pairs}")
    return "\n".join(rows)
