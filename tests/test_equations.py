"""The equations of the algorithm files, each against something that does not use their code.

A name is the claim; `Eq. n` is the number in the docstring of the file, where both files share it,
or else of the file named. Sums written out, exhaustive enumeration, numerical integration, closed
forms and large samples are the oracles.
"""

import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

import rlcourse
from rlcourse import ppo, vpg
from rlcourse.utils.config import Settings
from rlcourse.utils.distributions import Categorical
from rlcourse.utils.logger import explained
from rlcourse.utils.nets import Normaliser
from rlcourse.utils.optim import descend

MODULES = [getattr(rlcourse, name) for name in rlcourse.ALGOS]
BOX, DISCRETE = Box(-1, 1, (2,)), Discrete(3)
OBS_DIM = 4


def having(function):
    """Run a test over each algorithm file that has this function."""
    modules = [m for m in MODULES if hasattr(m, function)]
    return pytest.mark.parametrize("algo", modules, ids=lambda m: m.__name__.split(".")[-1])


on_policy = having("gae")
both_spaces = pytest.mark.parametrize("space", [BOX, DISCRETE], ids=["Box", "Discrete"])


def config(algo, **changes):
    """A configuration with small networks; fields that an algorithm does not have are left out."""
    values = {"env": "none", "hidden": (16,)} | changes
    return algo.Config(**{k: v for k, v in values.items() if k in algo.Config.__annotations__})


def new_agent(algo, space, cfg=None):
    agent = algo.Agent(OBS_DIM, space, cfg or config(algo))
    move(agent, 0.3 * torch.randn_like(parameters(agent)))  # away from the symmetric start
    return agent


def parameters(net):
    """A copy of all parameters, as one vector."""
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def move(net, by):
    """Add this vector to all parameters."""
    params = list(net.parameters())
    for p, part in zip(params, by.split([p.numel() for p in params]), strict=True):
        p.data.add_(part.view_as(p))


def batch(algo, **columns):
    """A Batch of these columns, without those that the algorithm does not use."""
    return algo.Batch(**{name: columns.get(name) for name in algo.Batch._fields})


@torch.no_grad()
def random_batch(algo, pi, steps=64, shift=0.0):
    """Made-up states, the policy's own actions, made-up advantages and returns."""
    obs = shift + torch.randn(steps, OBS_DIM)
    act = pi(obs).sample()
    logp_old = pi(obs).log_prob(act)
    adv, ret = torch.randn(steps), 5 + 3 * torch.randn(steps)
    return batch(algo, obs=obs, act=act, logp_old=logp_old, adv=adv, ret=ret)


@torch.no_grad()
def as_new(b, pi):
    """The same data as if pi had collected it now."""
    return b._replace(logp_old=pi(b.obs).log_prob(b.act)) if "logp_old" in b._fields else b


def minus_J(algo, pi, b, clip=0.2, beta=0.0):
    """The value of loss_pi, which takes other arguments in each file."""
    return algo.loss_pi(pi, b) if algo is vpg else algo.loss_pi(pi, b, clip, beta)[0]


def gradient(loss, net):
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(net.parameters()))])


def spy(monkeypatch, algo, name, see):
    """Show `see` the arguments of every call of a function of this file."""
    function = getattr(algo, name)

    def watched(*args):
        see(*args)
        return function(*args)

    monkeypatch.setattr(algo, name, watched)


class Given:
    """A distribution whose log-probabilities are given: their gradients show what a loss wants."""

    def __init__(self, logp):
        self.logp = logp

    def log_prob(self, act):
        return self.logp

    def entropy(self):
        return torch.zeros_like(self.logp)


def ppo_on(ratio, adv, clip=0.2):
    """−J and KL of PPO at these ratios and advantages, and the log-probabilities behind them."""
    logp_old = -torch.rand(len(ratio), dtype=torch.double)
    logp = (logp_old + ratio.log()).requires_grad_()
    b = batch(ppo, logp_old=logp_old, adv=adv)
    return *ppo.loss_pi(lambda obs: Given(logp), b, clip, 0.0), logp


# ---------------------------------------------------------------------------- advantages, Eq. 1-3


def random_rollout(T, N, ends=0.3):
    """rew, val, next_val, term, done as (T, N); a terminal state always ends the episode."""
    rew, val, next_val = torch.randn(3, T, N, dtype=torch.double)
    done = (torch.rand(T, N) < ends).double()
    term = done * (torch.rand(T, N) < 0.5)
    return rew, val, next_val, term, done


def gae_by_definition(rew, val, next_val, term, done, gamma, lam):
    """A_t = Σ_k (γλ)^k δ_{t+k}, summed up to the end of the episode or of the rollout."""
    T, N = rew.shape
    adv = torch.zeros(T, N, dtype=torch.double)
    for n in range(N):
        for t in range(T):
            for k in range(T - t):
                after = 0.0 if term[t + k, n] else next_val[t + k, n]
                delta = rew[t + k, n] + gamma * after - val[t + k, n]
                adv[t, n] += (gamma * lam) ** k * delta
                if done[t + k, n]:
                    break
    return adv


@on_policy
@pytest.mark.parametrize("T, N", [(1, 1), (1, 4), (7, 1), (20, 3)])
@pytest.mark.parametrize("gamma, lam", [(0.99, 0.95), (0.9, 0.5), (1.0, 1.0), (0.7, 0.0)])
def test_advantages_equal_the_quadratic_sum_of_their_definition(algo, T, N, gamma, lam):
    """Eq. 1, 2: the recursion against Σ_k (γλ)^k δ_{t+k}, with terminal states and time limits."""
    for _ in range(3):
        rollout = random_rollout(T, N)
        adv, _ = algo.gae(*rollout, gamma, lam)
        torch.testing.assert_close(adv, gae_by_definition(*rollout, gamma, lam))


@on_policy
def test_an_advantage_is_the_weighted_mean_of_the_n_step_advantages(algo):
    """Eq. 2: A = (1 − λ) Σ_n λ^{n−1} A^{(n)}, the last of which gets the rest of the weight."""
    T, gamma, lam = 6, 0.9, 0.7
    rew = torch.randn(T, dtype=torch.double)
    val = torch.randn(T + 1, dtype=torch.double)
    n_step = [
        sum(gamma**k * rew[k] for k in range(n)) + gamma**n * val[n] - val[0]
        for n in range(1, T + 1)
    ]
    weights = [(1 - lam) * lam**n for n in range(T - 1)] + [lam ** (T - 1)]
    no = torch.zeros(T, 1, dtype=torch.double)
    adv, _ = algo.gae(rew[:, None], val[:-1, None], val[1:, None], no, no, gamma, lam)
    assert sum(weights) == pytest.approx(1)
    assert float(adv[0]) == pytest.approx(float(np.dot(weights, n_step)))


