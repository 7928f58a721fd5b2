"""Environments: steps and resets, seeds, faults, spaces, saving and replaying, evaluation."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from rlcourse import ppo
from rlcourse.utils import checkpoint, evaluate, mpi
from rlcourse.utils.config import Settings, UserError
from rlcourse.utils.envs import EVAL, TRAIN, Envs, episode_seed, make
from rlcourse.utils.evaluate import Evaluation
from rlcourse.utils.policy import Policy
from rlcourse.utils.spaces import Spaces, from_plain, plain


class Scripted(gym.Env):
    """Shows (a draw of its seed, steps so far) and pays the step's number; ends as it is told."""

    def __init__(self, length=0, ends="terminated", fault="", at=3, only=None, double=False):
        self.length, self.ends, self.fault, self.at, self.only = length, ends, fault, at, only
        dtype = np.float64 if double else np.float32
        self.observation_space = Box(-np.inf, np.inf, (2,), dtype)
        self.action_space = Discrete(2)
        self.shown = np.zeros(2, dtype)  # one array for all observations
        self.episode = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode += 1
        self.steps, self.last = 0, self.length or int(self.np_random.integers(2, 9))
        self.shown[:] = self.np_random.random(), 0
        self._break()
        return self._observe(), {}

    def step(self, action):
        self.steps += 1
        self.shown[1] = self.steps
        rew, over = float(self.steps), self.steps >= self.last
        self._break()
        if self._now() and self.fault.startswith("reward"):
            rew = float(self.fault.split()[1])
        if self.fault == "array":
            rew = np.array(rew, np.float32)
        if self.fault == "mutate":
            action += 1
        obs = self._observe()
        return obs, rew, over and self.ends != "truncated", over and self.ends != "terminated", {}

    def _break(self):
        if self._now() and self.fault == "raise":
            raise ZeroDivisionError("broken")

    def _now(self):
        return self.steps == self.at and self.only in (None, self.episode)

    def _observe(self):
        if self._now() and self.fault.startswith("obs"):
            self.shown[0] = float(self.fault.split()[1])
        if self._now() and self.fault == "shape":
            return np.zeros(3, np.float32)
        return self.shown


class Endless(Scripted):
    """Neither terminates nor is truncated."""

    def reset(self, **kwargs):
        result = super().reset(**kwargs)
        self.last = np.inf
        return result


class Recorder(gym.Env):
    """Remembers the actions that reach it."""

    def __init__(self, act):
        self.observation_space = Discrete(3, start=5)
        self.action_space = act
        self.got = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 5, {}

    def step(self, action):
        self.got.append(np.array(action))
        return 5 + len(self.got) % 3, 0.0, False, False, {}


class Unrepeatable(gym.Env):
    """Draws from a generator that no seed reaches, and does not like to be stepped when over."""

    chance = np.random.default_rng(0)

    def __init__(self, ends=False):
        self.observation_space = Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = Discrete(2)
        self.ends = ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.over = False
        return self._draw(), {}

    def step(self, action):
        assert not self.over, "stepped after the end"
        self.over = self.ends and self.chance.random() < 0.3
        return self._draw(), 1.0, self.over, False, {}

    def _draw(self):
        return self.chance.random(1).astype(np.float32)


class Pushed(gym.Env):
    """A continuous environment that clips its action in place, as some do."""

    def __init__(self):
        self.observation_space = Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = np.zeros(1, np.float32)
        return self.x.copy(), {}

    def step(self, action):
        action *= 0.5
        self.x += action
        return self.x.copy(), 0.0, False, False, {}


for kind in (Scripted, Endless, Recorder, Unrepeatable, Pushed):
    gym.register(f"{kind.__name__}-v0", entry_point=kind, disable_env_checker=True)


def envs(env, num_envs=3, seed=0, max_ep_len=0, **kwargs):
    settings = Settings(env_kwargs=kwargs, max_ep_len=max_ep_len)
    return Envs(ppo.Config(env=env, num_envs=num_envs, seed=seed), settings)


def draw_actions(env, generator):
    """Random actions of a policy, also outside of [-1, 1]."""
    n = len(env.envs)
    if isinstance(env.act_space, Discrete):
        return torch.randint(int(env.act_space.n), (n,), generator=generator)
    return torch.randn((n, *env.act_space.shape), generator=generator)


