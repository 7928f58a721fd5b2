import torch

from exercises.lab import call, check, expect

REW, VAL, NEXT_VAL = [1.0, 0.0, 2.0], [0.5, 1.0, 1.5], [1.0, 1.5, 3.0]


def compared(m, rew, val, next_val, term, done, gamma, lam):
    """One call. A rollout is data, so nobody has to be able to differentiate by it."""

    def gae(rew, val, next_val, term, done, gamma, lam):
        return m.gae(rew.detach(), val.detach(), next_val.detach(), term, done, gamma, lam)

    args = rew, val, next_val, term, done, gamma, lam
    yield from call(gae, *args, names=("adv", "ret"), grads=())


def three(m, term, done):
    """Three steps of one environment, with these flags."""
    over = enumerate(done[:2])  # behind an end V is not that of the next row
    next_val = [5.0 if e else NEXT_VAL[t] for t, e in over] + NEXT_VAL[2:]
    columns = torch.tensor([REW, VAL, next_val, term, done])[:, :, None]
    yield from compared(m, *columns, gamma=0.9, lam=0.8)


def rollout(T, N, ends=0.3):
    """Random rollout whose episodes end by terminal states, by time limits and by both."""
    rew, val, next_val = torch.randn(3, T, N)
    term = (torch.rand(T, N) < ends).double()
    trunc = (torch.rand(T, N) < ends).double()
    return dict(rew=rew, val=val, next_val=next_val, term=term, done=torch.max(term, trunc))


@check("T1", "one step of two environments")
def one(m):
    columns = torch.tensor([[[2.0, -1]], [[1.5, 0.5]], [[3, 2]], [[0, 1]], [[0, 1]]])
    yield from compared(m, *columns, gamma=0.9, lam=0.8)


@check("T1", "three steps without an end")
def plain(m):
    yield from three(m, [0, 0, 0], [0, 0, 0])


@check("T1", "a terminal state after step 0")
def terminal(m):
    yield from three(m, [1, 0, 0], [1, 0, 0])


@check("T1", "a time limit after step 0")
def time_limit(m):
    yield from three(m, [0, 0, 0], [1, 0, 0])


@check("T1", "ends after the last step")
def last(m):
    yield from three(m, [0, 0, 1], [0, 0, 1])
    yield from three(m, [0, 0, 0], [0, 0, 1])


@check("T1", "seven steps of three environments, ends of all kinds")
def random(m):
    yield from compared(m, **rollout(7, 3), gamma=0.97, lam=0.9)


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


@check("T2", "where every step pays 1, V = 1 / (1 − γ) is right: no time limit is a surprise")
def fixed_point(m):
    done = torch.tensor([[0.0, 1], [1, 0], [0, 0], [0, 1]])
    val = torch.full((4, 2), 10.0)
    adv, ret = m.gae(torch.ones(4, 2), val, val.clone(), 0 * done, done, 0.9, 0.8)
    yield expect("adv", adv, torch.zeros(4, 2))
    yield expect("ret", ret, val)
