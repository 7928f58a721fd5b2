"""Measures the noise and the returns of four policy gradients on CartPole: python measure.py

They differ in the weight Ψ_t of ∇log π(a_t|s_t) only:

    whole_return     all rewards of the episode, discounted
    reward_to_go     the discounted rewards from t on
    with_baseline    the same minus V(s_t)
    gae              Eq. 2 of docs/algorithms/vpg.md with λ = 0.95

Each is trained from several seeds with four whole episodes (of at most 200 steps) an epoch; its
return is the mean over the last epochs. The noise is var g / |E g|² of one episode's gradient g,
where all four are computed from the same episodes of the same half-trained policies, and E g is
that of the least noisy one without bias. Both go to measured.json.
"""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch

from exercises.given import mlp

KINDS = ("whole_return", "reward_to_go", "with_baseline", "gae")
BEST = "with_baseline"
SEEDS, EPOCHS, LAST, EPISODES, LIMIT = 12, 40, 10, 4, 200
POLICIES, TRIED = 8, 600  # half-trained policies, and episodes of each
GAMMA, LAM = 0.99, 0.95
ENVS = [gym.make("CartPole-v1", max_episode_steps=LIMIT).unwrapped for _ in range(EPISODES)]


def play(pi, rng):
    """As many whole episodes as there are environments: obs (T, N, 4), act (T, N), alive (T, N)."""
    obs = np.stack([env.reset(seed=int(rng.integers(2**31)))[0] for env in ENVS])
    alive, rows = np.ones(len(ENVS), bool), []
    for _ in range(LIMIT):
        with torch.no_grad():
            logits = pi(torch.from_numpy(obs))
        act = (rng.random(len(ENVS)) < torch.softmax(logits, -1)[:, 1].numpy()).astype(np.int64)
        rows.append((obs.copy(), act, alive.copy()))
        for i in np.flatnonzero(alive):
            obs[i], _, over, _, _ = ENVS[i].step(int(act[i]))
            alive[i] = not over
        if not alive.any():
            break
    obs, act, alive = (torch.from_numpy(np.stack(x)) for x in zip(*rows, strict=True))
    return obs, act, alive.float()


def weights(kind, v, obs, alive):
    """Ψ (T, N) of steps that each pay 1; V is not asked behind the end of an episode."""
    with torch.no_grad():
        val = v(obs).squeeze(-1) * alive
    next_val = torch.cat([val[1:], torch.zeros_like(val[:1])])
    if kind == "whole_return":
        discount = GAMMA ** torch.arange(len(alive))
        return (discount[:, None] * alive).sum(0).expand_as(alive)
    lam = LAM if kind == "gae" else 1.0
    base = val if kind in ("gae", "with_baseline") else torch.zeros_like(val)
    after = next_val if kind in ("gae", "with_baseline") else torch.zeros_like(val)
    delta, psi, carry = alive + GAMMA * after - base, torch.zeros_like(val), 0.0
    for t in reversed(range(len(psi))):
        psi[t] = carry = alive[t] * (delta[t] + GAMMA * lam * carry)
    return psi


def make(seed):
    torch.manual_seed(seed)
    pi, v = mlp([4, 32, 2]), mlp([4, 32, 1])
    return pi, v, torch.optim.Adam(pi.parameters(), 2e-2), torch.optim.Adam(v.parameters(), 2e-2)


def epoch(kind, pi, v, opt_pi, opt_v, rng):
    """One update; the mean length of the episodes, which is their return."""
    obs, act, alive = play(pi, rng)
    on = alive.bool()
    psi = weights(kind, v, obs, alive)
    ret = weights("reward_to_go", v, obs, alive)[on]
    logp = pi(obs).log_softmax(-1).gather(-1, act[..., None]).squeeze(-1)[on]
    opt_pi.zero_grad()
    (-logp * psi[on]).mean().backward()
    opt_pi.step()
    for _ in range(10):
        opt_v.zero_grad()
        ((v(obs[on]).squeeze(-1) - ret) ** 2).mean().backward()
        opt_v.step()
    return alive.sum(0).mean().item()


def train(kind, seed):
    """The mean return of the last epochs."""
    parts, rng = make(seed), np.random.default_rng(seed)
    returns = [epoch(kind, *parts, rng) for _ in range(EPOCHS)]
    return float(np.mean(returns[-LAST:]))


def noise(seed):
    """var g / |E g|² of each kind at one half-trained policy."""
    (pi, v, *opts), rng = make(100 + seed), np.random.default_rng(100 + seed)
    while epoch("with_baseline", pi, v, *opts, rng) < 80:
        pass
    grads = {kind: [] for kind in KINDS}
    for _ in range(TRIED // EPISODES):
        obs, act, alive = play(pi, rng)
        logp = pi(obs).log_softmax(-1).gather(-1, act[..., None]).squeeze(-1)
        for kind in KINDS:
            each = (logp * weights(kind, v, obs, alive)).sum(0)
            for one in each:
                parts = torch.autograd.grad(one, list(pi.parameters()), retain_graph=True)
                grads[kind].append(torch.cat([p.flatten() for p in parts]))
    grads = {kind: torch.stack(rows).double() for kind, rows in grads.items()}
    var = {kind: g.var(0).sum() for kind, g in grads.items()}
    signal = grads[BEST].mean(0).square().sum() - var[BEST] / len(grads[BEST])
    return {kind: float(var[kind] / signal) for kind in KINDS}


if __name__ == "__main__":
    torch.set_num_threads(1)
    noises = [noise(seed) for seed in range(POLICIES)]
    print(*noises, sep="\n", flush=True)
    data = {
        "return": {k: [round(train(k, s), 1) for s in range(SEEDS)] for k in KINDS},
        "noise": {k: [round(n[k], 2) for n in noises] for k in KINDS},
    }
    text = json.dumps(data, indent=1)
    Path(__file__).with_name("measured.json").write_text(text + "\n", encoding="utf-8")
    print(text)
