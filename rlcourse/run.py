"""Train, plot, evaluate, watch and share from the command line.

    python -m rlcourse.run ppo --env CartPole-v1                 train an agent
    python -m rlcourse.run ppo --env CartPole-v1 --seed 0 1 2    a grid: several values of any flag
    python -m rlcourse.run ppo --env CartPole-v1 --seed 0 1 2 --jobs 2       two runs at a time
    python -m rlcourse.run ppo --env CartPole-v1 --cpu 2         two processes on one experiment
    python -m rlcourse.run FILE.yaml --dry-run                   a grid from a file, what it will do
    python -m rlcourse.run ppo --help                            all flags of an algorithm
    python -m rlcourse.run plot data/ppo_CartPole-v1             draw the learning curves of runs
    python -m rlcourse.run report data                           a page of tables with intervals
    python -m rlcourse.run eval data/ppo_CartPole-v1             measure how good policies are
    python -m rlcourse.run watch data/ppo_CartPole-v1            see a trained policy act
    python -m rlcourse.run export RUN bundle.zip                 a trained agent as one file
    python -m rlcourse.run check CartPole-v1                     is an environment sound?

A command can be repeated: a run that was cut off continues, a finished one reports, and with more
--epochs it goes on. Algorithms: {algos}.
"""

import argparse
import itertools
import json
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

from rlcourse import ALGOS
from rlcourse.utils import config
from rlcourse.utils.config import Settings, UserError, flag, nearest

