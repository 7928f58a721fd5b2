"""Parameters as one vector, the optimiser on it, the running normaliser, and spaces as vectors."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.spaces import Box, Discrete
from torch import nn

import rlcourse
from rlcourse.utils.config import CHOICES, UserError
from rlcourse.utils.nets import ACTIVATIONS, Normaliser, flat, mlp
from rlcourse.utils.optim import Adam, descend
from rlcourse.utils.spaces import Spaces, check_spaces, from_plain, plain

MODULES = [getattr(rlcourse, name) for name in rlcourse.ALGOS]
ON_POLICY = [algo for algo in MODULES if hasattr(algo, "gae")]
OBS_DIM = 4


def new_agent(algo, space=None, **changes):
    values = {"hidden": (16,), "minibatch": 16}
    values |= {"passes": 2} if algo in ON_POLICY else {}
    cfg = algo.Config("none", **values | changes)
    return algo.Agent(OBS_DIM, space or Box(-1, 1, (2,)), cfg), cfg


def flattened(agent):
    """All that is laid out flat in an agent: the agent itself, or its networks one by one."""
    found = [net for net in agent.modules() if "theta" in vars(net)]
    assert {p for net in found for p in net.parameters()} == set(agent.parameters())
    return found


@torch.no_grad()
def random_batch(algo, pi, steps=64):
    obs = torch.randn(steps, OBS_DIM)
    if algo not in ON_POLICY:
        discrete, term = type(pi).__name__ == "Softmax", (torch.rand(steps) < 0.1).float()
        act = torch.eye(3)[torch.randint(3, (steps,))] if discrete else 2 * torch.rand(steps, 2) - 1
        return algo.Batch(obs, act, torch.randn(steps), torch.randn(steps, OBS_DIM), term)
    act = pi(obs).sample()
    columns = {"obs": obs, "act": act, "logp_old": pi(obs).log_prob(act)}
    columns |= {"adv": torch.randn(steps), "ret": torch.randn(steps)}
    return algo.Batch(*(columns[name] for name in algo.Batch._fields))


def name_of(x):
    """The name of an algorithm's file or of a kind of space."""
    return x.__name__.split(".")[-1] if x in MODULES else type(x).__name__


def over(modules):
    """Each of these algorithms with each kind of action that it takes."""
    both = [Box(-1, 1, (2,)), Discrete(3)]
    either = {*ON_POLICY, rlcourse.sac}
    pairs = [(m, space) for m in modules for space in (both if m in either else both[:1])]
    return pytest.mark.parametrize("algo, space", pairs, ids=name_of)


agents, on_policy_agents = over(MODULES), over(ON_POLICY)
on_policy = pytest.mark.parametrize("algo", ON_POLICY, ids=name_of)


# ---------------------------------------------------------------------------- one vector


def assert_views(net):
    """theta and its gradient are the storage of all parameters and gradients, in their order."""
    offset = 0
    for p in net.parameters():
        for part, whole in ((p, net.theta), (p.grad, net.theta.grad)):
            assert part.is_contiguous()
            assert part.data_ptr() == whole.data_ptr() + offset * whole.element_size()
        offset += p.numel()
    assert offset == net.theta.numel() == net.theta.grad.numel()


@agents
def test_every_network_is_one_vector_from_the_start(algo, space):
    for net in flattened(new_agent(algo, space)[0]):
        assert_views(net)
        values = torch.randn_like(net.theta)
        net.theta.copy_(values)
        assert torch.equal(torch.cat([p.flatten() for p in net.parameters()]), values)


@agents
def test_a_network_is_still_one_vector_after_loading_learning_and_descending(algo, space):
    (agent, cfg), (other, _) = new_agent(algo, space), new_agent(algo, space)
    agent.load_state_dict(deepcopy(other.state_dict()))
    for net, theirs in zip(flattened(agent), flattened(other), strict=True):
        assert_views(net)
        assert torch.equal(net.theta, theirs.theta)
    agent.update(random_batch(algo, agent.pi), cfg)
    for net in flattened(agent):
        assert_views(net)
        descend(Adam(net, 0.1), sum((p**2).sum() for p in net.parameters()), 0.1)
        assert_views(net)