@on_policy
def test_without_lambda_advantages_are_the_one_step_errors(algo):
    """Eq. 1, 2 at λ = 0."""
    rew, val, next_val, term, done = rollout = random_rollout(9, 4)
    adv, _ = algo.gae(*rollout, 0.9, 0.0)
    torch.testing.assert_close(adv, rew + 0.9 * torch.where(term > 0, 0.0, next_val) - val)


@on_policy
def test_with_lambda_1_returns_are_the_discounted_rewards_of_the_episode(algo):
    """Eq. 3 at λ = 1: the Monte Carlo return, plus V(s') where the episode is cut, not ended."""
    gamma = 0.9
    rew, val, next_val, term, done = random_rollout(12, 5)
    next_val[:-1] = torch.where(done[:-1] > 0, next_val[:-1], val[1:])  # s' is the next step's s
    adv, ret = algo.gae(rew, val, next_val, term, done, gamma, 1.0)
    expected = torch.zeros_like(ret)
    for n in range(5):
        for t in range(12):
            last = next((s for s in range(t, 12) if done[s, n]), 11)
            expected[t, n] = sum(gamma ** (s - t) * rew[s, n] for s in range(t, last + 1))
            if not term[last, n]:
                expected[t, n] += gamma ** (last + 1 - t) * next_val[last, n]
    torch.testing.assert_close(ret, expected)
    torch.testing.assert_close(adv, expected - val)


@on_policy
def test_a_terminal_state_has_no_value_whatever_v_says(algo):
    """Eq. 1: V(s') of a terminal s' cannot be seen in any advantage."""
    rew, val, next_val, term, done = random_rollout(10, 3)
    elsewhere = next_val + 1000 * term
    expected = algo.gae(rew, val, next_val, term, done, 0.99, 0.95)
    torch.testing.assert_close(algo.gae(rew, val, elsewhere, term, done, 0.99, 0.95), expected)


@on_policy
def test_a_time_limit_bootstraps_and_does_not_leak_into_the_next_episode(algo):
    """Eq. 1, 2: an episode that is over (e) but not terminal (d) is worth V(s') from there on."""
    one = torch.ones(4, 1, dtype=torch.double)
    done = torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.double)[:, None]
    adv, _ = algo.gae(one, 0 * one, 10 * one, 0 * one, done, 0.5, 1.0)
    assert adv[1] == 1 + 0.5 * 10  # r + γ V(s') and nothing of step 2
    for other in (-100.0, 100.0):
        rew = one.clone()
        rew[2:] = other
        changed, _ = algo.gae(rew, 0 * one, 10 * one, 0 * one, done, 0.5, 1.0)
        assert torch.equal(changed[:2], adv[:2])
        assert (changed[2:] != adv[2:]).all()


@on_policy
def test_a_return_is_the_advantage_plus_the_value(algo):
    """Eq. 3."""
    rollout = random_rollout(8, 3)
    adv, ret = algo.gae(*rollout, 0.99, 0.95)
    assert torch.equal(ret, adv + rollout[1])


@on_policy
def test_gae_leaves_its_arguments_as_they_were(algo):
    rollout = random_rollout(5, 2)
    before = [x.clone() for x in rollout]
    algo.gae(*rollout, 0.99, 0.95)
    assert all(map(torch.equal, rollout, before))


# ---------------------------------------------------------------------------- standardising, Eq. 4


@having("standardise")
def test_standardised_advantages_have_mean_0_and_deviation_1_over_all_elements(algo):
    """Eq. 4: over steps and environments together, not over one of them."""
    adv = 5 + 3 * torch.randn(50, 4) + torch.tensor([0.0, 10.0, 20.0, 30.0])
    result = algo.standardise(adv)
    np.testing.assert_allclose(result.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(result.std(correction=0), 1, atol=1e-6)
    array = adv.double().numpy()
    np.testing.assert_allclose(result, (array - array.mean()) / array.std(), atol=1e-5)


@having("standardise")
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1e6, 1e-30])
def test_constant_advantages_become_exactly_0(algo, value):
    """Eq. 4: a rollout that teaches nothing must move nothing, and never divide 0 by 0."""
    assert torch.equal(algo.standardise(torch.full((7, 3), value)), torch.zeros(7, 3))


# ---------------------------------------------------------------------------- the policy gradient

