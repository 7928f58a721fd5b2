"""Is an environment sound, which algorithms fit it, and how fast is it?

It is played with random and with extreme actions, and again with the same seeds, while every value
that it hands out is looked at. A `fault` makes it unsound, a `warning` is what one should know
before training, a `note` what one may like to know; docs/guide/environments.md explains each.
"""

import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.utils.env_checker import check_env, data_equivalence
from rich.table import Table
from rich.text import Text

from rlcourse import ALGOS
from rlcourse.utils.config import Settings, UserError
from rlcourse.utils.console import console, number
from rlcourse.utils.envs import make_any
from rlcourse.utils.evaluate import NO_LIMIT
from rlcourse.utils.run import Run
from rlcourse.utils.spaces import check_spaces

EPISODES, STEPS = 10, 2000  # with random actions, at least;
SECONDS = 2.0  # but not more processor time for them, for extreme ones, or for one episode alone
FAR = 10.0  # the extreme action where the box has no end
WIDE = 1e6  # the width of an action box beyond which it says nothing about a useful scale
GRADES = {"fault": "bold red", "warning": "yellow", "note": "dim"}
OURS = ("-infinity", "is infinity", "symmetric and normalized")  # advice that utils/spaces spares


class Findings(dict):
    """(grade, about, kind) -> the first text of its kind, and how many there were."""

    def __init__(self, debug: bool = False):
        self.debug = debug

    def add(self, grade: str, about: str, text: str, where: str = "") -> None:
        """Two texts that begin alike, up to a colon, are of one kind."""
        key = grade, about, text.partition(":")[0]
        first, times = self.get(key, (text + where, 0))
        self[key] = first, times + 1

    def grade(self, grade: str) -> list[tuple[str, str]]:
        """What each finding of a grade is about, and its text."""
        return [
            (about, first + f", and {times - 1} more" * (times > 1))
            for (kind, about, _), (first, times) in self.items()
            if kind == grade
        ]

    def raised(self, e: BaseException, where: str) -> None:
        """An exception is a fault, told with the innermost line that it passed through."""
        if self.debug:
            raise e
        last = traceback.extract_tb(e.__traceback__)[-1]
        what = f"{type(e).__name__}: {' '.join(str(e).split())}"
        self.add("fault", "raises", what, f" ({Path(last.filename).name}:{last.lineno}){where}")


class Broken(Exception):
    """The environment raised what is the cause of this; the argument says where."""


@contextmanager
def blame(where: str) -> Iterator[None]:
    """Whatever is raised meanwhile becomes the cause of a Broken."""
    try:
        yield
    except Exception as e:
        raise Broken(where) from e


# ---- playing


@dataclass
class Episode:
    """What was done in one episode, and copies of what came back."""

    seed: int
    acts: list[Any] = field(default_factory=list)
    seen: list[tuple[Any, ...]] = field(default_factory=list)  # (obs,), then (obs, rew, term, ...)
    rews: list[float] = field(default_factory=list)
    end: str = ""  # termination or truncation; empty where it was left open