@agents
def test_the_vector_is_not_counted_or_saved_a_second_time(algo, space):
    agent, _ = new_agent(algo, space)
    for net in agent.modules():
        assert not any("theta" in name for name, _ in net.named_parameters())
        assert not any("theta" in name for name, _ in net.named_buffers())
        assert not any("theta" in name for name in net.state_dict())
    count = sum(net.theta.numel() for net in flattened(agent))
    assert sum(p.numel() for p in agent.parameters()) == count


@agents
def test_the_optimisers_of_an_agent_have_all_its_parameters_once_but_no_target(algo, space):
    agent, _ = new_agent(algo, space)
    optimisers = [x for x in vars(agent).values() if isinstance(x, Adam)]
    targets = [net for name, net in agent.named_children() if name.endswith("_targ")]
    assert (targets == []) == (algo in ON_POLICY)
    ids = [id(p) for opt in optimisers for p in opt.params]
    followed = {id(p) for net in targets for p in net.parameters()}
    assert sorted(ids) == sorted(id(p) for p in agent.parameters() if id(p) not in followed)
    thetas = {opt.theta.data_ptr() for opt in optimisers}
    assert thetas == {net.theta.data_ptr() for net in flattened(agent) if net not in targets}


def test_laying_parameters_out_flat_changes_no_value():
    net = mlp([3, 8, 2], "tanh")
    x, before = torch.randn(5, 3), [p.clone() for p in net.parameters()]
    y = net(x)
    assert flat(net) is net
    assert all(map(torch.equal, net.parameters(), before))
    assert torch.equal(net(x), y)
    assert not net.theta.grad.any()


# ---------------------------------------------------------------------------- one step


@pytest.mark.parametrize("sizes", [[16, 64, 32, 16], [5, 33, 17, 3]])
def test_adam_on_the_vector_equals_torch_adam_on_each_tensor(sizes):
    """Bit for bit where tensors fill the processor's registers; else their ends round alone."""
    net = flat(mlp(sizes, "tanh"))
    twin = deepcopy(net)
    for p in twin.parameters():
        p.data, p.grad = p.data.clone(), None
    one, many = Adam(net, 3e-3), torch.optim.Adam(twin.parameters(), 3e-3, fused=True)
    tolerance = 0 if sizes[0] == 16 else 1e-6
    for _ in range(20):
        x = torch.randn(30, sizes[0])
        descend(one, (net(x) ** 2).mean())
        many.zero_grad()
        (twin(x) ** 2).mean().backward()
        many.step()
        for p, other in zip(net.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(p, other, rtol=tolerance, atol=tolerance)


def test_adam_is_that_of_the_paper():
    """Kingma & Ba 2014, Algorithm 1, in float64 and without torch."""
    net = flat(nn.Linear(3, 1, bias=False))
    opt = Adam(net, 0.01, eps=1e-5)
    theta, m, v = net.theta.double().numpy().copy(), 0.0, 0.0
    for t in range(1, 21):
        x = torch.randn(8, 3)
        g = (2 * x.double() * (x.double() @ torch.tensor(theta))[:, None]).mean(0).numpy()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        theta -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-5)
        descend(opt, (net(x) ** 2).mean())
    np.testing.assert_allclose(net.theta, theta, rtol=1e-4)


def test_setting_the_learning_rate_sets_the_length_of_the_step():
    net = flat(nn.Linear(3, 1))
    opt = Adam(net, 0.5)
    assert opt.lr == 0.5
    opt.lr = 1e-3
    before = net.theta.clone()
    descend(opt, net(torch.ones(1, 3)).sum())
    torch.testing.assert_close(net.theta, before - 1e-3, rtol=0, atol=1e-6)  # Adam's first step


def test_a_long_gradient_is_shortened_and_its_own_length_returned():
    net = flat(nn.Linear(2, 1, bias=False))
    opt = Adam(net, 0.1)
    loss = lambda: net(torch.tensor([[30.0, 40.0]])).sum()  # noqa: E731
    assert descend(opt, loss(), max_norm=0.5) == pytest.approx(50)
    torch.testing.assert_close(net.theta.grad, torch.tensor([0.3, 0.4]))
    assert descend(opt, loss(), max_norm=60) == pytest.approx(50)
    torch.testing.assert_close(net.theta.grad, torch.tensor([30.0, 40.0]))
    assert descend(opt, loss()) == pytest.approx(50)
    torch.testing.assert_close(net.theta.grad, torch.tensor([30.0, 40.0]))


