"""A policy that can be saved, opened alone, and asked for actions in an environment's own units.

    policy = load("data/ppo_CartPole-v1")    # or a run's folder, a model file, a bundle
    action = policy.act(obs)

Whatever comes out of a file is data: an environment is looked up in Gymnasium's registry, and a
module is imported for it only if the caller names that module too.
"""

import hashlib
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from rlcourse import ALGOS
from rlcourse.utils import checkpoint, folders, spaces
from rlcourse.utils.config import Settings, UserError, check
from rlcourse.utils.envs import make
from rlcourse.utils.spaces import Spaces

SHAPES = ("hidden", "activation", "norm_obs", "norm_ret")  # fields that make other networks


@dataclass
class Policy:
    """What an agent has learnt to do, and the environment that it has learnt it in.

    >>> from rlcourse import ppo
    >>> env = gym.make("CartPole-v1")
    >>> agent = ppo.Agent(4, env.action_space, ppo.Config(env="CartPole-v1"))
    >>> policy = Policy(agent, Spaces(env.observation_space, env.action_space))
    >>> obs, _ = env.reset(seed=0)
    >>> env.action_space.contains(policy.act(obs))
    True
    """

    agent: nn.Module
    spaces: Spaces
    device: str = "cpu"
    config: dict[str, Any] = field(default_factory=dict)  # that of the run, as in config.yaml
    log: dict[str, int] = field(default_factory=dict)  # Epoch and TotalEnvInteracts of it
    path: Path | None = None  # the file that it comes from

    def act(self, obs: Any, explore: bool = False) -> Any:
        """The action for one observation, as `env.reset` and `env.step` exchange them."""
        return self.acts([obs], explore)[0]

    @torch.no_grad()
    def acts(self, obs: list[Any], explore: bool = False) -> Any:
        """The actions for N observations: the best the agent knows, or as training draws them."""
        rows = torch.from_numpy(self.spaces.encode(obs)).to(self.device)
        act = self._explore(rows) if explore else self.agent.act(rows)
        return self.spaces.decode(act.cpu().numpy())

    def digest(self) -> str:
        """SHA-256 of all parameters, whatever file they are in."""
        found = hashlib.sha256()
        for name, x in self.agent.state_dict().items():
            found.update(name.encode() + x.cpu().numpy().tobytes())
        return found.hexdigest()

    def _explore(self, obs: Tensor) -> Tensor:
        pi = self.agent.pi
        if hasattr(pi, "sample"):  # sac
            return pi.sample(obs)
        drawn = pi(obs)
        if hasattr(drawn, "sample"):  # a distribution: vpg, ppo
            return drawn.sample()
        algo = import_module(f"rlcourse.algos.{self.config['algo']}")
        return algo.explore(pi, obs, self.config["noise"])  # ddpg, td3

    def make_env(self, allowed: str = "", **kwargs: Any) -> gym.Env:
        """The environment as in training; one that a module brings, `module:id`, if it is allowed.

        UserError if it cannot be made, or is not the one that the policy was made for.
        """
        name = self.config["env"]
        if allowed and allowed != name:
            raise UserError(f"--env {allowed} is not the environment of {self.path}, {name}")
        if ":" in name and not allowed:
            raise UserError(
                f"{self.path} would import a module for its environment {name}: "
                f"if you trust it, add --env {name}"
            )
        try:
            env = make(name, _settings(self.config), **kwargs)
        except UserError as e:
            raise UserError(f"{self.path}: {e}") from e
        compare(self.path, self.spaces, Spaces(env.observation_space, env.action_space))
        return env


def _settings(config: dict[str, Any]) -> Settings:
    settings = Settings(max_ep_len=config["max_ep_len"], env_kwargs=config["env_kwargs"])
    check(settings)
    return settings


def compare(path: Path | None, there: Spaces, here: Spaces) -> None:
    """UserError unless both are the same, so that observations and actions mean the same."""
    for what in ("observation", "action"):
        theirs, ours = getattr(there, what[:3]), getattr(here, what[:3])
        if theirs != ours:
            shown = " ".join(f"{theirs} there, {ours} here".split())
            raise UserError(f"{path} does not fit: {what}s {shown}")


# ---- files


def save(path: Path, policy: Policy, log: dict[str, Any]) -> None:
    """Write what acting needs: configuration, spaces and the parameters of π."""
    data = {"config": policy.config, "pi": policy.agent.pi.state_dict(), "log": log}
    data |= {"obs": spaces.plain(policy.spaces.obs), "act": spaces.plain(policy.spaces.act)}
    checkpoint.save(path, data, keep=False)


def files(path: Path, best: bool = False) -> list[Path]:
    """The model files that a path stands for: itself, or that of each run in a folder."""
    if path.is_file() or path.suffix in (".pt", ".zip"):
        if best:
            raise UserError(f"--best chooses between the files of a run, and {path} is one file")
        return [path]
    name = "best.pt" if best else checkpoint.MODEL
    found = [run / name for run in folders.runs_under(path) if (run / name).is_file()]
    if not found:
        raise UserError(f"{path} holds no {name} yet: wait until the run has saved its policy")
    return found


