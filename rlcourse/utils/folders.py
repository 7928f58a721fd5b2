"""A run's folder: what it is called, what it holds, and how a command finds it.

A folder is a function of its configuration: `data/<experiment>/<experiment>_s<seed>/`. A command
that meets its own folder continues or reports; one that meets another configuration is refused.
"""

import fcntl
import importlib.metadata
import os
import platform
import re
import shlex
import subprocess
import sys
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from rlcourse.utils import yamlfile
from rlcourse.utils.checkpoint import write
from rlcourse.utils.config import NOT_COMPARED, Settings, UserError, flag, nearest

PACKAGES = ("rlcourse", "torch", "gymnasium", "numpy", "mpi4py", "mujoco", "box2d")
FILES = (
    "checkpoint*.pt",  # first: a run that was being removed is never taken for a whole one
    "*.pt",
    "replay/*.pt",
    "replay/.*.tmp",
    ".*.tmp",
    "progress.csv",
    "events.*",
    "curve.png",
    "watch.gif",
    "log.txt",
    "config.yaml",
)


# ---- names


def algo_of(cfg: Any) -> str:
    """The algorithm a Config belongs to: the name of the file that defines it."""
    return type(cfg).__module__.rpartition(".")[2]


def shorthands(names: list[str]) -> dict[str, str]:
    """num_envs -> numenv and so on; the whole name where two would be alike.

    >>> shorthands(["num_envs", "lr", "lr_v"])
    {'num_envs': 'numenv', 'lr': 'lr', 'lr_v': 'lrv'}
    """
    short = {name: "".join(part[:3] for part in name.split("_")) for name in names}
    taken = [*short.values(), *(n for n, s in short.items() if n != s)]
    return {n: s if taken.count(s) == 1 else n for n, s in short.items()}


def text(value: Any) -> str:
    """A value as part of a folder's name; different values of a field have different texts.

    >>> text((64, 64)), text(0.001)
    ('64-64', '0.001')
    """
    if isinstance(value, tuple):
        value = "-".join(map(str, value))
    return re.sub(r"[^\w.+=-]|^[.]+", "-", str(value))


def env_text(env: str) -> str:
    """An environment's id as part of a folder's name: module:space/Id-v0 as module=space+Id-v0.

    >>> env_text("ALE/Pong-v5"), env_text("tank:Tank-v0")
    ('ALE+Pong-v5', 'tank=Tank-v0')
    """
    return text(env.replace("/", "+").replace(":", "="))


def name(
    cfg: Any, settings: Settings, given: dict[str, str], swept: set[str], stamp: str = ""
) -> Path:
    """The folder of a run; those of a grid differ in it where their configurations do.

    `given` are the fields that were set and their shorthands ('' for the usual one), `swept` those
    with several values ("algo" too; "tuned" for a grid that is); `stamp` goes in front of the
    experiment's name.
    """
    usual = shorthands([f.name for f in fields(cfg)])
    named = [n for n in given if n in usual and n not in ("seed", "epochs", "env")]
    experiment = f"{algo_of(cfg)}_{env_text(cfg.env)}" + "_tuned" * ("tuned" in swept)
    if settings.exp_name:
        experiment = text(settings.exp_name)
        named = [n for n in named if n in swept]
        if "algo" in swept:
            experiment += f"_{algo_of(cfg)}"
        if "env" in swept:
            experiment += f"_{env_text(cfg.env)}"
    if "epochs" in swept:
        named.append("epochs")
    for n in named:
        experiment += f"_{given[n] or usual[n]}{text(getattr(cfg, n))}"
    experiment = stamp + experiment
    return Path(settings.data_dir) / experiment / f"{experiment}_s{cfg.seed}"


# ---- config.yaml


def describe(cfg: Any, settings: Settings) -> dict[str, Any]:
    """Everything that determines a run, as plain data."""
    return _plain({"algo": algo_of(cfg)} | asdict(cfg) | asdict(settings))


def hparams(cfg: Any, settings: Settings) -> dict[str, Any]:
    """What two runs may be compared by; not epochs, which may grow when a run goes on."""
    all_ = describe(cfg, settings)
    return {n: value for n, value in all_.items() if n not in NOT_COMPARED | {"epochs"}}


def _plain(x: Any) -> Any:
    """Tuples as lists, which is what YAML knows."""
    if isinstance(x, dict):
        return {key: _plain(value) for key, value in x.items()}
    return [_plain(value) for value in x] if isinstance(x, list | tuple) else x