def play(env, steps, generator):
    """Everything that `steps` steps hand out."""
    trace = []
    for _ in range(steps):
        obs = env.reset_done()
        trace += [obs, *env.step(draw_actions(env, generator))]
    return trace


def equal(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def random_source():
    return torch.Generator().manual_seed(7)


# -------------------------------------------------------------------------- steps and resets


def test_reset_done_begins_new_episodes_only_where_one_ended():
    env, generator, seen = envs("Scripted-v0"), random_source(), set()
    env.reset_done()
    for _ in range(40):
        after, _, _, done = env.step(draw_actions(env, generator))
        obs, over = env.reset_done(), done.bool()
        assert torch.equal(obs[~over], after[~over])
        assert (obs[over][:, 1] == 0).all()
        assert (obs[over][:, 0] != after[over][:, 0]).all()
        assert torch.equal(env.reset_done(), obs), "a second call must change nothing"
        seen.add(int(over.sum()))
    assert {0, 1} <= seen  # rows ended at different times


@pytest.mark.parametrize(("ends", "term"), [("terminated", 1.0), ("truncated", 0.0), ("both", 1.0)])
def test_term_is_only_a_terminal_state_and_done_is_any_end(ends, term):
    env = envs("Scripted-v0", length=3, ends=ends)
    env.reset_done()
    flags = [env.step(torch.zeros(3, dtype=torch.long))[2:] for _ in range(3)]
    assert [t.tolist() for t, _ in flags] == [[0.0] * 3, [0.0] * 3, [term] * 3]
    assert [d.tolist() for _, d in flags] == [[0.0] * 3, [0.0] * 3, [1.0] * 3]


def test_next_obs_at_a_time_limit_is_the_true_last_observation():
    env, single = envs("Pendulum-v1", num_envs=1, max_ep_len=4), gym.make("Pendulum-v1")
    single.reset(seed=episode_seed(0, TRAIN, 0, 0))
    env.reset_done()
    for step in range(4):
        after, _, term, done = env.step(torch.full((1, 1), 0.5))
        expected, *_ = single.step(np.array([1.0], np.float32))
        np.testing.assert_array_equal(after[0].numpy(), expected)
        assert (float(term), float(done)) == (0.0, float(step == 3))
    begun = env.reset_done()
    first, _ = single.reset(seed=episode_seed(0, TRAIN, 0, 1))
    np.testing.assert_array_equal(begun[0].numpy(), first)
    assert not torch.equal(begun, after)


@pytest.mark.fault("side-by-side")
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "Scripted-v0", "FrozenLake-v1"])
def test_n_environments_equal_n_single_ones_step_for_step(name):
    n, generator = 3, random_source()
    env, singles = envs(name, n, seed=4), [gym.make(name, max_episode_steps=None) for _ in range(n)]
    spaces, episode, over = env.spaces, [-1] * n, [True] * n
    for _ in range(250):
        obs = env.reset_done()
        for i in range(n):
            if over[i]:
                episode[i] += 1
                first, _ = singles[i].reset(seed=episode_seed(4, TRAIN, i, episode[i]))
                np.testing.assert_array_equal(obs[i].numpy(), spaces.encode([first])[0])
        act = draw_actions(env, generator)
        after, rew, term, done = env.step(act)
        for i, action in enumerate(spaces.decode(act.numpy())):
            o, r, terminated, truncated, _ = singles[i].step(action)
            over[i] = terminated or truncated
            np.testing.assert_array_equal(after[i].numpy(), spaces.encode([o])[0])
            assert rew[i] == np.float32(r)
            assert (bool(term[i]), bool(done[i])) == (terminated, over[i])
    assert max(episode) > 0


def test_a_step_hands_out_rows_and_vectors_of_float32():
    env = envs("Scripted-v0", double=True)
    obs = env.reset_done()
    after, *vectors = env.step(torch.zeros(3, dtype=torch.long))
    assert obs.shape == after.shape == (3, 2)
    assert [x.shape for x in vectors] == [(3,)] * 3
    assert {x.dtype for x in (obs, after, *vectors)} == {torch.float32}


