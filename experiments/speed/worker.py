"""One package that trains in a process of its own, a turn at a time: what measure.py starts.

    python worker.py '{"package": "sb3", "algo": "ppo", "env": "CartPole-v1", ...}'

The environment itself keeps the time, so that all packages are measured alike and none is changed:
it counts the steps of all its copies and, after each `turn` of them, writes the clocks to standard
output and waits for a line on standard input. The first step of all ends a turn too. With a `goal`
there are no turns: it writes once, when the mean return of the newest training episodes is there.
"""

import json
import os
import resource
import sys
import time
from collections import deque
from importlib import import_module
from importlib.metadata import version
from typing import Any

CASE = json.loads(sys.argv[1])
if CASE["threads"] == 1:  # before anything is imported
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
REPORTS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the packages print is not a report

import gymnasium as gym  # noqa: E402

NAME = "Timed-v0"


class Clock:
    """The steps and returns of all environments of this process."""

    def __init__(self) -> None:
        self.steps, self.next = 0, 1
        self.goal, episodes = CASE.get("goal") or (None, 1)
        self.returns: deque[float] = deque(maxlen=episodes)
        if self.goal is not None:
            self.next = CASE["limit"]

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.next:
            self.next = CASE["turn"] * (self.steps // CASE["turn"] + 1)
            self.report()

    def episode(self, ret: float) -> None:
        self.returns.append(ret)
        full = len(self.returns) == self.returns.maxlen
        if self.goal is not None and full and sum(self.returns) / len(self.returns) >= self.goal:
            self.report(solved=True)

    def report(self, **more: Any) -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        now = dict(steps=self.steps, cpu=time.process_time(), memory=memory, **more)
        print(json.dumps(now), file=REPORTS, flush=True)
        if sys.stdin.readline() != "go\n":
            os._exit(0)


class Timed(gym.Wrapper):
    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.total = 0.0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, ...]:
        CLOCK.step()
        found = self.env.step(action)
        self.total += float(found[1])
        if found[2] or found[3]:
            CLOCK.episode(self.total)
        return found


CLOCK = Clock()
gym.register(NAME, entry_point=lambda **kwargs: Timed(gym.make(CASE["env"], **kwargs)))

# ---- the packages, with equal settings unless the case asks for their own defaults

ENDLESS = 10**9


def rlcourse() -> None:
    from rlcourse.utils.config import Settings
    from rlcourse.utils.run import Run

    module = import_module(f"rlcourse.algos.{CASE['algo']}")
    more: dict[str, Any] = {}
    if not CASE["defaults"]:
        more = dict(num_envs=CASE["num_envs"], hidden=CASE["hidden"])
        more |= dict(minibatch=CASE["minibatch"], lr=CASE["lr"])
        if CASE["algo"] == "ppo":
            more |= dict(horizon=CASE["horizon"], passes=10, max_kl=1e9, entropy=0.0)
            more |= dict(norm_obs=False, norm_ret=False)
        else:
            more |= dict(horizon=1000, random_steps=CASE["random_steps"], utd=1.0)
    more |= CASE.get("fields", {})
    more = {k: tuple(v) if isinstance(v, list) else v for k, v in more.items()}
    cfg = module.Config(NAME, seed=CASE["seed"], **dict(epochs=10**6) | more)
    threads = CASE["threads"] or Settings().threads
    settings = Settings(eval_every=10**6, threads=threads, compile=CASE["package"] == "compiled")
    module.train(cfg, Run(cfg, settings, show=False))


compiled = rlcourse  # with --compile


def sb3() -> None:
    import stable_baselines3
    import torch

    if CASE["threads"]:
        torch.set_num_threads(CASE["threads"])
    torch_like(stable_baselines3, dict(activation_fn=torch.nn.Tanh))


def sbx() -> None:
    import flax
    import sbx

    torch_like(sbx, dict(activation_fn=flax.linen.tanh))


def torch_like(package: Any, tanh: dict[str, Any]) -> Any:
    """Stable-Baselines3 and sbx have the same interface."""
    from stable_baselines3.common.env_util import make_vec_env

    Algorithm = getattr(package, CASE["algo"].upper())
    if CASE["defaults"]:
        return Algorithm("MlpPolicy", NAME, seed=CASE["seed"]).learn(ENDLESS)
    envs = make_vec_env(NAME, n_envs=CASE["num_envs"], seed=CASE["seed"])
    more = dict(learning_rate=CASE["lr"], batch_size=CASE["minibatch"], seed=CASE["seed"])
    net: dict[str, Any] = dict(net_arch=CASE["hidden"])
    if CASE["algo"] == "ppo":
        more |= dict(n_steps=CASE["horizon"], n_epochs=10)
        net |= tanh
    else:
        more |= dict(learning_starts=CASE["random_steps"], train_freq=1, gradient_steps=1)
    if package.__name__ == "stable_baselines3":
        more["device"] = "cpu"
    return Algorithm("MlpPolicy", envs, policy_kwargs=net, **more).learn(ENDLESS)