class Player:
    """Plays episodes and looks at everything that comes back."""

    def __init__(self, env: gym.Env, findings: Findings):
        self.env, self.findings = env, findings
        self.episodes = self.steps = 0

    def play(self, seed: int, choose: Callable[[int], Any], how: str, most: int = 0) -> Episode:
        """An episode, of at most so many steps, of the actions choose(0), choose(1), ..."""
        episode, handed_out = Episode(seed), []
        self.episodes += 1
        where = f" at the reset of episode {self.episodes} ({how})"
        with blame(where):
            obs, info = self.env.reset(seed=seed)
        self._look(obs, info, where)
        episode.seen.append((deepcopy(obs),))
        handed_out.append(obs)
        time_is_up = time.process_time() + SECONDS
        while not episode.end and len(episode.acts) < (most or NO_LIMIT):
            if time.process_time() > time_is_up:
                break
            act = choose(len(episode.acts))
            episode.acts.append(deepcopy(act))
            self.steps += 1
            where = f" in step {len(episode.acts)} of episode {self.episodes} ({how})"
            with blame(where):
                obs, rew, term, trunc, info = self.env.step(act)
            self._look(obs, info, where)
            self._look_at_rest(rew, term, trunc, where)
            episode.seen.append((deepcopy(obs), rew, bool(term), bool(trunc)))
            episode.rews.append(np.nan if wrong_reward(rew) else float(rew))
            episode.end = "termination" if term else "truncation" if trunc else ""
            handed_out.append(obs)
        copies = [seen[0] for seen in episode.seen]
        if not all(map(same, handed_out, copies)):
            text = "an array that was handed out changes later: return a copy"
            self.findings.add("fault", "observation", text, f", episode {self.episodes} ({how})")
        return episode

    def again(self, episode: Episode) -> Episode:
        """Another one with the same seed and actions."""
        acts = episode.acts
        return self.play(episode.seed, lambda t: acts[t], "repeated", most=len(acts))

    def _look(self, obs: Any, info: Any, where: str) -> None:
        if text := wrong_obs(obs, self.env.observation_space):
            self.findings.add("fault", "observation", text, where)
        elif isinstance(self.env.observation_space, Box):
            if text := outside(obs, self.env.observation_space):
                self.findings.add("warning", "observation", text, where)
        if not isinstance(info, dict):
            self.findings.add("fault", "info", f"it is a {type(info).__name__}, no dict", where)

    def _look_at_rest(self, rew: Any, term: Any, trunc: Any, where: str) -> None:
        if text := wrong_reward(rew):
            self.findings.add("fault", "reward", text, where)
        for name, value in (("terminated", term), ("truncated", trunc)):
            if not isinstance(value, bool | np.bool_):
                text = f"{name} is a {type(value).__name__}, no bool"
                self.findings.add("fault", "end", text, where)


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit; not a number equals itself."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes())
    return data_equivalence(a, b, exact=True) or a != a and b != b


def parting(one: Episode, other: Episode) -> int | None:
    """The step in which two episodes first differ, if any."""
    for t, (a, b) in enumerate(zip(one.seen, other.seen, strict=False)):
        if not all(map(same, a, b)):
            return t
    return None


def wrong_obs(obs: Any, space: Space) -> str:
    """What is wrong with an observation; nothing if it is of its space and finite."""
    if isinstance(space, Box):
        if not isinstance(obs, np.ndarray):
            return f"it is a {type(obs).__name__}, no array"
        if obs.shape != space.shape:
            return f"its shape is {obs.shape}, but {space.shape} in the space"
        if not np.can_cast(obs.dtype, space.dtype):
            return f"it is {obs.dtype}, but {space.dtype} in the space"
        with np.errstate(over="ignore"):
            finite = np.isfinite(obs.astype(np.float32))
        if not finite.all():
            return f"it is not finite in float32: {obs[~finite][0]}"
        return ""
    return "" if obs in space else f"it is not in the space: {obs!r:.60}"


def outside(obs: np.ndarray, space: Box) -> str:
    """Which bounds of its box an observation leaves; nothing if it keeps to them."""
    beyond = (obs < space.low) | (obs > space.high)
    if not beyond.any():
        return ""
    ends = f"[{number(space.low[beyond][0])}, {number(space.high[beyond][0])}]"
    return f"it leaves its space: {number(obs[beyond][0])} is outside of {ends}"


def wrong_reward(rew: Any) -> str:
    """What is wrong with a reward; nothing if it is a finite number."""
    if np.ndim(rew) > 0:
        return f"it is an array of shape {np.shape(rew)}, not a number"
    if not np.issubdtype(np.asarray(rew).dtype, np.number) and not isinstance(rew, bool | np.bool_):
        return f"it is a {type(rew).__name__}, not a number"
    with np.errstate(over="ignore"):
        return "" if np.isfinite(np.float32(rew)) else f"it is not finite in float32: {rew}"


def extremes(space: Space, rng: np.random.Generator) -> list[tuple[str, Callable[[int], Any]]]:
    """Ways to act that random actions never come near, and what they are called."""
    if isinstance(space, Discrete):
        always = range(space.start, space.start + min(int(space.n), EPISODES))
        return [(f"always action {a}", lambda t, a=a: a) for a in always]
    if not isinstance(space, Box):
        return []
    low = np.where(np.isfinite(space.low), space.low, -FAR).astype(space.dtype)
    high = np.where(np.isfinite(space.high), space.high, FAR).astype(space.dtype)
    corner = [("corners of the box", lambda t: np.where(rng.random(low.shape) < 0.5, low, high))]
    ends = [("lowest actions", lambda t: low.copy()), ("highest actions", lambda t: high.copy())]
    return ends + corner * (EPISODES - len(ends))


