"""The pages as a reader sees them: built by Sphinx, opened from the disk in Chromium.

Skipped where the extra `docs`, Node.js or Chromium is missing; `make docs` and CI have them.
"""

import pickle
import re
import shutil
import subprocess
import sys
from importlib import import_module
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


# ------------------------------------------------------------------------------------------ figures


@pytest.fixture(scope="module")
def figures():
    """docs/_figures and docs/_ext/drawn.py, as the build imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs/_ext"))
        drawn = import_module("drawn")  # which adds docs/ to the path
    yield {"closed": drawn.closed, "play": drawn.play, "drawn": drawn}


def small_site(folder, text):
    """A site of one page that can draw; what Sphinx says."""
    docs = str(ROOT / "docs")
    (folder / "conf.py").write_text(
        f"import sys; sys.path.insert(0, {docs + '/_ext'!r})\n"
        "extensions = ['myst_parser', 'drawn']\nhtml_theme = 'furo'\n"
        f"html_static_path = [{docs + '/_static'!r}]\nhtml_css_files = ['rlcourse.css']\n"
    )
    (folder / "index.md").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", ".", "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def playground(tmp_path_factory, figures):
    """A page with everything that has sliders."""
    folder = tmp_path_factory.mktemp("playground")
    names = figures["play"].FIGURES
    done = small_site(folder, "# A\n" + "".join(f"\n```{{play}} {n}\n```\n" for n in names))
    assert done.returncode == 0, done.stderr
    return (folder / "out/index.html").as_uri()


def digits(text):
    return [float(x) for x in re.findall(r"-?\d+\.?\d*", text.replace("−", "-"))]


SETTINGS = {
    "gae": [{"lam": 0, "gamma": 0.9}, {"lam": 1}, {"lam": 0.5, "gamma": 0.99}],
    "ppo-clip": [{"w": 0.5}, {"adv": -1.3, "w": 0.4}, {"adv": -1, "w": 1.6}, {"clip": 0.35}],
    "tanh-gaussian": [{"mu": -1.5, "sigma": 0.2, "u": 2.5}, {"sigma": 2, "u": -3}],
    "bootstrap": [{"n": 2, "which": 40}, {"n": 5, "which": 7}, {"n": 8, "which": 2}],
    "time-limit": [{"cut": 0}, {"after": -5, "gamma": 0.5}, {"lam": 0.5, "cut": 0}],
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_moved_slider_shows_the_numbers_of_the_python_code(name, playground, figures, browser):
    figure, page = figures["play"].FIGURES[name], browser.new_page()
    page.goto(playground)
    whole = page.locator(f"[data-play={name}]")
    for setting in SETTINGS[name]:
        now = figure.start() | setting
        for knob, value in now.items():
            whole.locator(f"[name={knob}]").evaluate(
                "(e, v) => { e.type == 'checkbox' ? e.checked = v : e.value = v; "
                "e.dispatchEvent(new Event('input', {bubbles: true})); }",
                value,
            )
        panels, facts = figure.draw(**now)
        drawn = "".join(panel.svg() for panel in panels)
        for d, series in re.findall(r'd="([^"]*)"[^>]*data-series="(\w+)"', drawn):
            shown = whole.locator(f"[data-series={series}]").get_attribute("d")
            assert digits(shown) == pytest.approx(digits(d), abs=0.11), (series, now)
        for fact, value in facts.items():
            place = whole.locator(f"[data-fact={fact}]")
            if isinstance(value, str):
                assert place.text_content() == value
            else:
                half = 0.51 * 10.0 ** -int(place.get_attribute("data-digits"))
                assert digits(place.text_content()) == [pytest.approx(value, abs=half)], (fact, now)
    page.close()


def test_a_slider_can_be_moved_by_a_key_and_says_its_value(playground, browser):
    page = browser.new_page()
    page.goto(playground)
    path = page.locator("[data-series=deltas]")
    before = path.get_attribute("d")
    page.get_by_label("λ", exact=True).first.focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("output[for=gae-lam]").text_content() == "0.94"
    assert path.get_attribute("d") != before
    page.close()


def test_without_javascript_the_figure_stands_still_and_hides_its_sliders(playground, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(playground)
    assert not page.locator(".knobs").first.is_visible()
    assert page.locator("[data-series=deltas]").is_visible()
    assert "16.8" in page.locator("[data-play=gae] .says").inner_text()
    context.close()


def test_every_figure_is_on_a_page_and_the_same_when_another_process_draws_it(site, figures):
    unused = dict(figures["drawn"].FIGURES)
    for page in sorted((ROOT / "docs").rglob("*.md")):
        html = site / page.relative_to(ROOT / "docs").with_suffix(".html")
        for name in re.findall(r"^```\{drawn\} (\S+)$", page.read_text("utf-8"), re.MULTILINE):
            for panel in figures["drawn"].FIGURES[name]():
                assert panel.svg() in html.read_text("utf-8"), f"{page.name}: {name}"
            unused.pop(name, None)
    assert not unused


def test_a_figure_without_a_description_fails_the_build(tmp_path):
    done = small_site(tmp_path, "# A\n\n```{drawn} gae-weights\nA caption.\n```\n")
    assert done.returncode != 0 and "index.md:3" in done.stderr and ":alt:" in done.stderr


def test_stored_runs_are_noted_so_that_a_figure_follows_them(tmp_path):
    text = "# A\n\n```{drawn} results-walker2d\n:alt: curves\n```\n"
    assert small_site(tmp_path, text).returncode == 0
    env = pickle.loads((tmp_path / "out/.doctrees/environment.pickle").read_bytes())
    noted = [p for p in map(str, env.dependencies["index"]) if p.endswith("progress.csv")]
    assert len(noted) == len(list((ROOT / "experiments/results/walker2d").rglob("progress.csv")))


def test_the_figures_have_the_numbers_of_the_tables_beside_them(figures):
    def row(page, start):
        text = (ROOT / "docs/theory" / page).read_text("utf-8")
        return digits(re.search(rf"^\| {re.escape(start)}[^|]*\|(.*)$", text, re.MULTILINE)[1])

    closed = figures["closed"]
    bias, std = zip(*map(closed.gae_moments, (0, 0.5, 0.8, 0.95, 1)), strict=True)
    assert row("advantage.md", "bias:") == pytest.approx(bias, abs=0.01)
    assert row("advantage.md", "standard dev") == pytest.approx(std, abs=0.03)  # sampled there
    rounds = (0, 1, 2, 3, 4, 8)
    mean, best = closed.errors(lambda q: q.mean(1), 8), closed.errors(lambda q: q.max(1).values, 8)
    for start, errors in ("error of $V$ for", mean), ("error of $V$ by", best):
        assert row("value.md", start) == pytest.approx([errors[k] for k in rounds], abs=6e-4)
    truth, rows = closed.estimates()
    for found in rows.values():  # no estimator has a bias, and all trajectories are there
        assert len(found) == 27 and sum(p for p, _ in found) == pytest.approx(1)
        assert sum(p * x for p, x in found) == pytest.approx(truth)


def light(colour):
    """The relative luminance of rrggbb, as the Web Content Accessibility Guidelines have it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    parts = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_the_colours_of_figures_stand_out_from_both_backgrounds():
    css = (ROOT / "docs/_static/rlcourse.css").read_text("utf-8")
    sets = re.findall(r"--c0: #(\w+); --c1: #(\w+); --c2: #(\w+); --c3: #(\w+); --c4: #(\w+)", css)
    assert len(sets) == 3 and sets[1] == sets[2]
    for colour in sets[0]:
        assert 1.05 / (light(colour) + 0.05) >= 4.5  # on white
    for colour in sets[1]:
        assert (light(colour) + 0.05) / (light("131416") + 0.05) >= 4.5  # furo's dark


def test_the_colours_of_code_stand_out_from_its_background():
    styles = pytest.importorskip("pygments.styles")
    conf = (ROOT / "docs/conf.py").read_text("utf-8")
    names = re.findall(r'^pygments_(?:dark_)?style = "(.*)"$', conf, re.MULTILINE)
    assert len(names) == 2
    for style in map(styles.get_style_by_name, names):
        behind = light(style.background_color.lstrip("#"))
        for token, look in style:
            if look["color"] and re.match(r"Token\.(Comment|Keyword|Name|Literal|Op)", str(token)):
                dark, bright = sorted((behind, light(look["color"])))
                assert (bright + 0.05) / (dark + 0.05) >= 4.5, (style.name, token)


@pytest.mark.parametrize("size", SIZES)
def test_the_text_of_a_figure_is_never_smaller_than_ten_pixels(site, browser, size):
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height})
    for path in pages(site):
        if 'class="panels"' in path.read_text("utf-8"):
            page.goto(path.as_uri())
            sizes = page.locator(".panel > svg").evaluate_all(
                "all => all.map(e => 13 * e.clientWidth / e.viewBox.baseVal.width)"
            )
            assert min(sizes) >= 10, path.name
    page.close()
