"""1.2 Log-probability and entropy from logits

A network for n actions gives n logits z, any real numbers. The policy is their softmax. Learning
needs the log-probability of the action that was taken and the entropy of the whole distribution:

    log p_i = z_i − log Σ_j exp z_j
    H = −Σ_i p_i log p_i

Two things have to hold beyond the formula. Logits may be ±10 000, where exp is inf or 0. And an
action that is forbidden in a state has the logit −inf: its p is 0, what it adds to H is 0 (the
limit of p log p), and no gradient may be nan because of it. An action that was taken is never
forbidden, so at least one is allowed. Both results can be differentiated by the logits.
"""

import torch


def categorical(logits, a):
    """logp of each row's action, and ent, the entropy of each row; both are (B,)."""
    # logits (B, n), a (B,) of int64, from 0 to n − 1
    raise NotImplementedError("1.2: write categorical")
