"""7.2 Several processes, one gradient

Four processes, each with a quarter of the data, are to learn what one process with all of it would.
Three things make that true.

1. They start from the same parameters: those of process 0. Each built its network from numbers that
   it drew itself, and a buffer, such as the statistics of a normaliser, belongs to the network too.
2. Every step follows the mean of their gradients. Equal parameters and an equal gradient give equal
   parameters again, so nothing needs to be sent but the gradient. With batches of equal size

       ∇L = 1/P Σ_p ∇L_p        P processes, L_p the mean loss over the batch of process p

   is the gradient of the mean loss over all data.
3. What is computed from a whole batch must be computed from all batches: advantages are
   standardised with the mean and the standard deviation over all processes, however many each has,

       Â = (A − mean A) / (std A + 1e-8)        std divides by the number of all advantages

One thing must differ: the numbers that they draw. With the same seed all would play the same
episodes.

The processes speak through `comm`. `total` and `first` return when all processes have called them;
if one does not, the others wait for ever. All make the same calls, in the same order, with equal
shapes.

    comm.rank, comm.size    the number of this process, from 0, and how many there are
    comm.total(x)           the sum over the processes of a tensor or number, in every process
    comm.first(x)           process 0's tensor or number, in every process
"""

import torch


def sync_params(net, comm):
    """Give net the parameters and buffers of process 0, in place."""
    raise NotImplementedError("7.2: write sync_params")


def average_grads(net, comm):
    """Replace the gradient of each parameter by its mean over the processes.

    A parameter's grad is None in all processes or in none; where it is None, it stays so.
    """
    raise NotImplementedError("7.2: write average_grads")


def descend(net, opt, loss, comm):
    """One step of opt, from gradients of 0, down the mean loss of all processes."""
    raise NotImplementedError("7.2: write descend")


def standardise(adv, comm):
    """Â (n,) of this process's advantages (n,); n can differ between the processes."""
    raise NotImplementedError("7.2: write standardise")


def own_seed(seed, comm):
    """The seed of this process's generators, from 0 to 2**32 − 1, if `seed` is the experiment's.

    It differs between the processes of an experiment, and from those of experiments with other
    seeds: runs 0 and 1 would not be independent if they shared three streams of four. At least
    seeds 0 to 99 with 64 processes each must give 6400 different numbers.
    """
    raise NotImplementedError("7.2: write own_seed")
