"""Train, plot and watch from the command line.

    python -m rlcourse.run ppo --env CartPole-v1                 train an agent
    python -m rlcourse.run ppo --env CartPole-v1 --seed 0 1 2    a grid: several values of any flag
    python -m rlcourse.run ppo --env CartPole-v1 --cpu 2         two processes on one experiment
    python -m rlcourse.run ppo --help                            all flags of an algorithm
    python -m rlcourse.run plot data/ppo_CartPole-v1             draw the learning curves of runs
    python -m rlcourse.run watch data/ppo_CartPole-v1            see a trained policy act
    python -m rlcourse.run check CartPole-v1                     is an environment sound?

A command can be repeated: a run that was cut off continues, a finished one reports, and with more
--epochs it goes on. Algorithms: {algos}.
"""

import argparse
import itertools
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from shutil import which
from types import ModuleType
from typing import Any

from rlcourse import ALGOS
from rlcourse.utils import config
from rlcourse.utils.config import Settings, UserError, flag, nearest

PROGRAM = "python -m rlcourse.run"
ALIASES = {"--hid": "--hidden", "--act": "--activation", "--env-name": "--env"}
KINDS = {int: "INT", float: "FLOAT", bool: "BOOL", str: "TEXT", dict: "KEY=VALUE"}


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, or 2 after a mistake of the user's."""
    argv = sys.argv[1:] if argv is None else argv
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # for terminals without Greek letters
    sys.path.append("")  # for --env my_module:MyEnv-v0
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(__doc__.format(algos=", ".join(ALGOS)).strip())
        return 0
    try:
        known = commands()
        if argv[0] not in known:
            near = nearest(argv[0], known)
            raise UserError(f"unknown command '{argv[0]}'.{near} Known: {', '.join(known)}")
        return known[argv[0]](argv[0], normal(argv[1:])) or 0
    except UserError as e:
        if "--debug" in argv:
            raise
        print(f"rlcourse: {e}", file=sys.stderr)
        return stop(2)
    except KeyboardInterrupt:
        return stop(130)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return stop(1)
    except Exception:  # a bug, or an environment's: the other processes end with this one
        traceback.print_exc()
        return stop(1)


def commands() -> dict[str, Callable]:
    known = {"plot": plot, "watch": watch, "check": check, "completion": completion}
    return known | dict.fromkeys(ALGOS, train)


def stop(code: int) -> int:
    """Under MPI the other processes must not be left waiting."""
    mpi = sys.modules.get("rlcourse.utils.mpi")
    return mpi.abort(code) if mpi and mpi.size() > 1 else code


# ---- flags


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors, the nearest name, and no abbreviations."""

    def __init__(self, command: str, usage: str, description: str = ""):
        super().__init__(
            prog=f"{PROGRAM} {command}",
            usage=f"{PROGRAM} {command} {usage}",
            description=description,
            allow_abbrev=False,
            formatter_class=Formatter,
        )

    def error(self, message: str) -> None:
        raise UserError(f"{message} (see {self.prog} --help)")

    def parse_args(self, argv: list[str]) -> argparse.Namespace:
        found, unknown = self.parse_known_args(argv)
        for word in unknown:
            if not word.startswith("-"):
                self.error(f"'{word}' belongs to no flag")
            word = word.partition("=")[0]
            self.error(f"unknown flag {word}.{nearest(word, self._option_string_actions)}")
        return found


class Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=32)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        several = action.nargs in ("+", "*")
        return super()._format_args(action, default_metavar).partition(" ")[0] + " ..." * several


def normal(argv: list[str]) -> list[str]:
    """--num_envs as --num-envs, and Spinning Up's short flags as ours."""
    result = []
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            name = name.replace("_", "-")
            stem, bracket, short = name.partition("[")
            word = ALIASES.get(stem, stem) + bracket + short + equals + value
        result.append(word)
    return result


def add_fields(parser: Parser, cls: type, title: str, several: bool) -> None:
    """A flag for each field: type, default and meaning are those of the dataclass."""
    group, helps = parser.add_argument_group(title), config.helps(cls)
    for f in fields(cls):
        default = config.default(f)
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        text = helps[f.name].replace("%", "%%")
        text += f" ({shown})" if shown not in (None, "", {}) else ""
        nargs = "+" if several or f.type is dict else None
        kind = KINDS.get(f.type, "INT,INT")
        group.add_argument(flag(f.name), dest=f.name, nargs=nargs, metavar=kind, help=text)


# ---- training


@dataclass
class Experiment:
    """One run of a grid."""

    cfg: Any
    settings: Settings
    folder: Path


