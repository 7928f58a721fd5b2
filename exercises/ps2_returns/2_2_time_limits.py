"""2.2 Time limits

Gymnasium ends an episode in two ways. `terminated`: the world has ended, s' is terminal, and
nothing can be earned there. `truncated`: somebody stopped looking, mostly since a number of steps
was over; in s' there would have been more to earn. Both can come at once; then s' is terminal.
Learning estimates what is behind a step by V(s'), and 0 where s' is terminal (d = 1):

    δ = r + γ (1 − d) V(s') − V(s)

s' is the observation that the step itself gave. What reset gives is the s of another episode (Pardo
et al. 2018, arXiv:1712.00378).

`bootstrap` is the value behind each step. `collect` plays with a policy and keeps of each step

    rew       r, the reward
    val       V(s), of the observation s that the policy acted on
    next_val  V(s'), of the observation that this action led to, whatever the flags are
    term      1 if s' is terminal, else 0
    done      1 if the episode is over for either reason, else 0

When an episode is over a new one begins, until all steps are played; the last of them may be in the
middle of an episode. These columns are what `gae` of 2.3 takes.
"""

import torch


def bootstrap(term, trunc, next_val):
    """The value behind each step; all are (T,), the flags are 0.0 or 1.0."""
    raise NotImplementedError("2.2: write bootstrap")


def collect(env, policy, v, steps):
    """`steps` steps of env: rew, val, next_val, term and done, (T,) each."""
    # env.reset() -> obs, info; env.step(act) -> obs, rew, terminated, truncated, info
    # policy(obs) -> act; v(obs) -> a Python float; env makes each obs anew
    rows = []  # of each step (rew, val, next_val, term, done), numbers or bools
    obs, _ = env.reset()
    for _ in range(steps):
        raise NotImplementedError("2.2: write collect")
    return torch.tensor(rows, dtype=torch.get_default_dtype()).unbind(1)