def test_a_step_moves_one_network_and_touches_no_gradient_of_another():
    """Even if both are in the loss; frozen networks and `zero_grad` are not needed."""
    one, other = flat(nn.Linear(3, 1)), flat(nn.Linear(3, 1))
    other.theta.grad.fill_(7.0)
    before, x = (one.theta.clone(), other.theta.clone()), torch.randn(8, 3)
    descend(Adam(one, 0.1), (one(x) * other(x)).mean())
    assert not torch.equal(one.theta, before[0])
    assert torch.equal(other.theta, before[1])
    assert (other.theta.grad == 7).all()


def same(state, other):
    return all(torch.equal(torch.as_tensor(x), torch.as_tensor(other[k])) for k, x in state.items())


def test_an_optimiser_continues_from_its_state_bit_for_bit():
    net = flat(mlp([3, 8, 1], "tanh"))
    twin, x = flat(deepcopy(net)), torch.randn(5, 3)
    one, other = Adam(net, 0.01), Adam(twin, 0.5)
    for step in range(10):
        descend(one, (net(x) ** 2).mean())
        if step == 4:
            twin.load_state_dict(net.state_dict())
            other.load_state_dict(deepcopy(one.state_dict()))
        if step > 4:
            descend(other, (twin(x) ** 2).mean())
    assert torch.equal(net.theta, twin.theta)
    assert same(one.state_dict(), other.state_dict())


def test_gradients_do_not_add_up_from_step_to_step():
    net = flat(nn.Linear(2, 1, bias=False))
    opt = Adam(net, 0.1)
    for _ in range(3):
        assert descend(opt, net(torch.tensor([[3.0, 4.0]])).sum()) == pytest.approx(5)


def test_a_step_goes_down():
    net = flat(nn.Linear(3, 1))
    opt, x = Adam(net, 1e-3), torch.randn(10, 3)
    loss = [(net(x) ** 2).mean()]
    descend(opt, loss[0])
    assert (net(x) ** 2).mean() < loss[0]


@pytest.mark.fault("not-finite")
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("max_norm", [0.5, torch.inf])
def test_a_gradient_that_is_no_number_raises_and_leaves_everything_as_it_was(bad, max_norm):
    net = flat(nn.Linear(3, 1))
    opt, x = Adam(net, 0.1), torch.randn(4, 3)
    descend(opt, net(x).sum())
    before = net.theta.clone(), deepcopy(opt.state_dict())
    x[2, 1] = bad
    with pytest.raises(FloatingPointError, match="gradient of Linear is (nan|inf)"):
        descend(opt, net(x).sum(), max_norm)
    assert torch.equal(net.theta, before[0])
    assert same(opt.state_dict(), before[1])
    assert_views(net)
    descend(opt, net(torch.ones(4, 3)).sum())  # the next one finds nothing left of it
    assert net.theta.isfinite().all()


@pytest.mark.fault("not-finite")
@pytest.mark.parametrize(
    "algo, field",
    [(algo, field) for algo in ON_POLICY for field in ("obs", "adv", "ret")]
    + [(algo, field) for algo in MODULES if algo not in ON_POLICY for field in algo.Batch._fields],
    ids=lambda x: x if isinstance(x, str) else name_of(x),
)
def test_no_agent_learns_from_what_is_no_number(algo, field):
    agent, cfg = new_agent(algo)
    b = random_batch(algo, agent.pi)
    getattr(b, field)[5] = torch.nan
    with pytest.raises(FloatingPointError):
        agent.update(b, cfg)
    assert all(p.isfinite().all() for p in agent.parameters())


# ---------------------------------------------------------------------------- networks


@pytest.mark.parametrize("sizes", [[7, 5, 3], [3, 16, 16, 2], [4, 1], [2, 6, 9]])
@pytest.mark.parametrize("gain", [0.01, 1.0])
def test_weights_are_orthogonal_and_the_last_layer_has_its_own_gain(sizes, gain):
    """W Wᵀ = gain² I over the shorter side; √2 in the hidden layers."""
    layers = [layer for layer in mlp(sizes, "tanh", gain) if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in layers] + [layers[-1].out_features] == sizes
    for layer in layers:
        W = layer.weight if layer.out_features <= layer.in_features else layer.weight.T
        square = gain**2 if layer is layers[-1] else 2.0
        torch.testing.assert_close(W @ W.T, square * torch.eye(len(W)), atol=1e-5, rtol=1e-4)
        assert not layer.bias.any()


