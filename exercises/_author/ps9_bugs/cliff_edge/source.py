"""9.2 The cliff's edge

PPO was trained on CartPole, where 500 is the most. It learns, and then it falls off a cliff, at
times more than once:

# SYMPTOM

Below is the whole algorithm with one mistake in it. Find it, mend it, and say where and what it
was:

    LINE        the line of this file, as it was given, where the mistake is, or the one beside
    MECHANISM   what happens there, one of

# MECHANISMS

The fix changes at most three lines. `python -m exercises trace 9.2` shows where your file begins
to differ from the course's, `python -m exercises diff 9.2` what you have changed so far.
"""

# BEGIN SOLUTION
# BLANK: LINE = 0
# BLANK: MECHANISM = ""
LINE = ...
MECHANISM = "data"
# END SOLUTION

# ALGORITHM
