"""YAML as plain data: no tags, anchors, aliases or duplicate keys; each mistake has its line.

What a file says is either loaded, or kept as nodes, whose scalars still are the text that stands
there. So a field's own type decides how it is read: YAML itself takes `1e-3` for a word.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from rlcourse.utils.config import UserError

_TAG = "tag:yaml.org,2002:"
_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$")


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader, without what can hide something or blow up."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node:
        """A node; tags, anchors and aliases are mistakes."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _error("anchors (&) and aliases (*) are not taken: write the value out", event)
        if event.tag is not None:
            raise _error(f"the tag {event.tag} is not taken: tags (!) have no use here", event)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """A mapping; a key that occurs twice is a mistake."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error("a key must be a name", key)
            if key.value in seen:
                raise _error(f"'{key.value}' stands here for the second time", key)
            seen.add(key.value)
        return node


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper; it quotes the words that Loader takes for numbers."""


for _class in (Loader, Dumper):
    _class.add_implicit_resolver(f"{_TAG}float", _FLOAT, list("-+0123456789"))
Loader.yaml_implicit_resolvers = {  # a date is text
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


def _error(problem: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)


def load(path: Path) -> Any:
    """The data of a file; UserError with the line of what is wrong."""
    return _read(path, Loader.get_single_data)


def compose(path: Path) -> yaml.Node | None:
    """The nodes of a file, None if it is empty; UserError with the line of what is wrong."""
    return _read(path, Loader.get_single_node)


def _read(path: Path, what: Any) -> Any:
    try:
        content = path.read_bytes()
        return what(Loader(content.decode("utf-8-sig")))
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise UserError(f"{path}:{content[: e.start].count(10) + 1}: this is not UTF-8") from e
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: {e.problem or e.context}") from e
    except (yaml.YAMLError, ValueError) as e:  # such as a control character
        raise UserError(f"{path} cannot be read: {' '.join(str(e).split())}") from e
    except RecursionError as e:
        raise UserError(f"{path} cannot be read: its brackets are nested too deeply") from e


def texts(node: yaml.Node, several: bool = True) -> list[str]:
    """A scalar, or a list of them, as they stand in the file; infinity and NaN as in Python."""
    if several and isinstance(node, yaml.SequenceNode):
        return [text for item in node.value for text in texts(item, several=False)]
    if not isinstance(node, yaml.ScalarNode):
        raise UserError("this is no value")
    if node.tag == f"{_TAG}null":
        raise UserError("the value is missing")
    return [re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", node.value, flags=re.IGNORECASE)]


def data(node: yaml.Node) -> Any:
    """A node's data."""
    return Loader("").construct_document(node)


def dump(data: Any) -> str:
    """Plain data as YAML that `load` reads to the same."""
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True)
