"""A right answer that fills tensors, and does the sum of all paths in get."""

import torch

from exercises.given import use

gae = use("2.3").gae


class Rollout:
    def __init__(self, size, obs_dim, gamma, lam):
        self.size, self.obs_dim, self.gamma, self.lam = size, obs_dim, gamma, lam
        self.clear()

    def clear(self):
        self.obs = torch.zeros(self.size, self.obs_dim, dtype=torch.float32)
        self.act = torch.zeros(self.size, dtype=torch.long)
        self.rew, self.val, self.next_val, self.ends = torch.zeros(4, self.size, 1)
        self.ptr = 0

    def store(self, obs, act, rew, val):
        i = self.ptr
        self.obs[i], self.act[i] = torch.from_numpy(obs), act
        self.rew[i], self.val[i] = rew, val
        if i and not self.ends[i - 1]:
            self.next_val[i - 1] = val
        self.ptr += 1

    def finish_path(self, last_val):
        self.next_val[self.ptr - 1], self.ends[self.ptr - 1] = last_val, 1

    def get(self):
        never = torch.zeros(self.size, 1)
        args = self.rew, self.val, self.next_val, never, self.ends
        adv, ret = (x[:, 0] for x in gae(*args, self.gamma, self.lam))
        std, mean = torch.std_mean(adv, unbiased=False)
        out = self.obs, self.act, (adv - mean) / (std + 1e-8), ret
        self.clear()
        return out
