"""How good the deterministic policy is: episodes in environments of their own, side by side."""

from math import isfinite

from rlcourse.utils import mpi
from rlcourse.utils.config import Settings
from rlcourse.utils.envs import EVAL, episode_seed, make
from rlcourse.utils.policy import Policy

NO_LIMIT = 10_000  # steps after which an evaluation ends an episode that has no time limit


class Evaluation:
    """`eval_episodes` environments, divided over the processes and played side by side."""

    def __init__(self, env: str, seed: int, settings: Settings):
        self.numbers = range(mpi.rank(), settings.eval_episodes, mpi.size())
        self.envs = [make(env, settings) for _ in self.numbers]
        self.seed = seed
        registered = self.envs[0].spec.max_episode_steps if self.envs else None
        self.limit = settings.max_ep_len or registered or NO_LIMIT

    def play(self, policy: Policy, round_: int) -> list[tuple[float, int]]:
        """Return and length of one episode in each environment; equal rounds start equally."""
        obs = {}
        for i, env in enumerate(self.envs):
            seed = episode_seed(self.seed, EVAL, self.numbers[i], round_)
            obs[i], _ = env.reset(seed=seed)
        returns, lengths = [0.0] * len(self.envs), [0] * len(self.envs)
        while obs:
            for i, act in zip(list(obs), policy.acts(list(obs.values())), strict=True):
                obs[i], rew, term, trunc, _ = self.envs[i].step(act)
                returns[i] += float(rew)
                lengths[i] += 1
                if term or trunc or lengths[i] >= self.limit:
                    del obs[i]
        if not all(map(isfinite, returns)):
            raise FloatingPointError(f"the returns of the evaluation are {returns}")
        return list(zip(returns, lengths, strict=True))
