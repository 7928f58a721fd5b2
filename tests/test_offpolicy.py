"""DDPG, TD3 and SAC: equations, steps, memory, and what they learn where the answer is known.

`Eq. n` is the number in the docstring of the file. Networks of which only a few numbers matter are
replaced by functions: an equation takes whatever can be called.
"""

import math
import random
import signal
import subprocess
import sys
import time
from collections import deque
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from test_mpi import job, parallel, told
from test_run import assert_same_run, folder, wait_for_rows
from torch import nn
from torch.distributions import Independent, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from rlcourse import ddpg, run, sac, td3
from rlcourse.utils import checkpoint, replay
from rlcourse.utils.config import Settings, UserError, check_shares
from rlcourse.utils.distributions import Normal
from rlcourse.utils.envs import Envs
from rlcourse.utils.nets import Twins
from rlcourse.utils.replay import Replay
from rlcourse.utils.run import Run

OBS_DIM, ACT_DIM = 4, 2


def over(*modules):
    return pytest.mark.parametrize("algo", modules, ids=lambda m: m.__name__.split(".")[-1])


each, twin, noisy = over(ddpg, td3, sac), over(td3, sac), over(ddpg, td3)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def new_agent(algo, act_space=None, **changes):
    cfg = algo.Config("none", **{"hidden": (16, 8)} | changes)
    return algo.Agent(OBS_DIM, act_space or Box(-1, 1, (ACT_DIM,)), cfg), cfg


def random_batch(algo, steps=32, term=0.0):
    return algo.Batch(
        torch.randn(steps, OBS_DIM),
        2 * torch.rand(steps, ACT_DIM) - 1,
        torch.randn(steps),
        torch.randn(steps, OBS_DIM),
        torch.full((steps,), term),
    )


def critic_loss(algo, agent, b, gamma=0.9):
    """loss_q, which takes other arguments in each file."""
    if algo is sac:
        return sac.loss_q(agent.q, agent.q_targ, agent.pi, 0.3, b, gamma)
    more = (0.2, 0.5) if algo is td3 else ()
    return algo.loss_q(agent.q, agent.q_targ, agent.pi_targ, b, gamma, *more)


def policy_loss(algo, agent, b):
    return algo.loss_pi(agent.q, agent.pi, *(0.3, b) if algo is sac else (b,))


def networks(agent):
    """The parts of an agent with a vector of parameters each."""
    return {name: net for name, net in agent.named_children() if hasattr(net, "theta")}


# ---------------------------------------------------------------------------- two critics as one


@twin
def test_two_critics_as_one_network_equal_two_networks_in_values_and_gradients(algo):
    cfg = algo.Config("none", hidden=(16, 8))
    both, apart = algo.TwinQ(OBS_DIM, ACT_DIM, cfg), [ddpg.Q(OBS_DIM, ACT_DIM, cfg) for _ in "12"]
    twins = [layer for layer in both.modules() if isinstance(layer, Twins)]
    assert len(twins) == 3
    for i, q in enumerate(apart):
        single = [layer for layer in q.modules() if isinstance(layer, nn.Linear)]
        for layer, pair in zip(single, twins, strict=True):
            layer.weight.data.copy_(pair.weight[i])
            layer.bias.data.copy_(pair.bias[i, 0])
    obs, act, want = torch.randn(32, OBS_DIM), torch.randn(32, ACT_DIM), torch.randn(2, 32)
    val, expected = both(obs, act), torch.stack([q(obs, act) for q in apart])
    assert val.shape == (2, 32)
    torch.testing.assert_close(val, expected)
    assert not torch.allclose(val[0], val[1])  # they start apart
    ((val - want) ** 2).mean(-1).sum().backward()
    ((expected - want) ** 2).mean(-1).sum().backward()
    for i, q in enumerate(apart):
        single = [layer for layer in q.modules() if isinstance(layer, nn.Linear)]
        for layer, pair in zip(single, twins, strict=True):
            torch.testing.assert_close(pair.weight.grad[i], layer.weight.grad)
            torch.testing.assert_close(pair.bias.grad[i, 0], layer.bias.grad)


def test_the_first_critic_alone_has_the_values_that_it_has_beside_the_other():
    q = new_agent(td3)[0].q
    obs, act = torch.randn(32, OBS_DIM), torch.randn(32, ACT_DIM)
    torch.testing.assert_close(q.first(obs, act), q(obs, act)[0])


# ---------------------------------------------------------------------------- targets, Eq. 4


@each
@pytest.mark.parametrize("rho", [0.9, 0.5, 0.0, 1.0])
def test_after_k_steps_a_target_has_kept_rho_to_the_k_of_what_it_was(algo, rho):
    """Eq. 4: θ̄ = ρᵏ θ̄_0 + (1 − ρᵏ) θ as long as θ stays where it is, in the layers themselves."""
    agent, other = new_agent(algo)[0], new_agent(algo)[0]
    targ, net = other.q_targ, agent.q
    start = [p.clone() for p in targ.parameters()]
    before = net.theta.clone()
    for k in range(1, 6):
        algo.track(targ, net, rho)
        for p, p0, goal in zip(targ.parameters(), start, net.parameters(), strict=True):
            torch.testing.assert_close(p, rho**k * p0 + (1 - rho**k) * goal)
    assert torch.equal(net.theta, before)


@each
def test_an_update_moves_each_target_once_and_towards_the_new_parameters(algo):
    agent, cfg = new_agent(algo, rho=0.7)
    nets = networks(agent)
    pairs = [(nets[name], nets[name.removesuffix("_targ")]) for name in nets if "_targ" in name]
    assert len(pairs) == (1 if algo is sac else 2)
    start = [targ.theta.clone() for targ, _ in pairs]
    assert all(map(torch.equal, start, [net.theta for _, net in pairs]))  # they begin as copies
    b = random_batch(algo)
    for _ in range(cfg.delay if algo is td3 else 1):
        agent.update(b, cfg)
    for (targ, net), begin in zip(pairs, start, strict=True):
        assert not torch.equal(net.theta, begin)
        torch.testing.assert_close(targ.theta, 0.7 * begin + 0.3 * net.theta)


# ---------------------------------------------------------------------------- Q, Eq. 1 and 2


@each
def test_a_terminal_state_has_no_value_and_one_where_the_time_is_over_has(algo):
    """Eq. 1: where d = 1, y = r to the bit, whatever s' and the networks say."""
    agent, _ = new_agent(algo)
    b = random_batch(algo, term=1.0)
    other = b._replace(next_obs=100 * torch.randn_like(b.next_obs))
    for batch in (b, other):
        assert torch.equal(critic_loss(algo, agent, batch)[2], b.rew)
    zero = torch.zeros_like(b.term)
    y, y_other = (critic_loss(algo, agent, x._replace(term=zero))[2] for x in (b, other))
    assert (y != b.rew).all() and (y_other != y).all()