def write_config(folder: Path, cfg: Any, settings: Settings, **more: Any) -> None:
    """Write config.yaml; versions, machine, command and what is in `more` stand under `about`."""
    about = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.orig_argv),
        "commit": _commit(),
        "machine": machine(),
        "python": sys.version.split()[0],
        "versions": versions(),
    } | more
    data = describe(cfg, settings) | {"about": about}
    write(folder / "config.yaml", yamlfile.dump(data).encode())


def read_config(folder: Path) -> dict[str, Any] | None:
    """What config.yaml says, or None if there is none."""
    path = folder / "config.yaml"
    if not path.exists():
        return None
    data = yamlfile.load(path)
    if not isinstance(data, dict) or "algo" not in data:
        raise UserError(f"{path} is not the configuration of a run: it names no algo")
    return data


def machine() -> str:
    """The kind of machine: equal runs have equal numbers on equal ones alone."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"^model name\s*: (.*)", info, re.MULTILINE)
    kind = model[1] if model else platform.machine()
    return f"{os.cpu_count()} cores, {kind}, {platform.system()}"


def versions() -> dict[str, str]:
    """The versions of the packages that a run depends on, as far as they are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit of this source, if it is a clone."""
    here = Path(__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


# ---- states


def check_same(folder: Path, cfg: Any, settings: Settings) -> bool:
    """Whether the folder holds this run already; UserError if it holds another one."""
    there = read_config(folder)
    if there is not None:
        compare(folder, there, describe(cfg, settings))
    return there is not None


def compare(folder: Path, there: dict[str, Any], here: dict[str, Any]) -> None:
    """UserError unless one configuration is the other, or the other for longer."""
    there = asdict(Settings()) | there  # a run may be older than a setting
    differing = [n for n in here if n not in NOT_COMPARED and here[n] != there.get(n)]
    longer = isinstance(there.get("epochs"), int) and here["epochs"] > there["epochs"]
    if differing == ["epochs"] and longer:
        if here.get("lr_end", 1) == 1:
            return  # nothing before depends on how long it is
        raise UserError(
            f"{folder} cannot go on from --epochs {there['epochs']} to {here['epochs']}: its "
            "learning rate (--lr-end) depends on them; --overwrite starts anew"
        )
    if differing:
        raise UserError(
            f"{folder} holds another run ({differences(differing, there, here)}): "
            "choose another --exp-name, or --overwrite to replace it"
        )


def differences(names: list[str], there: dict[str, Any], here: dict[str, Any]) -> str:
    """Both values of each of these fields, in words."""

    def shown(x: Any) -> Any:
        return "none" if x in ("", {}) else x

    return ", ".join(f"{flag(n)} {shown(there.get(n))} there, {shown(here[n])} here" for n in names)


def check_writable(folder: Path) -> None:
    """UserError if the folder could not be made; nothing is created."""
    place = folder.absolute()
    try:
        while not place.exists():
            place = place.parent
    except OSError as e:  # such as a name that is too long
        raise UserError(f"cannot write to {folder}: {e.strerror}") from e
    if not place.is_dir():
        raise UserError(f"cannot write to {folder}: {place} is not a folder (see --data-dir)")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {folder}: no permission in {place} (see --data-dir)")


def clear(folder: Path) -> None:
    """Remove the files of the run in it, and no others; UserError while another process uses it."""
    if folder.is_dir():
        with take(folder):
            for pattern in FILES:  # config.yaml says whose folder it is, and goes last
                for path in folder.glob(pattern):
                    path.unlink()


def take(folder: Path) -> IO[str]:
    """Make the folder and hold it until the process ends; UserError if another process does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / "run.lock", "a+")
    except OSError as e:
        raise UserError(f"cannot write to {folder}: {e.strerror} (see --data-dir)") from e
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        raise UserError(f"{folder} is in use by process {owner}: wait for it, or stop it") from None
    file.seek(0)
    file.truncate()
    file.write(f"{os.getpid()}\n")
    file.flush()
    for left in [*folder.glob(".*.tmp"), *folder.glob("replay/.*.tmp")]:
        left.unlink()  # a process was killed while it wrote them
    return file


def owner(folder: Path) -> str:
    """The process that is using the folder, or ''; nothing is created."""
    try:
        file = open(folder / "run.lock")
    except OSError:
        return ""
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().strip() or "unknown"
    return ""


def runs_under(path: Path) -> list[Path]:
    """The run folders at or below a path, in order of their names."""
    found = sorted(p.parent for p in path.rglob("config.yaml")) if path.is_dir() else []
    if not found:
        beside = path.parent.iterdir() if path.parent.is_dir() else []
        raise UserError(f"no run in {path}.{nearest(path.name, [p.name for p in beside])}")
    return found
