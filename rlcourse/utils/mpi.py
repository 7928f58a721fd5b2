"""Several processes on one experiment: averages, statistics, equal parameters, and starting them.

With one process nothing of MPI is imported, and an average is that of the process itself.
All processes must call the same functions in the same order; one that waits for longer than
`timeout` seconds ends the job with a message instead of hanging.

The guide is docs/guide/mpi.md.
"""

import io
import os
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from shutil import get_terminal_size, which
from typing import Any, NoReturn

import numpy as np

from rlcourse.utils.config import TOTALS, UserError, cores

timeout = 300.0  # seconds; set from --mpi-timeout
_LAUNCHED = "RLCOURSE_CPU"  # the number of processes that launch() asked for
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")  # set by the launchers of MPICH and Open MPI


def _under_mpi() -> bool:
    """Whether a launcher of MPI started this process, or `python -m mpi4py`."""
    return "mpi4py" in sys.orig_argv or any(os.environ.get(name, "1") != "1" for name in _SIZES)


if _under_mpi():
    from mpi4py import MPI

    _comm = MPI.COMM_WORLD
else:
    _comm = None


def rank() -> int:
    """The number of this process, from 0."""
    return _comm.rank if _comm else 0


def size() -> int:
    """How many processes work on this run."""
    return _comm.size if _comm else 1


@cache
def neighbours() -> int:
    """How many of the processes share this machine's memory, this one included."""
    return _comm.Split_type(MPI.COMM_TYPE_SHARED).size if _comm else 1


# ---- starting


def launch(cpu: int, argv: list[str]) -> None:
    """Become `cpu` processes that run this command line; returns where that is the case already."""
    if cpu != size() and (size() > 1 or _LAUNCHED in os.environ):
        raise UserError(
            f"--cpu {cpu}, but mpiexec started {size()} that see each other: pass --cpu {size()}, "
            f"or use the mpiexec of this Python's MPI, beside {sys.executable}"
        )
    if cpu == size():
        return
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else which("mpiexec")
    if mpiexec is None:
        raise UserError(f'--cpu {cpu} needs mpiexec, which was not found: pip install -e ".[mpi]"')
    command = [mpiexec, "-n", str(cpu), sys.executable]
    command += ["-m", "mpi4py", "-m", "rlcourse.run", *argv]  # mpi4py ends all if one fails
    if cpu > cores():
        print(
            f"rlcourse: {cpu} processes share {cores()} cores: expect them to wait", file=sys.stderr
        )
    changes = {_LAUNCHED: str(cpu), "OMP_NUM_THREADS": "1"}
    if sys.stdout.isatty():  # mpiexec passes on what is printed, but not that it goes to a terminal
        changes |= {"FORCE_COLOR": "1", "COLUMNS": str(get_terminal_size().columns)}
    sys.stdout.flush()
    os.execve(mpiexec, command, os.environ | changes)


def abort(code: int) -> NoReturn:
    """End all of several processes: one that just left would keep the others waiting."""
    sys.stdout.flush()
    sys.stderr.flush()
    _comm.Abort(code)