def one(paths: list[Path], path: Path) -> Path:
    """The only one of them; UserError if there are more."""
    if len(paths) > 1:
        raise UserError(f"{path} holds {len(paths)} runs: name one of them, as {paths[0].parent}")
    return paths[0]


def load(path: Path | str, best: bool = False) -> Policy:
    """The policy of a run's folder, a model file or a bundle; the last one, or the best.

    UserError if there is none, or if the file is damaged or foreign.
    """
    file = one(files(Path(path), best), Path(path))
    return build(checkpoint.load(file), file)


def load_whole(path: Path | str) -> Policy:
    """A policy with all of its agent, from the checkpoint of a run's folder or from a bundle."""
    file = one(files(Path(path)), Path(path))
    data = checkpoint.load(file)
    if Path(path) != file:
        state, _ = checkpoint.load_newest(file.with_name("checkpoint.pt"))
        if state is None:
            raise UserError(f"{file.parent} has no checkpoint: its agent cannot be read")
        steps = state["epoch"] * state["config"]["horizon"] * state["config"]["num_envs"]
        log = {"Epoch": state["epoch"], "TotalEnvInteracts": steps}
        data |= {"config": state["config"], "agent": state["agent"], "log": log}
    if "agent" not in data:
        raise UserError(f"{file} holds the policy alone: name the run's folder, or a bundle")
    return build(data, file)


def build(data: dict[str, Any], path: Path) -> Policy:
    """A policy from a file's content; UserError unless it is one through and through."""
    if not ({"config", "obs", "act", "log"} <= set(data) and {"pi", "agent"} & set(data)):
        raise UserError(f"{path} is no model: name a run's folder, its model.pt or its best.pt")
    with checkpoint.blame(path):
        config = data["config"]
        if config["algo"] not in ALGOS:
            raise UserError(f"its algorithm {config['algo']!r} is none of {', '.join(ALGOS)}")
        algo = import_module(f"rlcourse.algos.{config['algo']}")
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in config.items()}
        cfg = algo.Config(**{n: values[n] for n in algo.Config.__dataclass_fields__ if n in values})
        check(cfg)
        _settings(config)
        both = Spaces(spaces.from_plain(data["obs"]), spaces.from_plain(data["act"]))
        spaces.check_spaces(cfg.env, both.obs, both.act)
        part, state = ("agent", data["agent"]) if "agent" in data else ("pi", data["pi"])
        _check_sizes(part, state, both, cfg.hidden)
        agent = algo.Agent(both.obs_dim, both.act, cfg)
        (agent if part == "agent" else agent.pi).load_state_dict(state)
        log = {n: int(data["log"][n]) for n in ("Epoch", "TotalEnvInteracts")}
        return Policy(agent, both, "cpu", config, log, path)


def _check_sizes(part: str, state: dict[str, Tensor], both: Spaces, hidden: tuple) -> None:
    """ValueError unless π has the sizes that a file names: no network of any other is made."""
    if not all(x.is_contiguous() and x.isfinite().all() for x in state.values()):
        raise ValueError("its parameters are not finite")  # or seem larger than they are
    prefix = "pi." if part == "agent" else ""
    names = [n for n in state if n.startswith(prefix) and n.endswith(".weight")]
    shapes = [tuple(state[n].shape) for n in names]
    outputs, act_dim = shapes[-1][0], gym.spaces.flatdim(both.act)
    wanted = [(o, i) for i, o in pairwise([both.obs_dim, *hidden, outputs])]
    if shapes != wanted or outputs not in (act_dim, 2 * act_dim):
        raise ValueError("its parameters are not of the sizes that it names")


# ---- starting from another run


def initial(path: str, cfg: Any, here: Spaces) -> Policy:
    """The agent that a run with this Config and these spaces starts from; UserError if none can."""
    found = load_whole(path)
    ours, theirs = folders.describe(cfg, Settings()), found.config
    names = [n for n in ("algo", *SHAPES) if n in ours and ours[n] != theirs.get(n)]
    if names:
        pairs = folders.differences(names, theirs, ours).replace("--algo", "algorithm")
        raise UserError(f"--init {path} does not fit: {pairs}")
    compare(Path(path), found.spaces, here)
    return found


def check_initial(cfg: Any, settings: Settings, folder: Path) -> None:
    """UserError if the run in this folder cannot start from what --init names."""
    env = make(cfg.env, settings)
    env.close()
    found = initial(settings.init, cfg, Spaces(env.observation_space, env.action_space))
    if found.path.resolve().parent == folder.resolve():
        raise UserError(f"--init {settings.init} is what --overwrite would remove: use --exp-name")
