"""A wrong answer: tensors that are made once, and get gives these themselves."""

import torch

from exercises.given import use

gae = use("2.3").gae


class Rollout:
    def __init__(self, size, obs_dim, gamma, lam):
        self.gamma, self.lam = gamma, lam
        self.obs = torch.zeros(size, obs_dim)
        self.act = torch.zeros(size, dtype=torch.long)
        self.rew, self.val, self.adv, self.ret = torch.zeros(4, size)
        self.ptr = self.start = 0

    def store(self, obs, act, rew, val):
        self.obs[self.ptr] = torch.from_numpy(obs)
        self.act[self.ptr], self.rew[self.ptr], self.val[self.ptr] = act, rew, val
        self.ptr += 1

    def finish_path(self, last_val):
        path = slice(self.start, self.ptr)
        rew, val = self.rew[path, None], self.val[path, None]
        next_val = torch.cat([val[1:], torch.tensor([[last_val]])])
        never = torch.zeros_like(rew)
        adv, ret = gae(rew, val, next_val, never, never, self.gamma, self.lam)
        self.adv[path], self.ret[path] = adv[:, 0], ret[:, 0]
        self.start = self.ptr

    def get(self):
        self.ptr = self.start = 0
        adv = (self.adv - self.adv.mean()) / (self.adv.std(correction=0) + 1e-8)
        return self.obs, self.act, adv, self.ret
