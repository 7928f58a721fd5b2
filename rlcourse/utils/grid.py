"""Grids: every combination of the values of some fields is a run.

Flags, YAML files and `ExperimentGrid` fill the same `Grid`, with texts that are read by the types
of the fields. `expand` makes the runs and checks them as a whole; `train` does what is left.

The guide is docs/guide/running.md.
"""

import itertools
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from statistics import mean, pstdev
from types import ModuleType
from typing import Any

import yaml

from rlcourse import ALGOS
from rlcourse.utils import checkpoint, config, folders, mpi, policy, tuned, yamlfile
from rlcourse.utils.config import Settings, UserError, flag, nearest
from rlcourse.utils.console import clock, columns, number
from rlcourse.utils.envs import make
from rlcourse.utils.logger import newest
from rlcourse.utils.run import Run, check_compile, device
from rlcourse.utils.spaces import Spaces

SETTINGS = {f.name: f.type for f in fields(Settings)}


@dataclass(frozen=True)
class Experiment:
    """One run of a grid."""

    cfg: Any
    settings: Settings
    folder: Path


@dataclass(frozen=True)
class Failure:
    """A run that did not come to its end, why, and where to read more."""

    run: Experiment
    reason: str
    where: Path


class Grid:
    """Values for the fields of one or several algorithms, and the settings of all their runs."""

    def __init__(self, modules: list[ModuleType], where: str = ""):
        self.modules, self.where = modules, where  # the file and line it comes from
        self.values: dict[str, list[Any]] = {}
        self.options: dict[str, Any] = {}
        self.named: dict[str, str] = {}  # fields that are part of names; shorthand, '': the usual
        self.always: set[str] = set()  # those which are that beside an exp_name, too
        self.tuned = False  # whether the defaults are those of tuned.yaml
        self.foreign: list[str] = []  # environments whose modules only a file names

    def put(self, name: str, texts: Any, short: str = "", named: bool = True) -> None:
        """Give a field its values, as texts (env_kwargs: a dict), in place of those it had."""
        name = config.field_name(name)
        kind = self.kind(name)
        if kind is dict:
            config.check_value(name, kind, texts)
            self.options[name] = texts
            return
        values = [config.parse(text, kind, name) for text in texts]
        if not values:
            raise UserError(f"{flag(name)} has no value")
        for value in values:
            config.check_value(name, kind, value)
            if values.count(value) > 1:
                raise UserError(f"{flag(name)} has the value {value} twice")
        if name not in SETTINGS:
            self.values[name] = values
            self.foreign = [] if name == "env" else self.foreign
            self.named |= {name: short} if named else {}
        elif len(values) == 1:
            self.options[name] = values[0]
        else:
            raise UserError(f"{flag(name)} takes one value, not {len(values)}")

    def kind(self, name: str) -> Any:
        """The type of a field that all the algorithms have."""
        for module in self.modules:
            kinds = {f.name: f.type for f in fields(module.Config)} | SETTINGS
            if name not in kinds:
                raise UserError(f"{short_name(module)} has no '{name}'.{nearest(name, kinds)}")
        return kinds[name]

    def configs(self) -> Iterator[Any]:
        """A Config for each combination; the last field changes fastest."""
        for module in self.modules:
            order = [f.name for f in fields(module.Config) if f.name in self.values]
            for combination in itertools.product(*(self.values[name] for name in order)):
                given = dict(zip(order, combination, strict=True))
                usual = tuned.values(short_name(module), given["env"]) if self.tuned else {}
                yield module.Config(**usual | given)

    def experiments(self, stamp: str) -> Iterator[Experiment]:
        """The runs in order, each checked and with a folder of its own."""
        if "env" not in self.values:
            raise UserError("--env is needed, for example --env CartPole-v1")
        for env in self.foreign:
            raise UserError(f"env {env} would import a module: if you trust it, add --env {env}")
        started = {"cpu": mpi.size()} if mpi.size() > 1 else {}  # by mpiexec or Slurm
        settings = Settings(**started | self.options)
        config.check(settings)
        device(settings.device)
        if settings.compile:
            for module in self.modules:
                check_compile(module.Agent)
        swept = {name for name in self.values if len(self.values[name]) > 1} | self.always
        swept |= {"algo"} if len(self.modules) > 1 else set()
        swept |= {"tuned"} if self.tuned else set()
        ids: dict[tuple[str, type], str] = {}
        for cfg in self.configs():
            config.check(cfg)
            config.check_shares(cfg, settings.cpu)
            asked = cfg.env, type(cfg)
            if asked not in ids:
                ids[asked] = resolve(cfg, settings)
            cfg = replace(cfg, env=ids[asked])
            folder = folders.name(cfg, settings, self._names(cfg), swept, stamp)
            yield Experiment(cfg, replace(settings, exp_name=folder.parent.name), folder)

    def _names(self, cfg: Any) -> dict[str, str]:
        """The named fields in the Config's order; UserError if two would look alike."""
        usual = folders.shorthands([f.name for f in fields(cfg)])
        short = usual | {name: s for name, s in self.named.items() if s}
        for name, s in self.named.items():
            for other in short:
                if s and other != name and short[other] == s:
                    raise UserError(f"{flag(name)}[{s}]: names have {s} for {flag(other)} already")
        return {name: self.named[name] for name in usual if name in self.named}


