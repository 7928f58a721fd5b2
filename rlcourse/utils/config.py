"""Typed configuration: what a run needs beside its algorithm's Config, and the checks of both.

An algorithm's `Config` and the `Settings` below are plain frozen dataclasses. The comment behind a
field is its help text, its annotation says how a value is read, RANGES says what is allowed.
Nothing here evaluates text as code.
"""

import ast
import difflib
import inspect
import math
import os
import re
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

import yaml


class UserError(ValueError):
    """A mistake of the user's: its one line says what, where and what to do."""


@dataclass(frozen=True)
class Settings:
    """What a run needs beside the hyper-parameters; alike for all algorithms."""

    exp_name: str = ""  # of the experiment (default: algorithm, environment and flags)
    data_dir: str = "data"  # folder of all experiments
    cpu: int = 1  # MPI processes working on this run; `auto` takes every core
    threads: int = 1  # torch threads of each process
    compile: bool = False  # compile the loss of PPO: faster, but it begins ten seconds later
    device: str = "cpu"  # cpu, cuda or cuda:N
    eval_every: int = 10  # epochs between evaluations
    eval_episodes: int = 20  # episodes of an evaluation, played by the deterministic policy
    save_every: float = 10.0  # seconds between checkpoints; 0 saves at the end of each epoch
    init: str = ""  # run folder or bundle whose parameters training starts from
    max_ep_len: int = 0  # time limit of an episode in steps; 0 keeps the environment's own
    mpi_timeout: float = 300.0  # seconds that a process waits for the others
    env_kwargs: dict = field(default_factory=dict)  # key=value ..., passed on to the environment


# Fields of a Config that are totals over all processes, and are divided among them.
TOTALS = ("num_envs", "minibatch", "random_steps", "memory")

# Spinning Up's names for some fields.
ALIASES = {"hid": "hidden", "act": "activation", "env_name": "env"}

# Fields that may differ between two commands that name the same experiment.
NOT_COMPARED = {"exp_name", "data_dir", "save_every", "mpi_timeout"}

# Allowed values, alike in all algorithms; a round bracket leaves the end itself out.
RANGES = {
    "seed": "[0, inf)",
    "random_steps": "[0, inf)",
    "memory": "[1, inf)",
    "utd": "(0, inf)",
    "rho": "[0, 1]",
    "noise": "[0, inf)",
    "smooth": "[0, inf)",
    "smooth_clip": "[0, inf)",
    "delay": "[1, inf)",
    "lr_alpha": "[0, inf)",
    "alpha": "(0, inf)",
    "target_entropy": "(-inf, inf)",
    "target_share": "[0, 1)",
    "epochs": "[1, inf)",
    "num_envs": "[1, inf)",
    "horizon": "[1, inf)",
    "gamma": "[0, 1]",
    "lam": "[0, 1]",
    "clip": "(0, inf)",
    "lr": "(0, inf)",
    "lr_v": "(0, inf)",
    "lr_end": "[0, 1]",
    "passes": "[1, inf)",
    "minibatch": "[1, inf)",
    "max_kl": "(0, inf]",
    "max_norm": "(0, inf]",
    "entropy": "[0, inf)",
    "hidden": "[1, inf)",
    "cpu": "[1, inf)",
    "jobs": "[1, inf)",
    "threads": "[1, 1024]",
    "eval_every": "[1, inf)",
    "eval_episodes": "[1, inf)",
    "save_every": "[0, inf)",
    "max_ep_len": "[0, inf)",
    "mpi_timeout": "(0, inf)",
}
CHOICES = {"activation": ("tanh", "relu", "elu", "gelu", "silu")}


def nearest(word: str, known: Iterable[str]) -> str:
    """' Did you mean X?' for the closest known word, or nothing.

    >>> nearest("clipp", ["clip", "lam"])
    ' Did you mean clip?'
    """
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" Did you mean {match[0]}?" if match else ""


def helps(cls: type) -> dict[str, str]:
    """The comment behind each field of a dataclass."""
    found = re.findall(r"^    (\w+): [^#\n]*#[ ]*(.*)$", inspect.getsource(cls), flags=re.MULTILINE)
    return dict(found)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def field_name(text: str) -> str:
    """The field that is meant by num-envs or hid.

    >>> field_name("num-envs"), field_name("hid")
    ('num_envs', 'hidden')
    """
    name = text.replace("-", "_")
    return ALIASES.get(name, name)


def flag(name: str) -> str:
    """A field as it stands on the command line.

    >>> flag("num_envs")
    '--num-envs'
    """
    return "--" + name.replace("_", "-")


# ---- from text to values