def made_up(rows):
    """States whose three numbers are Q̄_1 and Q̄_2 of the next state, and what π does there."""
    return torch.tensor(rows, dtype=torch.float32)


NEXT = made_up([[1.0, 5.0, 0.3], [7.0, 2.0, -0.5], [-4.0, -3.0, 0.9]])
REW, TERM = torch.tensor([10.0, 20.0, 30.0]), torch.tensor([0.0, 0.0, 1.0])
VAL = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def twin_at(obs, act):
    """The larger the action the better, for both."""
    return torch.stack([obs[:, 0] + act[:, 0], obs[:, 1] + act[:, 0]])


def test_ddpg_learns_from_the_target_critic_at_the_target_policys_action():
    """Eq. 1, 2 of ddpg, with numbers."""
    b = ddpg.Batch(torch.zeros(3, 3), torch.zeros(3, 1), REW, NEXT, TERM)
    loss, val, y = ddpg.loss_q(
        lambda s, a: VAL[0], lambda s, a: s[:, 0] + a[:, 0], lambda s: s[:, 2:], b, 0.5
    )
    expected = torch.tensor([10 + 0.5 * 1.3, 20 + 0.5 * 6.5, 30.0])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(loss, ((VAL[0] - expected) ** 2).sum() / 3)
    assert torch.equal(val, VAL[0])


def test_td3_learns_from_the_smaller_of_the_two_targets_in_each_row():
    """Eq. 1, 2 of td3, with numbers: without noise first."""
    b = td3.Batch(torch.zeros(3, 3), torch.zeros(3, 1), REW, NEXT, TERM)
    rest = (lambda s, a: VAL, twin_at, lambda s: s[:, 2:], b, 0.5)
    loss, val, y = td3.loss_q(*rest, 0.0, 0.5)
    expected = torch.tensor([10 + 0.5 * 1.3, 20 + 0.5 * 1.5, 30.0])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(loss, ((VAL - expected) ** 2).sum() / 3)  # the sum of two means
    assert torch.equal(val, VAL)
    noisy_y = torch.stack([td3.loss_q(*rest, 1.0, 0.2)[2] for _ in range(200)])
    np.testing.assert_allclose(noisy_y[:, 0].amax(), expected[0] + 0.5 * 0.2, rtol=1e-5)
    np.testing.assert_allclose(noisy_y[:, 0].amin(), expected[0] - 0.5 * 0.2, rtol=1e-5)


def test_sac_learns_from_the_smaller_target_and_the_entropy_of_what_is_not_terminal():
    """Eq. 1, 2 of sac, with numbers."""
    b = sac.Batch(torch.zeros(3, 3), torch.zeros(3, 1), REW, NEXT, TERM)
    logp = torch.tensor([-1.0, 2.0, 100.0])
    pi = lambda s: (s[:, 2:], logp)  # noqa: E731
    loss, val, y = sac.loss_q(lambda s, a: VAL, twin_at, pi, 0.1, b, 0.5)
    expected = torch.tensor([10 + 0.5 * (1.3 + 0.1), 20 + 0.5 * (1.5 - 0.2), 30.0])
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(loss, ((VAL - expected) ** 2).sum() / 3)
    assert torch.equal(val, VAL)


@each
def test_the_critics_loss_reaches_no_other_network(algo):
    """Eq. 1: the target is a number, with respect to which nothing is differentiated."""
    agent, _ = new_agent(algo)
    loss, val, y = critic_loss(algo, agent, random_batch(algo))
    assert not y.requires_grad and not val.requires_grad
    others = [p for n, net in networks(agent).items() if n != "q" for p in net.parameters()]
    assert set(torch.autograd.grad(loss, others, allow_unused=True, retain_graph=True)) == {None}
    assert all(g.any() for g in torch.autograd.grad(loss, list(agent.q.parameters())))


@each
def test_an_update_takes_its_target_from_the_networks_that_follow(algo):
    """Eq. 1: y depends on Q̄ and π̄, or SAC's π, and not on those that are learnt."""
    b = random_batch(algo)

    def target(change=None):
        torch.manual_seed(0)
        agent, cfg = new_agent(algo)
        if change:
            networks(agent)[change].theta.mul_(1.5)
        torch.manual_seed(1)
        return float(agent.update(b, cfg)["Target"].mean())

    names = networks(new_agent(algo)[0]).keys() - {"log_alpha"}
    matter = {name for name in names if target(name) != target()}
    assert matter == ({"q_targ", "pi"} if algo is sac else {"q_targ", "pi_targ"})


# ---------------------------------------------------------------------------- π, Eq. 3


def test_the_policys_objective_is_q_of_its_own_actions():
    """Eq. 3 of each file, with numbers: Q of DDPG, Q_1 of TD3, the smaller less α log π of SAC."""
    rows = [NEXT, torch.zeros(3, 1), REW, NEXT, TERM]
    pi = lambda s: s[:, 2:]  # noqa: E731
    loss, act = ddpg.loss_pi(lambda s, a: s[:, 0] + a[:, 0], pi, ddpg.Batch(*rows))
    assert float(loss) == pytest.approx(-(1.3 + 6.5 - 3.1) / 3)
    assert torch.equal(act, NEXT[:, 2:])
    q = SimpleNamespace(first=lambda s, a: twin_at(s, a)[0])
    assert float(td3.loss_pi(q, pi, td3.Batch(*rows))[0]) == pytest.approx(-(1.3 + 6.5 - 3.1) / 3)
    logp = torch.tensor([-1.0, 2.0, 0.5])
    loss, _, seen = sac.loss_pi(twin_at, lambda s: (pi(s), logp), 0.1, sac.Batch(*rows))
    assert float(loss) == pytest.approx(-(1.3 + 1.5 - 3.1 - 0.1 * 1.5) / 3)
    assert torch.equal(seen, logp)


@each
def test_a_policys_step_goes_where_q_is_larger(algo):
    """Eq. 3: up Q(s, π(s)), with Q = −(a − 0.5)²; where α log π counts little."""
    agent, cfg = new_agent(algo, lr=1e-2)
    q = lambda s, a: -((a - 0.5) ** 2).sum(-1)  # noqa: E731
    critic = {ddpg: q, sac: lambda s, a: q(s, a).expand(2, -1), td3: SimpleNamespace(first=q)}
    for _ in range(200):
        b = random_batch(algo)
        alpha = (1e-3,) if algo is sac else ()
        algo.descend(agent.opt_pi, algo.loss_pi(critic[algo], agent.pi, *alpha, b)[0])
    torch.testing.assert_close(agent.act(b.obs), torch.full((32, 2), 0.5), atol=0.1, rtol=0)


