import copy
import ctypes
import threading

import torch
from torch import nn

from exercises.lab import check, expect

SIZE = 4
ALONE = """All processes must make the same calls, in the same order, with equal shapes.
Under MPI this program would hang."""


class Stuck(Exception):
    """The processes have not all made the same call."""


class Comm:
    """One of several processes, which are threads here."""

    def __init__(self, rank, size, slots, barrier):
        self.rank, self.size = rank, size
        self._slots, self._barrier = slots, barrier

    def _meet(self, what, x=None):
        """What all have brought. All are stuck if one comes for something else, or not at all."""
        self._slots[self.rank] = what, x
        try:
            self._barrier.wait(5)
            found = list(self._slots)
            self._barrier.wait(5)
        except threading.BrokenBarrierError:
            raise Stuck from None
        if len({w for w, _ in found}) > 1:
            raise Stuck
        return [x for _, x in found]

    def _collect(self, what, x):
        if isinstance(x, torch.Tensor):
            return self._meet((what, tuple(x.shape)), x.detach().clone())
        return self._meet((what, ()), x)

    def total(self, x):
        return sum(self._collect("total", x))

    def first(self, x):
        one = self._collect("first", x)[0]
        return one.clone() if isinstance(one, torch.Tensor) else one


def together(work, size=SIZE):
    """What work(comm) returns in each process; None if they got stuck. Errors are raised."""
    slots, barrier = [None] * size, threading.Barrier(size)
    results, errors = [None] * size, [None] * size

    def process(rank):
        comm = Comm(rank, size, slots, barrier)
        try:
            results[rank] = work(comm)
            comm._meet("the end")
        except Stuck as e:
            errors[rank] = e
        except BaseException as e:
            errors[rank] = e
            try:
                comm._meet("an error")
            except Stuck:
                pass

    threads = [threading.Thread(target=process, args=(r,), daemon=True) for r in range(size)]
    for t in threads:
        t.start()
    try:
        for t in threads:
            t.join()
    except BaseException:  # the time of the check is over: a loop in a thread must not go on
        for t in threads:
            end = ctypes.py_object(SystemExit)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(t.ident), end)
        raise
    found = [e for e in errors if e and not isinstance(e, Stuck)]
    if found:
        raise found[0]
    return None if any(errors) else results


def all_came(results):
    return expect("all processes made the same calls", results is not None, True, says=ALONE)


class Net(nn.Module):
    """A small network with buffers and a layer that no loss uses."""

    def __init__(self, seed):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
            self.unused = nn.Linear(2, 1)
            self.register_buffer("mean", torch.randn(3))
            self.register_buffer("seen", torch.tensor(10 * seed))

    def forward(self, x):
        return self.body(x - self.mean)


def values(net):
    return {k: v.detach().clone() for k, v in net.state_dict().items()}


@check("T1", "all start from the parameters of process 0")
def start(m):
    nets = [Net(seed) for seed in (7, 8, 9, 5)]
    kept = [list(net.state_dict(keep_vars=True).values()) for net in nets]
    wanted = values(nets[0])
    came = together(lambda comm: m.sync_params(nets[comm.rank], comm) or 0)
    yield all_came(came)
    for rank, net in enumerate(nets):
        for name, x in values(net).items():
            yield expect(f"{name} in process {rank}", x, wanted[name])
        now = net.state_dict(keep_vars=True).values()
        same = all(a is b for a, b in zip(kept[rank], now, strict=True))
        yield expect(f"process {rank} still has the tensors that its optimizer knows", same, True)
        grad = all(p.requires_grad and p.is_leaf for p in net.parameters())
        yield expect(f"the parameters of process {rank} still learn", grad, True)


