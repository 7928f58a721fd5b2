"""7.3 The same run again

Two runs with one seed should be one run: equal to the last bit. Then a change that is not meant to
change anything can be tested, and a crash at step nine million can be looked at. For it, whatever
draws numbers has to be seeded. In a run there are five generators, and none knows of the others:

    torch                     torch.manual_seed, torch.get_rng_state, torch.set_rng_state
    numpy, the global one     np.random.seed, np.random.get_state, np.random.set_state
    Python's own              random.seed, random.getstate, random.setstate
    the environment's         env.reset(seed=seed), env.np_random.bit_generator.state
    the action space's        env.action_space.seed(seed), env.action_space.np_random likewise

`bit_generator.state` can be read and assigned. env.reset() without a seed goes on with the
generator that is there; a new environment that was never given a seed takes one from the operating
system.

To continue a run means that it cannot be told from one that was never cut off. For that the
checkpoint needs whatever the rest of the run depends on: parameters, the optimizer's moments,
counters, and the states of all five generators. Seeding again is no substitute: the numbers would
be those from the beginning. And it must be a snapshot: what state_dict() of a network or an
optimizer gives are the very tensors that training goes on changing.

The first three generators are shared by all that runs in the process. Something that draws beside
the training, such as an evaluation, must leave them as they were, or how often you look changes
what you see.
"""

import contextlib
import copy
import random

import numpy as np
import torch

from exercises.given import mlp


def seed_everything(env, seed):
    """Seed the five generators; the first observation, which the seeded reset gave."""
    raise NotImplementedError("7.3: write seed_everything")


def rng_state():
    """The states of the three global generators, in whatever form `restore_rng` likes."""
    raise NotImplementedError("7.3: write rng_state")


def restore_rng(state):
    """Put the three global generators back to where they were."""
    raise NotImplementedError("7.3: write restore_rng")


@contextlib.contextmanager
def apart(seed):
    """Inside `with apart(seed):` the three global generators draw what follows from the seed.

    Behind it, also after an exception, which goes on, they are where they were before.
    """
    raise NotImplementedError("7.3: write apart")


class Run:
    """A small run: a network learns to predict rewards. Given, but for the last two methods."""

    def __init__(self, env, seed):
        self.env, self.epochs = env, 0
        seed_everything(env, seed)
        self.net = mlp([env.observation_space.shape[0] + 1, 6, 1])
        self.opt = torch.optim.Adam(self.net.parameters(), lr=0.02)

    def epoch(self):
        """Play an episode and learn from it; the rewards, and the losses."""
        self.epochs += 1
        self.opt.param_groups[0]["lr"] = 0.02 / self.epochs
        obs, _ = self.env.reset()
        inputs, rews, losses, over = [], [], [], False
        while not over:
            act = random.choice([-1.0, 1.0]) + torch.randn(1).numpy()
            if np.random.rand() < 0.5:
                act = self.env.action_space.sample()
            inputs.append(np.append(obs, act).astype(np.float32))
            obs, rew, term, trunc, _ = self.env.step(act)
            rews.append(rew)
            over = term or trunc
        x, y = torch.from_numpy(np.stack(inputs)), torch.tensor(rews)
        for i in np.random.permutation(len(y)):
            loss = (self.net(x[i]) - y[i]).square().sum()
            self.opt.zero_grad()
            loss.backward()
            self.opt.step()
            losses.append(loss.item())
        return rews, losses

    def state_dict(self):
        """A snapshot of all that the epochs to come depend on, to be saved with torch.save.

        It is taken between two epochs, so that no episode is open. Later epochs do not change it.
        """
        raise NotImplementedError("7.3: write Run.state_dict")

    def load_state_dict(self, state):
        """Continue from a snapshot as the Run that it was taken of went on."""
        raise NotImplementedError("7.3: write Run.load_state_dict")