END, HORIZON = 2, 3
START = [0.3, 0.7]
MOVE = [[[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]], [[0.6, 0.4, 0.0], [0.25, 0.25, 0.5]]]  # s, a, s'
REWARD = [[[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], [[-3.0, 2.0, 0.0], [1.5, -0.5, 2.5]]]


def trajectories(s, t=0):
    """All ways on from state s at time t: the world's share of their probability, and steps."""
    if s == END or t == HORIZON:
        yield 1.0, []
        return
    for a in (0, 1):
        for s2 in (0, 1, END):
            for p, rest in trajectories(s2, t + 1):
                yield MOVE[s][a][s2] * p, [(t, s, a, REWARD[s][a][s2], s2), *rest]


def episodes(prob):
    """All episodes with their probabilities under a policy of π(a|s) = prob[s, a]."""
    for s0 in (0, 1):
        for p, steps in trajectories(s0):
            yield START[s0] * p * math.prod(prob[s, a] for _, s, a, _, _ in steps), steps


def values(prob):
    """V_t(s) of the policy, backwards from the horizon; 0 at the end and at the horizon."""
    V = np.zeros((HORIZON + 1, 3))
    for t in reversed(range(HORIZON)):
        for s in (0, 1):
            after = [[r + V[t + 1, s2] for s2, r in enumerate(REWARD[s][a])] for a in (0, 1)]
            V[t, s] = sum(float(prob[s, a]) * np.dot(MOVE[s][a], after[a]) for a in (0, 1))
    return V


def tiny_policy(algo):
    """A network over the two states, shown as one-hot rows, in double precision."""
    pi = algo.Softmax(Normaliser(2, on=False), Discrete(2), config(algo, hidden=(5,))).double()
    for p in pi.parameters():
        p.data.normal_()
    return pi


@torch.no_grad()
def probabilities(pi):
    """π(a|s) of each state (row) and action, from log_prob alone."""
    obs = torch.eye(2, dtype=torch.double)
    return torch.stack([pi(obs).log_prob(torch.tensor([a, a])).exp() for a in (0, 1)], -1)


def expected_step(algo, pi, V, lam):
    """E_τ[−∇ Σ_t of loss_pi], the probability of each episode τ enumerated."""
    eye = torch.eye(2, dtype=torch.double)
    loss = 0.0
    for p, steps in episodes(probabilities(pi)):
        t, s, a, rew, s2 = zip(*steps, strict=True)
        column = torch.tensor(np.array([rew, V[t, s], V[np.add(t, 1), s2]]))[:, :, None]
        over = torch.zeros(len(steps), 1, dtype=torch.double)
        over[-1] = 1.0  # the end, or the horizon, which is part of this task
        adv, _ = algo.gae(*column, over, over, 1.0, lam)
        obs, act = eye[list(s)], torch.tensor(a)
        logp_old = pi(obs).log_prob(act).detach()
        b = batch(algo, obs=obs, act=act, logp_old=logp_old, adv=adv[:, 0])
        loss = loss + p * len(steps) * minus_J(algo, pi, b)  # loss_pi is the mean over the steps
    return -gradient(loss, pi)


def true_gradient(pi):
    """∇ Σ_τ p(τ) Σ_t r_t: the expected return of all episodes, differentiated as it stands."""
    prob = pi.logits(torch.eye(2, dtype=torch.double)).softmax(-1)
    J = sum(p * sum(rew for _, _, _, rew, _ in steps) for p, steps in episodes(prob))
    return gradient(J, pi)


def test_the_enumerated_episodes_are_all_that_there_are():
    prob = torch.tensor([[0.2, 0.8], [0.6, 0.4]])
    assert float(sum(p for p, _ in episodes(prob))) == pytest.approx(1)
    J = sum(p * sum(step[3] for step in steps) for p, steps in episodes(prob))
    assert float(J) == pytest.approx(float(np.dot(START, values(prob)[0, :2])))


@on_policy
@pytest.mark.parametrize("baseline", ["none", "arbitrary", "true values"])
def test_the_expected_step_is_the_gradient_of_the_expected_return(algo, baseline):
    """Eq. 6 of vpg, Eq. 7 of ppo at w = 1: the policy gradient theorem, exact, whatever V is."""
    pi = tiny_policy(algo)
    V = values(probabilities(pi))
    if baseline == "none":
        V[:] = 0
    if baseline == "arbitrary":
        V[:HORIZON, :2] = np.random.default_rng(0).normal(size=(HORIZON, 2), scale=10)
    torch.testing.assert_close(expected_step(algo, pi, V, lam=1.0), true_gradient(pi))


@on_policy
@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_with_the_true_values_any_lambda_gives_the_policy_gradient(algo, lam):
    """Eq. 2: λ trades bias for variance, and there is no bias where V is right."""
    pi = tiny_policy(algo)
    V = values(probabilities(pi))
    torch.testing.assert_close(expected_step(algo, pi, V, lam), true_gradient(pi))
    V[1:HORIZON, :2] += 1.0
    assert not torch.allclose(expected_step(algo, pi, V, lam), true_gradient(pi))


@on_policy
@both_spaces
def test_a_step_down_the_loss_raises_the_objective(algo, space):
    """Eq. 6 of vpg, Eq. 7 of ppo: what is returned is −J, good actions become more likely."""
    agent = new_agent(algo, space)
    b = random_batch(algo, agent.pi)
    before = agent.pi(b.obs).log_prob(b.act).detach()
    slope = gradient(minus_J(algo, agent.pi, b), agent.pi)
    move(agent.pi, -1e-3 * slope / slope.norm())
    after = agent.pi(b.obs).log_prob(b.act).detach()
    assert ((after - before) * b.adv).mean() > 0


@on_policy
def test_the_objective_of_a_known_policy_is_what_its_equation_says(algo):
    """Eq. 6 of vpg, Eq. 7 of ppo: the value, as a mean over the batch."""
    logp = torch.tensor([-1.0, -2.0, -0.5])
    adv = torch.tensor([2.0, -1.0, 0.5])
    b = batch(algo, adv=adv, logp_old=logp - torch.tensor([1.1, 1.5, 0.5]).log())
    mean = {
        vpg: (-1.0 * 2 + -2.0 * -1 + -0.5 * 0.5) / 3,
        ppo: (1.1 * 2 + 1.5 * -1 + 0.5 * 0.5) / 3,  # bad and too likely counts in full
    }
    loss = minus_J(algo, lambda obs: Given(logp), b)
    assert float(loss) == pytest.approx(-mean[algo], rel=1e-5)


# ---------------------------------------------------------------------------- PPO's ratio and clip


@both_spaces
def test_where_the_policy_has_not_moved_ppo_has_the_gradient_of_vpg(space):
    """Eq. 6, 7 of ppo at w = 1 and β = 0 against Eq. 6 of vpg, on the same data and weights."""
    old, new = new_agent(vpg, space).pi, new_agent(ppo, space).pi
    new.load_state_dict(old.state_dict())
    b = random_batch(ppo, new)
    expected = gradient(vpg.loss_pi(old, batch(vpg, obs=b.obs, act=b.act, adv=b.adv)), old)
    assert expected.norm() > 0.01
    torch.testing.assert_close(gradient(minus_J(ppo, new, b), new), expected)


def test_the_ratio_turns_an_average_over_the_old_policy_into_one_over_the_new():
    """Eq. 6 of ppo: Σ_a π_old(a) w(a) f(a) = Σ_a π(a) f(a), which holds for no other ratio."""
    old, new = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], dtype=torch.double)
    f = torch.tensor([1.0, -4.0, 2.0], dtype=torch.double)
    b = batch(ppo, logp_old=old.log(), adv=old * f)
    loss, _ = ppo.loss_pi(lambda obs: Given(new.log()), b, 100.0, 0.0)
    assert float(-3 * loss) == pytest.approx(float((new * f).sum()))


@pytest.mark.parametrize(
    "adv, ratio, pulls",
    [
        (1.0, 1.21, False),  # good, and likely enough already
        (1.0, 0.79, True),  # good, but less likely than before: bring it back
        (-1.0, 0.79, False),  # bad, and unlikely enough already
        (-1.0, 1.21, True),  # bad, but more likely than before: bring it back
        (1.0, 1.19, True),
        (1.0, 0.81, True),
        (-1.0, 1.19, True),
        (-1.0, 0.81, True),
    ],
)
def test_beyond_the_clip_only_the_way_back_has_a_gradient(adv, ratio, pulls):
    """Eq. 7 of ppo with ε = 0.2: dJ/d(log π) is w Â, or 0 where w is out on the side of Â."""
    ratio = torch.tensor([ratio], dtype=torch.double)
    loss, _, logp = ppo_on(ratio, torch.tensor([adv], dtype=torch.double))
    (slope,) = torch.autograd.grad(-loss, logp)
    torch.testing.assert_close(slope, ratio * adv if pulls else torch.zeros_like(ratio))