def train(algo: str, argv: list[str]) -> None:
    """Every run that the flags describe, one after the other."""
    module = import_module(f"rlcourse.algos.{algo}")
    parser = Parser(algo, "--env ENV [flags]", module.__doc__.replace("%", "%%"))
    add_fields(parser, module.Config, "hyper-parameters (several values make a grid)", several=True)
    add_fields(parser, Settings, "the run", several=False)
    parser.add_argument("--dt", action="store_true", help="put date and time in front of the name")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is there")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(expand_shorthands(argv, shorthands := {}))

    from rlcourse.utils import folders, mpi
    from rlcourse.utils.run import device

    runs = grid(module, vars(given), shorthands)
    settings = runs[0].settings
    device(settings.device)
    for run in runs:
        config.check_shares(run.cfg, settings.cpu)
        folders.check_writable(run.folder)
        if not given.overwrite:
            folders.check_same(run.folder, run.cfg, settings)
    mpi.launch(settings.cpu, [algo, *argv])

    from rlcourse.utils.run import Run

    for run in runs:
        if given.overwrite and mpi.rank() == 0:
            folders.clear(run.folder)
        mpi.barrier()
        if mpi.first(mpi.rank() == 0 and finished(run)):
            if mpi.rank() == 0:
                print(f"finished already: {run.folder}")
            continue
        with closing(Run(run.cfg, settings, run.folder)) as opened:
            module.train(run.cfg, opened)
    if mpi.rank() == 0:
        report(algo, argv, runs)


def expand_shorthands(argv: list[str], shorthands: dict[str, str]) -> list[str]:
    """Take Spinning Up's `--hidden[h]` apart: the flag, and what stands for it in names."""
    result = []
    for word in argv:
        match = re.fullmatch(r"--([a-z-]+)\[(\w+)\](=.*)?", word)
        if match:
            shorthands[match[1].replace("-", "_")] = match[2]
            word = f"--{match[1]}{match[3] or ''}"
        result.append(word)
    return result


def grid(module: ModuleType, given: dict[str, Any], shorthands: dict[str, str]) -> list[Experiment]:
    """Every combination of the values given, checked, with the folder that is its own."""
    from rlcourse.utils import folders, mpi

    values, options = {}, {}
    for f in fields(module.Config):
        texts = given[f.name]
        if texts is not None:
            values[f.name] = [config.parse(text, f.type, f.name) for text in texts]
            for value in values[f.name]:
                if values[f.name].count(value) > 1:
                    raise UserError(f"{flag(f.name)} has the value {value} twice")
    for f in fields(Settings):
        text = given[f.name]
        if text is not None:
            parse = config.parse_kwargs if f.type is dict else config.parse
            options[f.name] = parse(text) if f.type is dict else parse(text, f.type, f.name)
    if "env" not in values:
        raise UserError("--env is needed, for example --env CartPole-v1")
    if mpi.size() > 1:
        options.setdefault("cpu", mpi.size())  # mpiexec was called by hand, or by Slurm
    settings = Settings(**options)
    config.check(settings)
    stamp = mpi.first(datetime.now().strftime("%Y-%m-%d_%H-%M-%S_")) if given["dt"] else ""

    named = {name: shorthands.get(name, "") for name in values}
    swept = {name for name in values if len(values[name]) > 1}
    runs, ids = [], {}
    for combination in itertools.product(*values.values()):
        cfg = module.Config(**dict(zip(values, combination, strict=True)))
        config.check(cfg)
        if cfg.env not in ids:
            ids[cfg.env] = resolve(cfg.env, settings)
        cfg = replace(cfg, env=ids[cfg.env])
        folder = folders.name(cfg, settings, named, swept, stamp)
        if folder in [run.folder for run in runs]:
            raise UserError(f"two runs of the grid would share {folder}: a value is there twice")
        runs.append(Experiment(cfg, settings, folder))
    return runs


def resolve(env: str, settings: Settings) -> str:
    """The full id of an environment that can be made and that the algorithms can work with."""
    from rlcourse.utils.envs import make

    made = make(env, settings)
    made.close()
    module, colon, _ = env.rpartition(":")
    return module + colon + made.spec.id


def finished(run: Experiment) -> bool:
    from rlcourse.utils import checkpoint, folders

    if not folders.check_same(run.folder, run.cfg, run.settings):
        return False
    state, _ = checkpoint.load_newest(run.folder / "checkpoint.pt")
    return state is not None and state["epoch"] == run.cfg.epochs


