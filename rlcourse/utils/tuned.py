"""Settings that suit an environment better than the defaults, from rlcourse/tuned.yaml."""

from functools import cache
from pathlib import Path
from typing import Any

from rlcourse.utils import yamlfile
from rlcourse.utils.config import UserError, flag

PATH = Path(__file__).parents[1] / "tuned.yaml"


@cache
def table() -> dict[str, dict[str, dict[str, Any]]]:
    """What the file says: algorithm, environment, then fields and perhaps their `result`."""
    return yamlfile.load(PATH)


def values(algo: str, env: str) -> dict[str, Any]:
    """The fields of an algorithm's Config that are tuned for an environment; UserError if none."""
    known = table().get(algo, {})
    if env not in known:
        raise UserError(
            f"--tuned: nothing is tuned for {algo} on {env}, but on {', '.join(known) or 'none'}"
        )
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in known[env].items()
        if name != "result"
    }


def describe(algo: str, env: str) -> str:
    """What is changed for this environment, as flags, and what came of it where it was run."""
    flags = " ".join(
        f"{flag(name)} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in values(algo, env).items()
    )
    result = table()[algo][env].get("result", "not run here")
    return f"tuned {algo} on {env}: {flags}  ({result})"
