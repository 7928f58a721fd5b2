import torch

from exercises.lab import call, check, expect


def rollout(T, N, ends=0.3):
    """Random rollout whose episodes end by terminal states, by time limits and by both."""
    rew, val, next_val = torch.randn(3, T, N)
    term = (torch.rand(T, N) < ends).double()
    trunc = (torch.rand(T, N) < ends).double()
    return dict(rew=rew, val=val, next_val=next_val, term=term, done=torch.max(term, trunc))


@check("T1", "three steps without an end")
def plain(m):
    flags = dict(term=torch.zeros(3, 1), done=torch.zeros(3, 1))
    rew, val, next_val = torch.tensor([[[1.0], [0.0], [2.0]], [[0.5], [1], [1.5]], [[1], [1.5], [3]]])
    yield from call(m.gae, rew, val, next_val, **flags, gamma=0.9, lam=0.8, names=("adv", "ret"))


@check("T1", "a terminal state after step 0")
def terminal(m):
    rew, val, next_val = torch.tensor([[[1.0], [0.0], [2.0]], [[0.5], [1], [1.5]], [[1], [1.5], [3]]])
    end = torch.tensor([[1.0], [0.0], [0.0]])
    args = rew, val, next_val, end, end.clone()
    yield from call(m.gae, *args, gamma=0.9, lam=0.8, names=("adv", "ret"))


@check("T1", "a time limit after step 0")
def time_limit(m):
    rew, val, next_val = torch.tensor([[[1.0], [0.0], [2.0]], [[0.5], [1], [1.5]], [[1], [1.5], [3]]])
    term, done = torch.zeros(3, 1), torch.tensor([[1.0], [0.0], [0.0]])
    yield from call(m.gae, rew, val, next_val, term, done, gamma=0.9, lam=0.8, names=("adv", "ret"))


@check("T1", "seven steps of three environments, ends of all kinds")
def random(m):
    yield from call(m.gae, **rollout(7, 3), gamma=0.97, lam=0.9, names=("adv", "ret"))


@check("T2", "the sum that the recursion stands for; λ = 0 and λ = 1")
def identities(m):
    b = rollout(6, 2)
    delta = b["rew"] + 0.9 * (1 - b["term"]) * b["next_val"] - b["val"]
    for lam in (0.0, 0.7, 1.0):
        want = torch.zeros(6, 2)
        for t in range(6):
            weight = torch.ones(2)
            for k in range(t, 6):
                want[t] += weight * delta[k]
                weight = weight * 0.9 * lam * (1 - b["done"][k])
        adv, ret = m.gae(**b, gamma=0.9, lam=lam)
        yield expect(f"adv with λ = {lam}", adv, want)
        yield expect(f"ret with λ = {lam}", ret, want + b["val"])