def test_only_the_first_critic_of_td3_moves_the_policy():
    agent, _ = new_agent(td3)
    b = random_batch(td3)
    slopes = []
    for critic in (0, 1):
        changed = deepcopy(agent)
        for p in changed.q.parameters():
            p.data[critic] *= -1.5
        loss = policy_loss(td3, changed, b)[0]
        slopes.append(torch.autograd.grad(loss, list(changed.pi.parameters()))[0])
    original = torch.autograd.grad(policy_loss(td3, agent, b)[0], list(agent.pi.parameters()))[0]
    assert not torch.allclose(slopes[0], original)
    assert torch.equal(slopes[1], original)


@each
def test_each_step_of_an_update_touches_one_network_and_targets_never_get_gradients(
    algo, monkeypatch
):
    agent, cfg = new_agent(algo, **{"delay": 1} if algo is td3 else {})
    nets, seen, descend = networks(agent), [], algo.descend

    def watched(opt, loss):
        before = {n: (net.theta.clone(), net.theta.grad.clone()) for n, net in nets.items()}
        norm = descend(opt, loss)
        own = next(n for n, net in nets.items() if net.theta is opt.theta)
        for n, net in nets.items():
            same = torch.equal(net.theta, before[n][0]), torch.equal(net.theta.grad, before[n][1])
            assert same == ((False, False) if n == own else (True, True)), (own, n)
        seen.append(own)
        return norm

    monkeypatch.setattr(algo, "descend", watched)
    for _ in range(3):
        agent.update(random_batch(algo), cfg)
    assert seen == 3 * (["q", "pi", "log_alpha"] if algo is sac else ["q", "pi"])
    for name, net in nets.items():
        assert net.theta.grad.any() == (not name.endswith("_targ"))


@each
def test_what_is_logged_of_an_update_is_what_its_losses_saw(algo):
    agent, cfg = new_agent(algo, **({"delay": 1} if algo is td3 else {}))
    with torch.no_grad():
        agent.pi.net[-1].weight.mul_(30)
    b = random_batch(algo, 256)
    torch.manual_seed(1)
    if algo is sac:
        _, val, y = sac.loss_q(agent.q, agent.q_targ, agent.pi, cfg.alpha, b, cfg.gamma)
    else:
        _, val, y = critic_loss(algo, agent, b, cfg.gamma)
    act = policy_loss(algo, agent, b)[1]
    torch.manual_seed(1)
    info = {
        k: float(torch.as_tensor(v).detach().float().mean())
        for k, v in agent.update(b, cfg).items()
    }
    assert info["QVals"] == pytest.approx(float(val.mean()))
    assert info["Target"] == pytest.approx(float(y.mean()))
    assert info["TDError"] == pytest.approx(float((val - y).abs().mean()))
    saturated = float((act.abs() > 0.99).float().mean())
    assert 0.05 < saturated < 0.95
    assert info["Saturated"] == pytest.approx(saturated, abs=0.05)


# ---------------------------------------------------------------------------- noise, Eq. 5 and 6


def constant(value):
    return lambda obs: torch.full((len(obs), 1), value)


@noisy
def test_exploration_is_the_policy_plus_normal_noise_cut_to_the_box(algo):
    """Eq. 5."""
    obs = torch.zeros(20_000, 3)
    assert torch.equal(algo.explore(constant(0.3), obs, 0.0), torch.full((20_000, 1), 0.3))
    act = algo.explore(constant(0.3), obs, 0.1)
    assert float(act.mean()) == pytest.approx(0.3, abs=0.005)
    assert float(act.std()) == pytest.approx(0.1, rel=0.03)
    act = algo.explore(constant(0.3), obs, 5.0)
    assert (act.amin(), act.amax()) == (-1, 1)


def test_smoothing_noise_is_cut_and_then_the_action():
    """Eq. 6."""
    obs = torch.zeros(20_000, 3)
    act = td3.smooth(constant(0.0), obs, 0.2, 0.5)
    cut = (0.2 * torch.randn(20_000)).clamp(-0.5, 0.5)
    assert float(act.std()) == pytest.approx(float(cut.std()), rel=0.03)
    for centre, low, high in ((0.0, -0.5, 0.5), (0.8, 0.3, 1.0), (-0.9, -1.0, -0.4)):
        act = td3.smooth(constant(centre), obs, 10.0, 0.5)
        assert float(act.amin()) == pytest.approx(low, abs=1e-6)
        assert float(act.amax()) == pytest.approx(high, abs=1e-6)


@noisy
def test_each_dimension_of_an_action_has_noise_of_its_own(algo):
    still, obs = (lambda obs: torch.zeros(len(obs), 2)), torch.zeros(20_000, 3)
    acts = [algo.explore(still, obs, 0.1)]
    acts += [td3.smooth(still, obs, 0.1, 0.5)] if algo is td3 else []
    for act in acts:
        assert abs(float(torch.corrcoef(act.T)[0, 1])) < 0.03


def test_an_update_smooths_with_its_deviation_and_its_cut(monkeypatch):
    (agent, cfg), seen = new_agent(td3, smooth=0.3, smooth_clip=0.7), []
    watched = lambda pi, obs, sigma, c: seen.append((sigma, c)) or pi(obs)  # noqa: E731
    monkeypatch.setattr(td3, "smooth", watched)
    agent.update(random_batch(td3), cfg)
    assert seen == [(0.3, 0.7)]


@noisy
def test_a_policy_without_noise_is_squashed_by_tanh(algo):
    pi, obs = new_agent(algo)[0].pi, 100 * torch.randn(32, OBS_DIM)
    torch.testing.assert_close(pi(obs), pi.net(obs).tanh())


@pytest.mark.parametrize("out, log_std", [(50.0, 2.0), (-50.0, -10.0), (-7.0, -7.0)])
def test_the_deviation_of_sac_is_cut_where_it_says(out, log_std, monkeypatch):
    seen, pi = [], new_agent(sac)[0].pi
    with torch.no_grad():
        pi.net[-1].weight.zero_()
        pi.net[-1].bias.fill_(out)
    monkeypatch.setattr(sac, "squashed_logp", lambda g, u: seen.append(g.log_std) or u.sum(-1))
    pi(torch.randn(4, OBS_DIM))
    assert (seen[0] == log_std).all()


def test_the_delay_counts_the_gradient_steps_of_the_whole_run_also_after_loading():
    agent, cfg = new_agent(td3, delay=3)
    moved = []
    for step in range(8):
        if step == 4:
            saved, (agent, _) = deepcopy(agent.state_dict()), new_agent(td3, delay=3)
            agent.load_state_dict(saved)
        names = ("pi", "pi_targ", "q", "q_targ")
        before = [getattr(agent, n).theta.clone() for n in names]
        info = agent.update(random_batch(td3), cfg)
        after = [getattr(agent, n).theta for n in names]
        moved.append([not torch.equal(x, y) for x, y in zip(before, after, strict=True)])
        assert ("LossPi" in info) == moved[-1][0]
    seldom, always = [False, False, True, False], [True] * 4
    assert moved == [seldom, seldom, always] * 2 + [seldom] * 2