@pytest.mark.parametrize("clip", [0.1, 0.2, 0.5])
def test_each_sample_is_clipped_by_itself_and_both_ends_are_epsilon_away(clip):
    """Eq. 7 of ppo: 1 − ε and 1 + ε, over random samples in one batch."""
    ratio = torch.empty(500, dtype=torch.double).uniform_(0.3, 1.8)
    adv = torch.randn(500, dtype=torch.double)
    loss, _, logp = ppo_on(ratio, adv, clip)
    (slope,) = torch.autograd.grad(-loss, logp)
    out = ((adv > 0) & (ratio > 1 + clip)) | ((adv < 0) & (ratio < 1 - clip))
    assert 0.1 < out.double().mean() < 0.9
    torch.testing.assert_close(slope, torch.where(out, 0.0, ratio * adv) / 500)


def test_clipping_never_makes_the_objective_larger():
    """Eq. 7 of ppo is a lower bound of E[w Â]: it never promises more than the data do."""
    ratio = torch.empty(500, dtype=torch.double).uniform_(0.3, 1.8)
    for i in range(0, 500, 50):
        part, adv = ratio[i : i + 50], torch.randn(50, dtype=torch.double)
        assert -ppo_on(part, adv)[0] < (part * adv).mean()


# ---------------------------------------------------------------------------- PPO's KL and entropy


def test_the_kl_of_any_sample_is_never_negative_and_0_where_nothing_moved():
    """Eq. 8 of ppo: w − 1 − log w ≥ 0, for each sample and not only on average."""
    for w in [0.01, 0.5, 0.9, 1.1, 2.0, 50.0]:
        _, kl, _ = ppo_on(torch.tensor([w], dtype=torch.double), torch.zeros(1))
        assert float(kl) == pytest.approx(w - 1 - math.log(w))
        assert kl > 0
    _, kl, _ = ppo_on(torch.ones(5, dtype=torch.double), torch.zeros(5))
    assert kl == 0


def closed_form_kl(p, q, obs):
    """KL(p, q) at one state in its textbook form, summed over independent dimensions."""
    if hasattr(p, "logits"):
        P, Q = (pi.logits(obs).double().softmax(-1) for pi in (p, q))
        return float((P * (P / Q).log()).sum())
    (m, s), (m2, s2) = ((pi.mu(obs).double(), pi.log_std.double().exp()) for pi in (p, q))
    return float(((s2 / s).log() + (s**2 + (m - m2) ** 2) / (2 * s2**2) - 0.5).sum())


@both_spaces
@torch.no_grad()
def test_the_kl_converges_to_the_closed_form_from_old_to_new(space):
    """Eq. 8 of ppo: within five standard errors of KL(π_old, π), and far from KL(π, π_old)."""
    n = 200_000
    old, new = (ppo.Agent(OBS_DIM, space, config(ppo)).pi for _ in range(2))
    if space is BOX:
        new.mu[-1].bias.copy_(torch.tensor([0.3, -0.2]))
        new.log_std.add_(0.3)
    else:
        old.logits[-1].bias.copy_(torch.tensor([0.8, 0.0, -0.5]))
        new.logits[-1].bias.copy_(torch.tensor([-0.3, 0.2, 0.4]))
    one = torch.randn(1, OBS_DIM)
    obs = one.expand(n, OBS_DIM)
    act = old(obs).sample()
    logp_old = old(obs).log_prob(act)
    b = batch(ppo, obs=obs, act=act, logp_old=logp_old, adv=torch.zeros(n))
    _, kl = ppo.loss_pi(new, b, 0.2, 0.0)
    log_ratio = (new(obs).log_prob(act) - logp_old).double()
    error = float((log_ratio.exp() - 1 - log_ratio).std()) / n**0.5
    assert abs(float(kl) - closed_form_kl(old, new, one)) < 5 * error
    assert abs(float(kl) - closed_form_kl(new, old, one)) > 10 * error


def test_the_kl_has_no_gradient():
    """Eq. 8 of ppo ends an update; it is no part of what is maximised."""
    _, kl, _ = ppo_on(torch.tensor([1.5], dtype=torch.double), torch.ones(1))
    assert not kl.requires_grad


