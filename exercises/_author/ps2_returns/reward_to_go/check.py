import torch

from exercises.judge import TooLong
from exercises.lab import Wrong, call, check, expect


def returns(m, rew, gamma):
    """One call. Rewards are data, so nobody has to be able to differentiate by them."""

    def discount_cumsum(rew, gamma):
        return m.discount_cumsum(rew.detach(), gamma)

    yield from call(discount_cumsum, rew=rew, gamma=gamma, names=("ret",), grads=())


@check("T1", "an episode of one step")
def smallest(m):
    yield from returns(m, torch.tensor([3.0]), 0.9)


@check("T1", "three steps, by hand")
def three(m):
    yield from returns(m, torch.tensor([1.0, 2.0, 4.0]), 0.5)


@check("T1", "rewards of both signs, and steps that pay nothing")
def mixed(m):
    yield from returns(m, torch.tensor([0.0, -1.0, 0.0, 10.0, -2.5]), 0.9)


@check("T1", "nothing is discounted, and everything is")
def bounds(m):
    rew = torch.tensor([1.0, -2.0, 4.0, 0.5])
    yield from returns(m, rew, 1.0)
    yield from returns(m, rew, 0.0)


@check("T2", "the sum of the definition")
def definition(m):
    rew = torch.randn(9)
    weight = torch.tensor([[0.8 ** max(k - t, 0) * (k >= t) for k in range(9)] for t in range(9)])
    yield expect("ret", m.discount_cumsum(rew.clone(), 0.8), weight @ rew)


@check("T2", "twice the rewards, twice the returns; the sum of two episodes")
def linear(m):
    one, two = torch.randn(2, 6)
    ret = m.discount_cumsum(one.clone(), 0.9)
    yield expect("ret of 2 r", m.discount_cumsum(2 * one, 0.9), 2 * ret)
    both = m.discount_cumsum(one + two, 0.9)
    yield expect("ret of r + r'", both, ret + m.discount_cumsum(two.clone(), 0.9))


@check("T2", "4000 steps that pay 1")
def long(m):
    gamma, steps = 0.8, 4000
    try:
        ret = m.discount_cumsum(torch.ones(steps), gamma)
    except TooLong:
        raise Wrong(
            f"{steps} steps take more than 4 s: each step needs a number or two from the step "
            f"after it, not a sum over all the rest"
        ) from None
    left = torch.arange(steps, 0, -1)
    yield expect("ret", ret, (1 - gamma**left) / (1 - gamma))
