"""Environments that misbehave: stopped at the very step, or taken as they are."""

from importlib import import_module
from pathlib import Path

import pytest
import torch
from commands import here

from rlcourse import ALGOS
from rlcourse.utils import checkpoint
from rlcourse.utils.config import Settings
from rlcourse.utils.envs import Envs
from rlcourse.utils.logger import read

ON_POLICY = "--horizon 16 --num-envs 2 --minibatch 16 --passes 1"
FLAGS = {
    "vpg": "--horizon 16 --num-envs 2 --minibatch 16",
    "ppo": ON_POLICY,
    **dict.fromkeys(
        ("ddpg", "td3", "sac"),
        "--horizon 16 --num-envs 2 --minibatch 16 --random-steps 8 --memory 500",
    ),
}
SMALL = "--hidden 8 --epochs 4 --save-every 0 --eval-episodes 1"
FOLDER = Path("data/exp/exp_s0")

every_algorithm = pytest.mark.parametrize("algo", ALGOS)


def train(algo, fault="", env="Faulty-v0", more=""):
    kwargs = f"--env-kwargs {fault}" if fault else ""
    return here(algo, f"--env faulty:{env} {SMALL} {FLAGS[algo]} {more} {kwargs}")


def rows():
    """What training wrote, without times and evaluations."""
    return [
        {n: x for n, x in row.items() if not any(w in n for w in ("Time", "PerSec"))}
        for row in read(FOLDER / "progress.csv")
    ]


def assert_stopped_in_epoch_2(capsys, *fragments):
    """One epoch is written and saved, all of it finite, and nothing after it."""
    err = capsys.readouterr().err
    for fragment in fragments:
        assert fragment in err
    assert [row["Epoch"] for row in rows()] == [1]
    state = checkpoint.load(FOLDER / "checkpoint.pt")
    assert state["epoch"] == 1
    tensors = [x for x in state["agent"].values() if x.is_floating_point()]
    assert tensors and all(x.isfinite().all() for x in tensors)


# -------------------------------------------------------------------------- what is not finite


@pytest.mark.fault("not-finite")
@every_algorithm
@pytest.mark.parametrize(
    ("fault", "field", "value"),
    [
        ("nan_obs", "observation", "nan"),
        ("inf_obs", "observation", "inf"),
        ("nan_reward", "reward", "nan"),
        ("inf_reward", "reward", "-inf"),
        ("huge_reward", "reward", "1e+39"),
    ],
)
def test_a_number_that_is_none_stops_the_run_in_its_step(algo, fault, field, value, capsys):
    assert train(algo, f"fault={fault} at_step=30") == 1
    where = f"the {field} of environment 0, episode 1, step 10 is"
    assert_stopped_in_epoch_2(capsys, f"FloatingPointError: {where}", value)


@pytest.mark.fault("not-finite")
@every_algorithm
def test_a_gradient_that_is_no_number_is_not_stepped_along(algo, capsys, monkeypatch):
    module = import_module(f"rlcourse.algos.{algo}")
    loss, calls = module.loss_pi, 0

    def spoilt(*args):
        nonlocal calls
        calls += 1
        out = loss(*args)
        epoch_2 = (FOLDER / "progress.csv").exists() and rows()
        spoil = torch.nan if epoch_2 else 1
        return (out[0] * spoil, *out[1:]) if isinstance(out, tuple) else out * spoil

    monkeypatch.setattr(module, "loss_pi", spoilt)
    assert train(algo) == 1
    assert_stopped_in_epoch_2(capsys, "FloatingPointError: the gradient of", "is nan")
    assert calls > 1


@pytest.mark.fault("not-finite")
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_action_that_is_no_number_never_reaches_an_environment(value):
    cfg = import_module("rlcourse.algos.sac").Config("Pendulum-v1", num_envs=2)
    envs = Envs(cfg, Settings())
    envs.reset_done()
    with pytest.raises(FloatingPointError, match="the action after environment 1, episode 0, st"):
        envs.step(torch.tensor([[0.5], [value]]))
    assert not envs.played[0]


# ---------------------------------------------------------------------------------- breaking