def report(algo: str, argv: list[str], runs: list[Experiment]) -> None:
    """The outcome, and what one may want to do next."""
    from rlcourse.utils.console import number
    from rlcourse.utils.logger import read
    from rlcourse.utils.plot import text_curve

    print()
    for run in runs:
        print(f"{run.folder}")
        rows = read(run.folder / "progress.csv")
        if not rows:
            continue
        score = f"{number(rows[-1]['AverageTestEpRet'])} ± {number(rows[-1]['StdTestEpRet'])}"
        print(f"  deterministic policy, {run.settings.eval_episodes} episodes: return {score}")
    if len(runs) == 1:
        returns = [r["AverageEpRet"] for r in rows if r["AverageEpRet"] is not None]
        if len(returns) > 1:
            print("\nreturn of the training episodes, by epoch")
            print(
                text_curve(
                    returns, ascii_only=not (sys.stdout.encoding or "").lower().startswith("utf")
                )
            )
    experiments = dict.fromkeys(shlex.quote(str(run.folder.parent)) for run in runs)
    next_ = [f"plot {' '.join(experiments)}", f"watch {shlex.quote(str(runs[-1].folder))}"]
    epochs = {run.cfg.epochs for run in runs}
    if len(epochs) == 1 and getattr(runs[0].cfg, "lr_end", 1) == 1 and "--dt" not in argv:
        again = [word for word in argv if word != "--overwrite"]
        longer = shlex.join(with_flag(again, "--epochs", str(2 * epochs.pop())))
        next_.append(f"{algo} {longer}   (goes on from here)")
    print("\nnext:")
    for command in next_:
        print(f"  {interpreter()} -m rlcourse.run {command}")


def interpreter() -> str:
    """What to type for this Python: its environment need not be activated."""
    if which("python") == sys.executable:
        return "python"
    path = Path(sys.executable)
    return shlex.quote(
        str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    )


def with_flag(argv: list[str], name: str, value: str) -> list[str]:
    """The command with one flag set to a value, whether it was there or not."""
    rest, skip = [], False
    for word in argv:
        if word.startswith("--"):
            skip = word.partition("=")[0] == name
        if not skip:
            rest.append(word)
    return [*rest, name, value]


# ---- afterwards


def plot(command: str, argv: list[str]) -> None:
    parser = Parser(command, "RUN... [flags]", "Learning curves: a line per experiment.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of runs")
    parser.add_argument("--value", nargs="+", help="columns of progress.csv to draw", default=[])
    parser.add_argument("--out", default="", metavar="FILE", help="a .png or .svg")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(argv)

    from rlcourse.utils import plot

    print(plot.plot(given.runs, out=given.out, value=given.value))


def watch(command: str, argv: list[str]) -> None:
    parser = Parser(command, "RUN [flags]", "Play with a trained policy, in a window or as a GIF.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, or a model file")
    parser.add_argument("--episodes", type=int, default=1, metavar="INT", help="how many (1)")
    parser.add_argument("--gif", type=Path, metavar="FILE", help="write a film instead")
    parser.add_argument("--env", default="", help="module:id, where the model names one")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(argv)

    from rlcourse.utils import folders, watch

    if given.episodes < 1:
        raise UserError(f"--episodes {given.episodes} is out of range: it must be 1 or more")
    run = given.run if given.run.is_file() else folders.runs_under(given.run)[0]
    gif = given.gif
    if gif is None and not watch.has_screen():
        gif = (run if run.is_dir() else run.parent) / "watch.gif"
    for number, ret in enumerate(watch.watch(run, given.episodes, gif, given.env)):
        print(f"episode {number + 1}: return {ret:.1f}")
    if gif:
        print(gif)


def check(command: str, argv: list[str]) -> int:
    parser = Parser(command, "ENV [flags]", "Is an environment sound, and what can learn in it?")
    parser.add_argument("env", metavar="ENV", help="Gymnasium id, or module:id")
    helps = config.helps(Settings)
    several = {"nargs": "+", "default": [], "metavar": "KEY=VALUE", "help": helps["env_kwargs"]}
    parser.add_argument("--env-kwargs", **several)
    parser.add_argument("--max-ep-len", default="0", metavar="INT", help=helps["max_ep_len"])
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(argv)
    settings = Settings(
        max_ep_len=config.parse(given.max_ep_len, int, "max_ep_len"),
        env_kwargs=config.parse_kwargs(given.env_kwargs),
    )
    config.check(settings)

    from rlcourse.utils import check

    sound, fitting = check.check(given.env, settings, given.debug)
    if fitting:
        algo = "ppo" if "ppo" in fitting else fitting[0]
        command = shlex.join([algo, "--env", *argv])
        print(f"\nnext:\n  {interpreter()} -m rlcourse.run {command}")
    return 0 if sound else 1


def completion(command: str, argv: list[str]) -> None:
    about = 'For bash and zsh; put  eval "$(rlcourse completion)"  into ~/.bashrc or ~/.zshrc.'
    Parser(command, "", about).parse_args(argv)

    from rlcourse.utils.completion import script

    print(script(commands()), end="")


if __name__ == "__main__":
    sys.exit(main())