def parse(text: str, kind: Any, name: str) -> Any:
    """A field's value from its text on the command line; `kind` is the field's annotation.

    UserError if the text is no such value.

    >>> parse("1e6", int, "memory"), parse("64,64", tuple[int, ...], "hidden")
    (1000000, (64, 64))
    >>> parse("ten", int, "epochs")
    Traceback (most recent call last):
    rlcourse.utils.config.UserError: --epochs takes a whole number, not 'ten'
    """
    try:
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if kind is int:
            if text == "auto" and name in ("cpu", "jobs"):
                return cores()
            return _integer(text)
        if kind is float:
            return float(text)
        if kind is str:
            return text.lower().removeprefix("torch.nn.") if name in CHOICES else text
        return tuple(_integer(part) for part in text.strip("[]()").rstrip(",").split(","))
    except (KeyError, ValueError, OverflowError):
        what = {bool: "true or false", int: "a whole number", float: "a number"}
        wanted = what.get(kind, "whole numbers such as 64,64")
        raise UserError(f"{flag(name)} takes {wanted}, not '{text}'") from None


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        number = float(text)  # 1e6 is a whole number too
        if number != int(number):
            raise
        return int(number)


def parse_kwargs(pairs: list[str]) -> dict[str, Any]:
    """`gravity=9.8 mode=hard` as a dict; values are Python literals, or else text.

    >>> parse_kwargs(["gravity=9.8", "mode=hard"])
    {'gravity': 9.8, 'mode': 'hard'}
    """
    result = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (equals and key.isidentifier()):
            raise UserError(f"--env-kwargs takes key=value, not '{pair}'")
        if key in result:
            raise UserError(f"--env-kwargs has {key} twice")
        try:
            result[key] = ast.literal_eval(text)
            yaml.safe_dump(result)  # what config.yaml cannot hold is taken as text
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, yaml.YAMLError):
            result[key] = text
    return result


# ---- checks


def check(cfg: Any) -> None:
    """Types, ranges and choices of a Config or Settings; UserError names the first fault.

    >>> check(Settings(threads=0))
    Traceback (most recent call last):
    rlcourse.utils.config.UserError: --threads 0 is out of range: it must lie in [1, 1024]
    """
    for f in fields(cfg):
        check_value(f.name, f.type, getattr(cfg, f.name))


def check_value(field_: str, kind: Any, value: Any) -> None:
    """Type, range and choices of one field; UserError names what is wrong."""
    name, parts = flag(field_), value if isinstance(value, tuple) else (value,)
    if not _is(value, kind):
        raise UserError(f"{name} takes {getattr(kind, '__name__', kind)}, not {value!r}")
    for part in parts:
        if field_ in RANGES and not _inside(part, RANGES[field_]):
            raise UserError(f"{name} {part} is out of range: it must lie in {RANGES[field_]}")
    if field_ in CHOICES and value not in CHOICES[field_]:
        raise UserError(f"{name} {value!r} is none of {', '.join(CHOICES[field_])}")


def check_shares(cfg: Any, cpu: int) -> None:
    """Totals that are divided: over the processes, and an epoch's steps into minibatches.

    UserError proposes the nearest number that fits.
    """
    for name in TOTALS:
        total = getattr(cfg, name, cpu)
        if total % cpu:
            near = max(1, round(total / cpu)) * cpu
            raise UserError(f"{flag(name)} {total} does not divide among --cpu {cpu}: try {near}")
    if getattr(cfg, "memory", cfg.num_envs) < cfg.num_envs:
        raise UserError(
            f"--memory {cfg.memory} cannot hold one step of all --num-envs {cfg.num_envs}: "
            "make it larger"
        )
    if getattr(cfg, "memory", 0) < getattr(cfg, "random_steps", 0):
        raise UserError(
            f"--memory {cfg.memory} cannot hold the --random-steps {cfg.random_steps}, "
            "after which learning begins: make it larger"
        )
    updates = cfg.num_envs * getattr(cfg, "utd", 1)
    if round(updates) < 1 or not math.isclose(updates, round(updates), rel_tol=1e-5):
        near = max(1, round(updates)) / cfg.num_envs
        raise UserError(
            f"--utd {cfg.utd} makes {updates:g} updates for one step of all --num-envs "
            f"{cfg.num_envs}, which is no whole number: try {near:g}"
        )
    if hasattr(cfg, "minibatch") and hasattr(cfg, "passes"):
        steps = cfg.horizon * cfg.num_envs
        if steps % cfg.minibatch:
            fits = (n for n in range(cpu, steps + 1, cpu) if steps % n == 0)
            near = min(fits, key=lambda n: abs(n - cfg.minibatch))
            raise UserError(
                f"--minibatch {cfg.minibatch} does not divide the {steps} steps of an epoch "
                f"(--horizon {cfg.horizon} times --num-envs {cfg.num_envs}): try {near}"
            )


def _is(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is dict:
        names = value if isinstance(value, dict) else [None]
        return all(isinstance(name, str) and name.isidentifier() for name in names)
    if kind in (str, bool):
        return isinstance(value, kind)
    return isinstance(value, tuple) and all(type(part) is int for part in value)


def _inside(number: float, interval: str) -> bool:
    low, high = (float(end) for end in interval[1:-1].split(","))
    above = number >= low if interval[0] == "[" else number > low
    below = number <= high if interval[-1] == "]" else number < high
    return above and below and not math.isnan(number)


def default(f: Any) -> Any:
    """A field's default, or None where a value must be given."""
    if f.default_factory is not MISSING:
        return f.default_factory()
    return None if f.default is MISSING else f.default