def short_name(module: ModuleType) -> str:
    """The name of an algorithm's module, without its package."""
    return module.__name__.rpartition(".")[2]


def algorithm(name: str) -> ModuleType:
    """The module of an algorithm."""
    if name not in ALGOS:
        near = nearest(name, ALGOS)
        raise UserError(f"unknown algorithm '{name}'.{near} Known: {', '.join(ALGOS)}")
    return import_module(f"rlcourse.algos.{name}")


def resolve(cfg: Any, settings: Settings) -> str:
    """The full id of an environment that can be made and that the algorithm can work with."""
    made = make(cfg.env, settings)
    made.close()
    spaces = Spaces(made.observation_space, made.action_space)
    with at(f"--env {cfg.env}"):
        sys.modules[type(cfg).__module__].Agent(spaces.obs_dim, spaces.act, cfg)
    module, colon, _ = cfg.env.rpartition(":")
    return module + colon + made.spec.id


@contextmanager
def at(where: str) -> Iterator[None]:
    """Put a place in front of what a UserError says."""
    try:
        yield
    except UserError as e:
        raise UserError(f"{where}: {e}" if where else str(e)) from e


def expand(grids: list[Grid], stamp: bool = False) -> list[Experiment]:
    """All runs of some grids; UserError unless they can stand side by side."""
    now = mpi.first(datetime.now().strftime("%Y-%m-%d_%H-%M-%S_")) if stamp else ""
    runs: dict[Path, Experiment] = {}
    for grid in grids:
        with at(grid.where):
            for run in grid.experiments(now):
                if run.folder in runs:
                    raise UserError(
                        f"two runs would share {run.folder}: give them an --exp-name each, "
                        "or leave one out"
                    )
                runs[run.folder] = run
    if len({run.settings.cpu for run in runs.values()}) > 1:
        raise UserError("--cpu must be the same for all runs of one command")
    return list(runs.values())


# ---- YAML


def read(path: Path) -> list[Grid]:
    """The grid that a YAML file describes as a mapping, or those that it lists."""
    top = yamlfile.compose(path)
    blocks = top.value if isinstance(top, yaml.SequenceNode) else [top]
    if not blocks or not all(isinstance(block, yaml.MappingNode) for block in blocks):
        raise UserError(f"{path} is no grid: it has lines such as `algo: ppo`, `env: CartPole-v1`")
    return [_grid(path, block) for block in blocks]


def _grid(path: Path, block: yaml.MappingNode) -> Grid:
    entries = {key.value: node for key, node in block.value}
    written = "about" in entries  # by a run: it has all fields, whether they were given or not
    where = f"{path}:{block.start_mark.line + 1}"
    if "algo" not in entries:
        raise UserError(f"{where}: `algo` is missing, for example algo: ppo")
    with at(f"{path}:{entries['algo'].start_mark.line + 1}"):
        grid = Grid([algorithm(name) for name in yamlfile.texts(entries["algo"])], where)
        if not 0 < len(set(grid.modules)) == len(grid.modules):
            raise UserError("`algo` needs one value, or several different ones")
    for key, node in block.value:
        if key.value in ("algo", "about"):
            continue
        with at(f"{path}:{key.start_mark.line + 1}"):
            name, short = re.fullmatch(r"(.*?)(?:\[(\w+)\])?", key.value, re.DOTALL).groups()
            name = config.field_name(name)
            if name in grid.values | grid.options:
                raise UserError(f"{flag(name)} stands here for the second time")
            grid.put(name, _texts(node, grid.kind(name)), short or "", named=not written)
    grid.foreign = [env for env in grid.values.get("env", []) if ":" in env]
    if written:
        grid.options |= _own_place(path, grid)
    return grid


