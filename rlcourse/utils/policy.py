"""A policy that can be saved, opened alone, and asked for actions in an environment's own units."""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rlcourse import ALGOS
from rlcourse.utils import checkpoint, spaces
from rlcourse.utils.config import Settings, UserError, check
from rlcourse.utils.folders import describe
from rlcourse.utils.spaces import Spaces


class Policy:
    """The deterministic policy of an agent, together with the spaces of its environment."""

    def __init__(self, agent: nn.Module, spaces: Spaces, device: str = "cpu"):
        self.agent, self.spaces, self.device = agent, spaces, device

    def act(self, obs: Any) -> Any:
        """The action for one observation, as `env.reset` and `env.step` exchange them."""
        return self.acts([obs])[0]

    @torch.no_grad()
    def acts(self, obs: list[Any]) -> Any:
        """The actions for N observations, at once."""
        rows = torch.from_numpy(self.spaces.encode(obs)).to(self.device)
        return self.spaces.decode(self.agent.act(rows).cpu().numpy())


def save(path: Path, policy: Policy, cfg: Any, settings: Settings, **more: Any) -> None:
    """Write what acting needs: configuration, spaces and the parameters of π."""
    data = {"config": describe(cfg, settings), "pi": policy.agent.pi.state_dict()} | more
    data |= {"obs": spaces.plain(policy.spaces.obs), "act": spaces.plain(policy.spaces.act)}
    checkpoint.save(path, data, keep=False)


def load(path: Path | str) -> tuple[Policy, dict[str, Any]]:
    """A policy and its configuration, from a run's folder or a model file."""
    path = Path(path)
    path = path / "model.pt" if path.is_dir() else path
    data = checkpoint.load(path)
    if not {"config", "pi", "obs", "act"} <= set(data):
        raise UserError(f"{path} is no model: name a run's folder, its model.pt or its best.pt")
    config = data["config"]
    if config["algo"] not in ALGOS:
        raise UserError(f"{path} is by '{config['algo']}', which is none of {', '.join(ALGOS)}")
    algo = import_module(f"rlcourse.algos.{config['algo']}")
    values = {n: tuple(v) if isinstance(v, list) else v for n, v in config.items()}
    cfg = algo.Config(**{n: values[n] for n in algo.Config.__dataclass_fields__})
    check(cfg)
    both = Spaces(spaces.from_plain(data["obs"]), spaces.from_plain(data["act"]))
    agent = algo.Agent(both.obs_dim, both.act, cfg)
    agent.pi.load_state_dict(data["pi"])
    return Policy(agent, both), config
