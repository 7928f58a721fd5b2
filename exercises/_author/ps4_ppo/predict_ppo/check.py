import json
from math import comb
from pathlib import Path

from exercises.lab import Wrong, at_most, check, expect

RUNS = json.loads((Path(__file__).parent / "measured.json").read_text(encoding="utf-8"))
EFFECTS = ("lower", "same", "higher")
BAR = 0.45  # of the mean Brier score
QUESTIONS = {  # key in the answer: setting and quantity
    "small_clip_kl": ("clip 0.02", "KL"),
    "small_clip_fraction": ("clip 0.02", "ClipFrac"),
    "large_clip_steps": ("clip 2", "GradSteps"),
    "large_clip_entropy": ("clip 2", "Entropy"),
    "one_pass_return": ("passes 1", "Return"),
    "forty_passes_steps": ("passes 40", "GradSteps"),
    "large_rewards_loss": ("rewards x100", "LossV"),
    "large_rewards_plain_kl": ("rewards x100, norm_ret off", "KL"),
    "no_standardise_gradient": ("no standardise", "GradNorm"),
}


def mean(setting, column):
    runs = RUNS[setting].values()
    return sum(run[column] for run in runs) / len(runs)


def truth(key):
    """What was measured: lower and higher are more than a factor of 1.5 away from the default."""
    setting, column = QUESTIONS[key]
    ratio = mean(setting, column) / mean("default", column)
    return "lower" if ratio < 1 / 1.5 else "higher" if ratio > 1.5 else "same"


def brier(right, sure):
    """0 for right and sure, 2 for wrong and sure: the rest goes to the other two in equal parts."""
    rest = (1 - sure) / 2
    chosen, other = (1, 0) if right else (0, 1)
    return (sure - chosen) ** 2 + (rest - other) ** 2 + rest**2


def answers(m):
    """Effect and probability for each question, in order; Wrong if one is missing."""
    for key in QUESTIONS:
        given = getattr(m, key, None)
        if not isinstance(given, list) or len(given) != 2:
            raise Wrong(f"{key} has to be a list of two: an effect and how sure you are")
        effect, sure = given
        if effect not in EFFECTS:
            raise Wrong(f"{key}: the effect is {effect!r}, write one of {', '.join(EFFECTS)}")
        if isinstance(sure, bool) or not isinstance(sure, int | float) or not 1 / 3 <= sure <= 1:
            raise Wrong(f"{key}: how sure is {sure!r}, a probability from 0.34 to 1.0 is wanted")
        yield key, effect, float(sure)


def chance(sure):
    """The share of all the 3^n answers that pass with this confidence."""
    n = len(QUESTIONS)
    passing = [
        k for k in range(n + 1) if k * brier(True, sure) + (n - k) * brier(False, sure) <= BAR * n
    ]
    return sum(comb(n, k) * 2 ** (n - k) for k in passing) / 3**n


@check("T7", "a prediction for each question")
def complete(m):
    given = list(answers(m))
    yield expect("predictions", given, given)


@check("T7", "the mean Brier score of the predictions")
def score(m):
    yield at_most(
        "share of blind guesses that pass", max(chance(s / 100) for s in range(34, 101)), 0.05
    )
    scores = [brier(effect == truth(key), sure) for key, effect, sure in answers(m)]
    says = (
        "0 is right and sure, 0.67 is no opinion, 2 is wrong and sure. Think again about which "
        "quantity each knob bounds, or be less sure."
    )
    yield at_most("mean Brier score", sum(scores) / len(scores), BAR, says=says)


def reveal():
    """What was measured, as a table."""
    rows = [f"{'question':<30} {'setting':<28} {'quantity':<10} {'default':>9} {'measured':>9}"]
    for key, (setting, column) in QUESTIONS.items():
        was, now = mean("default", column), mean(setting, column)
        rows.append(f"{key:<30} {setting:<28} {column:<10} {was:>9.4g} {now:>9.4g}  {truth(key)}")
    return "\n".join(rows)