def tianshou() -> None:
    import numpy as np
    import torch
    from tianshou import algorithm as algorithms
    from tianshou.algorithm.modelfree.ddpg import ContinuousDeterministicPolicy
    from tianshou.algorithm.modelfree.reinforce import DiscreteActorPolicy, ProbabilisticActorPolicy
    from tianshou.algorithm.modelfree.sac import AutoAlpha, SACPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, ReplayBuffer, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.trainer import OffPolicyTrainerParams, OnPolicyTrainerParams
    from tianshou.utils.net.common import Net
    from tianshou.utils.net.continuous import ContinuousActorDeterministic as Deterministic
    from tianshou.utils.net.continuous import ContinuousActorProbabilistic as Gaussian
    from tianshou.utils.net.continuous import ContinuousCritic
    from tianshou.utils.net.discrete import DiscreteActor
    from torch.distributions import Independent, Normal

    if CASE["defaults"]:
        raise ValueError("tianshou has no networks by default: it runs with equal settings only")
    if CASE["threads"]:
        torch.set_num_threads(CASE["threads"])
    np.random.seed(CASE["seed"])
    torch.manual_seed(CASE["seed"])
    algo, n, ppo = CASE["algo"], CASE["num_envs"], CASE["algo"] == "ppo"
    envs = DummyVectorEnv([lambda: gym.make(NAME) for _ in range(n)])
    envs.seed(CASE["seed"])
    (obs,), space = envs.observation_space[0].shape, envs.action_space[0]
    act = int(space.n) if isinstance(space, gym.spaces.Discrete) else space.shape[0]

    def net(inputs: int) -> Net:
        activation = torch.nn.Tanh if ppo else torch.nn.ReLU
        return Net(state_shape=inputs, hidden_sizes=CASE["hidden"], activation=activation)

    body, more = dict(preprocess_net=net(obs), action_shape=act), dict(action_space=space)
    if isinstance(space, gym.spaces.Discrete):
        policy = DiscreteActorPolicy(actor=DiscreteActor(**body, softmax_output=False), **more)
    elif ppo:
        more |= dict(dist_fn=lambda mean_std: Independent(Normal(*mean_std), 1))
        policy = ProbabilisticActorPolicy(actor=Gaussian(**body, unbounded=True), **more)
    elif algo == "sac":
        body |= dict(unbounded=True, conditioned_sigma=True)
        policy = SACPolicy(actor=Gaussian(**body), **more)
    else:
        more |= dict(exploration_noise="default")
        policy = ContinuousDeterministicPolicy(actor=Deterministic(**body), **more)

    adam = AdamOptimizerFactory(lr=CASE["lr"])
    if ppo:
        learn = dict(optim=adam, ent_coef=0.0, max_grad_norm=0.5)
    else:
        learn = dict(policy_optim=adam, critic_optim=adam)
    if algo == "sac":
        learn |= dict(alpha=AutoAlpha(-float(act), 0.0, adam))
    critic = ContinuousCritic(preprocess_net=net(obs if ppo else obs + act))
    algorithm = getattr(algorithms, algo.upper())(policy=policy, critic=critic, **learn)

    rollout = n * CASE["horizon"] if ppo else n
    size = rollout if ppo else 10**6
    memory = ReplayBuffer(size) if n == 1 else VectorReplayBuffer(size, n)
    collector = Collector(algorithm, envs, memory, exploration_noise=True)
    run = dict(training_collector=collector, collection_step_num_env_steps=rollout)
    run |= dict(max_epochs=1, epoch_num_steps=ENDLESS, batch_size=CASE["minibatch"])
    run |= dict(verbose=False, show_progress=False)
    if ppo:
        algorithm.run_training(OnPolicyTrainerParams(**run, update_step_num_repetitions=10))
    else:
        collector.reset()
        collector.collect(n_step=CASE["random_steps"], random=True)
        algorithm.run_training(OffPolicyTrainerParams(**run))


def products() -> None:
    """The bare matrix products of as many updates, in torch."""
    import torch

    torch.set_num_threads(1)
    envs = gym.make(CASE["env"])
    obs, act = envs.observation_space.shape[0], envs.action_space.shape[0]
    rows, hidden, algo = CASE["minibatch"], CASE["hidden"], CASE["algo"]
    twins = 1 if algo == "ddpg" else 2

    def forward(sizes: list[int]) -> list[tuple[int, int, int]]:
        return [(rows, a, b) for a, b in zip(sizes, sizes[1:], strict=False)]

    def by_weights(sizes: list[int]) -> list[tuple[int, int, int]]:
        return [(a, rows, b) for a, b in zip(sizes, sizes[1:], strict=False)]

    def by_inputs(sizes: list[int]) -> list[tuple[int, int, int]]:
        return [(rows, b, a) for a, b in zip(sizes, sizes[1:], strict=False)]

    q, pi = [obs + act, *hidden, 1], [obs, *hidden, act * (2 if algo == "sac" else 1)]
    critic = forward(pi) + twins * (2 * forward(q) + by_weights(q) + by_inputs(q)[1:])
    through = twins if algo == "sac" else 1
    actor = forward(pi) + by_weights(pi) + by_inputs(pi)[1:]
    actor += through * (forward(q) + by_inputs(q))
    share = 2 if algo == "td3" else 1  # its actor learns at each second step only
    shapes = share * critic + actor
    pairs = [(torch.randn(m, k), torch.randn(k, n)) for m, k, n in shapes]
    while True:
        for _ in range(share):
            CLOCK.step()
        for a, b in pairs:
            torch.mm(a, b)


if __name__ == "__main__":
    names = dict(sb3="stable-baselines3", sbx="sbx-rl")
    name = names.get(CASE["package"], CASE["package"])
    known = dict(products="torch", compiled="rlcourse").get(name, name)
    print(json.dumps({"version": f"{known} {version(known)}"}), file=REPORTS, flush=True)
    globals()[CASE["package"]]()
    CLOCK.report()  # its epochs are over, and the goal was not there
