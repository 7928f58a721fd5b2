import torch

from exercises.lab import call, check, expect


@check("T1", "one action of one dimension")
def smallest(m):
    x, mu = torch.tensor([[1.0]]), torch.tensor([[0.4]])
    yield from call(m.gaussian_logp, x=x, mu=mu, log_std=torch.tensor([-0.7]))


@check("T1", "one action of three dimensions")
def one_row(m):
    x, mu = torch.tensor([[1.0, -2.0, 0.5]]), torch.tensor([[0.4, -1.0, 0.5]])
    yield from call(m.gaussian_logp, x=x, mu=mu, log_std=torch.tensor([-0.7, 0.3, 0.0]))


@check("T1", "four actions of two dimensions, the same log_std for all")
def shared(m):
    x, mu = torch.randn(2, 4, 2)
    yield from call(m.gaussian_logp, x=x, mu=mu, log_std=torch.tensor([0.2, -0.6]))


@check("T1", "three actions of five dimensions, a log_std for each")
def own(m):
    x, mu, log_std = torch.randn(3, 3, 5)
    yield from call(m.gaussian_logp, x=x, mu=mu, log_std=log_std)


@check("T1", "the smallest and the largest σ")
def extreme(m):
    for value in (-10.0, 2.0):
        log_std = torch.full((2,), value)  # so few numbers that a message shows them all
        mu = torch.tensor([[5.0, -5.0], [0.0, 1.0], [-2.0, 3.0]])
        x = mu + log_std.exp() * torch.tensor([[3.0, -1.0], [0.0, 2.0], [-4.0, 0.5]])
        yield from call(m.gaussian_logp, x=x, mu=mu, log_std=log_std)


@check("T2", "the density integrates to 1")
def integral(m):
    says = "the density does not integrate to 1: is each constant there, once for each dimension?"
    line = torch.linspace(-8, 8, 161)
    mu, log_std, step = torch.tensor([[0.3, -0.2]]), torch.tensor([-0.4, 0.2]), line[1] - line[0]
    logp = m.gaussian_logp(line[:, None], mu[:, :1].expand(161, 1), log_std[:1])
    yield expect("integral over one dimension", logp.exp().sum() * step, 1.0, 1e-6, says)
    grid = torch.cartesian_prod(line, line)
    logp = m.gaussian_logp(grid, mu.expand(len(grid), 2), log_std)
    yield expect("integral over two dimensions", logp.exp().sum() * step**2, 1.0, 1e-6, says)


@check("T2", "independent dimensions: the sum of what each gives alone")
def parts(m):
    x, mu, log_std = torch.randn(3, 4, 3)
    alone = [m.gaussian_logp(x[:, [j]], mu[:, [j]], log_std[:, [j]]) for j in range(3)]
    yield expect("log-density", m.gaussian_logp(x, mu, log_std), sum(alone))