@pytest.mark.fault("raises")
@every_algorithm
def test_an_environment_that_raises_ends_the_run_with_its_own_traceback(algo, capsys):
    assert train(algo, "fault=raise at_step=30") == 1
    place = "This was raised by environment 0, episode 1, step 10."
    error = "ZeroDivisionError: the motor is broken"
    assert_stopped_in_epoch_2(capsys, "faulty.py", error, place)


@pytest.mark.fault("raises")
def test_an_environment_that_raises_in_an_evaluation_is_told_so(capsys):
    assert train("vpg", "fault=raise at_step=19", more="--horizon 8 --eval-every 1") == 1
    assert "This was raised by evaluation episode 0, step 19." in capsys.readouterr().err


@pytest.mark.fault("drifts")
@every_algorithm
def test_an_observation_of_another_shape_ends_the_run(algo, capsys):
    assert train(algo, "fault=shape at_step=30") == 1
    assert_stopped_in_epoch_2(capsys, "observations of shape", "(2,)")


@pytest.mark.fault("drifts")
def test_a_reward_that_is_a_text_ends_the_run(capsys):
    assert train("ppo", "fault=text_reward at_step=30") == 1
    assert_stopped_in_epoch_2(capsys, "TypeError: a reward must be a number, not '-")


# ------------------------------------------------------------------- unusual, and taken as meant


@pytest.mark.fault("drifts")
@every_algorithm
def test_other_types_and_a_reused_array_change_no_number(algo, capsys):
    assert train(algo) == 0
    expected = rows()
    assert len(expected) == 4
    for fault in ("float64", "list", "same_array", "array_reward"):
        assert train(algo, f"fault={fault}", more="--overwrite") == 0
        assert rows() == expected, fault


@pytest.mark.fault("drifts")
def test_whole_numbers_are_rewards_too(capsys):
    assert train("ppo", "fault=integer_reward") == 0
    assert all(
        row["AverageTestEpRet"] in (None, int(row["AverageTestEpRet"] or 0)) for row in rows()
    )


@pytest.mark.fault("never-ends")
@every_algorithm
def test_an_environment_that_never_ends_can_be_trained_on(algo, capsys):
    assert train(algo, env="Unlimited-v0") == 0
    assert all(row["AverageEpRet"] is None for row in rows())  # no episode, no return
    assert rows()[-1]["TestEpLen"] == 10_000


@pytest.mark.fault("never-ends")
@every_algorithm
def test_a_limit_of_ones_own_cuts_an_endless_environment(algo, capsys):
    assert train(algo, env="Unlimited-v0", more="--max-ep-len 10") == 0
    assert [row["EpLen"] for row in rows()] == [10] * 4
    assert rows()[-1]["TestEpLen"] == 10


@pytest.mark.fault("short-episodes")
@every_algorithm
def test_episodes_of_one_step_are_episodes(algo, capsys):
    assert train(algo, "fault=short") == 0
    assert [row["EpLen"] for row in rows()] == [1] * 4
    assert all(x == x for row in rows() for x in row.values() if isinstance(x, float))


@pytest.mark.fault("short-episodes")
@every_algorithm
def test_an_epoch_in_which_no_episode_ends_has_no_return(algo, capsys):
    assert train(algo, more="--horizon 8") == 0
    ends = [row["AverageEpRet"] is not None for row in rows()]
    assert ends == [False, False, True, False]  # after 20 steps


@pytest.mark.fault("bounds")
@every_algorithm
def test_actions_keep_to_bounds_that_are_not_symmetric(algo, capsys, monkeypatch):
    import faulty

    seen, step = [], faulty.Faulty.step
    monkeypatch.setattr(
        faulty.Faulty, "step", lambda self, act: (seen.append(float(act[0])), step(self, act))[1]
    )
    assert train(algo, "low=1 high=5") == 0
    assert 1 <= min(seen) < max(seen) <= 5


@pytest.mark.fault("bounds")
@every_algorithm
def test_a_box_without_bounds_is_for_the_algorithms_that_can_fill_it(algo, capsys):
    code = train(algo, "low=-inf high=inf")
    if algo in ("vpg", "ppo"):
        assert code == 0
    else:
        err = capsys.readouterr().err
        assert code == 2 and err.count("\n") == 1 and "ppo" in err
        assert not FOLDER.exists()
