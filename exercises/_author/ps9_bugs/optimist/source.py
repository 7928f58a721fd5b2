"""9.3 The optimist

SAC was trained on Pendulum, where no reward is above 0, so no return can be:

# SYMPTOM

Below is the whole algorithm with one mistake in it. Find it, mend it, and say where and what it
was:

    LINE        the line of this file, as it was given, where the mistake is, or the one beside
    MECHANISM   what happens there, one of

# MECHANISMS

The fix changes at most three lines. `python -m exercises trace 9.3` shows where your file begins
to differ from the course's, `python -m exercises diff 9.3` what you have changed so far.
"""

# BEGIN SOLUTION
# BLANK: LINE = 0
# BLANK: MECHANISM = ""
LINE = ...
MECHANISM = "sign"
# END SOLUTION

# ALGORITHM
