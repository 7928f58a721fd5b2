"""A run to give away: one zip with the agent, what it can do, how it came about, and a card.

    model.pt          all of the agent, its configuration and spaces, as `checkpoint.pack` has it
    config.yaml       the configuration and the versions that it was trained with
    evaluation.json   what `eval` says of its policy
    progress.csv      the rows of training, and curve.png a picture of them
    README.md         the card

Equal runs make equal bytes. Nothing tells where or on which machine the run was made.

The guide is docs/guide/sharing.md.
"""

import io
import json
import shlex
import zipfile
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from rlcourse.utils import checkpoint, folders, plot, spaces
from rlcourse.utils.config import Settings, UserError, default, flag
from rlcourse.utils.console import number
from rlcourse.utils.evaluate import evaluate
from rlcourse.utils.logger import read, table
from rlcourse.utils.policy import Policy, load_whole

ABOUT = ("started", "commit", "python", "versions", "init")  # not the command: it may hold paths
DATE = (1980, 1, 1, 0, 0, 0)  # of every file in the zip


def export(
    run: Path, bundle: Path, episodes: int = 100, seed: int = 0, allowed: str = ""
) -> dict[str, Any]:
    """Write the bundle of a run's last policy; what its evaluation said."""
    if run.is_file():
        raise UserError(f"{run} is a file: name the folder of the run")
    policy = load_whole(run)
    folder = policy.path.parent
    rows = read(folder / "progress.csv", policy.log["Epoch"])
    if not rows:
        raise UserError(f"{folder / 'progress.csv'} has no rows: there is no curve to show")
    config = _public(policy.config, (folders.read_config(folder) or {}).get("about", {}))
    result = evaluate(policy, episodes, seed, allowed=allowed)
    result = {"episodes": episodes, "seed": seed, "stochastic": False} | result
    model = {
        "config": {name: value for name, value in config.items() if name != "about"},
        "obs": spaces.plain(policy.spaces.obs),
        "act": spaces.plain(policy.spaces.act),
        "agent": policy.agent.state_dict(),
        "log": policy.log,
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    progress = table(rows)
    _write(
        bundle,
        {
            "README.md": _card(policy, config, result),
            checkpoint.MODEL: checkpoint.pack(model),
            "config.yaml": text,
            "evaluation.json": json.dumps(result | {"versions": folders.versions()}) + "\n",
            "progress.csv": progress,
            "curve.png": _curve(folder, text, progress),
        },
    )
    return result


def _public(config: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the names of local folders."""
    config = {name: value for name, value in config.items() if name != "data_dir"}
    config["init"] = Path(config.get("init", "")).name
    return config | {"about": {name: about[name] for name in ABOUT if name in about}}


def _write(path: Path, members: dict[str, str | bytes]) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr = 0o644 << 16
            file.writestr(info, data)
    checkpoint.write(path, content.getvalue())


def _curve(folder: Path, config: str, progress: str) -> bytes:
    """The learning curve of exactly these rows, however far the run has come meanwhile."""
    with TemporaryDirectory() as place:
        copy = Path(place, folder.parent.name, folder.name)
        copy.mkdir(parents=True)
        (copy / "config.yaml").write_text(config, encoding="utf-8")
        (copy / "progress.csv").write_text(progress, encoding="utf-8")
        return plot.plot([copy], out=Path(place, "curve.png")).read_bytes()


# ---- the card


CARD = """\
# {algo} on {env}

| | |
|---|---|
| return | **{mean}**, 95 % interval {low} to {high} |
| standard deviation | {std} |
| lowest, median, highest | {min}, {median}, {max} |
| episode length | {length} steps |
| measured over | {episodes} episodes of the deterministic policy, started from seed {eval_seed} |
| trained for | {steps} steps in {epochs} epochs, with seed {seed} |
| observations | `{obs}` |
| actions | `{act}` |

![Learning curve](curve.png)

## Use it

With rlcourse {version}, where `bundle.zip` is the file that holds this card:

```sh
python -m rlcourse.run watch bundle.zip{allow}
python -m rlcourse.run eval bundle.zip --episodes {episodes} --seed {eval_seed}{allow}
python -m rlcourse.run {name} --env {env} --init bundle.zip{flags}
```

The last line goes on training from here, with fresh optimisers. From Python:

```python
from rlcourse import load

policy = load("bundle.zip")
action = policy.act(obs)  # for one observation of {env}
```

## Hyper-parameters

| field | value |
|---|---|
{fields}

## Versions it was trained with

| | |
|---|---|
{versions}
"""


def _card(policy: Policy, config: dict[str, Any], result: dict[str, Any]) -> str:
    cfg = import_module(f"rlcourse.algos.{config['algo']}").Config
    plain = {name: number(x) for name, x in result.items() if isinstance(x, float)}
    own = {f.name: _words(default(f)) for f in fields(cfg) if f.name not in ("env", "seed")}
    others = {n: _words(getattr(Settings(), n)) for n in ("max_ep_len", "env_kwargs")}
    values = {n: _words(config[n]) for n in own | others}
    changed = [n for n, words in (own | others).items() if values[n] != words]
    flags = [word for n in changed if n != "epochs" for word in (flag(n), *values[n])]
    about = config["about"]
    versions = {"python": about.get("python", "")} | about.get("versions", {})
    versions |= {"commit": about["commit"]} if about.get("commit") else {}
    rows = {n: " ".join(values[n]) for n in values if n in own or n in changed}
    return CARD.format(
        **plain,
        algo=config["algo"].upper(),
        name=config["algo"],
        env=config["env"],
        seed=config["seed"],
        eval_seed=result["seed"],
        episodes=result["episodes"],
        steps=policy.log["TotalEnvInteracts"],
        epochs=policy.log["Epoch"],
        obs=_one_line(policy.spaces.obs),
        act=_one_line(policy.spaces.act),
        version=versions.get("rlcourse", ""),
        allow=f" --env {config['env']}" if ":" in config["env"] else "",
        flags="".join(f" {word}" for word in map(shlex.quote, flags)),
        fields="\n".join(f"| `{name}` | {text} |" for name, text in rows.items()),
        versions="\n".join(f"| {name} | {text} |" for name, text in versions.items()),
    )


def _words(x: Any) -> list[str]:
    """A field's value as words of a command line."""
    if isinstance(x, dict):
        return [f"{key}={value}" for key, value in x.items()]
    return [",".join(map(str, x)) if isinstance(x, list | tuple) else str(x)]


def _one_line(x: Any) -> str:
    return " ".join(str(x).split())