@both_spaces
def test_the_bonus_is_beta_times_the_entropy(space):
    """Eq. 7 of ppo: β E[H], against the closed forms of H; its gradient spreads π out."""
    agent = new_agent(ppo, space)
    b = random_batch(ppo, agent.pi)
    if space is BOX:
        entropy = (agent.pi.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum()
    else:
        prob = agent.pi.logits(b.obs).softmax(-1)
        entropy = -(prob * prob.log()).sum(-1).mean()
    bonus = minus_J(ppo, agent.pi, b, beta=0.0) - minus_J(ppo, agent.pi, b, beta=0.7)
    torch.testing.assert_close(bonus, 0.7 * entropy, rtol=1e-4, atol=1e-5)

    nothing = b._replace(adv=torch.zeros_like(b.adv))
    move(agent.pi, -0.01 * gradient(minus_J(ppo, agent.pi, nothing, beta=0.7), agent.pi))
    assert agent.pi(b.obs).entropy().mean() > entropy


# ---------------------------------------------------------------------------- distributions


@on_policy
def test_a_gaussian_log_probability_is_the_sum_of_its_dimensions(algo):
    """log π(a|s) = Σ_i log N(a_i; μ_i(s), σ_i), one number for each row."""
    pi = new_agent(algo, BOX).pi
    obs, act = torch.randn(7, OBS_DIM), torch.randn(7, 2)
    with torch.no_grad():
        mu, std = pi.mu(obs).double(), pi.log_std.double().exp()
        logp = pi(obs).log_prob(act)
    one = -0.5 * ((act - mu) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)
    assert logp.shape == (7,)
    torch.testing.assert_close(logp.double(), one.sum(-1), rtol=1e-5, atol=1e-5)
    by_hand = torch.distributions.MultivariateNormal(mu, torch.diag(std**2))
    torch.testing.assert_close(logp.double(), by_hand.log_prob(act.double()), rtol=1e-5, atol=1e-5)


@on_policy
@pytest.mark.parametrize("dim, points", [(1, 4001), (2, 401)])
@torch.no_grad()
def test_gaussian_densities_integrate_to_1(algo, dim, points):
    pi = new_agent(algo, Box(-1, 1, (dim,))).pi
    axis = torch.linspace(-12, 12, points)
    grid = torch.cartesian_prod(*[axis] * dim).view(-1, dim)
    density = pi(torch.randn(1, OBS_DIM).expand(len(grid), -1)).log_prob(grid).exp()
    assert density.shape == (points**dim,)
    assert float(density.double().sum() * (24 / (points - 1)) ** dim) == pytest.approx(1, abs=1e-4)


@on_policy
@torch.no_grad()
def test_softmax_probabilities_are_normalised_exponentials(algo):
    pi = new_agent(algo, DISCRETE).pi
    obs = torch.randn(7, OBS_DIM)
    prob = torch.stack([pi(obs).log_prob(torch.full((7,), a)).exp() for a in range(3)], -1)
    weight = pi.logits(obs).double().exp()
    assert prob.shape == (7, 3)
    torch.testing.assert_close(prob.double(), weight / weight.sum(-1, keepdim=True))
    torch.testing.assert_close(prob.sum(-1), torch.ones(7))


@on_policy
@both_spaces
def test_what_has_one_number_a_step_has_one_axis(algo, space):
    """(B,) and never (B, 1), which would broadcast to (B, B) in a loss without a word."""
    agent = new_agent(algo, space)
    obs = torch.randn(5, OBS_DIM)
    dist = agent.pi(obs)
    act = dist.sample()
    assert act.shape == (5, *space.shape)
    assert dist.log_prob(act).shape == dist.entropy().shape == agent.v(obs).shape == (5,)
    rollout, acts = torch.randn(6, 5, OBS_DIM), torch.stack([dist.sample() for _ in range(6)])
    assert agent.v(rollout).shape == agent.pi(rollout).log_prob(acts).shape == (6, 5)


@pytest.mark.fault("not-finite")
def test_no_action_is_drawn_from_probabilities_that_are_no_numbers():
    logp = torch.tensor([[0.5, 0.5], [0.0, torch.nan]]).log()
    assert Categorical(torch.tensor([[1.0, 0.0]]).log()).sample() == 0
    with pytest.raises(FloatingPointError, match="nan"):
        Categorical(logp).sample()


@on_policy
@both_spaces
@torch.no_grad()
def test_samples_have_the_moments_and_the_entropy_of_the_density(algo, space):
    """Means, deviations or shares, and −log π on average, within five standard errors."""
    n = 100_000
    pi = new_agent(algo, space).pi
    one = torch.randn(1, OBS_DIM)
    dist = pi(one.expand(n, -1))
    act = dist.sample()
    assert act.shape == (n, *space.shape)
    if space is BOX:
        mu, std = pi.mu(one)[0], pi.log_std.exp()
        assert ((act.mean(0) - mu).abs() < 5 * std / n**0.5).all()
        assert ((act.std(0) / std - 1).abs() < 5 / (2 * n) ** 0.5).all()
        assert torch.corrcoef(act.T)[0, 1].abs() < 5 / n**0.5
        exact = (pi.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum()
    else:
        prob = pi.logits(one)[0].softmax(-1)
        share = act.bincount(minlength=3) / n
        assert ((share - prob).abs() < 5 * (prob * (1 - prob) / n).sqrt()).all()
        exact = -(prob * prob.log()).sum()
    surprise = -dist.log_prob(act)
    assert dist.entropy().shape == (n,)
    torch.testing.assert_close(dist.entropy(), exact.expand(n), rtol=1e-4, atol=1e-5)
    assert (surprise.mean() - exact).abs() < 5 * surprise.std() / n**0.5


@on_policy
@both_spaces
@torch.no_grad()
def test_policy_and_value_depend_on_normalised_observations(algo, space):
    """The same networks without a normaliser, shown (s − mean) / std, say the same."""
    agent = new_agent(algo, space)
    twin = new_agent(algo, space, config(algo, norm_obs=False))
    move(twin, parameters(agent) - parameters(twin))
    obs = 30 + 5 * torch.randn(50, OBS_DIM)
    agent.pi.norm.update(obs)
    z = (obs - obs.mean(0)) / obs.std(0, correction=0)
    act = agent.pi(obs).sample()
    close = {"rtol": 1e-3, "atol": 1e-4}
    torch.testing.assert_close(agent.pi(obs).log_prob(act), twin.pi(z).log_prob(act), **close)
    torch.testing.assert_close(agent.v(obs), twin.v(z), **close)
    assert not torch.allclose(agent.pi(obs).log_prob(act), twin.pi(obs).log_prob(act), **close)


@on_policy
@both_spaces
@torch.no_grad()
def test_an_agent_plays_its_most_likely_action(algo, space):
    agent = new_agent(algo, space)
    obs = torch.randn(6, OBS_DIM)
    played, dist = agent.act(obs), agent.pi(obs)
    assert played.shape == (6, *space.shape)
    assert torch.equal(played, agent.act(obs))
    for _ in range(200):
        assert (dist.log_prob(dist.sample()) <= dist.log_prob(played)).all()


# ---------------------------------------------------------------------------- values, Eq. 5


@having("loss_v")
def test_the_loss_of_v_is_the_mean_square_in_units_of_the_running_deviation(algo):
    """Eq. 5: by hand, after the returns have been shown twice over."""
    v = new_agent(algo, BOX).v
    shown = [4 + 3 * torch.randn(40), -2 + torch.randn(10)]
    for ret in shown:
        v.ret.update(ret)
    obs, ret = torch.randn(6, OBS_DIM), torch.randn(6)
    sigma = np.concatenate(shown).astype(np.float64).std()
    error = (v(obs) - ret).detach().double().numpy() / sigma
    assert sigma > 2
    loss = algo.loss_v(v, batch(algo, obs=obs, ret=ret)).detach()
    assert float(loss) == pytest.approx(np.mean(error**2), rel=1e-5)


@having("loss_v")
def test_the_network_of_v_learns_returns_of_mean_0_and_deviation_1(algo):
    """Eq. 5 does not depend on the unit of the rewards: in any of them it is the same loss."""
    v = new_agent(algo, BOX).v
    obs, ret = torch.randn(50, OBS_DIM), torch.randn(50)
    losses = []
    for unit in (1.0, 1000.0):
        v.ret = Normaliser(1)
        v.ret.update(7 + unit * ret)
        losses.append(float(algo.loss_v(v, batch(algo, obs=obs, ret=7 + unit * ret)).detach()))
        net = v.net(obs).squeeze(-1)
        expected = 7 + unit * (net * ret.std(correction=0) + ret.mean())
        torch.testing.assert_close(v(obs), expected, rtol=1e-4, atol=1e-4 * unit)
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@having("loss_v")
@both_spaces
def test_each_loss_moves_its_own_network_alone(algo, space):
    """loss_v has no gradient in π and loss_pi none in V."""
    agent = new_agent(algo, space)
    b = random_batch(algo, agent.pi)
    losses = {"pi": minus_J(algo, agent.pi, b), "v": algo.loss_v(agent.v, b)}
    for own, loss in losses.items():
        for name, p in agent.named_parameters():
            (slope,) = torch.autograd.grad(loss, p, retain_graph=True, allow_unused=True)
            assert (slope is not None) == name.startswith(own + ".")


def test_a_perfect_v_explains_all_variance_and_a_constant_none():
    ret = 5 + 2 * torch.randn(30)
    assert explained(ret, ret) == 1
    assert explained(ret + 3, ret) == pytest.approx(1)  # a shift costs nothing
    assert explained(torch.full((30,), 5.0), ret) == pytest.approx(0, abs=1e-6)
    assert explained(10 - ret, ret) == pytest.approx(-3, rel=1e-4)  # worse than a constant
    assert explained(torch.ones(30), torch.ones(30)).isfinite()


# ---------------------------------------------------------------------------- collecting


class Script:
    """Environments that follow a script: what `collect` makes of it can be written down."""

    def __init__(self, T, N, dim=OBS_DIM):
        self.obs, self.next_obs = torch.randn(2, T + 1, N, dim)
        self.rew = torch.randn(T, N)
        self.done = (torch.rand(T, N) < 0.4).float()
        self.term = self.done * (torch.rand(T, N) < 0.5)
        self.played = []

    def reset_done(self):
        return self.obs[len(self.played)]

    def step(self, act):
        t = len(self.played)
        self.played.append(act)
        return self.next_obs[t], self.rew[t], self.term[t], self.done[t]


@on_policy
@both_spaces
def test_a_batch_is_the_rollout_with_its_advantages_row_by_row(algo, space):
    """Eq. 1-4: V(s') is that of the true successor, also where the next row starts an episode."""
    T, N = 11, 3
    cfg = config(algo, horizon=T, num_envs=N, gamma=0.9, lam=0.8)
    agent, envs = new_agent(algo, space, cfg), Script(T, N)
    b = algo.collect(envs, agent, cfg)
    obs, next_obs = envs.obs[:T], envs.next_obs[:T]
    with torch.no_grad():
        val, next_val = agent.v(obs), agent.v(next_obs)
        logp = agent.pi(obs).log_prob(torch.stack(envs.played))
    adv = gae_by_definition(envs.rew, val, next_val, envs.term, envs.done, 0.9, 0.8)
    assert len(envs.played) == T
    assert all(len(column) == T * N for column in b)
    assert not any(column.requires_grad for column in b)
    assert torch.equal(b.obs, obs.reshape(T * N, OBS_DIM))
    assert torch.equal(b.act, torch.cat(envs.played))
    standard = (adv - adv.mean()) / adv.std(correction=0)
    torch.testing.assert_close(b.adv, standard.flatten().float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(b.ret, (adv + val).flatten().float(), rtol=1e-4, atol=1e-5)
    if "logp_old" in b._fields:
        torch.testing.assert_close(b.logp_old, logp.flatten())


@on_policy
@torch.no_grad()
def test_collected_actions_are_drawn_from_the_policy(algo):
    """Not its mode: without chance nothing else is ever tried."""
    cfg = config(algo, horizon=400, num_envs=50)
    agent, envs = new_agent(algo, DISCRETE, cfg), Script(400, 50)
    envs.obs[:] = torch.randn(OBS_DIM)
    share = algo.collect(envs, agent, cfg).act.bincount(minlength=3) / 20_000
    prob = agent.pi.logits(envs.obs[0, 0]).softmax(-1)
    torch.testing.assert_close(share, prob, rtol=0, atol=0.02)
    assert prob.max() < 0.9


@on_policy
def test_minibatches_deal_out_each_row_once_in_every_pass_and_in_new_orders(algo):
    cfg = config(algo, passes=3, minibatch=8)
    row = torch.arange(24)
    data = batch(algo, obs=row[:, None], act=row + 100, logp_old=row + 200, adv=-row, ret=row + 300)
    dealt = list(algo.minibatches(data, cfg))
    assert [len(b.obs) for b in dealt] == [8] * 9
    for b in dealt:
        i = b.obs[:, 0]  # columns of a row stay together
        assert all(torch.equal(x, column[i]) for x, column in zip(b, data, strict=True))
    orders = [torch.cat([b.obs[:, 0] for b in dealt[i : i + 3]]) for i in (0, 3, 6)]
    assert all(torch.equal(order.sort().values, row) for order in orders)
    assert not any(torch.equal(a, b) for a, b in [(orders[0], orders[1]), (orders[1], orders[2])])
    assert not torch.equal(orders[0], row)


# ---------------------------------------------------------------------------- updating


@on_policy
@both_spaces
def test_an_update_needs_no_environment_and_moves_both_networks(algo, space):
    cfg = config(algo, minibatch=16, passes=2)
    agent = new_agent(algo, space, cfg)
    before = {name: p.clone() for name, p in agent.named_parameters()}
    metrics = agent.update(random_batch(algo, agent.pi), cfg)
    assert not any(torch.equal(p, before[name]) for name, p in agent.named_parameters())
    assert all(torch.as_tensor(value).isfinite().all() for value in metrics.values())


@on_policy
@both_spaces
def test_repeated_updates_make_good_actions_likely_and_values_right(algo, space):
    """Eq. 5 and the objective at work: on data that reward a direction, both go the right way."""
    cfg = config(algo, minibatch=64, passes=4, lr=3e-3, lr_v=3e-3, max_kl=1e9)
    agent = new_agent(algo, space, cfg)
    b = random_batch(algo, agent.pi, 256)
    good = (b.act[:, 0] > 0) if space is BOX else (b.act == 0)
    b = b._replace(adv=algo.standardise(good.float()), ret=50 * b.obs[:, 0] + 200)
    logp = agent.pi(b.obs).log_prob(b.act).detach()
    fits = [float(agent.update(as_new(b, agent.pi), cfg)["VarExplained"]) for _ in range(30)]
    moved = agent.pi(b.obs).log_prob(b.act).detach() - logp
    assert moved[good].mean() > moved[~good].mean() + 0.3
    assert fits[0] < 0.2 and fits[-1] > 0.9


@on_policy
def test_an_update_shows_its_observations_to_the_normaliser_once(algo):
    """However many passes it makes; from then on the networks see mean 0 and deviation 1."""
    cfg = config(algo)
    agent = new_agent(algo, BOX, cfg)
    b = random_batch(algo, agent.pi)
    b = as_new(b._replace(obs=3 + 10 * b.obs), agent.pi)
    agent.update(b, cfg)
    assert float(agent.pi.norm.count) == len(b.obs)
    np.testing.assert_allclose(agent.pi.norm.mean, b.obs.double().mean(0), rtol=1e-5)
    seen = agent.v.norm(b.obs)
    np.testing.assert_allclose(seen.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(seen.std(0, correction=0), 1, atol=1e-5)


@on_policy
def test_observations_are_normalised_anew_only_after_the_update(algo, monkeypatch):
    """Eq. 6 of ppo: a change before it moves π, and the data are no longer its own."""
    cfg = config(algo, minibatch=16)
    agent = new_agent(algo, BOX, cfg)
    seen = []
    for name in ("loss_pi", "loss_v", "measure"):
        spy(monkeypatch, algo, name, lambda *args: seen.append(agent.pi.norm.mean.clone()))
    agent.update(random_batch(algo, agent.pi, shift=5.0), cfg)
    assert len(seen) > 3
    assert all(torch.equal(mean, torch.zeros(OBS_DIM)) for mean in seen)
    assert agent.pi.norm.mean.min() > 3


@both_spaces
def test_the_first_ratio_of_every_round_is_1(space, monkeypatch):
    """Eq. 6, 8 of ppo: π_old is π as it stood when the data were collected, every time."""
    cfg = config(ppo, horizon=16, num_envs=4, minibatch=16, passes=2, lr=0.01, max_kl=1e9)
    agent, kls = new_agent(ppo, space, cfg), []

    def watched(*args, function=ppo.loss_pi):
        loss, kl = function(*args)
        kls.append(float(kl))
        return loss, kl

    monkeypatch.setattr(ppo, "loss_pi", watched)
    for _ in range(3):
        kls.clear()
        agent.update(ppo.collect(Script(16, 4), agent, cfg), cfg)
        assert kls[0] < 1e-6
        assert max(kls[1:]) > 1e-4


@on_policy
def test_the_returns_of_an_update_are_in_the_deviation_before_v_learns_from_them(algo, monkeypatch):
    """Eq. 5: from the very first minibatch σ is that of real returns, not 1."""
    cfg = config(algo)
    agent = new_agent(algo, BOX, cfg)
    b = random_batch(algo, agent.pi)
    deviations = []
    spy(monkeypatch, algo, "loss_v", lambda v, b: deviations.append(float(v.ret.std)))
    agent.update(b, cfg)
    expected = float(b.ret.std(correction=0))
    assert deviations == pytest.approx([expected] * len(deviations), rel=1e-5)


@on_policy
def test_the_explained_variance_is_that_of_v_before_it_has_seen_the_returns(algo):
    cfg = config(algo)
    agent = new_agent(algo, BOX, cfg)
    b = random_batch(algo, agent.pi)
    ret, val = b.ret.double().numpy(), agent.v(b.obs).detach().double().numpy()
    expected = 1 - np.var(ret - val) / np.var(ret)
    assert float(agent.update(b, cfg)["VarExplained"]) == pytest.approx(expected, abs=1e-5)
    assert float(explained(agent.v(b.obs), b.ret)) != pytest.approx(expected, abs=1e-4)


def watch(monkeypatch, algo):
    """A list of the steps that an update will take: (loss, max_norm, norm)."""
    steps = []

    def watched(opt, loss, max_norm=math.inf):
        norm = descend(opt, loss, max_norm)
        steps.append((float(loss.detach()), max_norm, norm))
        return norm

    monkeypatch.setattr(algo, "descend", watched)
    return steps


def test_vpg_takes_one_step_of_the_policy_on_all_its_data(monkeypatch):
    """Eq. 6 of vpg holds for the policy that collected the data, so for one step only."""
    cfg = config(vpg, minibatch=16, passes=3, lr=0.01)
    agent = new_agent(vpg, BOX, cfg)
    b = random_batch(vpg, agent.pi)
    loss = vpg.loss_pi(agent.pi, b)
    slope, start = gradient(loss, agent.pi), parameters(agent.pi)
    steps = watch(monkeypatch, vpg)
    metrics = agent.update(b, cfg)
    step = parameters(agent.pi) - start
    assert float(metrics["LossPi"].detach()) == pytest.approx(float(loss.detach()))
    assert metrics["GradNorm"] == pytest.approx(float(slope.norm()), rel=1e-5)
    clear = slope.abs() > 1e-4
    torch.testing.assert_close(step[clear], -0.01 * slope.sign()[clear])  # Adam's first step
    assert len(steps) == 1 + 3 * 64 / 16  # and V one for each minibatch


def test_vpg_moves_its_value_along_minibatches_at_a_rate_of_its_own(monkeypatch):
    """Eq. 5 of vpg: two steps of Adam in much the same direction are as long as two rates."""
    cfg = config(vpg, minibatch=32, passes=1, lr=0.01, lr_v=0.002)
    agent = new_agent(vpg, BOX, cfg)
    start = parameters(agent.v)
    sizes = []
    spy(monkeypatch, vpg, "loss_v", lambda v, b: sizes.append(len(b.obs)))
    agent.update(random_batch(vpg, agent.pi), cfg)
    assert sizes == [32, 32, 64]  # the last is for the log
    assert float((parameters(agent.v) - start).abs().max()) == pytest.approx(2 * 0.002, rel=0.02)


def test_ppo_takes_a_step_for_each_minibatch_along_both_losses(monkeypatch):
    """Eq. 5, 7 of ppo: each network gets the gradient of its own loss, scaled down together."""
    cfg = config(ppo, minibatch=64, passes=1, entropy=0.01, max_norm=1e-3)
    agent = new_agent(ppo, BOX, cfg)
    b = random_batch(ppo, agent.pi)
    agent.v.ret.update(b.ret)
    joint = minus_J(ppo, agent.pi, b, beta=0.01) + ppo.loss_v(agent.v, b)
    slope, start = gradient(joint, agent), parameters(agent)
    metrics = agent.update(b, cfg)
    assert metrics["GradSteps"] == 1
    assert metrics["GradNorm"] == pytest.approx(float(slope.norm()), rel=1e-4)
    found = torch.cat([p.grad.flatten() for p in agent.parameters()])
    torch.testing.assert_close(found, 1e-3 * slope / slope.norm(), rtol=1e-3, atol=1e-7)
    step = -cfg.lr * found / (found.abs() + 1e-5)  # Adam's first, with PPO's ε
    torch.testing.assert_close(parameters(agent) - start, step, rtol=1e-2, atol=1e-6)

    cfg = config(ppo, minibatch=16, passes=3, max_kl=1e9)
    steps = watch(monkeypatch, ppo)
    metrics = agent.update(as_new(b, agent.pi), cfg)
    losses, limits, norms = zip(*steps, strict=True)
    assert metrics["GradSteps"] == len(steps) == 3 * 64 / 16
    assert set(limits) == {0.5}
    assert metrics["GradNorm"] == pytest.approx(np.mean(norms))


def test_ppo_computes_each_gradient_from_a_minibatch_with_the_configured_numbers(monkeypatch):
    """Eq. 5, 7 of ppo: ε and β are those of the configuration, the rows those dealt out."""
    cfg = config(ppo, minibatch=16, passes=2, max_kl=1e9, clip=0.37, entropy=0.11)
    agent = new_agent(ppo, BOX, cfg)
    b, for_pi, for_v = random_batch(ppo, agent.pi), [], []
    spy(monkeypatch, ppo, "loss_pi", lambda pi, b, *numbers: for_pi.append((len(b.obs), *numbers)))
    spy(monkeypatch, ppo, "loss_v", lambda v, b: for_v.append(len(b.obs)))
    agent.update(b, cfg)
    assert for_pi == [(16, 0.37, 0.11)] * 8 + [(64, 0.37, 0.11)]  # the last is for the log
    assert for_v == [16] * 8 + [64]


@pytest.mark.parametrize("stop_at", [1, 5])
def test_ppo_stops_before_the_step_whose_kl_is_too_large(stop_at, monkeypatch):
    """Eq. 8 of ppo: the minibatch that finds π too far away takes no step, nor does any after."""
    cfg = config(ppo, minibatch=16, passes=3, max_kl=0.03)
    agent = new_agent(ppo, BOX, cfg)
    b, steps = random_batch(ppo, agent.pi), watch(monkeypatch, ppo)
    asked = []

    def told(*args, function=ppo.loss_pi):
        asked.append(parameters(agent))
        too_far = len(asked) == stop_at + 1  # and close again, if anybody still asks
        return function(*args)[0], torch.tensor(0.0301 if too_far else 0.0299)

    monkeypatch.setattr(ppo, "loss_pi", told)
    assert agent.update(b, cfg)["GradSteps"] == len(steps) == stop_at
    assert torch.equal(parameters(agent), asked[stop_at])


@both_spaces
def test_a_small_max_kl_ends_ppo_early_by_itself(space):
    """Eq. 8 of ppo, with nothing replaced: large steps, little leave to move."""
    cfg = config(ppo, minibatch=16, passes=10, max_kl=1e-3, lr=0.02)
    agent = new_agent(ppo, space, cfg)
    metrics = agent.update(random_batch(ppo, agent.pi), cfg)
    assert 1 <= metrics["GradSteps"] <= 5
    assert metrics["KL"] > 1e-4


@both_spaces
@torch.no_grad()
def test_what_ppo_reports_is_measured_over_all_the_data_after_the_update(space):
    """Eq. 5, 7, 8 of ppo, and the share of ratios that are beyond the clip."""
    cfg = config(ppo, clip=0.1, entropy=0.01)
    agent = new_agent(ppo, space, cfg)
    b = random_batch(ppo, agent.pi)
    w = torch.tensor([0.5, 0.91, 1.0, 1.09] * 15 + [0.89, 1.11, 1.5, 3.0])
    b = b._replace(logp_old=b.logp_old - w.log())
    reported = ppo.measure(agent, b, cfg)
    dist = agent.pi(b.obs)
    loss, kl = ppo.loss_pi(agent.pi, b, 0.1, 0.01)
    assert float(reported["ClipFrac"].float().mean()) == pytest.approx((15 + 4) / 64)
    assert float(reported["KL"]) == pytest.approx(float((w - 1 - w.log()).mean()), rel=1e-3)
    assert float(reported["Entropy"].mean()) == pytest.approx(float(dist.entropy().mean()))
    assert float(reported["LossPi"]) == pytest.approx(float(loss))
    assert float(reported["LossV"]) == pytest.approx(float(ppo.loss_v(agent.v, b)))


# ---------------------------------------------------------------------------- learning rate, Eq. 9


class Rounds:
    """In place of a Run: some epochs, and the learning rate that each of them had."""

    settings = Settings()

    def __init__(self, epochs):
        self.numbers, self.rates = epochs, []

    def build(self, Agent, envs, cfg):
        return Agent(envs.obs_dim, envs.act_space, cfg)

    def epochs(self, agent, envs):
        for k in self.numbers:
            yield k
            (lr,) = {opt.lr for opt in vars(agent).values() if hasattr(opt, "lr")}
            self.rates.append(lr)

    def store(self, **metrics):
        pass


def rates(epochs, **changes):
    cfg = ppo.Config("CartPole-v1", epochs=10, num_envs=1, horizon=4, minibatch=4, **changes)
    rounds = Rounds(epochs)
    ppo.train(cfg, rounds)
    return rounds.rates


def test_the_learning_rate_falls_in_equal_steps_towards_its_end():
    """Eq. 9 of ppo: from η at epoch 0 to η ζ at epoch K, where training is over."""
    found = rates(range(10), lr=2e-3, lr_end=0.25)
    assert found == pytest.approx(np.linspace(2e-3, 0.25 * 2e-3, 11)[:10])


def test_the_learning_rate_stays_if_all_of_it_is_left_at_the_end():
    """Eq. 9 of ppo at ζ = 1."""
    assert rates(range(10), lr=2e-3, lr_end=1.0) == [2e-3] * 10


def test_a_continued_run_has_the_learning_rates_of_an_uninterrupted_one():
    """Eq. 9 of ppo depends on the epoch alone."""
    found = rates([0, 1, 2], lr_end=0.0) + rates([3, 9], lr_end=0.0)
    assert found == [rates(range(10), lr_end=0.0)[k] for k in (0, 1, 2, 3, 9)]


# ---------------------------------------------------------------------------- your own equations


@on_policy
@pytest.mark.parametrize("name", ["gae", "standardise", "loss_v", "loss_pi"])
def test_an_equation_that_is_replaced_in_its_module_is_what_training_uses(algo, name, monkeypatch):
    """`ppo.loss_pi = mine`: no equation is bound to a class or captured by a closure."""
    used = []
    spy(monkeypatch, algo, name, lambda *args: used.append(name))
    cfg = config(algo, num_envs=2, horizon=8, minibatch=8, passes=1)
    agent, envs = new_agent(algo, DISCRETE, cfg), Script(8, 2)
    agent.update(algo.collect(envs, agent, cfg), cfg)
    assert used


@on_policy
def test_a_replaced_objective_decides_what_is_learnt(algo, monkeypatch):
    """With the sign of loss_pi turned round, the first step goes the other way."""
    cfg = config(algo, passes=1, minibatch=64, max_norm=1e9)
    agents = [new_agent(algo, BOX, cfg) for _ in range(2)]
    agents[1].load_state_dict(agents[0].state_dict())
    b, start = random_batch(algo, agents[0].pi), parameters(agents[0].pi)
    agents[0].update(b, cfg)

    def opposite(*args, function=algo.loss_pi):
        found = function(*args)
        return (-found[0], found[1]) if isinstance(found, tuple) else -found

    monkeypatch.setattr(algo, "loss_pi", opposite)
    agents[1].update(b, cfg)
    there, back = (parameters(agent.pi) - start for agent in agents)
    assert there.norm() > 0
    torch.testing.assert_close(back, -there)
