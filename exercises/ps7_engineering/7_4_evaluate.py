"""7.4 Evaluation that changes nothing

How good is the policy? Play whole episodes with it and look at their returns. Six rules make that a
measurement:

1. The actions are those without noise: noise is for finding out, not for showing.
2. The environments are new ones, from env_fn(), and are closed afterwards. In the training
   environment an episode is half played, and resetting it would cut it off.
3. Each return is that of a whole episode, which is over when it terminates or is truncated. A part
   of one counts for nothing.
4. Episode k starts with reset(seed=seed + k), k = 0, 1, ..., n − 1: so all policies are given the
   same episodes, and a policy has the same result whenever it is asked.
5. Nothing of it goes into the memory of the agent, and the global generators of torch, numpy and
   Python are left as they were. Ask yourself: would training differ if you never evaluated?
6. Who chooses the best of several checkpoints by their returns has chosen luck as well as quality.
   Of equal ones the best looks better than it is, the more so the more there are. So the chosen one
   is measured again, on episodes that it was not chosen by.

`apart` of 7.3 is there: inside `with apart(seed):` the global generators draw what follows from the
seed, and behind it they are where they were. Some environments draw from them. Everything that
env_fn's environment does, from making it to closing it, belongs inside.

An agent here has act(obs), the action without noise; explore(obs), with noise; env, the environment
that it is trained in; and memory, a list. obs is what reset and step return.
"""

from exercises.given import use

apart = use("7.3").apart


def evaluate(agent, env_fn, n, seed=0):
    """Returns and lengths of n whole episodes: two lists of n numbers, from one environment."""
    raise NotImplementedError("7.4: write evaluate")


def best(agents, env_fn, n, seed=0):
    """Which of several agents is the best, and its mean return on episodes that none was chosen by.

    All are evaluated on the same n episodes, those from `seed` on; the one with the highest mean
    return is evaluated again on the n episodes from seed + n on. Returns its index and the mean of
    the second evaluation alone.
    """
    raise NotImplementedError("7.4: write best")
