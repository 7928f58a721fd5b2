"""How the pages are built: `make docs`, then open docs/_build/html/index.html."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE / "_ext"))

from rlcourse import __version__  # noqa: E402

project = "rlcourse"
copyright = "the rlcourse authors"  # noqa: A001 - the name that Sphinx reads
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx_design",
    "sphinx_copybutton",
    "katexssr",
    "made",
    "atlas",
    "drawn",
    "docstrings",
    "traced",
]
exclude_patterns = ["_build", "_vendor", "_ext"]
nitpicky = True
# Names of other libraries, whose pages cannot be looked up without a network.
nitpick_ignore_regex = [("py:.*", r"(?!rlcourse\b).*|rlcourse\.utils\.nets\.Module")]
default_role = "code"
smartquotes = False
autodoc_default_options = {"members": True, "undoc-members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
math_numfig = False

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

html_theme = "furo"
html_title = "rlcourse"
html_math_renderer = "katex"
html_static_path = ["_static", "_vendor/katex"]
html_css_files = ["rlcourse.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "default"
pygments_dark_style = "monokai"