# ---------------------------------------------------------------------------- SAC: Eq. 5 and 6


def reference(mu, log_std):
    base = Independent(torch.distributions.Normal(mu, log_std.exp()), 1)
    return TransformedDistribution(base, [TanhTransform(cache_size=1)])


def test_the_squashed_log_probability_is_that_of_torch():
    """Eq. 6, in float64, of 3 dimensions together."""
    mu, log_std = torch.randn(200, 3).double(), 0.5 * torch.randn(200, 3).double() - 0.5
    gaussian = Normal(mu, log_std)
    u = gaussian.rsample()
    expected = reference(mu, log_std).log_prob(u.tanh())
    near = u.abs().amax(-1) < 6  # beyond, atanh(tanh(u)) is less exact than what is tested
    assert near.sum() > 150
    torch.testing.assert_close(sac.squashed_logp(gaussian, u)[near], expected[near])


@pytest.mark.parametrize("mu, sigma", [(0.0, 0.3), (0.0, 0.6), (0.7, 0.5), (-1.5, 0.4)])
def test_the_squashed_density_integrates_to_1(mu, sigma):
    """Eq. 6: over (−1, 1), by the trapezoidal rule, and without torch's own transform."""
    a = torch.linspace(-1, 1, 200_003, dtype=torch.double)[1:-1, None]
    gaussian = Normal(torch.full_like(a, mu), torch.tensor([math.log(sigma)]).double())
    density = sac.squashed_logp(gaussian, a.atanh()).exp()
    assert float(torch.trapezoid(density, a[:, 0])) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_squashed_log_probability_and_its_slopes_are_finite_far_out(sign):
    """Eq. 6 at |u| up to 100, where tanh u is ±1 in float32: log(1 − tanh² u) would be −∞."""
    u = (sign * torch.tensor([[5.0], [10.0], [20.0], [50.0], [100.0]])).requires_grad_()
    mu = (u.detach() + 0.5).requires_grad_()
    log_std = torch.zeros(5, 1, requires_grad=True)
    logp = sac.squashed_logp(Normal(mu, log_std), u)
    base = torch.distributions.Normal(mu, 1.0).log_prob(u).sum(-1)
    exact = base - 2 * (math.log(2) - u[:, 0].abs())  # 1 − tanh² u → 4 e^{−2|u|}
    torch.testing.assert_close(logp, exact, rtol=1e-4, atol=1e-3)
    for slope in torch.autograd.grad(logp.sum(), [u, mu, log_std]):
        assert slope.isfinite().all() and slope.any()


def test_the_policy_of_sac_gives_samples_with_their_own_log_probability():
    pi = new_agent(sac)[0].pi
    obs = torch.randn(5_000, OBS_DIM)
    act, logp = pi(obs)
    mu, log_std = pi.net(obs).chunk(2, -1)
    torch.testing.assert_close(
        logp, reference(mu, log_std).log_prob(act.clamp(-1 + 1e-7, 1 - 1e-7)), atol=0.05, rtol=0.01
    )
    assert (act.abs() <= 1).all() and act.shape == (5_000, ACT_DIM) and logp.shape == (5_000,)
    torch.testing.assert_close(pi.mode(obs), mu.tanh())
    u = ((act.atanh() - mu) / log_std.exp()).detach()
    assert abs(float(u.mean())) < 0.05 and float(u.std()) == pytest.approx(1, abs=0.05)
    assert all(g.any() for g in torch.autograd.grad(act.sum(), list(pi.parameters())))


def test_the_temperatures_slope_is_minus_the_entropy_gap():
    """Eq. 5: dL/d log α = α (entropy − H)."""
    log_alpha = torch.tensor(0.7, requires_grad=True)
    logp = torch.tensor([-1.0, -2.0, 0.5])
    sac.loss_alpha(log_alpha, logp, -2.0).backward()
    assert float(log_alpha.grad) == pytest.approx(math.exp(0.7) * (2.5 / 3 + 2.0))


def test_alpha_falls_where_the_entropy_is_above_its_target_and_rises_below():
    """Eq. 5: the target counts for each dimension of the action."""
    agent, cfg = new_agent(sac, alpha=0.5)
    b = random_batch(sac)
    first = copy_of(agent, cfg)
    torch.manual_seed(7)
    entropy = float(first.update(b, cfg)["Entropy"].mean())
    for gap in (-1.0, -0.01, 0.01, 1.0):
        again = copy_of(agent, replace(cfg, target_entropy=(entropy + gap) / ACT_DIM))
        torch.manual_seed(7)
        again.update(b, cfg)
        change = float(again.log_alpha().detach()) - math.log(0.5)
        assert math.copysign(1, change) == math.copysign(1, gap) and abs(change) > 1e-4


def copy_of(agent, cfg):
    """An agent of its own with the same parameters: a deep copy would not be flat."""
    other = sac.Agent(OBS_DIM, Box(-1, 1, (ACT_DIM,)), cfg)
    other.load_state_dict(agent.state_dict())
    return other


def test_with_learning_rate_0_alpha_stays_what_it_was_given():
    agent, cfg = new_agent(sac, alpha=0.2, lr_alpha=0.0)
    before = agent.log_alpha().clone()
    for _ in range(5):
        info = agent.update(random_batch(sac), cfg)
    assert torch.equal(agent.log_alpha(), before)
    assert float(info["Alpha"]) == pytest.approx(0.2)


# ---------------------------------------------------------------------------- SAC: Discrete


def expected(q_values, logp, alpha):
    """Σ_a π(a|s) (Q(s, a) − α log π(a|s)) of each critic, action by action: (2, B)."""
    terms = [
        logp[:, a].exp() * (q_values[:, :, a] - alpha * logp[:, a]) for a in range(logp.shape[1])
    ]
    return sum(terms)


def test_with_discrete_actions_the_objective_is_the_expectation_over_all_of_them():
    """Eq. 3 in value and gradient: the smaller of both critics' expectations, no action drawn."""
    agent, _ = new_agent(sac, Discrete(3))
    b = random_batch(sac)
    logp = agent.pi.net(b.obs).log_softmax(-1)
    objective = expected(agent.q.net(b.obs).detach(), logp, 0.3).amin(0).mean()
    loss, _, mean_logp = sac.loss_pi(agent.q, agent.pi, 0.3, b)
    torch.testing.assert_close(loss, -objective)
    torch.testing.assert_close(mean_logp, (logp.exp() * logp).sum(-1).detach())
    params = list(agent.pi.parameters())
    for slope, wanted in zip(
        torch.autograd.grad(loss, params), torch.autograd.grad(-objective, params), strict=True
    ):
        torch.testing.assert_close(slope, wanted)