def _texts(node: yaml.Node, kind: Any) -> Any:
    """The values of a field: [64, 64] is one value of `hidden`, [[64, 64], [32]] are two."""
    if kind is dict:
        return yamlfile.data(node)
    if kind in (int, float, bool, str) or not isinstance(node, yaml.SequenceNode):
        return yamlfile.texts(node)
    parts = [",".join(yamlfile.texts(item)) for item in node.value]
    one = all(isinstance(item, yaml.ScalarNode) for item in node.value) and "," not in "".join(
        parts
    )
    return [",".join(parts)] if one else parts


def _own_place(path: Path, grid: Grid) -> dict[str, str]:
    """The data folder of a configuration that lies where its run put it, from wherever it is."""
    folder, here = Path(os.path.abspath(path)).parent, Path.cwd()
    experiment, seed = grid.options.get("exp_name"), grid.values.get("seed", [0])[0]
    if (folder.parent.name, folder.name) != (experiment, f"{experiment}_s{seed}"):
        return {}
    data = folder.parent.parent
    return {"data_dir": str(data.relative_to(here) if data.is_relative_to(here) else data)}


# ---- what is there


def done(run: Experiment) -> int | None:
    """Epochs that its folder holds, None if it is not there; UserError if that is another run."""
    if not folders.check_same(run.folder, run.cfg, run.settings):
        return None
    state, _ = checkpoint.load_newest(run.folder / "checkpoint.pt")
    return state["epoch"] if state else 0


def unfinished(run: Experiment) -> bool:
    """Whether there is something to do; what is wrong in its folder is said when it is tried."""
    try:
        return done(run) != run.cfg.epochs
    except UserError:
        return True


def state(run: Experiment, overwrite: bool = False) -> tuple[str, str, str]:
    """What the command would meet: its kind, the details, and the folder or what is wrong there."""
    row, of, folder = newest(run.folder / "progress.csv"), run.cfg.epochs, str(run.folder)
    if owner := folders.owner(run.folder):
        return "in use", f"by process {owner}, epoch {row.get('Epoch', 0)} of {of}", folder
    try:
        folders.check_writable(run.folder)
        if overwrite and folders.read_config(run.folder):
            return "overwritten", "", folder
        epoch = done(run)
    except UserError as e:
        return "refused", "", str(e)
    if epoch is None:
        return "new", "", folder
    return (
        ("finished", score(row), folder)
        if epoch == of
        else ("stopped", f"epoch {epoch} of {of}", folder)
    )


def score(row: dict[str, Any]) -> str:
    """What the deterministic policy got in the last evaluation."""
    return f"return {number(row.get('AverageTestEpRet'))} ± {number(row.get('StdTestEpRet'))}"


