"""4.2 One update, many steps

VPG takes one step on its data and throws them away. PPO deals the same data out several times, in
minibatches and each time in a new order, and takes a step on each (Schulman et al. 2017,
arXiv:1707.06347, algorithm 1). Three things must hold. The fields of one row stay together. What
belongs to π_old stays that of π_old, all through the update. And the update ends as soon as π has
moved far:

    Â = (A − mean A) / std A                  once, over all the data; R is left as it is
    for each pass:
        a new random order of the rows, cut into minibatches
        for each minibatch:
            KL > max_kl: the whole update is over, without this step
            one step of the optimiser down  loss_pi + mean (V(s) − R)²

The gradients of π and V together are one long vector. If it is longer than max_norm, it is scaled
down to that length before the step.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from exercises.given import use

loss_pi = use("4.1").loss_pi  # loss_pi(pi, b, clip, beta): the loss, and KL from b.logp_old


class Batch(NamedTuple):
    obs: Tensor  # s               (B, obs_dim)
    act: Tensor  # a               (B, act_dim), or (B,) if discrete
    logp_old: Tensor  # log π_old(a|s)  (B,)
    adv: Tensor  # A               (B,)
    ret: Tensor  # R               (B,)


def standardise(adv):
    """Mean 0 and standard deviation 1 over all that is given."""
    return (adv - adv.mean()) / (adv.std(correction=0) + 1e-8)


def minibatches(data, cfg):
    """Yields a Batch of cfg.minibatch rows at a time; the last one of a pass has what is left."""
    # cfg.passes times: torch.randperm(B) is the order of the rows (and nothing else is drawn)
    raise NotImplementedError("4.2: write minibatches")


def update(agent, data, cfg):
    """One update of the agent on a Batch of data, which is not changed; how many steps it took."""
    # agent.pi(obs) is a distribution; agent.v(obs) a network's output, (B, 1)
    # agent.opt: one optimiser of the parameters of agent.pi and agent.v
    # cfg.clip ε and cfg.entropy β of loss_pi, cfg.max_kl, cfg.max_norm; cfg.passes, cfg.minibatch
    raise NotImplementedError("4.2: write update")
