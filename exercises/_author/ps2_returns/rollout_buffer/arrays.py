"""A right answer that keeps everything in arrays, with pointers."""

import numpy as np
import torch


class Rollout:
    def __init__(self, size, obs_dim, gamma, lam):
        self.gamma, self.lam = gamma, lam
        self.obs = np.zeros((size, obs_dim), np.float32)
        self.act = np.zeros(size, np.int64)
        self.rew, self.val, self.adv, self.ret = np.zeros((4, size), np.float32)
        self.ptr = self.start = 0

    def store(self, obs, act, rew, val):
        for array, value in zip(
            (self.obs, self.act, self.rew, self.val), (obs, act, rew, val), strict=True
        ):
            array[self.ptr] = value
        self.ptr += 1

    def finish_path(self, last_val):
        value, carry = last_val, 0.0
        for t in range(self.ptr - 1, self.start - 1, -1):
            delta = self.rew[t] + self.gamma * value - self.val[t]
            carry = delta + self.gamma * self.lam * carry
            self.adv[t], self.ret[t], value = carry, carry + self.val[t], self.val[t]
        self.start = self.ptr

    def get(self):
        self.ptr = self.start = 0
        adv = (self.adv - np.mean(self.adv)) / (np.std(self.adv) + 1e-8)
        return [torch.as_tensor(x.copy()) for x in (self.obs, self.act, adv, self.ret)]