@pytest.mark.fault("drifts")
@pytest.mark.parametrize("n", [1, 3])
def test_what_was_handed_out_is_not_overwritten_later(n):
    env, generator, given, copies = envs("Scripted-v0", n), random_source(), [], []
    for _ in range(40):
        given += [env.reset_done(), *env.step(draw_actions(env, generator)), env.reset_done()]
        copies += [x.clone() for x in given[len(copies) :]]
    assert equal(given, copies)


def test_finished_episodes_are_counted_with_return_and_length():
    env = envs("Scripted-v0", num_envs=2, length=3)
    play(env, 7, random_source())
    assert env.finished == [(6.0, 3)] * 4  # 1 + 2 + 3, twice in each


@pytest.mark.fault("never-ends")
def test_max_ep_len_cuts_an_endless_episode_as_truncation():
    env = envs("Endless-v0", num_envs=1, max_ep_len=5)
    trace = [play(env, 1, random_source())[3:] for _ in range(10)]
    assert [float(term) for term, _ in trace] == [0.0] * 10
    assert [float(done) for _, done in trace] == [0, 0, 0, 0, 1] * 2


@pytest.mark.fault("drifts")
def test_a_reward_may_be_a_numpy_array():
    env = envs("Scripted-v0", fault="array", length=4)
    env.reset_done()
    assert [env.step(torch.zeros(3))[1].tolist() for _ in range(2)] == [[1.0] * 3, [2.0] * 3]
    assert all(type(total) is float for total in env.total)


# -------------------------------------------------------------------------------------- seeds


def test_no_two_episodes_share_a_seed():
    numbers = itertools.product(range(4), (TRAIN, EVAL), range(6), range(30))
    seeds = [episode_seed(*number) for number in numbers]
    assert len(set(seeds)) == len(seeds)
    assert all(type(seed) is int for seed in seeds)


def test_environments_begin_differently_and_so_do_their_episodes_and_runs():
    starts = []
    for seed in range(3):
        env = envs("Scripted-v0", seed=seed, length=1)
        for _ in range(3):
            starts += env.reset_done()[:, 0].tolist()
            env.step(torch.zeros(3))
    assert len(set(starts)) == 27


@pytest.mark.fault("side-by-side")
def test_two_processes_play_the_episodes_that_one_would(monkeypatch):
    alone = envs("Scripted-v0", num_envs=4)
    monkeypatch.setattr(mpi, "size", lambda: 2)
    halves = []
    for rank in range(2):
        monkeypatch.setattr(mpi, "rank", lambda rank=rank: rank)
        halves.append(envs("Scripted-v0", num_envs=2))
    for _ in range(30):
        begun = torch.cat([half.reset_done() for half in halves])
        assert torch.equal(alone.reset_done(), begun)
        after = torch.cat([half.step(torch.zeros(2))[0] for half in halves])
        assert torch.equal(alone.step(torch.zeros(4))[0], after)
    assert max(alone.episode) > 2


@pytest.mark.fault("side-by-side")
def test_evaluation_shares_its_episodes_out_over_the_processes(monkeypatch):
    settings = Settings(eval_episodes=5)
    monkeypatch.setattr(mpi, "size", lambda: 2)
    numbers = []
    for rank in range(2):
        monkeypatch.setattr(mpi, "rank", lambda rank=rank: rank)
        numbers += Evaluation("Scripted-v0", 0, settings).numbers
    assert sorted(numbers) == [0, 1, 2, 3, 4]


# ------------------------------------------------------------------------------------- faults


@pytest.mark.fault("not-finite")
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(("field", "name"), [("obs", "observation"), ("reward", "reward")])
def test_a_value_that_is_not_finite_is_refused_at_its_step(field, name, value):
    env = envs("Scripted-v0", 2, length=4, fault=f"{field} {value}", at=3, only=1)
    for _ in range(4 + 2):
        play(env, 1, random_source())
    with pytest.raises(FloatingPointError, match=f"{name} of environment 0, episode 1, step 3"):
        play(env, 1, random_source())


