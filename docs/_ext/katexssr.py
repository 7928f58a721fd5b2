"""Mathematics is rendered while the pages are built: readers need neither scripts nor a network.

KaTeX runs in one node process for the whole build. TeX that it does not know is a warning with file
and line, which fails the build.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

KATEX = Path(__file__).parent.parent / "_vendor" / "katex"
SERVER = """
const katex = require(process.argv[1]);
require('readline').createInterface({input: process.stdin}).on('line', line => {
  const [tex, displayMode] = JSON.parse(line);
  let answer;
  try {
    answer = {html: katex.renderToString(tex, {displayMode, strict: 'error', throwOnError: true})};
  } catch (e) { answer = {error: e.message}; }
  console.log(JSON.stringify(answer));
});
"""
log = logging.getLogger(__name__)
running: list[subprocess.Popen] = []


def render(tex: str, display: bool) -> dict[str, str]:
    """{"html": ...} or {"error": ...} from the node process, which is started at the first call."""
    if not running:
        command = ["node", "-e", SERVER, str(KATEX / "katex.min.js")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        running.append(subprocess.Popen(command, text=True, encoding="utf-8", **pipes))
    print(json.dumps([tex, display]), file=running[0].stdin, flush=True)
    return json.loads(running[0].stdout.readline())


def put(self: Any, node: nodes.Element, display: bool) -> None:
    answer = render(node.astext(), display)
    if "error" in answer:
        log.warning("%s in %r", answer["error"], node.astext(), location=node)
    self.body.append(answer.get("html", ""))


def inline(self: Any, node: nodes.Element) -> None:
    put(self, node, False)
    raise nodes.SkipNode


def block(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    put(self, node, True)
    self.body.append("</div>")
    raise nodes.SkipNode


def finish(app: Sphinx, error: Exception | None) -> None:
    for process in running:
        process.stdin.close()
        process.wait()
    running.clear()


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("katex", (inline, None), (block, None))
    app.add_css_file("katex.min.css")
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
