"""Mistakes in the algorithms: what those of public repositories do here, and which tests find any.

    python experiments/planted.py train    two seeds of each in MUSEUM: results/planted/runs-*.csv
    python experiments/planted.py tests    a test that fails with each: results/planted/tests-*.csv

Both show in docs/guide/bug-museum.md and docs/guide/symptoms.md. Runs have the settings of those of
`python -m exercises dev calibrate bugs`, with which the bugs of the hunts were measured.
"""

import csv
import os
import re
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from exercises import bugs  # noqa: E402
from exercises.bugs import Bug  # noqa: E402

RESULTS = ROOT / "experiments" / "results" / "planted"
MUSEUM = [
    Bug(
        "ppo",
        "mask of the step after",
        ["end", "time"],
        "decay[t] * carry",
        "decay[min(t + 1, len(decay) - 1)] * carry",
        "The sum of GAE is cut one step too early, and runs into the next episode.",
    ),
    Bug(
        "ppo",
        "squared error cut off",
        ["term"],
        "(((v(b.obs) - b.ret) / v.ret.std) ** 2).mean()",
        "((v(b.obs) - b.ret) ** 2).clamp(0, 10).mean()",
        "Where V is wrong by more than √10 its gradient is 0.",
    ),
    Bug(
        "ddpg",
        "error cut off before it is squared",
        ["term"],
        "((val - y) ** 2).mean(), val.detach(), y ",
        "((val - y).clamp(-1, 1) ** 2).mean(), val.detach(), y ",
        "Where Q is wrong by more than 1 its gradient is 0.",
    ),
    Bug(
        "td3",
        "one noise for the batch",
        ["shape"],
        "(sigma * torch.randn_like(act)).clamp(-c, c)",
        "(sigma * torch.randn_like(act[:1])).clamp(-c, c)",
        "All actions of a target are shifted by the same noise.",
    ),
    Bug(
        "sac",
        "entropy beside the discount",
        ["term"],
        "gamma * (1 - b.term) * (next_q - alpha * next_logp) ",
        "gamma * (1 - b.term) * next_q - alpha * next_logp ",
        "The entropy of s' is neither discounted nor cut where s' is terminal.",
    ),
    Bug(
        "sac",
        "tanh twice",
        ["sampling"],
        "log_jacobian = 2 * (ln(2) - u - nn.functional.softplus(-2 * u)).sum(-1)",
        "log_jacobian = torch.log(1 - u.tanh().tanh() ** 2 + 1e-7).sum(-1)",
        "The correction is computed from the tanh of a, which is a tanh already.",
    ),
]
TESTED = {
    **dict.fromkeys(("vpg", "ppo"), "tests/test_equations.py"),
    **dict.fromkeys(("ddpg", "td3", "sac"), "tests/test_offpolicy.py"),
}
LONG = ("killed", "process", "than_what_is_free", "bandit", "regulator", "soft_optimum", "saved")


def write(name: str, rows: list[dict[str, Any]]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (RESULTS / name).open("w", encoding="utf-8", newline="") as f:
        out = csv.DictWriter(f, columns, lineterminator="\n")
        out.writeheader()
        for row in rows:
            out.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})


def train(*algos: str) -> None:
    for algo in algos or dict.fromkeys(b.algo for b in MUSEUM):
        rows = []
        logged = bugs.COLUMNS["on" if algo in ("vpg", "ppo") else "off"].split()
        for bug in [b for b in MUSEUM if b.algo == algo]:
            for row in bugs.measure(bug, algo):
                rows.append({k: row.get(k) for k in ("bug", "seed", *logged)})
            print(bug.id, flush=True)
        used = [k for k in rows[0] if any(row[k] is not None for row in rows)]
        write(f"runs-{algo}.csv", [{k: row[k] for k in used} for row in rows])


class Hunt:
    """A plugin of pytest: plants each mistake in turn, and notes the first test that fails."""

    def __init__(self, algo: str, planted: list[Bug]):
        self.algo, self.planted = algo, planted
        self.rows: list[dict[str, Any]] = []

    def pytest_runtestloop(self, session: Any) -> bool:
        from _pytest.runner import runtestprotocol

        items = [item for item in session.items if self.mine(item)]
        module = import_module(f"rlcourse.algos.{self.algo}")
        for bug in self.planted:
            exec(compile(bug.planted, module.__file__, "exec"), module.__dict__)
            words = stems(f"{bug.name} {bug.says}")
            found = ""
            for item in sorted(items, key=lambda i: -len(words & stems(i.originalname))):
                reports = runtestprotocol(item, nextitem=None, log=False)
                if any(report.failed for report in reports):
                    found = item.originalname
                    break
            exec(compile(bugs.source(self.algo), module.__file__, "exec"), module.__dict__)
            if found and any(r.failed for r in runtestprotocol(item, nextitem=None, log=False)):
                raise SystemExit(f"{found} fails without a mistake")
            self.rows.append({"bug": bug.name, "test": found})
            print(bug.id, found, file=sys.stderr, flush=True)
            write(f"tests-{self.algo}.csv", self.rows)
        return True

    def mine(self, item: Any) -> bool:
        """Not of another algorithm, and not one of the long ones."""
        module = getattr(item, "callspec", None) and item.callspec.params.get("algo")
        name = getattr(module, "__name__", str(module or self.algo)).split(".")[-1]
        return name == self.algo and not any(part in item.name for part in LONG)


def stems(text: str) -> set[str]:
    """Words by which a test may belong to a mistake: likely ones are run first."""
    return {word[:5] for word in re.findall(r"[a-z]{4,}", text.lower().replace("_", " "))}


def tests(*algos: str) -> None:
    import pytest

    os.chdir(ROOT)
    for algo in algos or TESTED:
        planted = [b for b in (*MUSEUM, *bugs.bugs().values()) if b.algo == algo]
        flags = ["-q", "-p", "no:cacheprovider", f"--basetemp={tempfile.mkdtemp()}/t"]
        pytest.main([*flags, TESTED[algo]], plugins=[Hunt(algo, planted)])


if __name__ == "__main__":
    {"train": train, "tests": tests}[sys.argv[1]](*sys.argv[2:])