@pytest.mark.parametrize("name", CHOICES["activation"])
def test_the_activation_stands_between_the_layers_and_not_behind_the_last(name):
    net = mlp([3, 8, 8, 2], name)
    kinds = [type(layer) for layer in net]
    between = ACTIVATIONS[name]
    assert kinds == [nn.Linear, between, nn.Linear, between, nn.Linear]
    by_name = {"tanh": torch.tanh, "relu": torch.relu} | {
        other: getattr(nn.functional, other) for other in ("elu", "gelu", "silu")
    }
    x = torch.randn(5)
    assert torch.equal(between()(x), by_name[name](x))


def test_a_network_is_its_layers_one_after_the_other_also_when_they_are_changed():
    net, x = mlp([3, 8, 2], "tanh"), torch.randn(5, 3)
    assert torch.equal(net(x), nn.Sequential(*net)(x))
    assert torch.equal(net[:-1](x), torch.tanh(net[0](x)))
    net[1] = nn.ReLU()
    net.append(nn.Tanh())
    assert torch.equal(net(x), nn.Sequential(*net)(x))
    assert torch.equal(deepcopy(net)(x), net(x))


def test_every_activation_that_can_be_chosen_exists():
    assert set(CHOICES["activation"]) == set(ACTIVATIONS)


@on_policy
@torch.no_grad()
def test_a_new_policy_hardly_prefers_any_action(algo):
    """The last layer is small: at first the observation decides next to nothing."""
    obs = torch.randn(100, OBS_DIM)
    assert new_agent(algo)[0].pi(obs).mode.abs().max() < 0.1
    entropy = new_agent(algo, Discrete(3))[0].pi(obs).entropy()
    assert entropy.min() > 0.999 * np.log(3)


# ---------------------------------------------------------------------------- the normaliser


@pytest.mark.parametrize("centre, width", [(0.0, 1.0), (1e4, 0.1), (-3.0, 1e-3), (0.0, 1e6)])
def test_shown_in_portions_or_all_at_once_the_moments_are_those_of_all_rows(centre, width):
    """Against numpy in float64, with portions from 1 row to 1000 and far from 0."""
    x = centre + width * torch.randn(1234, 3, dtype=torch.double)
    x = (x * torch.tensor([1.0, 2.0, 5.0])).float()
    norm = Normaliser(3)
    for portion in x.split([1, 3, 200, 1000, 30]):
        norm.update(portion)
    rows = x.double().numpy()
    assert norm.count == 1234
    np.testing.assert_allclose(norm.exact[0], rows.mean(0), rtol=1e-12, atol=1e-12 * width)
    np.testing.assert_allclose(norm.exact[1], rows.var(0), rtol=1e-9)
    np.testing.assert_allclose(norm.mean, rows.mean(0), rtol=1e-6, atol=1e-6 * width)
    np.testing.assert_allclose(norm.std, np.sqrt(rows.var(0) + 1e-8), rtol=1e-6)