PROGRAM = "python -m rlcourse.run"
KINDS = {int: "INT", float: "FLOAT", bool: "BOOL", str: "TEXT", dict: "KEY=VALUE"}


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 after a mistake of the user's, 1 if a run failed."""
    argv = sys.argv[1:] if argv is None else argv
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # for terminals without Greek letters
    sys.path.append("")  # for --env my_module:MyEnv-v0
    known = commands()
    if argv and argv[0].endswith((".yaml", ".yml")):
        known[argv[0]] = train
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(__doc__.format(algos=", ".join(ALGOS)).strip())
        return 0
    try:
        if argv[0] not in known:
            near = nearest(argv[0], known)
            names = ", ".join([*known, "or a FILE.yaml"])
            raise UserError(f"unknown command '{argv[0]}'.{near} Known: {names}")
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
    """What can be the first word, and the function that does it."""
    known = {"plot": plot, "report": report, "eval": evaluate, "watch": watch, "export": export}
    known |= {"check": check, "completion": completion}
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
        """A UserError, where argparse would print its usage and exit."""
        raise UserError(f"{message} (see {self.prog} --help)")

    def parse_args(self, argv: list[str]) -> argparse.Namespace:
        """The flags; UserError on the first word that belongs to none."""
        found, unknown = self.parse_known_args(argv)
        for word in unknown:
            if not word.startswith("-"):
                self.error(f"'{word}' belongs to no flag")
            word = word.partition("=")[0]
            self.error(f"unknown flag {word}.{nearest(word, self._option_string_actions)}")
        return found


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Room for long flags, and `--seed INT ...` for several values."""

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
            name, equals, value = word[2:].partition("=")
            stem, bracket, short = name.partition("[")
            word = flag(config.field_name(stem)) + bracket + short + equals + value
        result.append(word)
    return result


def add_fields(parser: Parser, cls: type, title: str, several: bool) -> None:
    """A flag for each field that has none yet: as the dataclass has it in type and meaning."""
    group, helps = parser.add_argument_group(title), config.helps(cls)
    for f in fields(cls):
        if flag(f.name) in parser._option_string_actions:  # by an algorithm before
            continue
        default = config.default(f)
        shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
        text = helps[f.name].replace("%", "%%")
        text += f" ({shown})" if shown not in (None, "", {}) else ""
        nargs = "+" if several or f.type is dict else 1
        kind = KINDS.get(f.type, "INT,INT")
        group.add_argument(flag(f.name), dest=f.name, nargs=nargs, metavar=kind, help=text)


# ---- training


def train(what: str, argv: list[str]) -> int:
    """Every run that the flags describe, or a YAML file and the flags."""
    from rlcourse.utils import grid, mpi

    grids = [grid.Grid([grid.algorithm(what)])] if what in ALGOS else grid.read(Path(what))
    modules = list(dict.fromkeys(module for each in grids for module in each.modules))
    parser = train_parser(what, modules)
    given = vars(parser.parse_args(expand_shorthands(argv, shorthands := {})))
    for each in grids:
        each.tuned = given["tuned"]
    for cls in (*(module.Config for module in modules), Settings):
        for f in fields(cls):
            if (texts := given[f.name]) is not None:
                texts = config.parse_kwargs(texts) if f.type is dict else texts
                for each in grids:
                    each.put(f.name, texts, shorthands.get(f.name, ""))
    runs = part(grid.expand(grids, given["dt"]), given["part"])
    if given["dry_run"]:
        show_tuned(runs, given["tuned"])
        if mpi.rank() == 0:
            grid.show_states(runs, given["overwrite"])
        return 0
    if not runs:
        print(f"--part {given['part']} of this grid is empty")
        return 0
    jobs = config.parse(given["jobs"], int, "jobs")
    grid.check(runs, jobs, given["overwrite"])
    mpi.launch(runs[0].settings.cpu, [what, *argv])
    show_tuned(runs, given["tuned"])
    failures = grid.train(runs, jobs, given["overwrite"])
    if mpi.rank() == 0:
        outcome(what, argv, runs, failures)
    return 1 if failures else 0


def train_parser(what: str, modules: list[Any]) -> Parser:
    """The flags of an algorithm, or of all those in a file."""
    if what in ALGOS:
        parser = Parser(what, "--env ENV [flags]", modules[0].__doc__.replace("%", "%%"))
    else:
        parser = Parser(what, "[flags]", "The runs of a file; a flag goes for all of them.")
    for module in modules:
        title = f"hyper-parameters of {module.__name__.rpartition('.')[2]} (several values: a grid)"
        add_fields(parser, module.Config, title, several=True)
    add_fields(parser, Settings, "the run", several=False)
    text = "runs at a time, `auto`: as many as there are cores (1)"
    parser.add_argument("--jobs", default="1", metavar="INT", help=text)
    parser.add_argument("--dry-run", action="store_true", help="list the runs and what is there")
    text = "the first of ten parts of the grid, as for a job array"
    parser.add_argument("--part", default="1/1", metavar="1/10", help=text)
    text = "start from the settings of rlcourse/tuned.yaml in place of the defaults"
    parser.add_argument("--tuned", action="store_true", help=text)
    parser.add_argument("--dt", action="store_true", help="put date and time in front of the name")
    parser.add_argument("--overwrite", action="store_true", help="replace a run that is there")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def show_tuned(runs: list[Any], on: bool) -> None:
    """What --tuned changes, for each algorithm and environment of a grid."""
    from rlcourse.utils import folders, mpi, tuned

    if on and mpi.rank() == 0:
        for algo, env in dict.fromkeys((folders.algo_of(run.cfg), run.cfg.env) for run in runs):
            print(tuned.describe(algo, env))


def part(runs: list[Any], text: str) -> list[Any]:
    """Every n-th run of a grid, beginning with the i-th: its part i/n."""
    i, n = map(int, re.fullmatch(r"(\d{1,9})/(\d{1,9})|.*", text, re.DOTALL).groups("0"))
    if not 1 <= i <= n:
        raise UserError(f"--part takes 1/10, 2/10 and so on to 10/10, not '{text}'")
    return runs[i - 1 :: n]


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


def outcome(what: str, argv: list[str], runs: list[Any], failures: list[Any]) -> None:
    """The outcome, and what one may want to do next."""
    from rlcourse.utils import grid, tuned

    print()
    if len(runs) == 1:
        show_run(runs[0])
    else:
        grid.show_results(runs)
    if failures:
        print(f"\n{len(failures)} of {len(runs)} runs failed; the same command tries them again:")
        for failure in failures:
            print(f"  {failure.where}: {failure.reason}")
    finished = [run for run in runs if run not in [failure.run for failure in failures]]
    if not finished:
        return
    experiments = dict.fromkeys(shlex.quote(str(run.folder.parent)) for run in finished)
    next_ = [f"plot {' '.join(experiments)}", f"watch {shlex.quote(str(finished[-1].folder))}"]
    found = {} if "--tuned" in argv else tuned.table().get(what, {})
    for env in dict.fromkeys(run.cfg.env for run in finished):
        if "result" in found.get(env, {}):
            next_.append(f"{what} --env {env} --tuned   (settings that were found for it)")
    epochs = {run.cfg.epochs for run in runs}
    fixed = all(getattr(run.cfg, "lr_end", 1) == 1 for run in runs)
    if len(epochs) == 1 and fixed and "--dt" not in argv and not failures:
        again = [word for word in argv if word != "--overwrite"]
        longer = shlex.join([what, *with_flag(again, "--epochs", str(2 * epochs.pop()))])
        next_.append(f"{longer}   (goes on from here)")
    print("\nnext:")
    for command in next_:
        print(f"  {interpreter()} -m rlcourse.run {command}")


def show_run(run: Any) -> None:
    """What one run came to, and how it got there."""
    from rlcourse.utils.grid import score
    from rlcourse.utils.logger import read
    from rlcourse.utils.plot import text_curve

    print(f"{run.folder}")
    rows = read(run.folder / "progress.csv")
    if not rows:
        return
    print(f"  deterministic policy, {run.settings.eval_episodes} episodes: {score(rows[-1])}")
    returns = [r["AverageEpRet"] for r in rows if r["AverageEpRet"] is not None]
    if len(returns) > 1:
        ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
        print("\nreturn of the training episodes, by epoch")
        print(text_curve(returns, ascii_only=ascii_only))


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
    """`plot`: draw learning curves."""
    from rlcourse.utils import plot

    parser = Parser(command, "RUN... [flags]", "Learning curves: a line for each experiment.")
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run, of seeds, or of all")
    add("--value", nargs="+", metavar="NAME", help=f"what to draw, each in a panel ({plot.RETURN})")
    add("--xaxis", default=plot.STEPS, metavar="NAME", help=f"Time, Epoch, ... ({plot.STEPS})")
    add("--estimate", default="mean", metavar="NAME", help=f"{', '.join(plot.ESTIMATES)} (mean)")
    add("--band", default="", metavar="NAME", help=f"{', '.join(plot.BANDS)} (range)")
    add("--smooth", type=int, default=1, metavar="INT", help="mean over so many epochs (1: none)")
    add("--count", action="store_true", help="a line for each run instead of their mean")
    add("--legend", nargs="+", default=[], metavar="NAME", help="a name for each experiment")
    add("--select", nargs="+", default=[], metavar="TEXT", help="runs with all these in their path")
    add("--exclude", nargs="+", default=[], metavar="TEXT", help="runs with none of these in it")
    add("--out", default="", metavar="FILE", help="a .png, .svg, .pdf, or .csv with the numbers")
    add("--debug", action="store_true", help="show the traceback of an error")
    given = vars(parser.parse_args(argv))
    del given["debug"]
    path = plot.plot(given.pop("runs"), **given, window=True)
    if path:
        print(path)


def report(command: str, argv: list[str]) -> None:
    """`report`: tables and figures of many runs."""
    what = "A page for each folder of experiments: scores with intervals, every run, the cost."
    parser = Parser(command, "FOLDER [flags]", what)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="of experiments, or of folders of experiments")
    add("--debug", action="store_true", help="show the traceback of an error")
    given = parser.parse_args(argv)

    from rlcourse.utils.report import report

    for path in report(given.folder):
        print(path)


def watch(command: str, argv: list[str]) -> None:
    """`watch`: play with a trained policy."""
    parser = Parser(command, "RUN [flags]", "Play with a trained policy, in a window or as a film.")
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder, model file or bundle")
    film = parser.add_mutually_exclusive_group()
    film.add_argument("--gif", type=Path, metavar="FILE", help="write a film instead")
    film.add_argument("--mp4", type=Path, metavar="FILE", help="the same, smaller and smoother")
    add_playing(parser, episodes=1)
    given = parser.parse_args(argv)
    check_playing(given)

    from rlcourse.utils import policy, watch
    from rlcourse.utils.console import console

    path = policy.files(given.run, given.best)[0]
    film = given.gif or given.mp4
    if film:
        watch.check_film(film, ".gif" if given.gif else ".mp4")
    elif not watch.has_screen():
        film = path.parent / "watch.gif"
    player = policy.load(path)
    played = watch.watch(player, given.episodes, film, given.seed, given.stochastic, given.env)
    screen = console()
    with screen.status(f"drawing {film}" if film else "playing"):  # on a terminal; it can take long
        for number, (ret, length) in enumerate(played):
            screen.print(f"episode {number + 1}: return {ret:.1f}, {length} steps")
    if film:
        print(film)


def add_playing(parser: Parser, episodes: int, choice: bool = True) -> None:
    """The flags of commands that play episodes; with a `choice` of what is played."""
    add = parser.add_argument
    add("--episodes", type=int, default=episodes, metavar="INT", help=f"how many ({episodes})")
    add("--seed", type=int, default=0, metavar="INT", help="of the episodes' starts (0)")
    add("--env", default="", metavar="MODULE:ID", help="allow this environment to be imported")
    if choice:
        add("--best", action="store_true", help="the best policy of a run instead of the last")
        add("--stochastic", action="store_true", help="let the policy explore as in training")
    add("--debug", action="store_true", help="show the traceback of an error")


def check_playing(given: argparse.Namespace) -> None:
    """UserError unless episodes and seed can be used."""
    for name, low in (("episodes", 1), ("seed", 0)):
        value = getattr(given, name)
        if value < low:
            raise UserError(f"--{name} {value} is out of range: it must be {low} or more")


def evaluate(command: str, argv: list[str]) -> None:
    """`eval`: measure policies, as a table or as JSON."""
    parser = Parser(command, "RUN... [flags]", "How good policies are, on equal starts.")
    what = "run or experiment folder, model file or bundle"
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help=what)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else"
    )
    add_playing(parser, episodes=100)
    given = parser.parse_args(argv)
    check_playing(given)

    from rlcourse.utils import evaluate, policy

    asked = {"episodes": given.episodes, "seed": given.seed, "stochastic": given.stochastic}
    players = {run: list(map(policy.load, policy.files(run, given.best))) for run in given.runs}
    for player in itertools.chain(*players.values()):
        player.make_env(given.env).close()  # what is wrong is said before the first is played
    say = (lambda text: None) if given.json else partial(print, flush=True)
    how = "exploring" if given.stochastic else "deterministic"
    say(f"{how} policy, {given.episodes} episodes from seed {given.seed}")
    say("returns, and the low and high end of a 95 % interval of their mean; length in steps\n")
    say(evaluate.HEAD)
    runs = []
    for run, several in players.items():
        say(f"{run}")
        found = []
        for player in several:
            played = evaluate.evaluate(player, **asked, allowed=given.env)
            found.append({"policy": str(player.path), **player.log, **played})
            say(evaluate.line(played, player.path.parent.name if run.is_dir() else ""))
        means = evaluate.summary([played["mean"] for played in found])
        if len(found) > 1:
            say(evaluate.line(means, f"the {len(found)} means"))
        runs.append({"run": str(run), **means, "policies": found})
    if given.json:
        print(json.dumps(asked | {"runs": runs}))


def export(command: str, argv: list[str]) -> None:
    """`export`: write a bundle."""
    parser = Parser(command, "RUN BUNDLE.zip [flags]", "A trained agent to give away: one file.")
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE.zip", help="file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_playing(parser, episodes=100, choice=False)
    given = parser.parse_args(argv)
    check_playing(given)

    from rlcourse.utils import bundle
    from rlcourse.utils.console import number

    path = given.bundle
    if path.suffix != ".zip" or not path.absolute().parent.is_dir() or path.is_dir():
        raise UserError(f"cannot write {path}: it takes a name.zip in a folder that exists")
    if path.exists() and not given.overwrite:
        raise UserError(f"{path} is there already: choose another name, or --overwrite it")
    result = bundle.export(given.run, path, given.episodes, given.seed, given.env)
    mean, low, high = (number(result[name]) for name in ("mean", "low", "high"))
    print(f"{path}: return {mean} ({low} to {high}) over {given.episodes} episodes")


def check(command: str, argv: list[str]) -> int:
    """`check`: look at an environment; the exit code is 1 if it is unsound."""
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
    """`completion`: print the script for a shell."""
    about = 'For bash and zsh; put  eval "$(rlcourse completion)"  into ~/.bashrc or ~/.zshrc.'
    Parser(command, "", about).parse_args(argv)

    from rlcourse.utils.completion import script

    print(script(commands()), end="")


if __name__ == "__main__":
    sys.exit(main())
