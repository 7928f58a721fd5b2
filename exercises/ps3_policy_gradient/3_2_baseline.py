"""3.2 What a baseline does to the gradient

The policy gradient stays right if a baseline b is subtracted from the reward to go G_t,

    g = Σ_t ∇log π_θ(a_t|s_t) (G_t − b_t)

as long as b_t does not depend on the action a_t: the mean of ∇log π(a|s) over the actions is 0 in
every state. What changes is the noise of g. In a world so small that all of its K trajectories can
be listed, both can be computed without any sampling. With p_k the probability of trajectory k and
g_k its gradient,

    mean g = Σ_k p_k g_k                   variance = Σ_k p_k |g_k − mean g|²

where |.|² sums the squares of all components. Write these two, and the best known baseline: the
mean of G_t over all trajectories that are in the same state s at the same time t,

    V_t(s) = Σ_k p_k G_kt [s_kt = s] / Σ_k p_k [s_kt = s]

Then run this file as a script. It prints the variance for five baselines, and how far the mean is
from the exact gradient. Say in `unbiased` which of them leave the mean as it is in every world.

The policy is a softmax, π_θ(a|s) = exp θ[s, a] / Σ_c exp θ[s, c], so a gradient has the shape of θ.
∇log π_θ(a|s) is 0 in all rows but row s, and that row is the one-hot vector of a minus π_θ(.|s).
"""

from itertools import product

import torch


def value(p, obs, ret):
    """V_t(s_t) for each step of each trajectory: (K, T)."""
    # p p_k (K,), obs s_kt (K, T) whole numbers, ret G_kt (K, T)
    raise NotImplementedError("3.2: write value")


def gradient_stats(theta, p, obs, act, weight):
    """Mean of g, in the shape (S, A) of theta, and its variance, one number."""
    # p (K,), obs and act (K, T) whole numbers, weight G_kt − b_kt (K, T)
    # No argument has a graph; theta.clone().requires_grad_() is a copy to differentiate by.
    raise NotImplementedError("3.2: write gradient_stats")


def unbiased():
    """For each of the baselines below: True if the mean of g stays as it is, whatever the world."""
    raise NotImplementedError("3.2: put True or False for each None, then drop this line")
    return {"none": None, "constant": None, "value": None, "action": None, "own": None}


# ---- given: a world to try it in


def baselines(p, obs, act, ret):
    """Five of them, each (K, T)."""
    return {
        "none": torch.zeros_like(ret),
        "constant": torch.full_like(ret, 10.0),
        "value": value(p, obs, ret),  # the mean of G_t in this state
        "action": value(p, 100 * obs + act, ret),  # the mean of G_t for this state and action
        "own": ret.mean(1, keepdim=True).expand_as(ret),  # the mean over time in this trajectory
    }


class World:
    """Episodes of T steps: p(s_0) (S,), P(s'|s, a) (S, A, S) and r(s, a) (S, A) are random."""

    def __init__(self, states=2, actions=2, steps=3):
        self.start = torch.rand(states).softmax(0)
        self.move = torch.rand(states, actions, states).softmax(-1)
        self.rew = torch.randn(states, actions) + 1
        self.steps = steps

    def trajectories(self, theta):
        """All of them: p (K,), obs and act (K, T), reward to go (K, T)."""
        (states, actions), pi = theta.shape, theta.softmax(-1)
        paths = product(product(range(states), range(actions)), repeat=self.steps)
        obs, act = torch.tensor(list(paths)).unbind(-1)
        p = self.start[obs[:, 0]] * pi[obs, act].prod(1)
        p = p * self.move[obs[:, :-1], act[:, :-1], obs[:, 1:]].prod(1)
        return p, obs, act, self.rew[obs, act].flip(1).cumsum(1).flip(1)

    def gradient(self, theta):
        """The exact gradient of the expected return."""
        theta, v = theta.clone().requires_grad_(), torch.zeros(len(theta))
        for _ in range(self.steps):
            v = (theta.softmax(-1) * (self.rew + self.move @ v)).sum(-1)
        return torch.autograd.grad(self.start @ v, theta)[0]


if __name__ == "__main__":
    torch.manual_seed(0)
    world, theta = World(), torch.randn(2, 2)
    p, obs, act, ret = world.trajectories(theta)
    for name, base in baselines(p, obs, act, ret).items():
        mean, variance = gradient_stats(theta, p, obs, act, ret - base)
        off = (mean - world.gradient(theta)).norm()
        print(f"{name:10} variance {variance:8.3f}   mean is off by {off:.3f}")