def test_with_discrete_actions_the_target_is_the_expectation_over_all_of_them():
    """Eq. 1 and 2: of the target critics in s'; and Q(s, a) is the output of the action taken."""
    agent, _ = new_agent(sac, Discrete(3))
    agent.q_targ.theta.mul_(1.5)
    taken = torch.randint(3, (32,))
    term = (torch.rand(32) < 0.3).float()
    b = random_batch(sac)._replace(act=torch.eye(3)[taken], term=term)
    loss, val, y = sac.loss_q(agent.q, agent.q_targ, agent.pi, 0.3, b, 0.9)
    logp = agent.pi.net(b.next_obs).log_softmax(-1)
    value = expected(agent.q_targ.net(b.next_obs), logp, 0.3).amin(0)
    torch.testing.assert_close(y, (b.rew + 0.9 * (1 - term) * value).detach())
    out = agent.q.net(b.obs)
    torch.testing.assert_close(val, out[:, torch.arange(32), taken].detach())
    torch.testing.assert_close(loss, ((val - y) ** 2).sum() / 32)


def test_discrete_actions_are_drawn_as_probable_as_they_are_and_judged_by_the_most_probable():
    pi = new_agent(sac, Discrete(3))[0].pi
    obs = torch.randn(1, OBS_DIM)
    prob = pi(obs)[0]
    torch.testing.assert_close(prob.sum(), torch.tensor(1.0))
    counts = torch.bincount(pi.sample(obs.expand(20_000, -1)), minlength=3)
    torch.testing.assert_close(counts / 20_000, prob[0].detach(), atol=0.02, rtol=0)
    assert pi.mode(obs) == prob.argmax(-1)


def test_the_entropy_to_keep_is_a_share_of_the_greatest_that_discrete_actions_can_have():
    for n, share in ((2, 0.5), (4, 0.9)):
        pi = new_agent(sac, Discrete(n), target_share=share)[0].pi
        assert pi.H == pytest.approx(share * math.log(n))
        pi.theta.zero_()
        entropy = -float(pi(torch.randn(5, OBS_DIM))[1].mean().detach())
        assert entropy == pytest.approx(math.log(n))


# ---------------------------------------------------------------------------- collecting


