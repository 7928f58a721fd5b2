"""9.1 A critic that learns one number

SAC was trained on Pendulum, where a good policy ends near −150 and random actions near −1200. It
does not learn, and no error is raised:

# SYMPTOM

Below is the whole algorithm with one mistake in it. Find it, mend it, and say where and what it
was:

    LINE        the line of this file, as it was given, where the mistake is, or the one beside
    MECHANISM   what happens there, one of

# MECHANISMS

The fix changes at most three lines. `python -m exercises trace 9.1` shows where your file begins
to differ from the course's, `python -m exercises diff 9.1` what you have changed so far.
"""

# BEGIN SOLUTION
# BLANK: LINE = 0
# BLANK: MECHANISM = ""
LINE = ...
MECHANISM = "shape"
# END SOLUTION

# ALGORITHM
