from math import e, exp, log, pi

import torch
from torch import nn

from exercises.lab import Record, call, check, expect


def loss(m, log_alpha, logp, H):
    """The loss and its gradient with respect to log α alone."""
    args = torch.tensor(log_alpha), logp, H
    found = call(m.loss_alpha, *args, names=("loss",))
    yield from (r for r in found if not r.label.endswith(" logp"))


def parameter(alpha):
    return nn.Parameter(torch.tensor(log(alpha)))


def number(x):
    """What was returned as α, a tensor or a float, as a tensor without gradient."""
    return torch.as_tensor(x, dtype=torch.float64).detach().clone()


@check("T1", "the loss of one row, α = 1")
def one(m):
    yield from loss(m, 0.0, torch.tensor([-2.0]), -1.0)


@check("T1", "the loss of three rows, α = 0.5")
def three(m):
    yield from loss(m, log(0.5), torch.tensor([-2.0, 0.5, 1.0]), -1.0)


@check("T1", "the loss of five rows, other α and H")
def five(m):
    for log_alpha, H in ((-3.0, -6.0), (1.2, 0.4), (0.3, 0.0)):
        yield from loss(m, log_alpha, 3 * torch.randn(5), H)


@check("T2", "the slope in log α is α times entropy minus H")
def slope(m):
    cases = (1.0, -1.0, -1.0), (0.3, -3.0, -1.0), (2.0, 0.6, -1.0), (0.5, 0.2, 0.4)
    for alpha, entropy, H in cases:
        log_alpha = parameter(alpha)
        logp = torch.tensor([-1.5, 0.0, 1.5]) - entropy
        (grad,) = torch.autograd.grad(m.loss_alpha(log_alpha, logp, H), log_alpha)
        case = f"where α = {alpha}, the entropy {entropy} and H = {H}"
        yield expect(f"slope {case}", grad, torch.tensor(alpha * (entropy - H)))


@check("T4", "one step and twenty of gradient descent")
def steps(m):
    log_alpha, theta = parameter(0.8), nn.Parameter(torch.tensor([0.2, -0.7, 0.4]))
    opt = torch.optim.SGD([log_alpha], lr=0.1)
    for i in range(1, 21):
        before = log_alpha.detach().exp()
        logp = (1 + 0.1 * i) * theta
        alpha = m.step_alpha(log_alpha, opt, logp, 0.5)
        when = f"in step {i}"
        yield Record(f"the returned α {when}", number(alpha), before)
        frozen = not getattr(alpha, "requires_grad", False)
        yield expect(
            f"the returned α is without gradient {when}",
            frozen,
            True,
            says="α would then get a gradient from the loss of π as well, which has other aims.",
        )
        touched = theta.grad is not None and bool(theta.grad.any())
        yield expect(
            f"parameters of π got a gradient {when}",
            touched,
            False,
            says="Backward went through logp into π, where the next step of π finds it.",
        )
        yield Record(f"log_alpha after step {i}", log_alpha.detach().clone())


@check("T4", "three steps of Adam")
def adam(m):
    log_alpha = parameter(0.1)
    opt = torch.optim.Adam([log_alpha], lr=0.05)
    for i, logp in enumerate(torch.randn(3, 4) * torch.tensor([[1.0], [9.0], [1.0]]), 1):
        alpha = m.step_alpha(log_alpha, opt, logp, -1.0)
        yield Record(f"the returned α in step {i}", number(alpha))
        yield Record(f"log_alpha after step {i}", log_alpha.detach().clone())


@check("T2", "a policy that answers to α ends at the entropy H")
def closed(m):
    H = 0.3
    for alpha in (1.5, 0.05):
        log_alpha = parameter(alpha)
        opt = torch.optim.SGD([log_alpha], lr=1.0)
        for _ in range(100):  # the best normal under Q = -a² has the variance α/2
            entropy = 0.5 * (log(pi * e) + log_alpha.item())
            m.step_alpha(log_alpha, opt, torch.tensor([0.3, -0.3]) - entropy, H)
        case = f"after 100 steps from α = {alpha}, where H = {H}"
        yield expect(f"entropy {case}", 0.5 * (log(pi * e) + log_alpha.item()), H, tol=0.02)
        yield expect(f"α {case}", exp(log_alpha.item()), exp(2 * H) / (pi * e), tol=0.02)