def divide(cfg: Any) -> Any:
    """The configuration of one process: the TOTALS are shared out."""
    totals = [name for name in TOTALS if hasattr(cfg, name)]
    return replace(cfg, **{name: getattr(cfg, name) // size() for name in totals})


# ---- reductions


def _wait(request: Any, what: str) -> None:
    deadline = time.monotonic() + timeout
    while not request.Test():
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {rank()} waited {timeout:g} s for the others to {what}")
        os.sched_yield()


def _reduce(x: Any, op: str) -> np.ndarray:
    """An Allreduce of numbers or an array in float64; the same bits in every process."""
    mine = np.array(x, dtype=np.float64)
    if size() == 1:
        return mine
    total = np.empty_like(mine)
    _wait(_comm.Iallreduce(mine, total, getattr(MPI, op)), op.lower())
    return total


def total(x: Any) -> np.ndarray:
    """The sum over the processes, element by element, in float64."""
    return _reduce(x, "SUM")


def lowest(x: Any) -> np.ndarray:
    """The minimum over the processes, element by element."""
    return _reduce(x, "MIN")


def highest(x: Any) -> np.ndarray:
    """The maximum over the processes, element by element."""
    return _reduce(x, "MAX")


def mean(x: Any) -> float:
    """The mean over the processes of one number each."""
    return float(x) if size() == 1 else float(total(float(x))) / size()


def moments(x: Any) -> tuple[float, float]:
    """Mean and standard deviation of all elements in all processes, summed in float64.

    >>> import torch
    >>> moments(torch.tensor([1.0, 3.0]))
    (2.0, 1.0)
    """
    mean, var, _ = column_moments(x.reshape(-1, 1))
    return float(mean[0]), float(var[0]) ** 0.5


def column_moments(x: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and variance of each column of the rows (n, dim) in all processes, and how many rows."""
    x = x.detach().double()
    count = float(total(len(x)))
    mean = total(x.sum(0).cpu().numpy()) / count
    deviation = x - x.new_tensor(mean)
    return mean, total((deviation**2).sum(0).cpu().numpy()) / count, count


def statistics(x: list[float]) -> dict[str, float]:
    """Mean, deviation, maximum and minimum over all processes; {} if there are no numbers.

    >>> statistics([1.0, 3.0])
    {'Average': 2.0, 'Std': 1.0, 'Max': 3.0, 'Min': 1.0}
    """
    count, sum_ = total([len(x), sum(x)])
    if count == 0:
        return {}
    mean = sum_ / count
    var = total(sum((value - mean) ** 2 for value in x)) / count
    return {
        "Average": float(mean),
        "Std": float(var) ** 0.5,
        "Max": float(highest(max(x, default=-np.inf))),
        "Min": float(lowest(min(x, default=np.inf))),
    }


# ---- tensors


def average_(x: Any) -> None:
    """Replace a CPU or GPU tensor by its mean over the processes, as one message."""
    if size() > 1:
        mine = x.cpu().numpy()
        summed = np.empty_like(mine)
        _wait(_comm.Iallreduce(mine, summed, MPI.SUM), "average")
        x.copy_(x.new_tensor(summed).div_(size()))


def sync(module: Any) -> Any:
    """Give every process the parameters and buffers of process 0."""
    if size() > 1:
        for x in module.state_dict().values():
            mine = x.cpu().numpy()
            _wait(_comm.Ibcast(mine, 0), "receive the parameters")
            x.copy_(x.new_tensor(mine))
    return module


def check_equal(digest: str) -> None:
    """RuntimeError in all processes unless they pass the same text: that of their parameters."""
    found = gather(digest)
    others = [i for i, theirs in enumerate(found) if theirs != found[0]]
    if others:
        names = ", ".join(map(str, others))
        raise RuntimeError(f"the parameters of process {names} differ from those of process 0")


def gather(x: Any) -> list[Any]:
    """A list of every process's plain data, in every process."""
    if size() == 1:
        return [x]
    import torch  # loaded by now; not above, since the plots load this module without it

    content = io.BytesIO()
    torch.save([x], content)
    mine = np.frombuffer(content.getvalue(), np.uint8)  # _comm.allgather would wait for ever
    sizes = np.empty(size(), np.int64)
    _wait(_comm.Iallgather(np.array([len(mine)]), sizes), "gather")
    found = np.empty(sizes.sum(), np.uint8)
    _wait(_comm.Iallgatherv(mine, (found, sizes)), "gather")
    parts = np.split(found, sizes.cumsum()[:-1])
    return [torch.load(io.BytesIO(part.tobytes()), weights_only=True)[0] for part in parts]


def first(x: Any) -> Any:
    """Process 0's plain data, in every process."""
    return gather(x if rank() == 0 else None)[0]


def barrier() -> None:
    """Wait until all processes are here."""
    if size() > 1:
        _wait(_comm.Ibarrier(), "reach the same point")