@pytest.mark.fault("not-finite")
def test_a_first_observation_that_is_not_finite_is_refused():
    env = envs("Scripted-v0", 2, fault="obs nan", at=0)
    with pytest.raises(FloatingPointError, match="observation of environment 0, episode 0, step 0"):
        env.reset_done()


@pytest.mark.fault("not-finite")
def test_a_reward_that_is_too_large_for_the_networks_is_refused():
    env = envs("Scripted-v0", 2, length=5, fault="reward 1e39", at=2)
    play(env, 1, random_source())
    with pytest.raises(FloatingPointError, match="reward of environment 0, episode 0, step 2"):
        play(env, 1, random_source())


def test_large_but_finite_values_are_let_through():
    env = envs("Scripted-v0", 2, fault="obs 3e38", at=1)
    env.reset_done()
    after, *_ = env.step(torch.zeros(2))
    assert after[:, 0].tolist() == [np.float32(3e38)] * 2


@pytest.mark.fault("not-finite")
def test_the_place_names_the_environment_among_all_processes(monkeypatch):
    monkeypatch.setattr(mpi, "rank", lambda: 1)
    monkeypatch.setattr(mpi, "size", lambda: 2)
    env = envs("Scripted-v0", 2, fault="reward nan", at=1)
    env.reset_done()
    with pytest.raises(FloatingPointError, match="environment 2, episode 0, step 1, process 1"):
        env.step(torch.zeros(2))


@pytest.mark.fault("raises")
def test_an_environment_that_raises_is_named_in_a_note():
    env = envs("Scripted-v0", 2, length=5, fault="raise", at=2)
    env.reset_done()
    env.step(torch.zeros(2))
    with pytest.raises(ZeroDivisionError, match="broken") as error:
        env.step(torch.zeros(2))
    assert "environment 0, episode 0, step 2" in "".join(error.value.__notes__)
    env = envs("Scripted-v0", 2, fault="raise", at=0)
    with pytest.raises(ZeroDivisionError, match="broken") as error:
        env.reset_done()
    assert "environment 0, episode 0, step 0" in "".join(error.value.__notes__)


@pytest.mark.fault("drifts")
def test_an_observation_of_another_shape_is_refused():
    env = envs("Scripted-v0", 1, fault="shape", at=1)
    env.reset_done()
    with pytest.raises(ValueError, match=r"\(3,\)"):
        env.step(torch.zeros(1))


# ------------------------------------------------------------------------------------- spaces


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ([-2.0], [2.0], {-1: -2, 0: 0, 0.5: 1, 1: 2, 3: 2, -1e30: -2}),
        ([0.0], [5.0], {-1: 0, -0.5: 1.25, 0: 2.5, 0.5: 3.75, 1: 5, 2: 5}),
        ([-np.inf], [np.inf], {-1: -1, 0: 0, 7.5: 7.5}),
        ([0.0], [np.inf], {-1: 0, 0.5: 0.5, 7.5: 7.5}),
    ],
)
def test_actions_are_mapped_to_the_box_and_clipped(low, high, expected):
    box = Box(np.array(low, np.float32), np.array(high, np.float32))
    env = envs("Recorder-v0", 1, act=box)
    env.reset_done()
    for act in expected:
        env.step(torch.tensor([[float(act)]]))
    got = env.envs[0].unwrapped.got
    np.testing.assert_allclose(np.concatenate(got), list(expected.values()))
    assert {action.dtype for action in got} == {np.dtype(np.float32)}


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_actions_of_which_only_the_sum_is_infinite_are_clipped_like_all_others():
    env = envs("Recorder-v0", 2, act=Box(-2, 2, (1,)))
    env.reset_done()
    env.step(torch.full((2, 1), 3e38))
    assert [e.unwrapped.got[0].tolist() for e in env.envs] == [[2], [2]]


@pytest.mark.fault("bounds")
def test_each_dimension_of_an_action_has_its_own_bounds():
    low, high = np.array([-1, 0, -np.inf], np.float32), np.array([2, 7, np.inf], np.float32)
    env = envs("Recorder-v0", 2, act=Box(low, high))
    env.reset_done()
    env.step(torch.tensor([[-1.0, 1, 9], [0, 0, -9]]))
    np.testing.assert_allclose(env.envs[0].unwrapped.got[0], [-1, 7, 9])
    np.testing.assert_allclose(env.envs[1].unwrapped.got[0], [0.5, 3.5, -9])