def show_states(runs: list[Experiment], overwrite: bool = False) -> None:
    """Print what would be done, run by run."""
    rows = [(f"{i:3}", *state(run, overwrite)) for i, run in enumerate(runs, 1)]
    print(columns(rows))
    kinds = Counter(kind for _, kind, _, _ in rows)
    print(f"\n{len(runs)} runs: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()))


def show_results(runs: list[Experiment]) -> None:
    """Print a line for each experiment: the last evaluations of its finished seeds."""
    experiments: dict[Path, list[Experiment]] = {}
    for run in runs:
        experiments.setdefault(run.folder.parent, []).append(run)
    table = [("return", "time", "seeds", "experiment")]
    for folder, members in experiments.items():
        rows = {run.cfg.seed: newest(run.folder / "progress.csv") for run in members}
        rows = {s: row for s, row in rows.items() if row.get("Epoch") == members[0].cfg.epochs}
        returns = [row["AverageTestEpRet"] for row in rows.values()]
        shown = number(mean(returns)) if returns else "none"
        shown += f" ± {number(pstdev(returns))}" if len(returns) > 1 else ""
        seconds = clock(sum(row["Time"] for row in rows.values()))
        table.append((shown, seconds, " ".join(map(str, rows)), str(folder)))
    print(columns(table))


# ---- doing it


def check(runs: list[Experiment], jobs: int = 1, overwrite: bool = False) -> None:
    """UserError, before anything is created, if the runs could not begin."""
    config.check_value("jobs", int, jobs)
    cpu = runs[0].settings.cpu
    if jobs > 1 and cpu > 1:
        raise UserError(f"--jobs {jobs} with --cpu {cpu}: one of the two must be 1")
    for run in runs:
        folders.check_writable(run.folder)
        there = not overwrite and folders.check_same(run.folder, run.cfg, run.settings)
        if run.settings.init and not there:
            policy.check_initial(run.cfg, run.settings, run.folder)


def train(runs: list[Experiment], jobs: int = 1, overwrite: bool = False) -> list[Failure]:
    """Do what is left of the runs, `jobs` at a time; one that fails does not stop the others."""
    here = runs if mpi.rank() == 0 else []  # what is wrong is told once
    left = mpi.first([overwrite or unfinished(run) for run in here])
    for run, more in zip(runs, left, strict=True):
        if mpi.rank() == 0 and not more:
            print(f"finished already: {run.folder}")
    todo = list(itertools.compress(runs, left))
    if min(jobs, len(todo)) > 1:
        from rlcourse.utils.jobs import Jobs

        return Jobs(todo, jobs, overwrite).work()
    failures = []
    for run in todo:
        try:
            train_one(run, overwrite)
        except Exception as e:
            if len(runs) == 1 or mpi.size() > 1:  # which all end with one of them
                raise
            failures.append(Failure(run, reason(e), run.folder))
    return failures


def train_one(run: Experiment, overwrite: bool = False) -> None:
    """Do one run in this process; with `overwrite` its folder is cleared first."""
    if overwrite and mpi.rank() == 0:
        folders.clear(run.folder)
    mpi.barrier()
    with closing(Run(run.cfg, run.settings, run.folder)) as opened:
        sys.modules[type(run.cfg).__module__].train(run.cfg, opened)


def reason(e: Exception) -> str:
    """Print an exception, a UserError as one line; what it comes down to."""
    if isinstance(e, UserError):
        print(f"rlcourse: {e}", file=sys.stderr, flush=True)
        return str(e)
    traceback.print_exception(e)
    return " ".join(traceback.format_exception_only(e)[0].split())


# ---- from Python


class ExperimentGrid:
    """A grid in Python, as in Spinning Up; `grid.run("ppo", jobs=2)` trains it.

    >>> grid = ExperimentGrid("cartpole")
    >>> grid.add("env", "CartPole-v1")
    >>> grid.add("seed", [0, 1, 2])
    >>> grid.add("hidden", [(32,), (64, 64)], "hid")
    >>> len(grid.variants()), grid.variants()[-1]
    (6, {'env': 'CartPole-v1', 'seed': 2, 'hidden': (64, 64)})
    """

    def __init__(self, name: str = ""):
        self.name = name
        self.added: dict[str, tuple[list[Any], str, bool]] = {}

    def add(self, key: str, vals: Any, shorthand: str | None = None, in_name: bool = False) -> None:
        """A field or setting and its values: a list, or one that is none.

        With `in_name` the value is part of the experiment's name although it is the only one.
        """
        vals = list(vals) if isinstance(vals, list | range) else [vals]
        self.added[config.field_name(key)] = vals, shorthand or "", in_name

    def variants(self) -> list[dict[str, Any]]:
        """Every combination of the values, as keyword arguments of a Config."""
        values = (vals for vals, _, _ in self.added.values())
        return [dict(zip(self.added, vals, strict=True)) for vals in itertools.product(*values)]

    def print(self) -> None:
        """Show the fields, their values and the number of runs."""
        print(columns([(key, "  ".join(map(str, v))) for key, (v, _, _) in self.added.items()]))
        print(f"\n{self.name or 'grid'}: {len(self.variants())} runs")

    def experiments(self, algo: Any, datestamp: bool = False, **settings: Any) -> list[Experiment]:
        """The checked runs for an algorithm: its name, its module or its train function."""
        if isinstance(algo, str):
            module = algorithm(algo)
        else:
            module = sys.modules[getattr(algo, "__module__", algo.__name__)]
        grid = Grid([module])
        for key, (vals, short, in_name) in self.added.items():
            grid.put(key, vals[0] if grid.kind(key) is dict else list(map(str, vals)), short)
            grid.always |= {key} if in_name else set()
        grid.options |= {"exp_name": self.name} | settings
        return expand([grid], datestamp)

    def run(
        self,
        algo: Any,
        num_cpu: int = 1,
        jobs: int = 1,
        data_dir: str = "data",
        datestamp: bool = False,
        overwrite: bool = False,
    ) -> list[Path]:
        """Train every variant that is not finished, `jobs` at a time; the folders of all.

        RuntimeError lists the runs that failed, after the others have been done.
        """
        runs = self.experiments(algo, datestamp, cpu=num_cpu, data_dir=str(data_dir))
        check(runs, jobs, overwrite)
        if jobs > 1 and runs[0].settings.threads > 1:  # a fork after OpenMP's first use would hang
            raise UserError(
                "jobs in a script have one thread each: use the command line, or jobs=1"
            )
        failures = train(runs, jobs, overwrite)
        if mpi.rank() == 0:
            show_results(runs)
        if failures:
            raise RuntimeError("\n".join(f"{f.where}: {f.reason}" for f in failures))
        return [run.folder for run in runs]