def within(seconds: float) -> Iterator[None]:
    """Goes on for so much processor time, and twice at least."""
    began = time.process_time()
    yield
    yield
    while time.process_time() - began < seconds:
        yield


# ---- judging


def ask_gymnasium(env: gym.Env, findings: Findings) -> None:
    """The findings of Gymnasium's own checker, which ends at the first fault."""
    level, gym.logger.min_level = gym.logger.min_level, gym.logger.WARN
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)
        except Exception as e:
            file = traceback.extract_tb(e.__traceback__)[-1].filename
            if Path(gym.__file__).parent in Path(file).parents and isinstance(e, AssertionError):
                findings.add("fault", "gymnasium", " ".join(str(e).split()))
            else:
                findings.raised(e, " in Gymnasium's checker")
        finally:
            gym.logger.min_level = level
    for warning in caught:
        text = str(warning.message).replace("\x1b[33m", "").replace("\x1b[0m", "")
        if not any(part in text for part in OURS):
            findings.add("warning", "gymnasium", text.removeprefix("WARN: ").strip())


def answers(env: gym.Env) -> str:
    """What is wrong with the very form of what reset and step return; nothing if all is well."""
    for name, call, form in (
        ("reset", lambda: env.unwrapped.reset(seed=0), "(obs, info)"),
        (
            *("step", lambda: env.unwrapped.step(env.action_space.sample())),
            "(obs, reward, terminated, truncated, info)",
        ),
    ):
        with blame(f" in the first {name}"):
            found = call()
        parts = len(found) if isinstance(found, tuple) else None
        if parts != form.count(",") + 1:
            what = f"{parts} values" if parts else f"a {type(found).__name__}"
            return f"{name} returns {what}, not {form}"
    return ""


def judge_spaces(name: str, env: gym.Env, findings: Findings) -> bool:
    """Whether any algorithm can work with the spaces, and what it has to know of them."""
    obs, act = env.observation_space, env.action_space
    try:
        check_spaces(name, obs, act)
    except UserError as e:
        findings.add("warning", "spaces", str(e).removeprefix(f"--env {name} "))
        return False
    if isinstance(act, Box):
        finite = np.isfinite(act.low) & np.isfinite(act.high)
        if not finite.all():
            text = "the box has no finite bounds: vpg and ppo pass their actions on as they are"
            findings.add("warning", "actions", text)
        elif (act.high / 2 - act.low / 2).max() > WIDE:
            text = "the box is so wide that its scale says nothing: bound it to what makes sense"
            findings.add("warning", "actions", text)
    return True


def judge(played: list[Episode], limited: bool, findings: Findings) -> None:
    """What the ends, starts and returns of episodes with random actions tell."""
    ends = {episode.end for episode in played}
    lengths = {len(episode.acts) for episode in played}
    if ends == {""} and not limited:
        text = f"no episode ended in {max(lengths)} steps: register it with max_episode_steps"
        findings.add("warning", "end", f"{text}, or train with --max-ep-len")
    elif lengths == {1}:
        findings.add("note", "end", "every episode is one step long: a bandit")
    elif ends == {"termination"} and len(lengths) == 1 and not limited:
        text = f"every episode terminates at step {lengths.pop()}: if that is a time limit, report"
        findings.add("warning", "end", f"{text} truncated instead, or values there are learnt as 0")
    if all(same(episode.seen[0][0], played[0].seen[0][0]) for episode in played):
        findings.add("note", "seed", "episodes start in the same state, whatever the seed")
    if len({sum(episode.rews) for episode in played}) == 1 and len(lengths) == 1:
        text = "every random episode has the same return: chance alone meets nothing to learn from"
        findings.add("note", "reward", text)


def repetition(player: Player, new: list[Player], played: list[Episode]) -> str:
    """Whether a seed and actions determine an episode, in `new` environments and in the old one."""
    longest = max(played, key=lambda episode: len(episode.acts))
    step = parting(*(other.again(longest) for other in new))
    if step is not None:
        text = f"the same seed and actions give another episode, from step {step} on"
        why = "all random numbers must come from self.np_random"
        grade = "warning" if player.env.spec.nondeterministic else "fault"
        player.findings.add(grade, "seed", f"{text}: {why}")
        return "no"
    for episode, _ in zip(reversed(played), within(SECONDS), strict=False):
        for other in (new[0], player):
            if parting(episode, other.again(episode)) is not None:
                text = "an episode depends on those played before it: a run that continues begins"
                text += " new ones, and is not exact to the bit"
                player.findings.add("warning", "seed", text)
                return "only in a new environment, not after other episodes"
    return "yes, bit for bit"