def test_all_axes_but_the_last_are_rows():
    x = 3 + 2 * torch.randn(6, 5, 4)
    one, other = Normaliser(4), Normaliser(4)
    one.update(x)
    other.update(x.flatten(0, 1))
    assert torch.equal(one.mean, other.mean)
    assert one.count == 30
    torch.testing.assert_close(one(x).mean((0, 1)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(one(x).std((0, 1), correction=0), torch.ones(4))


def test_before_anything_is_shown_nothing_is_changed():
    x = torch.randn(5, 3)
    assert torch.equal(Normaliser(3)(x), x)
    assert torch.equal(Normaliser(3).restore(x), x)


def test_switched_off_it_is_the_identity_for_any_number():
    norm, x = Normaliser(3, on=False), 1e9 * torch.randn(50, 3)
    norm.update(x)
    assert torch.equal(norm(x), x)
    assert torch.equal(norm.restore(x), x)


def test_restore_is_the_way_back():
    norm, x = Normaliser(3), 40 + 7 * torch.randn(100, 3)
    norm.update(x)
    torch.testing.assert_close(norm.restore(norm(x)), x)


def test_what_is_far_out_is_cut_to_ten_deviations():
    norm = Normaliser(1)
    norm.update(torch.randn(1000, 1))
    assert norm(torch.tensor([[1e6], [-1e6]])).flatten().tolist() == [10, -10]


def test_a_column_that_never_changes_becomes_0_and_no_nan():
    norm = Normaliser(2)
    x = torch.cat([torch.full((20, 1), 7.25), torch.randn(20, 1)], 1)
    for portion in x.split(6):
        norm.update(portion)
    assert not norm(x)[:, 0].any()
    assert norm(x).isfinite().all()


@pytest.mark.fault("short-episodes")
@agents
def test_learning_is_free_of_nan_when_an_observation_never_changes(algo, space):
    agent, cfg = new_agent(algo, space)
    for _ in range(3):
        b = random_batch(algo, agent.pi)
        b.obs[:, 1] = 1e4
        if "logp_old" in b._fields:
            b = b._replace(logp_old=agent.pi(b.obs).log_prob(b.act).detach())
        metrics = agent.update(b, cfg)
        assert all(torch.as_tensor(value).isfinite().all() for value in metrics.values())


@on_policy_agents
def test_policy_and_value_see_through_the_same_normaliser(algo, space):
    agent, _ = new_agent(algo, space)
    assert agent.v.norm is agent.pi.norm


@on_policy_agents
@torch.no_grad()
def test_a_saved_policy_carries_its_normaliser(algo, space):
    agent, cfg = new_agent(algo, space)
    for _ in range(2):
        b = random_batch(algo, agent.pi)
        agent.pi.norm.update(100 + 50 * b.obs)
    saved = agent.pi.state_dict()
    assert {"norm.mean", "norm.std", "norm.exact", "norm.count"} <= set(saved)
    opened, _ = new_agent(algo, space)
    obs = 100 + 50 * torch.randn(20, OBS_DIM)
    act = agent.pi(obs).sample()
    assert not torch.equal(opened.pi(obs).log_prob(act), agent.pi(obs).log_prob(act))
    opened.pi.load_state_dict(saved)
    assert torch.equal(opened.pi(obs).log_prob(act), agent.pi(obs).log_prob(act))
    more = torch.randn(10, OBS_DIM)
    for norm in (agent.pi.norm, opened.pi.norm):
        norm.update(more)
    assert torch.equal(opened.pi.norm.std, agent.pi.norm.std)  # it also continues alike


@on_policy
def test_normalisers_that_are_switched_off_stay_the_identity_through_an_update(algo):
    agent, cfg = new_agent(algo, norm_obs=False, norm_ret=False)
    agent.update(random_batch(algo, agent.pi), cfg)
    x = 1e3 * torch.randn(5, OBS_DIM)
    assert torch.equal(agent.pi.norm(x), x)
    assert agent.v.ret.std == 1
    assert agent.v.ret.mean == 0


# ---------------------------------------------------------------------------- spaces


def vector(low, high, dtype=np.float32):
    return Box(np.array(low, dtype), np.array(high, dtype), dtype=dtype)


@pytest.mark.parametrize("start", [0, 5, -2])
def test_a_discrete_observation_becomes_a_one_hot_row(start):
    both = Spaces(Discrete(4, start=start), Discrete(2))
    rows = both.encode([start, start + 3, start + 1])
    assert both.obs_dim == 4
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_a_vector_becomes_a_row_of_float32(dtype):
    both = Spaces(Box(0, 9, (3,), dtype), Discrete(2))
    rows = both.encode([np.array([1, 2, 3], dtype), np.array([4, 5, 6], dtype)])
    assert both.obs_dim == 3
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_an_observation_of_the_wrong_shape_is_named():
    with pytest.raises(ValueError, match=r"shape \(1, 3\).*Box"):
        Spaces(Box(-1, 1, (3,)), Discrete(2)).encode([np.zeros((1, 3))])
    with pytest.raises(ValueError, match=r"shape \(4,\).*Box"):
        Spaces(Box(-1, 1, (3,)), Discrete(2)).encode([np.zeros(4)] * 3)


def test_actions_are_mapped_to_the_box_by_its_own_bounds_in_each_dimension():
    both = Spaces(Discrete(2), vector([-1, 0], [2, 7]))
    units = both.decode(np.array([[-1, -1], [0, 0], [1, 1], [0.5, -0.5]], np.float32))
    np.testing.assert_allclose(units, [[-1, 0], [0.5, 3.5], [2, 7], [1.25, 1.75]])


def test_actions_beyond_the_box_are_clipped_in_each_dimension():
    both = Spaces(Discrete(2), vector([-1, 0], [2, 7]))
    units = both.decode(np.array([[-3, 3], [9, -9], [3, 0]], np.float32))
    np.testing.assert_allclose(units, [[-1, 7], [2, 0], [2, 3.5]])


@pytest.mark.fault("bounds")
def test_a_dimension_without_bounds_is_passed_on_and_one_with_a_single_bound_clipped_there():
    inf = np.inf
    both = Spaces(Discrete(2), vector([-inf, 0, -inf, -2], [inf, inf, 5, 4]))
    units = both.decode(np.array([[12.5, -3, 7, 0], [-80, 3, -9, -1]], np.float32))
    np.testing.assert_allclose(units, [[12.5, 0, 5, 1], [-80, 3, -9, -2]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_actions_have_the_type_of_their_space_and_lie_in_it(dtype):
    space = vector([-1, 0.1, -3.3], [2, 0.7, 3.2], dtype)
    rows = np.random.default_rng(0).normal(size=(200, 3), scale=2).astype(np.float32)
    units = Spaces(Discrete(2), space).decode(rows)
    assert units.dtype == dtype
    assert all(space.contains(row) for row in units)


@pytest.mark.parametrize("start", [0, 3])
def test_discrete_actions_are_whole_numbers_from_where_the_space_starts(start):
    space = Discrete(3, start=start)
    actions = Spaces(Discrete(2), space).decode(np.array([0, 2, 1]))
    assert actions == [start, start + 2, start + 1]
    assert all(isinstance(action, int) and space.contains(action) for action in actions)


OTHERS = {
    "Dict": spaces.Dict(a=Discrete(2)),
    "Tuple": spaces.Tuple([Discrete(2)]),
    "MultiDiscrete": spaces.MultiDiscrete([2, 3]),
    "MultiBinary": spaces.MultiBinary(4),
    "Box of shape (2, 3)": Box(0, 1, (2, 3)),
    "Box of shape ()": Box(0, 1, ()),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_observations_are_refused_with_the_wrapper_that_helps(name):
    with pytest.raises(UserError) as e:
        check_spaces("Odd-v0", OTHERS[name], Discrete(2))
    message = str(e.value)
    assert "\n" not in message
    assert f"--env Odd-v0 has {name} observations" in message
    assert "gymnasium.wrappers.FlattenObservation" in message


@pytest.mark.parametrize("name", OTHERS)
def test_other_actions_are_refused_with_the_wrapper_that_helps(name):
    with pytest.raises(UserError) as e:
        check_spaces("Odd-v0", Discrete(2), OTHERS[name])
    message = str(e.value)
    assert "\n" not in message
    assert f"--env Odd-v0 has {name} actions" in message
    assert "gymnasium.ActionWrapper" in message


def test_images_are_refused_for_what_they_are():
    with pytest.raises(UserError, match=r"--env Odd-v0 has images \(84, 84, 3\).*wrapper"):
        check_spaces("Odd-v0", Box(0, 255, (84, 84, 3), np.uint8), Discrete(2))


@pytest.mark.parametrize("obs", [Discrete(5), Box(-1, 1, (3,)), Box(-np.inf, np.inf, (3,))])
@pytest.mark.parametrize("act", [Discrete(5), Box(-1, 1, (3,)), Box(-np.inf, np.inf, (3,))])
def test_vectors_and_discrete_spaces_are_fine(obs, act):
    check_spaces("Even-v0", obs, act)


@pytest.mark.parametrize(
    "space",
    [Discrete(3), Discrete(3, start=-1), vector([-1, -np.inf], [2, np.inf], np.float64)],
)
def test_a_space_survives_as_plain_data(space):
    again = from_plain(plain(space))
    assert again == space
    assert again.dtype == space.dtype
