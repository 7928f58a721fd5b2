"""The docstrings of rlcourse, which are plain text, as the reStructuredText that autodoc wants.

`name` is code, what is indented is shown as it stands, and no other letter means anything. To a
function the equations are added that its lines are tagged with, to a dataclass its fields.
"""

import dataclasses
import inspect
import re
import sys
from typing import Any

from sphinx.application import Sphinx

from rlcourse.utils.config import default, helps


def restructured(lines: list[str]) -> list[str]:
    out: list[str] = []
    literal = doctest = False
    for line in lines:
        if not line.strip():
            doctest = False
        elif line.startswith(">>>") or doctest:
            doctest = True
        elif line.startswith("    "):
            out += [] if literal else ["", "::", ""]
            literal = True
        else:
            out += [""] * literal
            literal = False
            parts = re.split(r"(`[^`]+`)", line)
            parts[::2] = (re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2])
            line = "".join(f"`{part}`" if part[:1] == "`" else part for part in parts)
        out.append(line)
    return out


def equations(function: Any) -> list[str]:
    """What its module's docstring says of the equations that a function computes."""
    tags = re.findall(r"# Eq\. (\d+)$", inspect.getsource(function), re.MULTILINE)
    text = sys.modules[function.__module__].__doc__ or ""
    found = dict(re.findall(r"^ {4}(Eq\. \d+) +(.*)$", text, re.MULTILINE))
    rows = (re.sub(" {4,}", "    ", found[f"Eq. {n}"]) for n in tags)
    return [f"    Eq. {n}   {row}" for n, row in zip(tags, rows, strict=True)]


def table(cls: type) -> list[str]:
    """Type, default and comment of each field."""
    types, defaults, rows = inspect.get_annotations(cls), {}, []
    if dataclasses.is_dataclass(cls):
        defaults = {f.name: default(f) for f in dataclasses.fields(cls)}
    comments = helps(cls)
    for name, kind in types.items():
        kind = kind.__name__ if isinstance(kind, type) and kind is not tuple else kind
        value = defaults.get(name)
        usual = "" if value is None else f" = {value!r}"
        comment = " ".join(comments.get(name, "").split())
        rows.append(f"* ``{name}: {kind}{usual}``" + f"  {comment}" * bool(comment))
    return ["", *rows, ""]


def document(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    made = restructured(lines)
    if name.startswith("rlcourse.algos.") and inspect.isfunction(inspect.unwrap(obj)):
        made += restructured(["", *equations(inspect.unwrap(obj)), ""])
    if what == "class" and (dataclasses.is_dataclass(obj) or hasattr(obj, "_fields")):
        made = (
            made if obj.__doc__ and not obj.__doc__.startswith(f"{obj.__name__}(") else []
        ) + table(obj)
    lines[:] = made


def shorten(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, result: str
) -> tuple[str, str] | None:
    """The fields of a dataclass are listed below, with what they mean."""
    plain = what == "class" and (dataclasses.is_dataclass(obj) or hasattr(obj, "_fields"))
    return ("", "") if plain else None


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Functions and classes, but no `forward` that the docstring of its class says all about."""
    shown = inspect.isroutine(obj) or inspect.isclass(obj) or isinstance(obj, property)
    silent = name == "forward" and not obj.__doc__
    return None if shown and not silent and not name.startswith("_") else True


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", document)
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