def test_discrete_spaces_may_start_anywhere():
    env = envs("Recorder-v0", 2, act=Discrete(3, start=-1))
    assert env.reset_done().tolist() == [[1.0, 0, 0]] * 2
    after, *_ = env.step(torch.tensor([0, 2]))
    assert after.tolist() == [[0.0, 1, 0]] * 2
    assert [int(e.unwrapped.got[0]) for e in env.envs] == [-1, 1]


@pytest.mark.parametrize(
    "space",
    [
        Discrete(3, start=-2),
        Box(np.array([-1.5, -np.inf], np.float32), np.array([3, np.inf], np.float32)),
        Box(-1.5, 3.0, (2,), np.float64),
    ],
)
def test_a_space_survives_as_plain_data(space, tmp_path):
    checkpoint.save(tmp_path / "space.pt", plain(space))
    assert from_plain(checkpoint.load(tmp_path / "space.pt")) == space


# ----------------------------------------------------------------------- saving and continuing


def saved(env, tmp_path):
    """The state as it comes back from a file."""
    checkpoint.save(tmp_path / "envs.pt", {"envs": env.state_dict()})
    return checkpoint.load(tmp_path / "envs.pt")["envs"]


REPLAYED = {
    "CartPole-v1": None,
    "Pendulum-v1": None,
    "Acrobot-v1": None,
    "MountainCarContinuous-v0": None,
    "FrozenLake-v1": None,
    "Scripted-v0": None,
    "HalfCheetah-v5": "mujoco",
    "Hopper-v5": "mujoco",
    "LunarLander-v3": "Box2D",
}


@pytest.mark.fault("killed")
@pytest.mark.parametrize("name", REPLAYED)
def test_saved_environments_continue_bit_for_bit(name, tmp_path):
    if REPLAYED[name]:
        pytest.importorskip(REPLAYED[name])
    env, generator = envs(name, seed=2, max_ep_len=90), random_source()
    play(env, 130, generator)
    env.finished = []
    state, randomness = saved(env, tmp_path), generator.get_state()
    lengths = [0 if over else len(env.played[i]) for i, over in enumerate(env.over)]
    assert any(lengths), "an episode must be open, or nothing is tested"
    expected = play(env, 150, generator)

    again = envs(name, seed=2, max_ep_len=90)
    assert again.load_state_dict(state) == []
    assert [len(actions) for actions in again.played] == lengths
    assert torch.equal(again.reset_done(), expected[0])
    generator.set_state(randomness)
    assert equal(play(again, 150, generator), expected)
    assert again.finished == env.finished
    assert len(env.finished) > 0


def test_an_episode_that_was_just_over_is_not_played_again(tmp_path):
    env, generator = envs("Scripted-v0", 2, length=4), random_source()
    play(env, 8, generator)
    assert env.over == [True, True]
    again = envs("Scripted-v0", 2, length=4)
    assert again.load_state_dict(saved(env, tmp_path)) == []
    assert torch.equal(again.reset_done(), env.reset_done())
    assert again.episode == env.episode == [2, 2]


def test_replaying_survives_an_environment_that_writes_to_its_action(tmp_path):
    env, generator = envs("Pushed-v0", 2), random_source()
    play(env, 6, generator)
    again = envs("Pushed-v0", 2)
    assert again.load_state_dict(saved(env, tmp_path)) == []
    assert torch.equal(again.reset_done(), env.reset_done())


@pytest.mark.parametrize("ends", [False, True])
def test_an_environment_that_does_not_repeat_itself_gets_a_new_episode_and_is_named(tmp_path, ends):
    env = envs("Unrepeatable-v0", 3, ends=ends)
    play(env, 6, random_source())
    opened = [i for i in range(3) if not env.over[i]]
    again = envs("Unrepeatable-v0", 3, ends=ends)
    complaints = again.load_state_dict(saved(env, tmp_path))
    assert len(complaints) == len(opened) > 0
    for i, complaint in zip(opened, complaints, strict=True):
        assert f"environment {i}, episode {env.episode[i]}" in complaint
        assert "did not repeat itself" in complaint
    again.reset_done()
    assert again.episode == [number + 1 for number in env.episode]
    assert [len(actions) for actions in again.played] == [0, 0, 0]
    assert again.total == [0.0, 0.0, 0.0]