class Steps(gym.Env):
    """Episodes that end in a terminal state after 2 steps, or go on until the time is over."""

    observation_space = Box(-100, 100, (2,))  # when the episode ends, and the steps so far
    action_space = Box(-3, 3, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs = np.array([self.np_random.choice([2, 99]), 0], np.float32)
        return self.obs.copy(), {}

    def step(self, action):
        self.obs[1] += 1
        rew = 10 * self.obs[0] + float(np.sum(action))
        return self.obs.copy(), rew, bool(self.obs[1] == self.obs[0]), False, {}


class Unbounded(Steps):
    action_space = Box(-np.inf, np.inf, (1,))


class HalfBounded(Steps):
    action_space = Box(np.array([-1, 0], np.float32), np.array([1, np.inf], np.float32))


class Chosen(Steps):
    action_space = Discrete(3)


gym.register("Steps-v0", entry_point=Steps, max_episode_steps=4)
for kind in (Unbounded, HalfBounded, Chosen):
    gym.register(f"{kind.__name__}-v0", entry_point=kind, max_episode_steps=4)


def collected(algo, steps, act=None, **changes):
    """The memory after some steps of two environments, the policy's action given."""
    values = {"seed": 3, "num_envs": 2, "memory": 1000, "random_steps": 1000, "hidden": (8,)}
    cfg = algo.Config("Steps-v0", **values | changes)
    mine = Run(cfg, show=False)
    envs = Envs(cfg, mine.settings)
    memory, agent = Replay(cfg.memory, envs), algo.Agent(envs.obs_dim, envs.act_space, cfg)
    if act is not None:
        played = torch.full((2, 1), act)
        if algo is sac:
            agent.pi.sample = lambda obs: played
        else:
            agent.pi.forward = lambda obs: played
    for _ in range(steps):
        algo.collect(envs, agent, memory, cfg)
    columns = memory.rows[: len(memory)].split(memory.widths, -1)
    return algo.Batch(*(x if x.shape[1] > 1 else x[:, 0] for x in columns))


@each
def test_the_memory_holds_what_is_terminal_and_not_what_is_over(algo):
    b = collected(algo, 200)
    over_time = (b.next_obs[:, 1] == 4).float()
    assert torch.equal(b.term, (b.next_obs[:, 1] == 2).float() * (b.obs[:, 0] == 2))
    assert b.term.sum() > 20 and over_time.sum() > 20 and not (b.term * over_time).any()


@each
def test_no_row_of_the_memory_joins_two_steps_or_episodes(algo):
    b = collected(algo, 200)
    assert len(b.obs) == 400
    assert torch.equal(b.next_obs[:, 0], b.obs[:, 0])
    assert torch.equal(b.next_obs[:, 1], b.obs[:, 1] + 1)
    torch.testing.assert_close(b.rew, 10 * b.obs[:, 0] + 3 * b.act)  # the box is [−3, 3]


def test_discrete_actions_are_remembered_as_one_hot_rows_of_what_was_done():
    cfg = sac.Config("Chosen-v0", num_envs=2, memory=100, random_steps=20, hidden=(8,))
    envs = Envs(cfg, Settings())
    memory, agent = Replay(cfg.memory, envs), sac.Agent(envs.obs_dim, envs.act_space, cfg)
    agent.pi.sample = lambda obs: torch.tensor([1, 2])
    for _ in range(30):
        sac.collect(envs, agent, memory, cfg)
    obs, act, rew, _, _ = memory.rows[:60].split(memory.widths, -1)
    done = act.argmax(-1)
    assert torch.equal(act, torch.eye(3)[done])
    torch.testing.assert_close(rew[:, 0], 10 * obs[:, 0] + done)
    assert set(done[:20].tolist()) == {0, 1, 2} and done[20:].tolist() == 20 * [1, 2]


@each
def test_the_first_actions_are_uniform_and_then_the_policy_acts(algo):
    noise = {} if algo is sac else {"noise": 0.0}
    act = collected(algo, 600, act=0.25, memory=2000, random_steps=1000, **noise).act
    random_act, rest = act[:1000].double(), act[1000:]
    assert (rest == 0.25).all() and len(rest) == 200
    assert random_act.abs().max() <= 1
    share = (torch.arange(1000) + 0.5) / 1000  # Kolmogorov-Smirnov, at 1 in 1000
    assert (random_act.sort().values / 2 + 0.5 - share).abs().max() < 1.95 / 1000**0.5


@pytest.mark.fault("repeat")
@each
def test_the_first_actions_repeat_with_the_seed_and_differ_with_another(algo):
    one, same, other = (collected(algo, 20, seed=seed) for seed in (3, 3, 4))
    assert all(map(torch.equal, one, same))
    assert not torch.equal(one.act, other.act)


@noisy
def test_what_explores_is_the_policy_with_noise_within_the_box(algo):
    act = collected(algo, 300, act=0.9, random_steps=0, noise=0.3).act
    assert act.abs().max() == 1 and (act == 1).float().mean() < 0.6
    assert float(act.median()) == pytest.approx(0.9, abs=0.05)


UNBOUNDED = [(algo, env) for algo in (ddpg, td3, sac) for env in ("Unbounded-v0", "HalfBounded-v0")]
DISCRETE = [(algo, env) for algo in (ddpg, td3) for env in ("CartPole-v1", "Chosen-v0")]


@pytest.mark.fault("mistake")
@pytest.mark.parametrize("algo, env", UNBOUNDED + DISCRETE)
def test_other_actions_are_refused_in_one_line_that_names_ppo(algo, env, capsys):
    assert run.main([algo.__name__.split(".")[-1], "--env", env]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "ppo" in err and "actions" in err
    assert list(Path().iterdir()) == []


@each
def test_training_takes_utd_updates_for_each_step_after_the_warm_up(algo, monkeypatch):
    seen = []
    monkeypatch.setattr(algo.Agent, "update", lambda self, b, cfg: seen.append(b) or {})
    cfg = algo.Config(
        *("Steps-v0", 0, 1, 2, 30),
        **dict(utd=1.5, random_steps=20, memory=1000, minibatch=4, hidden=(8,)),
    )
    algo.train(cfg, Run(cfg, Settings(eval_episodes=1), show=False))
    assert len(seen) == 3 * (30 - 9)  # the tenth step of both environments completes the 20
    assert len({tuple(b.rew.tolist()) for b in seen}) > 55  # each is a minibatch of its own


@pytest.mark.parametrize("n, utd", [(12, 0.35), (3, 1 / 3), (6, 0.333333), (100, 0.07), (7, 0.1)])
def test_the_updates_to_data_that_are_suggested_are_taken(n, utd):
    cfg = sac.Config("none", num_envs=n, utd=utd)
    try:
        check_shares(cfg, 1)
    except UserError as e:
        check_shares(replace(cfg, utd=float(str(e).rpartition("try ")[2])), 1)


# ---------------------------------------------------------------------------- memory


def new_memory(size, obs_dim=3, act_dim=2):
    space = Box(-1, 1, (act_dim,))
    return Replay(size, SimpleNamespace(act_space=space, obs_dim=obs_dim, device="cpu"))


def add(memory, first, count):
    """Transitions of these numbers; each column is the number plus a constant of its own."""
    k = torch.arange(first, first + count).float()
    obs, act, _, next_obs, _ = memory.widths
    columns = [k[:, None].repeat(1, n) + c for n, c in ((obs, 0.1), (act, 0.2), (next_obs, 0.3))]
    memory.add(columns[0], columns[1], k + 0.4, columns[2], k + 0.5)
    return first + count


def numbers(memory):
    """The transitions in the memory, by place."""
    return memory.rows[: len(memory), 0].sub(0.1).round().tolist()


@pytest.mark.parametrize("size, n", [(10, 1), (10, 4), (12, 4), (7, 3), (5, 5)])
def test_the_memory_keeps_the_newest_in_the_order_in_which_they_came(size, n):
    memory, newest, k = new_memory(size), deque(maxlen=size), 0
    for _ in range(20):
        newest.extend(range(k, k + n))
        k = add(memory, k, n)
        assert len(memory) == len(newest) == min(k, size)
        places = [None] * len(newest)
        for number in newest:
            places[number % size] = number
        assert numbers(memory) == places


def test_what_is_drawn_are_whole_rows_of_the_filled_part_alone():
    memory = new_memory(1000)
    memory.rows.fill_(torch.nan)
    k = add(memory, 0, 7)
    for _ in range(3):
        for b in memory.sample(50, 16):
            obs, act, rew, next_obs, term = b
            assert obs.shape == next_obs.shape == (16, 3) and act.shape == (16, 2)
            assert rew.shape == term.shape == (16,)
            number = (rew - 0.4).round()
            assert torch.isin(number, torch.arange(k).float()).all()
            for column, c in ((obs, 0.1), (act, 0.2), (next_obs, 0.3)):
                torch.testing.assert_close(column, (number[:, None] + c).expand_as(column))
            torch.testing.assert_close(term, number + 0.5)
        k = add(memory, k, 30)


def test_rows_are_drawn_uniformly_and_with_replacement():
    memory = new_memory(20)
    add(memory, 0, 20)
    drawn = torch.cat([(b[2] - 0.4).round() for b in memory.sample(100, 200)]).long()
    counts = torch.bincount(drawn, minlength=20).double()
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 43.8  # chi-square of 19, at 1 in 1000
    batch = next(memory.sample(1, 200))
    assert len(batch[2]) == 200  # more than there are


def test_as_many_minibatches_are_drawn_as_asked_for_and_all_differ():
    memory = new_memory(1000)
    add(memory, 0, 1000)
    assert len({tuple(b[2].tolist()) for b in memory.sample(7, 5)}) == 7


@pytest.mark.fault("mistake")
def test_a_memory_larger_than_what_is_free_is_refused_before_anything_is_allocated(monkeypatch):
    bytes_of_row = 4 * (3 + 2 + 1 + 3 + 1)
    monkeypatch.setattr(replay, "available", lambda device: 100 * bytes_of_row)
    assert len(new_memory(100).rows) == 100
    monkeypatch.setattr(torch, "empty", lambda *_, **__: pytest.fail("it was allocated"))
    with pytest.raises(UserError, match="--memory needs .* GiB are free"):
        new_memory(101)
    monkeypatch.undo()
    with pytest.raises(UserError, match="--memory"):
        new_memory(10**13)


def test_what_is_free_is_the_least_of_the_machine_and_of_the_control_groups(monkeypatch):
    files = {"/proc/meminfo": "MemTotal: 900 kB\nMemAvailable:  500 kB"}
    monkeypatch.setattr(replay, "_read", lambda path: files.get(str(path), ""))
    assert replay.available() == 500 * 1024
    files["/proc/self/cgroup"] = "0::/a/b"
    files["/sys/fs/cgroup/a/b/memory.max"] = "max"
    files["/sys/fs/cgroup/a/b/memory.current"] = "100"
    assert replay.available() == 500 * 1024
    files["/sys/fs/cgroup/a/b/memory.max"] = "4000"
    assert replay.available() == 3900
    files["/proc/self/cgroup"] = "5:cpu:/c\n4:memory:/c"
    files["/sys/fs/cgroup/memory/c/memory.limit_in_bytes"] = "2000"
    files["/sys/fs/cgroup/memory/c/memory.usage_in_bytes"] = "300"
    assert replay.available() == 1700
    files["/sys/fs/cgroup/memory/c/memory.stat"] = "total_cache 999\ntotal_inactive_file 50"
    assert replay.available() == 1750
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "1500"  # of the group around it
    files["/sys/fs/cgroup/memory/memory.usage_in_bytes"] = "900"
    assert replay.available() == 600


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="it is read from /proc")
def test_memory_that_is_not_filled_yet_is_not_taken():
    before = resident()
    memory = new_memory(5_000_000)  # 200 MB
    add(memory, 0, 1000)
    assert resident() - before < 20e6
    memory.rows.zero_()
    assert resident() - before > 150e6  # so the measure is one


@pytest.mark.parametrize("size", [10, 30, 1000])
def test_a_memory_loads_as_it_was_saved_after_any_number_of_saves_and_wraps(size, monkeypatch):
    """Of two generations of checkpoints, as many as are kept; older files are removed."""
    where, memory, k, before = Path("replay"), new_memory(size), 0, None
    for _ in range(40):
        for _ in range(random.randrange(6)):
            k = add(memory, k, random.randrange(1, 6))
        if k == 0:
            continue
        state = deepcopy(memory.save(where))
        memory.prune(where)
        generations = [g for g in (state, before) if g]
        needed = {replay.name(s, 0) for g in generations for s in g["segments"]}
        assert {path.name for path in where.iterdir()} == needed
        assert all(end > k - len(memory) for _, end in state["segments"])  # no file for nothing
        again = new_memory(size)
        again.load(where, deepcopy(state))
        assert again.added == memory.added and len(again) == len(memory)
        assert torch.equal(again.rows[: len(again)], memory.rows[: len(memory)])
        if before:
            old = new_memory(size)
            old.load(where, deepcopy(before))
            assert len(old) == min(before["added"], size)
            kept = range(before["added"] - len(old), before["added"])
            assert sorted(numbers(old)) == list(kept)
        before = state
        if random.random() < 0.3:
            memory = again  # the run continues in another process
    assert memory.added == k


def test_saving_again_writes_only_what_is_new():
    memory = new_memory(1000)
    k = add(memory, 0, 100)
    memory.save(Path("replay"))
    add(memory, k, 20)
    memory.save(Path("replay"))
    rows = {p.name: checkpoint.load(p)["rows"] for p in Path("replay").iterdir()}
    assert {name: len(x) for name, x in rows.items()} == {"0_0_100.pt": 100, "0_100_120.pt": 20}
    memory.save(Path("replay"))
    assert len(list(Path("replay").iterdir())) == 2


# ---------------------------------------------------------------------------- continuing

SMALL = (
    "--hidden 32,32 --minibatch 32 --horizon 100 --num-envs 2 --random-steps 300 --memory 700 "
    "--eval-every 5 --eval-episodes 2 --save-every 0 --epochs 6 --env Pendulum-v1 --exp-name exp"
)


@pytest.mark.fault("killed")
@each
def test_a_run_that_was_killed_continues_bit_for_bit(algo):
    words = [algo.__name__.split(".")[-1], *SMALL.split()]
    process = subprocess.Popen(
        [sys.executable, "-m", "rlcourse.run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for_rows(process, 3)
        time.sleep(0.1 * random.random())
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL
    state, _ = checkpoint.load_newest(folder() / "checkpoint.pt")
    assert 2 <= state["epoch"] < 6
    assert run.main(words) == 0
    assert run.main([*words, "--data-dir", "whole"]) == 0
    assert_same_run("data", "whole")
    mine, whole = (
        {p.name: checkpoint.load(p)["rows"] for p in folder(data).glob("replay/*.pt")}
        for data in ("data", "whole")
    )
    assert mine.keys() == whole.keys() and len(whole) >= 4
    assert all(torch.equal(rows, whole[name]) for name, rows in mine.items())


@pytest.mark.fault("ranks-differ")
@parallel
@each
def test_two_processes_keep_equal_networks_and_remember_other_steps(algo):
    code, out, _ = job(
        """
        from rlcourse import ALGO as algo
        cfg = algo.Config("Pendulum-v1", 5, 2, 4, 60, random_steps=100, minibatch=32, memory=400,
                          hidden=(16,))
        run = Run(cfg, Settings(cpu=2, eval_every=2, eval_episodes=2), "run", show=False)
        agent = algo.train(cfg, run)
        state = [*agent.state_dict().values()]
        state += [m for opt in run._optimizers().values() for m in opt.moments]
        tell("told", {
            "steps": float(run._optimizers()["opt_q"].steps),
            "state": hashlib.sha256(b"".join(x.numpy().tobytes() for x in state)).hexdigest(),
            "memory": run.memory.rows.sum(0).tolist(), "size": len(run.memory.rows),
            "numbers": list(run.envs.number),
            "losses": [row.get("LossQ") for row in run.rows],
            "files": len(list(run.folder.glob(f"replay/{rank}_*.pt")))})
    """.replace("ALGO", algo.__name__.split(".")[-1])
    )
    assert code == 0, out
    mine, other = told("told")
    assert mine["steps"] == other["steps"] == 4 * (120 - 24)  # utd counts the steps of both
    assert mine["state"] == other["state"] and mine["losses"] == other["losses"]
    assert mine["losses"][1] is not None
    assert mine["memory"] != other["memory"] and mine["size"] == other["size"] == 200
    assert (mine["numbers"], other["numbers"]) == ([0, 1], [2, 3])
    assert mine["files"] == other["files"] == 1


# ---------------------------------------------------------------------------- known answers


class Bandit(gym.Env):
    """One step: the reward is −(a − a*(s))², with a*(s) = 0.6 s."""

    observation_space = Box(-1, 1, (1,))
    action_space = Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.obs = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        return self.obs, {}

    def step(self, action):
        return self.obs, -(float(action[0] - 0.6 * self.obs[0]) ** 2), True, False, {}


class Regulator(gym.Env):
    """Linear dynamics, a quadratic reward, and a time limit that is not part of the task."""

    A, B = np.array([[1.0, 0.3], [-0.2, 0.9]]), np.array([[0.1], [0.4]])
    W, R, BASE, GAMMA = np.diag([1.0, 0.5]), np.array([[2.0]]), 0.5, 0.9
    observation_space = Box(-10, 10, (2,))
    action_space = Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = self.np_random.uniform(-1, 1, 2)
        return self.s.astype(np.float32), {}

    def step(self, action):
        a = np.array(action, np.float64)
        rew = self.BASE - self.s @ self.W @ self.s - a @ self.R @ a
        self.s = self.A @ self.s + self.B @ a
        return self.s.astype(np.float32), float(rew), False, False, {}


class Table(gym.Env):
    """Three states, two actions, all in tables; the last pair of them may end the episode."""

    NEXT = np.array(
        [[[0.8, 0.2, 0], [0, 0.5, 0.5]], [[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0.5, 0, 0.5]]]
    )
    REW = np.array([[0.0, 0.5], [1.0, -0.5], [0.2, 2.0]])
    END = 0.3  # probability that s' is terminal after the second action in the third state
    GAMMA, ALPHA = 0.8, 0.5
    observation_space = Discrete(3)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.s = int(self.np_random.integers(3))
        return self.s, {}

    def step(self, action):
        s, self.s = self.s, int(self.np_random.choice(3, p=self.NEXT[self.s, action]))
        end = (s, action) == (2, 1) and self.np_random.random() < self.END
        return self.s, float(self.REW[s, action]), bool(end), False, {}


gym.register("Table-v0", entry_point=Table, max_episode_steps=20)
gym.register("Bandit-v0", entry_point=Bandit)
gym.register("Regulator-v0", entry_point=Regulator, max_episode_steps=10)


def riccati():
    """K and P of a*(s) = −K s and V*(s) = BASE / (1 − γ) − sᵀ P s, by iterating the equation."""
    A, B, W, R, g = Regulator.A, Regulator.B, Regulator.W, Regulator.R, Regulator.GAMMA
    P = np.zeros((2, 2))
    for _ in range(1000):
        K = g * np.linalg.solve(R + g * B.T @ P @ B, B.T @ P @ A)
        P = W + K.T @ R @ K + g * (A - B @ K).T @ P @ (A - B @ K)
    return K, P


def optimal_q(s, a):
    """Q* of the regulator."""
    _, P = riccati()
    after = s @ Regulator.A.T + a @ Regulator.B.T
    value = Regulator.BASE / (1 - Regulator.GAMMA) - ((after @ P) * after).sum(-1)
    rew = Regulator.BASE - ((s @ Regulator.W) * s).sum(-1) - (a**2 @ Regulator.R)[:, 0]
    return rew + Regulator.GAMMA * value


def test_the_known_answer_of_the_regulator_is_its_optimum():
    """The Bellman equation holds, no action on a grid is better, and none has to leave the box."""
    K, P = riccati()
    s = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    best = -s @ K.T
    value = Regulator.BASE / (1 - Regulator.GAMMA) - ((s @ P) * s).sum(-1)
    np.testing.assert_allclose(optimal_q(s, best), value, rtol=1e-9)
    for a in np.linspace(-1, 1, 41):
        assert (optimal_q(s, np.full((50, 1), a)) <= value + 1e-12).all()
    assert np.abs(best).max() < 0.95


def learnt(algo, env, **changes):
    """A policy and a critic as functions of arrays; of two critics the mean."""
    given = {
        "hidden": (32, 32),
        "minibatch": 64,
        "random_steps": 400,
        "rho": 0.98,
        "memory": 20_000,
    }
    given |= {"alpha": 0.02, "lr_alpha": 0.0} if algo is sac else {"noise": 0.2}
    cfg = algo.Config(env, **given | changes)
    agent = algo.train(cfg, Run(cfg, Settings(eval_every=cfg.epochs, eval_episodes=1), show=False))

    @torch.no_grad()
    def pi(s):
        return agent.act(torch.from_numpy(s).float()).numpy()

    @torch.no_grad()
    def q(s, a):
        val = agent.q(torch.from_numpy(s).float(), torch.from_numpy(a).float())
        return val.reshape(-1, len(s)).mean(0).numpy()

    return pi, q


@each
def test_on_a_bandit_the_best_action_and_its_reward_are_learnt(algo):
    pi, q = learnt(algo, "Bandit-v0", seed=1, epochs=8, horizon=100, gamma=0.9)
    s, a = np.meshgrid(np.linspace(-0.9, 0.9, 13), np.linspace(-0.9, 0.9, 13))
    s, a = s.reshape(-1, 1), a.reshape(-1, 1)
    gap = np.abs(pi(s) - 0.6 * s)
    error = np.abs(q(s, a) + ((a - 0.6 * s) ** 2)[:, 0])
    assert gap.max() < 0.15 and gap.mean() < 0.05
    assert error.mean() < 0.05 and error.max() < 0.3


def soft_optimum():
    """Q*(s, a) and π*(a|s) of the table, by iterating the soft Bellman equation."""
    Q, goes_on = np.zeros((3, 2)), np.ones((3, 2))
    goes_on[2, 1] -= Table.END
    for _ in range(500):
        V = Table.ALPHA * np.log(np.exp(Q / Table.ALPHA).sum(1))
        Q = Table.REW + Table.GAMMA * goes_on * (Table.NEXT @ V)
    return Q, np.exp(
        (Q - Table.ALPHA * np.log(np.exp(Q / Table.ALPHA).sum(1))[:, None]) / Table.ALPHA
    )


@pytest.mark.slow
def test_with_discrete_actions_sac_finds_the_soft_optimum_of_a_table():
    cfg = sac.Config(
        *("Table-v0", 1, 40, 4, 100),
        **dict(random_steps=400, gamma=Table.GAMMA, rho=0.98, alpha=Table.ALPHA, lr_alpha=0.0),
        **dict(lr=5e-4, minibatch=128, hidden=(32,)),
    )
    agent = sac.train(cfg, Run(cfg, Settings(eval_every=40, eval_episodes=1), show=False))
    Q, pi = soft_optimum()
    with torch.no_grad():
        prob, vals = agent.pi(torch.eye(3))[0], agent.q.net(torch.eye(3))
    np.testing.assert_allclose(prob, pi, atol=0.06)
    np.testing.assert_allclose(vals.mean(0), Q, atol=0.15)
    greedy = Table.REW + Table.GAMMA * Table.NEXT @ Q.max(1)  # what forgetting something gives
    assert np.abs(Q - greedy).max() > 0.5


@pytest.mark.slow
@each
def test_on_a_linear_quadratic_regulator_q_and_policy_are_those_of_riccati(algo):
    given = {sac: {"alpha": 0.005}, td3: {"smooth": 0.05}, ddpg: {}}[algo]  # little of either
    pi, q = learnt(
        algo, "Regulator-v0", seed=1, epochs=30, horizon=100, gamma=Regulator.GAMMA, **given
    )
    K, _ = riccati()
    rng = np.random.default_rng(0)
    s = rng.uniform(-0.8, 0.8, (500, 2))
    best = -s @ K.T
    gap = np.abs(pi(s) - best)
    a = (best + rng.uniform(-0.3, 0.3, best.shape)).clip(-1, 1)
    expected = optimal_q(s, a)
    error = q(s, a) - expected
    assert gap.mean() < 0.1
    assert abs(error.mean()) < 0.3 and error.std() < 0.15 * expected.std()