def speed(env: gym.Env) -> str:
    """Processor time of a reset, and of a step with random actions."""
    acts = [env.action_space.sample() for _ in range(64)]
    resets = steps = 0
    resetting = stepping = 0.0
    for _ in within(SECONDS / 8):
        began = time.process_time()
        with blame(" while its speed was measured"):
            env.reset(seed=resets)
            reset = time.process_time()
            over, count = False, 0
            while not over and count < 1000:
                _, _, term, trunc, _ = env.step(acts[count % len(acts)])
                over, count = term or trunc, count + 1
        stepping += time.process_time() - reset
        resetting += reset - began
        resets, steps = resets + 1, steps + count
    reset, step = 1e6 * resetting / resets, 1e6 * stepping / steps
    return f"reset {reset:,.0f} µs, step {step:,.1f} µs: {1e6 / step:,.0f} steps/s on a core"


class Trial(Run):
    """A run that measures its last epoch, in processor seconds, without the evaluation."""

    def epochs(self, *parts: Any) -> Iterator[int]:
        """Those of a Run; `cost` is what the last one took."""
        for epoch in super().epochs(*parts):
            began = time.process_time()
            yield epoch
            self.cost = time.process_time() - began


def trial(algo: str, name: str, settings: Settings) -> tuple[bool, str]:
    """Train for an instant: whether that works, and what a whole run takes or why it does not."""
    module = import_module(f"rlcourse.algos.{algo}")
    usual = module.Config(env=name)
    short = replace(usual, epochs=2, horizon=8 if hasattr(usual, "memory") else 32)
    if hasattr(usual, "random_steps"):
        short = replace(short, random_steps=usual.num_envs)
    run = Trial(short, replace(settings, eval_episodes=1), show=False)
    try:
        module.train(short, run)
    except UserError as e:
        return False, str(e)
    except Exception as e:
        if isinstance(e, FloatingPointError) or hasattr(e, "__notes__"):  # as Envs marks them
            raise Broken(f" while {algo} learnt") from e
        raise
    seconds = run.cost / short.horizon * usual.horizon * usual.epochs
    steps = usual.epochs * usual.horizon * usual.num_envs
    spent = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return True, f"about {spent} for the default {steps:,} steps, evaluations aside"


def after_the_end(env: gym.Env, played: list[Episode]) -> str:
    """What a step does in an episode that is over; nothing here depends on it."""
    if not played[-1].end:
        return ""
    try:
        env.step(played[-1].acts[-1])
    except Exception as e:
        return f"raises {type(e).__name__}"
    return "goes on as if nothing were"


# ---- the report


def check(name: str, settings: Settings, debug: bool = False) -> tuple[bool, list[str]]:
    """Print what there is to know of an environment: whether it is sound, and what fits it."""
    findings, fits = Findings(debug), {}
    # check_env is asked below, and Gymnasium's other checker would raise before it
    envs = [make_any(name, settings, disable_env_checker=True) for _ in range(4)]
    player, *others = [Player(env, findings) for env in envs]
    facts, fit = {}, judge_spaces(name, player.env, findings)
    try:
        facts = examine(player, others, settings)
        if facts:
            facts["speed"] = speed(player.env)
            for algo in ALGOS if fit else []:
                fits[algo] = trial(algo, name, settings)
    except Broken as e:
        findings.raised(e.__cause__, e.args[0])
    for env in envs:
        env.close()
    seen = f"{player.episodes:,} episodes, {player.steps:,} steps: random, extreme and repeated"
    sound = not findings.grade("fault")
    fitting = [algo for algo, (works, _) in fits.items() if sound and works]
    fits_what = f"and fits {', '.join(fitting)}" if fitting else "but fits no algorithm here"
    show(
        f"{name} is " + (f"sound {fits_what}" if sound else "not sound"),
        {"examined": seen} | facts,
        findings,
        fits,
    )
    return sound, fitting


