"""The pages as a reader sees them: built by Sphinx, opened from the disk in Chromium.

Skipped where the extra `docs`, Node.js or Chromium is missing; `make docs` and CI have them.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
sync_api = pytest.importorskip("playwright.sync_api")
ROOT = Path(__file__).parents[1]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and shutil.which("node")), reason="no Chromium, no node"
)

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built pages; any warning of Sphinx is a failure."""
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        "docs",
        str(out),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


def pages(site):
    """Every page but the lists that Sphinx makes."""
    made = ("genindex.html", "search.html", "py-modindex.html")
    return [
        p for p in sorted(site.rglob("*.html")) if p.name not in made and "_static" not in p.parts
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_opens_without_a_complaint_a_missing_file_or_sideways_scrolling(
    site, browser, size, theme
):
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
    page, wrong = context.new_page(), []
    page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
    page.on("pageerror", lambda e: wrong.append(f"script: {e}"))
    page.on("requestfailed", lambda r: wrong.append(f"missing: {r.url}"))
    page.on(
        "request", lambda r: r.url.startswith("http") and wrong.append(f"from the network: {r.url}")
    )
    for path in pages(site):
        page.goto(path.as_uri())
        scroll = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        raw = page.evaluate(
            r"/\$\$|\\(frac|mathbb|pi|theta)\b/.test(document.querySelector('article').innerText)"
        )
        wrong += [f"{scroll} pixels too wide"] * (scroll > 0) + [
            "mathematics that is not rendered"
        ] * raw
        assert not wrong, f"{path.relative_to(site)}, {size}, {theme}: {wrong}"
    context.close()


def test_nothing_is_loaded_from_elsewhere(site):
    """No script, style, font or image with an address: the pages are whole without a network."""
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        text = path.read_text("utf-8")
        found = re.findall(r"""(?:src=|url\(|<link[^>]*href=)["']?(https?://[^"')]+)""", text)
        assert not found, f"{path.relative_to(site)}: {found}"


def test_the_search_finds_a_word_without_a_network(site, browser):
    page = browser.new_page()
    page.goto((site / "search.html").as_uri() + "?q=advantage")
    page.wait_for_selector("#search-results li", timeout=20_000)


def test_a_formula_that_katex_does_not_know_fails_the_build_with_file_and_line(tmp_path):
    (tmp_path / "conf.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT / 'docs/_ext')!r})\n"
        "extensions = ['myst_parser', 'katexssr']\nhtml_math_renderer = 'katex'\n"
        "myst_enable_extensions = ['dollarmath']\n"
    )
    (tmp_path / "index.md").write_text("# A\n\nfine: $x^2$\n\nbad: $\\nothing{x}$\n")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", ".", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0 and "index.md:5" in done.stderr and "nothing" in done.stderr