# --------------------------------------------------------------------------------- evaluation


class Player:
    """Stands in for an agent: a linear function of the observation, as one of each kind."""

    def __init__(self, env):
        weights = torch.Generator().manual_seed(3)
        space = env.action_space
        outputs = int(space.n) if isinstance(space, Discrete) else space.shape[0]
        self.discrete = isinstance(space, Discrete)
        self.w = torch.randn(env.observation_space.shape[0], outputs, generator=weights)

    def act(self, obs):
        out = obs @ self.w
        return out.argmax(-1) if self.discrete else out


def policy_for(env):
    return Policy(Player(env), Spaces(env.observation_space, env.action_space))


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "Scripted-v0"])
def test_playing_side_by_side_equals_playing_one_by_one(name):
    settings = Settings(eval_episodes=4, max_ep_len=60)
    env = make(name, settings)
    player = policy_for(env)
    expected = []
    for number in range(4):
        obs, _ = env.reset(seed=episode_seed(5, EVAL, number, 7))
        total, length, over = 0.0, 0, False
        while not over:
            obs, rew, term, trunc, _ = env.step(player.act(obs))
            total, length, over = total + float(rew), length + 1, term or trunc
        expected.append((total, length))
    played = Evaluation(name, 5, settings).play(player, 7)
    assert [length for _, length in played] == [length for _, length in expected]
    np.testing.assert_allclose([r for r, _ in played], [r for r, _ in expected], rtol=1e-5)
    assert len(set(played)) > 1


def test_equal_rounds_of_evaluation_start_equally_and_other_rounds_do_not():
    evaluation = Evaluation("Pendulum-v1", 0, Settings(eval_episodes=2))
    player = policy_for(evaluation.envs[0])
    first, other, again = (evaluation.play(player, round_) for round_ in (3, 4, 3))
    assert first == again != other


def test_an_evaluation_changes_neither_random_numbers_nor_the_training_environments():
    agent = ppo.Agent(4, gym.make("CartPole-v1").action_space, ppo.Config(env="CartPole-v1"))
    env, generator = envs("CartPole-v1"), random_source()
    play(env, 15, generator)
    before, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    shown = env.reset_done()
    Evaluation("CartPole-v1", 0, Settings()).play(Policy(agent, env.spaces), 0)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)
    assert torch.equal(env.reset_done(), shown)


@pytest.mark.fault("never-ends")
def test_an_evaluation_ends_where_an_environment_never_does(monkeypatch):
    monkeypatch.setattr(evaluate, "NO_LIMIT", 50)
    evaluation = Evaluation("Endless-v0", 0, Settings(eval_episodes=2))
    assert [n for _, n in evaluation.play(policy_for(evaluation.envs[0]), 0)] == [50, 50]


@pytest.mark.fault("not-finite")
def test_an_evaluation_whose_return_is_not_finite_is_refused():
    settings = Settings(eval_episodes=2, env_kwargs={"length": 3, "fault": "reward nan", "at": 2})
    evaluation = Evaluation("Scripted-v0", 0, settings)
    with pytest.raises(FloatingPointError, match="evaluation.*nan"):
        evaluation.play(policy_for(evaluation.envs[0]), 0)


def test_an_evaluation_keeps_to_max_ep_len():
    evaluation = Evaluation("Endless-v0", 0, Settings(eval_episodes=2, max_ep_len=9))
    assert [n for _, n in evaluation.play(policy_for(evaluation.envs[0]), 0)] == [9, 9]


# --------------------------------------------------------------------------------- being made


def test_arguments_reach_the_environment_and_refused_ones_are_named():
    assert make("Pendulum-v1", Settings(env_kwargs={"g": 3.0})).unwrapped.g == 3.0
    with pytest.raises(UserError, match="--env-kwargs.*'wind'"):
        make("Pendulum-v1", Settings(env_kwargs={"wind": 1}))
