"""Does it learn? Trained for minutes, and judged by 20 episodes of the deterministic policy."""

import pytest

from rlcourse import ddpg, ppo, sac, td3, vpg
from rlcourse.utils.config import Settings
from rlcourse.utils.run import Run

pytestmark = pytest.mark.slow


def final_return(algo, cfg):
    """The mean return of the trained policy, over 20 episodes."""
    run = Run(cfg, Settings(eval_every=cfg.epochs, eval_episodes=20), show=False)
    algo.train(cfg, run)
    return run.rows[-1]["AverageTestEpRet"]


@pytest.mark.parametrize("seed", [1, 2])
def test_ppo_balances_cartpole(seed):
    cfg = ppo.Config(env="CartPole-v1", seed=seed)
    half = ppo.Config(env="CartPole-v1", seed=seed, epochs=cfg.epochs // 2)
    assert final_return(ppo, half) >= 475  # the environment's own threshold; 500 is the most


@pytest.mark.parametrize("seed", [1, 2])
def test_vpg_balances_cartpole(seed):
    assert final_return(vpg, vpg.Config(env="CartPole-v1", seed=seed)) >= 400


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_ppo_swings_up_pendulum(seed):
    cfg = ppo.Config(env="Pendulum-v1", seed=seed, epochs=60, gamma=0.9, lr=1e-3, minibatch=64)
    assert final_return(ppo, cfg) > -400  # random actions give -1200, a policy that hangs -1000


@pytest.mark.parametrize(
    "algo, epochs", [(ddpg, 6), (td3, 9), (sac, 6)], ids=["ddpg", "td3", "sac"]
)
def test_the_off_policy_three_swing_up_pendulum_in_few_steps(algo, epochs):
    """After 6,000 steps, TD3 after 9,000, at one gradient step each."""
    cfg = algo.Config("Pendulum-v1", seed=1, epochs=epochs, hidden=(64, 64), minibatch=100)
    assert cfg.epochs * cfg.horizon * cfg.num_envs == 1000 * epochs
    assert final_return(algo, cfg) >= -300  # 20 fixed starts: the best are about -140


def test_ppo_runs_with_halfcheetah():
    pytest.importorskip("mujoco")
    cfg = ppo.Config(env="HalfCheetah-v5", seed=1, epochs=30, lr=1e-3)
    assert final_return(ppo, cfg) > 0  # random actions give -280
