from math import log
from typing import NamedTuple

import torch
from torch import Tensor, nn

from exercises._author.ps4_ppo.parts import Gaussian, Softmax, loss_of, moved
from exercises.lab import at_least, call, check, expect
from rlcourse.utils.distributions import Categorical


class Batch(NamedTuple):
    obs: Tensor
    act: Tensor
    logp_old: Tensor
    adv: Tensor
    ret: Tensor


class Table(nn.Module):
    """A softmax with logits of its own for each state; obs is the number of the state."""

    def __init__(self, states, actions):
        super().__init__()
        self.logits = nn.Parameter(torch.randn(states, actions))

    def forward(self, obs):
        return Categorical(self.logits[obs[:, 0].long()].log_softmax(-1))


def cells(m, beta, *ws):
    for w in ws:
        for adv in (1.5, -2.0):
            pi = Table(1, 3)
            b = moved(Batch, pi, torch.zeros(1, 1), torch.tensor([2]), [w], [adv])
            at = f"at w = {w}, Â = {adv}"
            yield from call(loss_of(m, Batch), pi, b, 0.2, beta, names=(f"loss {at}", f"KL {at}"))


@check("T1", "a single step within the clip")
def inside(m):
    yield from cells(m, 0.0, 1.0, 0.9, 1.1)


@check("T1", "a single step that went too far: above, then below")
def outside(m):
    yield from cells(m, 0.0, 1.5, 0.5)


@check("T1", "a single step with a bonus for entropy")
def bonus(m):
    yield from cells(m, 0.3, 1.0, 1.5)


@check("T1", "eleven steps, four actions, all the cells at once")
def discrete(m):
    pi = Softmax(3, 4)
    w, adv = torch.linspace(0.31, 2.13, 11), torch.randn(11)
    obs, act = torch.randn(11, 3), torch.arange(11) % 4
    for clip, beta in ((0.2, 0.0), (0.05, 0.01), (0.7, 0.5)):
        at = f"at ε = {clip}, β = {beta}"
        b = moved(Batch, pi, obs, act, w[torch.randperm(11)], adv)
        yield from call(loss_of(m, Batch), pi, b, clip, beta, names=(f"loss {at}", f"KL {at}"))


@check("T1", "seven steps with actions of two dimensions")
def continuous(m):
    pi = Gaussian(3, 2, -0.5)
    b = moved(
        Batch, pi, torch.randn(7, 3), torch.randn(7, 2), torch.linspace(0.4, 1.7, 7), torch.randn(7)
    )
    yield from call(loss_of(m, Batch), pi, b, 0.2, 0.01, names=("loss", "KL"))


@check("T1", "densities beyond what a float holds")
def extreme(m):
    for log_std, far in ((-20.0, 0.0), (0.0, 60.0)):
        pi = Gaussian(2, 50, log_std)
        obs = torch.randn(5, 2)
        act = pi(obs).mean.detach() + far
        b = moved(Batch, pi, obs, act, [0.5, 0.9, 1.0, 1.1, 1.6], [1.0, -1.0, 2.0, 0.5, -3.0])
        where = f"at log π = {pi(obs).log_prob(act)[0].item():.0f}"
        yield from call(loss_of(m, Batch), pi, b, 0.2, 0.0, names=(f"loss {where}", f"KL {where}"))


@check("T2", "at w = 1 the gradient is the policy gradient, and KL is 0")
def first_step(m):
    pi = Softmax(3, 4)
    b = moved(Batch, pi, torch.randn(9, 3), torch.arange(9) % 4, torch.ones(9), torch.randn(9))
    names, params = zip(*pi.named_parameters(), strict=True)
    want = torch.autograd.grad(-(pi(b.obs).log_prob(b.act) * b.adv).mean(), params)
    got, kl = loss_of(m, Batch)(pi, b, 0.2, 0.0)
    yield expect("loss", got, -b.adv.mean())
    yield expect("KL", kl, torch.zeros(()))
    for name, g, w in zip(names, torch.autograd.grad(got, params), want, strict=True):
        yield expect(f"gradient of loss with respect to {name}", g, w)


@check("T2", "the loss is never below that without a clip; KL of a single step is never below 0")
def bound(m):
    pi = Table(40, 2)
    for i in range(40):
        w, adv = torch.randn(1).exp(), torch.randn(1)
        b = moved(Batch, pi, torch.tensor([[float(i)]]), torch.tensor([i % 2]), w, adv)
        got, kl = loss_of(m, Batch)(pi, b, 0.2, 0.0)
        yield at_least("loss + w Â", got.detach() + (w * adv).mean(), -1e-12)
        yield at_least("KL", kl, -1e-12)
    uniform = Table(1, 4)
    nn.init.zeros_(uniform.logits)
    b = moved(Batch, uniform, torch.zeros(1, 1), torch.tensor([1]), [1.0], [0.0])
    got = loss_of(m, Batch)(uniform, b, 0.2, 2.0)[0].detach()
    yield expect("loss of the uniform policy at Â = 0, β = 2", got, torch.tensor(-2 * log(4)))
