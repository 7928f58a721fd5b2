"""What the agent has lived through, for learning from it again and again.

Saving adds a file with the transitions since the last save; a checkpoint names the files it needs.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor
from torch.nn.functional import one_hot

from rlcourse.utils import checkpoint, mpi
from rlcourse.utils.config import UserError
from rlcourse.utils.envs import Envs
from rlcourse.utils.nets import width


class Replay:
    """The newest `size` transitions of this process, a row of float32 each.

    >>> from rlcourse import sac
    >>> from rlcourse.utils.config import Settings
    >>> envs = Envs(sac.Config(env="Pendulum-v1", num_envs=2), Settings())
    >>> memory = Replay(100, envs)
    >>> obs, act = envs.reset_done(), envs.random_act()
    >>> next_obs, rew, term, _ = envs.step(act)
    >>> memory.add(obs, act, rew, next_obs, term)
    >>> [tuple(x.shape) for x in next(memory.sample(count=1, minibatch=32))]
    [(32, 3), (32, 1), (32,), (32, 3), (32,)]
    """

    def __init__(self, size: int, envs: Envs):
        act_dim = width(envs.act_space, Box, Discrete)
        self.widths = [envs.obs_dim, act_dim, 1, envs.obs_dim, 1]  # obs, act, rew, next_obs, term
        check_memory(4 * size * sum(self.widths) * mpi.neighbours(), envs.device)
        self.rows = torch.empty(size, sum(self.widths), device=envs.device)  # touched when filled
        self.added = 0  # transitions ever
        self.segments: list[list[int]] = []  # [first, end) of those that are in a file each
        self.before: list[list[int]] = []  # the segments of the checkpoint before

    def __len__(self) -> int:
        return min(self.added, len(self.rows))

    # ---- learning

    def add(self, obs: Tensor, act: Tensor, rew: Tensor, next_obs: Tensor, term: Tensor) -> None:
        """Take one transition of each of N environments: (N, obs_dim), (N, act_dim), (N,), ...

        Discrete actions, (N,), become one-hot rows.
        """
        if act.ndim == 1:
            act = one_hot(act, self.widths[1])
        new = torch.cat([obs, act, rew[:, None], next_obs, term[:, None]], dim=-1)
        place = torch.arange(self.added, self.added + len(new)) % len(self.rows)
        self.rows[place] = new
        self.added += len(new)

    def sample(self, count: int, minibatch: int) -> Iterator[tuple[Tensor, ...]]:
        """`count` minibatches, each row drawn uniformly and with replacement."""
        drawn = torch.randint(len(self), (count, minibatch))
        for index in drawn:
            obs, act, rew, next_obs, term = self.rows[index].split(self.widths, dim=-1)
            yield obs, act, rew.squeeze(-1), next_obs, term.squeeze(-1)

    # ---- saving and continuing

    def save(self, folder: Path) -> dict[str, Any]:
        """Write what is new, and say what a checkpoint has to remember."""
        oldest, saved = self.added - len(self), self.segments[-1][1] if self.segments else 0
        self.before = self.segments
        self.segments = [s for s in self.segments if s[1] > oldest]
        if self.added > saved:
            segment = [max(oldest, saved), self.added]
            place = torch.arange(*segment) % len(self.rows)
            folder.mkdir(exist_ok=True)
            path = folder / name(segment, mpi.rank())
            rows = {"name": path.name, "rows": self.rows[place].cpu()}
            checkpoint.save(path, rows, keep=False)
            self.segments = [*self.segments, segment]
        return {"added": self.added, "segments": self.segments}

    def prune(self, folder: Path) -> None:
        """Remove this process's files that neither this checkpoint nor the one before it names."""
        needed = {name(segment, mpi.rank()) for segment in [*self.segments, *self.before]}
        for path in folder.glob(f"{mpi.rank()}_*.pt"):
            if path.name not in needed:
                path.unlink()

    def load(self, folder: Path, state: dict[str, Any]) -> None:
        """Read the files that a checkpoint names; `state` is what `save` returned."""
        self.added, self.segments = state["added"], state["segments"]
        for segment, rows in read(folder, state, mpi.rank()):
            kept = torch.arange(*segment)[-len(self.rows) :]
            self.rows[kept % len(self.rows)] = rows[-len(kept) :].to(self.rows.device)


def read(
    folder: Path, state: dict[str, Any] | None, rank: int
) -> Iterator[tuple[list[int], Tensor]]:
    """The segments that the checkpoint of one process names, with their rows.

    UserError if the file of one is missing or damaged, or another was put in its place.
    """
    for segment in state["segments"] if state else []:
        path = folder / name(segment, rank)
        data = checkpoint.load(path)
        fits = data.get("name", path.name) == path.name  # older ones have none
        if not fits or len(data.get("rows", ())) != segment[1] - segment[0]:
            raise UserError(f"{path} is another file that was put in its place")
        yield segment, data["rows"]


def name(segment: list[int], rank: int) -> str:
    """The file of one segment of one process."""
    return f"{rank}_{segment[0]}_{segment[1]}.pt"


def check_memory(needed: int, device: str) -> None:
    """UserError if the device, or this process's control group, has not that many bytes."""
    free = available(device)
    if needed > free:
        raise UserError(
            f"--memory needs {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free: "
            f"keep fewer transitions"
        )


def available(device: str = "cpu") -> int:
    """Bytes that can still be allocated: of a GPU, or of the machine and its control groups."""
    if device != "cpu":
        return torch.cuda.mem_get_info(device)[0]
    free = [sys.maxsize]  # a system without these files says nothing
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = [int(line.split()[1]) * 1024]
    names = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for line in _read("/proc/self/cgroup").splitlines():  # number:controllers:/path
        _, controllers, path = line.split(":", 2)
        innermost = Path("/sys/fs/cgroup", controllers, path.lstrip("/"))
        for group in (innermost, *innermost.parents):  # each of them has a limit
            for names_of_version in names:
                limit, used = (_read(group / name) for name in names_of_version)
                if limit.isdigit() and used.isdigit():
                    free.append(int(limit) - int(used) + _cached(group))
    return min(free)


def _cached(group: Path) -> int:
    """Bytes of files that the kernel would give up; the use of a control group counts them."""
    found = re.search(
        r"^(?:total_)?inactive_file (\d+)$", _read(group / "memory.stat"), re.MULTILINE
    )
    return int(found[1]) if found else 0


def _read(path: Path | str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