def examine(player: Player, others: list[Player], settings: Settings) -> dict[str, str]:
    """Play and judge; if there is no fault, also the facts."""
    env, findings = player.env, player.findings
    asked, *new = others
    if text := answers(asked.env):
        findings.add("fault", "form", text)
        return {}
    ask_gymnasium(asked.env, findings)

    def sample(t: int) -> Any:
        return env.action_space.sample()

    env.action_space.seed(0)
    played: list[Episode] = []
    for _ in within(SECONDS):
        if len(played) >= EPISODES and player.steps >= STEPS:
            break
        played.append(player.play(len(played), sample, "random actions"))
    after = after_the_end(env, played)
    ways = extremes(env.action_space, np.random.default_rng(0))
    for (how, choose), _ in zip(ways, within(SECONDS), strict=False):
        player.play(player.episodes, choose, how)
    if findings.grade("fault"):
        return {}
    limit = settings.max_ep_len or env.spec.max_episode_steps
    judge(played, bool(limit), findings)
    facts = describe(env, played, limit)
    facts |= {"after the end": after, "repeatable": repetition(player, new, played)}
    return {} if findings.grade("fault") else facts


def describe(env: gym.Env, played: list[Episode], limit: int | None) -> dict[str, str]:
    """The facts of an environment, as far as random actions tell them."""
    obs = [seen[0] for episode in played for seen in episode.seen]
    rews = np.concatenate([episode.rews for episode in played])
    returns = [sum(episode.rews) for episode in played]
    lengths = [len(episode.acts) for episode in played]
    ends = [episode.end or "left open" for episode in played]
    range_ = ""
    if isinstance(env.observation_space, Box):
        range_ = f", seen from {number(np.min(obs))} to {number(np.max(obs))}"
    return {
        "observations": in_words(env.observation_space) + range_,
        "actions": in_words(env.action_space) + mapping(env.action_space),
        "time limit": f"{limit} steps" if limit else "none",
        "reward threshold": number(env.spec.reward_threshold) or "none",
        "rewards seen": f"from {number(rews.min())} to {number(rews.max())}",
        "random policy": f"return {number(np.mean(returns))} ± {number(np.std(returns))}, "
        f"length {number(np.mean(lengths))} ± {number(np.std(lengths))}",
        "episodes end by": ", ".join(f"{end} {ends.count(end)}" for end in sorted(set(ends))),
    }


def in_words(space: Space) -> str:
    """A space for the table of facts."""
    if isinstance(space, Discrete):
        return f"one of {space.n}" + f", from {space.start} on" * bool(space.start)
    if not isinstance(space, Box) or len(space.shape) != 1:
        return f"{space!s:.70}"
    what = f"{space.shape[0]} numbers" if space.shape[0] > 1 else "a number"
    return f"{what}, {space.dtype}"


def mapping(space: Space) -> str:
    """How [-1, 1], in which policies act, becomes an action."""
    if not isinstance(space, Box):
        return ""
    bounds = {(float(a), float(b)) for a, b in zip(space.low.flat, space.high.flat, strict=True)}
    if len(bounds) > 1:
        return f", each with bounds of its own, in [{space.low.min():g}, {space.high.max():g}]"
    low, high = bounds.pop()
    if not np.isfinite([low, high]).all():
        return f", in [{low:g}, {high:g}]"
    middle = "" if low == -high else f", not symmetric: the policy's 0 is {(low + high) / 2:g}"
    return f", in [{low:g}, {high:g}]{middle}"


def show(title: str, facts: dict, findings: Findings, fits: dict) -> None:
    """A verdict, and tables of the findings, of the facts and of the algorithms."""
    screen = console()
    found = Table.grid(padding=(0, 2, 0, 0))
    for grade, style in GRADES.items():
        for about, text in findings.grade(grade):
            found.add_row(f"  {grade}", about, Text(text), style=style)
    known = Table.grid(padding=(0, 2, 0, 0))
    for label, text in facts.items():
        if text:
            known.add_row(f"  {label}", Text(text))
    algos = Table.grid(padding=(0, 2, 0, 0))
    for algo, (fit, text) in fits.items():
        algos.add_row(f"  {algo}", "yes" if fit else "no", Text(text))
    screen.print(Text(title, "bold red" if findings.grade("fault") else "bold green"))
    for table in (found, known, algos):
        if table.row_count:
            screen.print()
            screen.print(table, soft_wrap=False)
