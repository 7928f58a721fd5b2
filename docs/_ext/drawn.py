"""Figures, drawn while the pages are built: SVG in the colours and the font of the page.

    ```{drawn} gae-weights
    :alt: what is seen, in one sentence
    The caption, in Markdown.
    ```

`{drawn} gae-weights` is the function `gae_weights` in one of the files of docs/_figures: closed
forms, stored runs, or diagrams. `{play} gae` is one of docs/_figures/play.py, whose sliders
docs/_static/play.js moves; without JavaScript its figure stands still.
"""

import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).parent.parent
sys.path.insert(0, str(DOCS))

from _figures import closed, ideas, play, stored  # noqa: E402
from _figures.panel import Diagram, Panel, tag  # noqa: E402

from rlcourse.utils.config import UserError  # noqa: E402

FIGURES = {  # by what they return
    name.replace("_", "-"): f
    for module in (closed, stored, ideas)
    for name, f in vars(module).items()
    if getattr(f, "__annotations__", 0) in ({"return": list[Panel]}, {"return": list[Diagram]})
}


def picture(panels: list[Any], alt: str) -> str:
    """Panels side by side where there is room; a legend below each, or one if all are the same."""
    keys = [legend(p.key) for p in panels]
    shared = len(set(keys)) == 1
    parts = [
        tag("div", p.svg() + ("" if shared else key), cls="panel", style=f"width:{p.size[0]}px")
        for p, key in zip(panels, keys, strict=True)
    ]
    image = tag("div", "".join(parts), cls="panels", role="img", aria_label=alt)
    return image + (keys[0] if shared else "")


def legend(key: list[tuple[str, str, str]]) -> str:
    shapes = {
        "line": "M0 6H26",
        "dots": "M9.5 6a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0",
        "whiskers": "M0 6H26",
    }
    rows = []
    for kind, cls, text in dict.fromkeys(key):
        path = tag("path", d=shapes.get(kind, "M3 1H23V11H3z"), cls=f"{kind} {cls}")
        rows.append(tag("span", tag("svg", path, width=26, height=12) + escape(text)))
    return tag("div", "".join(rows), cls="key") if rows else ""


class Drawn(SphinxDirective):
    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        name, alt = self.arguments[0], self.options.get("alt", "")
        stored.opened.clear()
        try:
            html = self.draw(name, " ".join(alt.split()))
        except (LookupError, UserError) as e:
            raise self.error(str(e)) from e
        for path in [*(DOCS / "_figures").glob("*.py"), *stored.opened]:
            self.env.note_dependency(str(path))
        figure = nodes.figure("", nodes.raw("", html, format="html"), classes=["drawn"])
        if self.content:
            caption = nodes.caption()
            for node in self.parse_content_to_nodes():
                caption += node.children if isinstance(node, nodes.paragraph) else [node]
            figure += caption
        return [figure]

    def draw(self, name: str, alt: str) -> str:
        if not alt:
            raise LookupError(f"{name}: say what is seen, in :alt:")
        if name not in FIGURES:
            raise LookupError(f"no figure {name}; there are {', '.join(FIGURES)}")
        return picture(FIGURES[name](), alt)


class Play(Drawn):
    """Its alt text has a default, the description beside the function."""

    def draw(self, name: str, alt: str) -> str:
        if name not in play.FIGURES:
            raise LookupError(f"no figure {name}; there are {', '.join(play.FIGURES)}")
        figure = play.FIGURES[name]
        return figure.html(lambda panels: picture(panels, alt or figure.alt))


def script(app: Sphinx, page: str, template: str, context: dict, doctree: Any) -> None:
    """Only pages that have something to play with load the script."""
    if "data-play" in context.get("body", ""):
        app.add_js_file("play.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("drawn", Drawn)
    app.add_directive("play", Play)
    app.connect("html-page-context", script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