@check("T1", "the mean of the gradients")
def gradients(m):
    nets = [Net(0) for _ in range(SIZE)]
    for net in nets:
        for p in net.body.parameters():
            p.grad = torch.randn_like(p)
    pairs = zip(*(net.named_parameters() for net in nets), strict=True)
    wanted = {
        group[0][0]: torch.stack([p.grad for _, p in group]).mean(0)
        for group in pairs
        if group[0][1].grad is not None
    }
    came = together(lambda comm: m.average_grads(nets[comm.rank], comm) or 0)
    yield all_came(came)
    for rank, net in enumerate(nets):
        grads = {k: p.grad for k, p in net.named_parameters() if p.grad is not None}
        yield expect(f"gradients in process {rank}", grads, wanted)
    net, alone = nets[0], {k: p.grad.clone() for k, p in nets[0].body.named_parameters()}
    yield all_came(together(lambda comm: m.average_grads(net, comm) or 0, size=1))
    grads = {k: p.grad for k, p in net.body.named_parameters()}
    yield expect("gradients of one process alone", grads, alone)


@check("T1", "advantages of equal and of unequal numbers")
def advantages(m):
    for sizes in ((3, 3, 3, 3), (1, 5, 2, 4), (3, 60, 7, 11)):
        parts = [(r + 1) * torch.randn(n) + 3 * r for r, n in enumerate(sizes)]
        whole = torch.cat(parts)
        wanted = (whole - whole.mean()) / (whole.std(correction=0) + 1e-8)
        before = [x.clone() for x in parts]
        got = together(lambda comm, parts=parts: m.standardise(parts[comm.rank], comm))
        yield all_came(got)
        for rank, want in enumerate(wanted.split(sizes)):
            label = f"of {', '.join(map(str, sizes))} advantages, process {rank}: Â"
            yield expect(label, got[rank], want)
        same = all(map(torch.equal, parts, before))
        yield expect("the advantages given are as they were", same, True)
    tiny = 1e-8 * torch.randn(SIZE, 2)
    wanted = (tiny - tiny.mean()) / (tiny.std(correction=0) + 1e-8)
    got = together(lambda comm: m.standardise(tiny[comm.rank], comm))
    yield all_came(got)
    yield expect("of advantages around 1e-8, all processes: Â", torch.stack(got), wanted)
    got = together(lambda comm: m.standardise(torch.full((comm.rank + 1,), 2.0), comm))
    yield all_came(got)
    for rank in range(SIZE):
        want = torch.zeros(rank + 1)
        yield expect(f"of advantages all alike, process {rank}: Â", got[rank], want)


@check("T2", "every process of every experiment draws something else")
def seeds(m):
    class Place:
        def __init__(self, rank, size):
            self.rank, self.size = rank, size

    def asked(seeds, size):
        return [int(m.own_seed(s, Place(r, size))) for s in seeds for r in range(size)]

    for what, seeds, size in (
        ("the 4 processes of seed 3", [3], 4),
        ("seeds 0 to 3, 4 processes each", range(4), 4),
        ("seeds 0 to 99, 64 processes each", range(100), 64),
        ("seeds 0 to 99, alone", range(100), 1),
    ):
        given = asked(seeds, size)
        yield expect(f"different numbers for {what}", len(set(given)), len(given))
        fits = all(0 <= x < 2**32 for x in given)
        yield expect(f"they fit into 32 bits, for {what}", fits, True)
        if size == 4:
            same = asked(seeds, size) == given
            yield expect(f"the same numbers when asked again, for {what}", same, True)


@check("T4", "four processes learn what one with all data would")
def update(m):
    data = torch.randn(20, SIZE * 5, 3)

    def loss(net, x):
        return ((net(x) - x[:, :2] ** 2) ** 2).mean()

    one = Net(0)
    opt = torch.optim.Adam(one.parameters(), lr=0.05)
    wanted = []
    for x in data:
        opt.zero_grad()
        loss(one, x).backward()
        opt.step()
        wanted.append(values(one))

    def work(comm):
        net = copy.deepcopy(nets[comm.rank])
        opt = torch.optim.Adam(net.parameters(), lr=0.05)
        m.sync_params(net, comm)
        steps = []
        for x in data:
            m.descend(net, opt, loss(net, x[comm.rank * 5 : comm.rank * 5 + 5]), comm)
            steps.append(values(net))
        return steps

    nets = [Net(rank) for rank in range(SIZE)]
    came = together(work)
    yield all_came(came)
    for steps in (1, 2, 20):
        for rank in range(SIZE):
            label = f"process {rank} after {steps} update{'s' * (steps > 1)}"
            yield expect(label, came[rank][steps - 1], wanted[steps - 1])
