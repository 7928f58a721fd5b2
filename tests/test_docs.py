"""The pages of docs/ and the README say what the code does, and their commands and snippets run."""

import ast
import csv
import dataclasses
import difflib
import importlib.util
import inspect
import itertools
import re
import shlex
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pytest
import test_style
import torch

from exercises import bugs, course, worlds
from rlcourse import ALGOS, run
from rlcourse.utils import bundle, config, folders, grid, logger, mpi, plot, policy, report
from rlcourse.utils import check as checks
from rlcourse.utils.run import Run

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
README = ROOT / "README.md"
FRONT = [README] if README.exists() else []
MODULES = {algo: import_module(f"rlcourse.algos.{algo}") for algo in ALGOS}
assert worlds.Mixed  # imported before any snippet is, so that its environments stay registered
TEXTS = {algo: (ROOT / "docs/algorithms" / f"{algo}.md").read_text("utf-8") for algo in ALGOS}
HEADINGS = [
    "The idea in five sentences",
    "Quick facts",
    "Where it sits",
    "The equations, derived",
    "Pseudocode",
    "The source",
    "What is easy to get wrong",
    "What is logged",
    "Results",
    "Hyper-parameters",
    "Run it, change it",
    "You should know",
    "Check yourself",
    "Exercises",
    "Other implementations",
    "Papers",
]
FENCE = re.compile(r"^(`{3,})([\w{}-]*)[^\n`]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
MATHS = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)

every_algorithm = pytest.mark.parametrize("algo", ALGOS)
every_page = pytest.mark.parametrize("page", PAGES + FRONT, ids=lambda page: page.name)


def blocks(page, *languages):
    return [code for _, name, code in FENCE.findall(page.read_text("utf-8")) if name in languages]


def prose(text):
    """A page without its code and its mathematics."""
    return re.sub(r"(?<!`)`[^`\n]+`", "`code`", MATHS.sub("", FENCE.sub("", text)))


def section(text, heading):
    """What stands below a heading, up to the next one of the same or a higher level."""
    level = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)[1]
    below = text.partition(f"\n{level} {heading}\n")[2]
    return re.split(rf"^#{{1,{len(level)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


def table(text):
    """The rows of the first table, each a list of cells, without its head."""
    rows = re.search(r"(^\|.*\n)+", text, re.MULTILINE)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def names(cell):
    return re.findall(r"`(\w+)`", cell)


# ------------------------------------------------------------------------------- equations


@every_algorithm
def test_page_docstring_and_code_number_the_same_equations(algo):
    source = inspect.getsource(MODULES[algo])
    tags = [int(n) for n in re.findall(r"\\tag\{(\d+)\}", TEXTS[algo])]
    listed = [int(n) for n in re.findall(r"^ +Eq\. (\d+)  ", MODULES[algo].__doc__, re.MULTILINE)]
    coded = {int(n) for n in re.findall(r"# Eq\. (\d+)$", source, re.MULTILINE)}
    assert tags == listed == list(range(1, len(tags) + 1))
    assert coded == set(listed)


@every_algorithm
def test_the_text_mentions_no_equation_that_is_not_there(algo):
    last = len(re.findall(r"\\tag", TEXTS[algo]))
    mentioned = re.findall(r"Eq\. (\d+)(?: to (\d+))?", TEXTS[algo])
    assert max(int(n) for pair in mentioned for n in pair if n) <= last


@every_page
def test_mathematics_survives_a_code_host(page):
    """GitHub takes \\, and \\{ for escapes, [a](b) for a link, and refuses \\operatorname."""
    for formula in MATHS.findall(FENCE.sub("", page.read_text("utf-8"))):
        assert not re.search(r"\\[^a-zA-Z]|\]\(|operatorname|<\w", formula), formula


# --------------------------------------------------------------------------- names and structure


@every_algorithm
def test_the_pages_of_algorithms_have_the_same_sections(algo):
    assert re.findall(r"^## (.*)$", TEXTS[algo], re.MULTILINE) == HEADINGS


@every_algorithm
def test_every_hyper_parameter_is_on_the_page_with_its_default(algo):
    rows = table(section(TEXTS[algo], "Hyper-parameters"))
    there = {names(row[0])[0]: row[1].strip("`") for row in rows}
    known = {f.name: f for f in fields(MODULES[algo].Config)}
    assert list(there) == list(known)
    for name, text in there.items():
        default = config.default(known[name])
        assert default == (config.parse(text, known[name].type, name) if text else None), name


def test_the_page_of_ppo_explains_every_field_that_vpg_lacks():
    new = {f.name for f in fields(MODULES["ppo"].Config)}
    new -= {f.name for f in fields(MODULES["vpg"].Config)}
    assert new <= set(names(section(TEXTS["ppo"], "Where it sits")))


@pytest.fixture(scope="module")
def logged():
    """The columns that one epoch of each algorithm writes."""
    columns = {}
    for algo, module in MODULES.items():
        cfg = module.Config(env="Pendulum-v1", epochs=1, num_envs=2, horizon=16, minibatch=16)
        if hasattr(cfg, "random_steps"):
            cfg = dataclasses.replace(cfg, random_steps=8)
        run_ = Run(cfg, config.Settings(eval_episodes=1), show=False)
        module.train(cfg, run_)
        columns[algo] = set(run_.rows[0])
    return columns


@every_algorithm
def test_every_logged_column_is_explained_and_no_other(algo, logged):
    general = table(section(TEXTS["vpg"], "Columns of every algorithm"))
    own = table(section(TEXTS[algo], f"Columns of {algo.upper()}"))
    explained = [name for row in general + own for name in names(row[0])]
    assert algo == "vpg" or "](vpg.md#columns-of-every-algorithm)" in TEXTS[algo]
    assert len(explained) == len(set(explained))
    assert set(explained) == logged[algo]


@every_algorithm
def test_the_docstring_lists_every_column_that_is_the_algorithms_own(algo, logged):
    general = table(section(TEXTS["vpg"], "Columns of every algorithm"))
    text = MODULES[algo].__doc__.partition("Logged")[2]
    listed = re.findall(r"^    (\w+)(?:, (\w+))? {2,}", text, re.MULTILINE)
    own = logged[algo] - {name for row in general for name in names(row[0])}
    assert sorted(filter(None, sum(listed, ()))) == sorted(own)


@every_page
def test_tests_that_a_page_names_exist(page):
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("*.py"))
    for name in re.findall(r"`(test_\w+)`", page.read_text("utf-8")):
        assert f"def {name}(" in tests


# ------------------------------------------------------- anatomy of the pages of the algorithms

STORED = {"vpg": "cartpole", "ppo": "cartpole", "ddpg": "pendulum", "td3": "pendulum"}
STORED["sac"] = "pendulum"
MEASURED = {  # what was planted (exercises/_author/bugs) for an item of "What is easy to get wrong"
    "vpg": {
        "One flag instead of two.": ["time limit as terminal", "sum through the ends"],
        "`(B, 1)` against `(B,)`.": ["outer difference"],
        "Playing the likeliest action while collecting.": ["likeliest action while collecting"],
        "The sign.": ["descends the return"],
    },
    "ppo": {
        "A first ratio that is not 1.": ["normaliser before the update"],
        "A ratio that is always 1.": ["log π_old recomputed"],
        "Min and sign.": ["max for min"],
        "The clip without the minimum.": ["clip alone"],
        "Columns that are shuffled apart.": ["columns shuffled apart"],
        "The sign of the entropy.": ["entropy subtracted"],
    },
    "ddpg": {
        "`(B, 1)` against `(B,)`.": ["outer difference"],
        "`done` for `term`.": ["time limit as terminal"],
        "A copy that does not copy.": ["target never moves"],
        "ρ and $1 - \\rho$ exchanged.": ["ρ the wrong way round"],
        "The action of the memory in Eq. 3.": ["actions of the memory in the policy's loss"],
        "Down instead of up.": ["descends Q"],
    },
    "td3": {
        "Trusting a curve.": [
            "higher of the two",
            "one critic trained",
            "smoothing without limit",
            "noise not around 0",
        ],
        "A time limit taken for an end.": ["time limit as terminal"],
    },
    "sac": {
        "The correction of Eq. 6 left out.": ["no correction for tanh"],
        "No entropy in Eq. 1,": [
            "no entropy in the target",
            "entropy subtracted in the target",
            "higher of the two",
        ],
        "A sample without its gradient.": ["sample without gradient"],
        "The sign of Eq. 5.": ["temperature the wrong way"],
        "The sign of $H$.": ["entropy goal with the wrong sign"],
        "`(B, 1)` against `(B,)`.": ["outer difference"],
        "`done` for `term`.": ["time limit as terminal"],
    },
}


def numbers(text):
    """The equations that a text names: Eq. 2, Eq. 1 and 2, Eq. 1 to 3."""
    found = set()
    for first, word, last in re.findall(r"Eq\. (\d+)(?: (to|and) (\d+))?", text):
        found |= {int(first)} | (set(range(int(first), int(last) + 1)) if word else set())
    return found


def tagged(algo, text=None):
    """The equations of a file, or of a part of it."""
    text = inspect.getsource(MODULES[algo]) if text is None else text
    return {int(n) for n in re.findall(r"# Eq\. (\d+)$", text, re.MULTILINE)}


def included(text):
    return re.findall(r"^:pyobject: (\w+)$", text, re.MULTILINE)


@every_algorithm
def test_the_pseudocode_is_numbered_and_has_every_equation_and_a_function_in_each_line(algo):
    rows = table(section(TEXTS[algo], "Pseudocode"))
    assert [row[0] for row in rows] == [str(n + 1) for n in range(len(rows))]
    assert {int(n) for row in rows for n in re.findall(r"\d+", row[3])} == tagged(algo)
    for _, _, code, equations in rows:
        here = re.findall(r"\[`([\w.]+)`\]\(../../rlcourse/algos/\w+\.py\)", code)
        source = "".join(inspect.getsource(getattr(MODULES[algo], n.split(".")[0])) for n in here)
        assert here and tagged(algo, source) >= set(map(int, re.findall(r"\d+", equations)))


@every_algorithm
def test_the_page_shows_every_function_and_class_of_the_file_once(algo):
    nodes = ast.parse(inspect.getsource(MODULES[algo])).body
    defined = [n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert sorted(included(section(TEXTS[algo], "The source"))) == sorted(defined)


@every_algorithm
def test_each_piece_of_the_source_stands_below_the_numbers_of_its_equations(algo):
    text = section(TEXTS[algo], "The source")
    assert numbers(text) == tagged(algo)
    for title, below in re.findall(r"^\*\*(.*?)\*\*(.*?^:pyobject: \w+)$", text, re.M | re.S):
        piece = inspect.getsource(getattr(MODULES[algo], included(below)[0]))
        assert numbers(title) == tagged(algo, piece), title


@every_algorithm
def test_what_a_page_calls_word_for_word_the_same_is_the_same(algo):
    text = section(TEXTS[algo], "The source")
    for other, below in re.findall(r"} Word for word as in (\w+)(.*?)^:::::$", text, re.M | re.S):
        for name in included(below):
            here, there = (getattr(MODULES[a], name) for a in (algo, other.lower()))
            assert inspect.getsource(here) == inspect.getsource(there), name


def mistakes(algo):
    """Title and text of each item of "What is easy to get wrong", on one line."""
    text = section(TEXTS[algo], "What is easy to get wrong")
    for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]:
        title, _, told = " ".join(item.split()).removeprefix("**").partition("**")
        yield title, told


@every_algorithm
def test_what_a_mistake_did_to_the_return_is_what_was_measured(algo):
    said = {title: re.findall(r"\(\*\*(\w+)\*\*", told) for title, told in mistakes(algo)}
    said = {title: levels[0] for title, levels in said.items() if levels}
    measured = {
        title: {bugs.LEVELS[bugs.bugs()[f"{algo}: {name}"].level].split()[0] for name in planted}
        for title, planted in MEASURED[algo].items()
    }
    assert measured == {title: {level} for title, level in said.items()}


@every_algorithm
def test_wrong_answers_that_a_page_names_are_known_to_the_exercise(algo):
    told = "".join(told for _, told in mistakes(algo))
    found = re.findall(r"(\d\.\d) \*([^*]+)\*", told)
    assert found
    for id_, name in found:
        assert name in [m.name for m in course.tasks()[id_].mutants], (id_, name)


@every_algorithm
def test_every_column_has_a_definition_a_healthy_value_and_a_symptom(algo):
    for heading in ("Columns of every algorithm", f"Columns of {algo.upper()}"):
        page = algo if heading.endswith(algo.upper()) else "vpg"
        for row in table(section(TEXTS[page], heading)):
            assert len(row) == 4 and all(row), row


@every_algorithm
def test_nine_of_ten_epochs_of_the_stored_runs_are_in_the_healthy_ranges(algo):
    """The first row of an off-policy run holds one update only, and is left out."""
    folder = ROOT / "experiments/results" / STORED[algo]
    runs = [logger.read(path) for path in folder.glob(f"{algo}_*/*/progress.csv")]
    rows = [row for run_ in runs for row in run_[hasattr(MODULES[algo].Config, "random_steps") :]]
    ranges = 0
    for cells in table(section(TEXTS[algo], f"Columns of {algo.upper()}")):
        found = re.match(r"(-?[\d.]+) to (-?[\d.]+)", cells[2])
        if found:
            low, high = map(float, found.groups())
            values = [row[names(cells[0])[0]] for row in rows]
            share = sum(low <= value <= high for value in values) / len(values)
            assert 0.87 <= share, (cells[0], share)
            beyond = max(min(values) - low, high - max(values))
            assert beyond <= 0.1 * (high - low) + 1e-3, cells[0]  # it is not wider than that
            ranges += 1
    assert ranges >= 4


@every_algorithm
def test_the_exercises_that_train_an_algorithm_are_on_its_page(algo):
    listed = re.search(r"\{exercise-table\} (.*)", section(TEXTS[algo], "Exercises"))[1].split()
    wanted = {"vpg": [3], "ppo": [4], "ddpg": [], "td3": [5], "sac": [6]}[algo]
    assert {t.id for t in course.tasks().values() if t.ps in wanted} <= set(listed)
    assert algo != "ddpg" or {"5.1", "5.2", "5.3"} <= set(listed)


@every_algorithm
def test_a_page_takes_about_twelve_minutes(algo):
    """230 words a minute, without what is folded and the two tables that are looked up in."""
    text = FENCE.sub("", TEXTS[algo])
    text = re.sub(r"^(:{3,})\{dropdown\}.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    for heading in ("What is logged", "Hyper-parameters", "Papers"):
        text = text.replace(section(text, heading), "")
    words = re.sub(r"\]\([^)]*\)|&emsp;|[|]", " ", MATHS.sub(" formula ", text)).split()
    assert len(words) <= 13 * 230


def test_the_overview_counts_the_lines_of_the_code():
    text = (ROOT / "docs/algorithms/overview.md").read_text("utf-8")
    code = {}
    for algo, module in MODULES.items():
        source = inspect.getsource(module)
        kept = test_style.code_lines(source)
        code[algo] = [row for n, row in enumerate(source.splitlines(), 1) if n in kept]
    row = next(row for row in table(text) if row[0] == "lines of code")
    assert row[1:] == [str(len(code[algo])) for algo in ALGOS]
    for one, other, went, came, _ in table(section(text, "Each one as a diff of the previous")):
        rows = list(difflib.unified_diff(code[one.lower()], code[other.lower()], n=0, lineterm=""))
        signs = [row[0] for row in rows[2:]]
        assert (int(went), int(came)) == (signs.count("-"), signs.count("+"))


# ------------------------------------------------------------------- planted mistakes, settings


def outside(path):
    """A module of this project that lies in no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_the_symptoms_on_their_page_are_those_that_are_looked_for():
    pytest.importorskip("sphinx")
    atlas = outside("docs/_ext/atlas.py")
    page = (ROOT / "docs/guide/symptoms.md").read_text("utf-8")
    found = re.findall(r"^### (.*)\n\n[^#]*?^```\{symptom\} (\S+)$", page, re.MULTILINE)
    assert found == [(s.seen, key) for key, s in atlas.SYMPTOMS.items()]


def test_at_least_35_planted_mistakes_have_a_symptom_and_the_right_runs_have_none():
    pytest.importorskip("sphinx")
    atlas = outside("docs/_ext/atlas.py")
    assert len({bug.id for key in atlas.SYMPTOMS for bug in atlas.showing(key)}) >= 35
    for algo in ALGOS:
        right = atlas.Runs(
            algo, *[tuple(tuple(atlas.bugs.stored(algo)["", s]) for s in (0, 1))] * 2
        )
        assert [key for key, s in atlas.SYMPTOMS.items() if s.holds(right)] == []


def test_every_mistake_can_be_planted_and_a_test_that_finds_it_is_known():
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("*.py"))
    planted = outside("experiments/planted.py")
    known = {bug.id: bug for bug in (*planted.MUSEUM, *bugs.bugs().values())}
    found = {}
    for algo in ALGOS:
        assert all(bug.planted != bugs.source(algo) for bug in known.values() if bug.algo == algo)
        with (planted.RESULTS / f"tests-{algo}.csv").open(encoding="utf-8") as f:
            found |= {f"{algo}: {row['bug']}": row["test"] for row in csv.DictReader(f)}
    assert found.keys() == known.keys()
    assert [name for name in found.values() if f"def {name}(" not in tests] == []


def test_the_page_of_hyper_parameters_has_each_field_once():
    page = (ROOT / "docs/guide/hyperparameters.md").read_text("utf-8")
    there = [name for row in table(section(page, "What each one bounds")) for name in names(row[0])]
    known = {f.name for module in MODULES.values() for f in fields(module.Config)}
    assert sorted(there) == sorted(known - {"env", "seed"})


# -------------------------------------------------------------------------------------------- links


def anchor(heading):
    """What code hosts and MyST make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@every_page
def test_relative_links_lead_to_something(page):
    text = prose(page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="(.*?)"', text):
        if re.match(r"\w+:", target):
            continue
        path, _, part = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.is_relative_to(ROOT) and there.exists(), target
        if part:
            below = there.read_text("utf-8")
            for included in re.findall(r"^```\{include\} (\S+)\n:heading-", below, re.MULTILINE):
                below += (there.parent / included).read_text("utf-8")  # with its title
            below = FENCE.sub("", below)
            assert part in map(anchor, re.findall(r"^#+ (.*)$", below, re.MULTILINE)), target


@every_page
def test_a_linked_name_is_defined_in_the_file_it_links_to(page):
    for name, target in re.findall(r"\[`([\w.]+)`\]\(([^)#\s]+\.py)\)", page.read_text("utf-8")):
        if name.endswith(".py"):
            continue
        text = (page.parent / target).read_text("utf-8")
        for part in name.split("."):
            assert re.search(rf"^ *(def|class) {part}\b|^{part}\b", text, re.MULTILINE), name


# ----------------------------------------------------------------------------------- references

KEY_PAPERS = (ROOT / "docs/research/key-papers.md").read_text("utf-8")
NUMBER = r"\d\d(?:0[1-9]|1[0-2])\.\d{4,5}"
ENTRY = re.compile(rf"^\| .* (\d{{4}}), \*([^*]+)\*[\s°]*\| \[({NUMBER})\]\(", re.MULTILINE)
SHORT = {"rl": "reinforcement learning", "ale": "arcade learning environment"}


def plain(title):
    """The words of a title, however it is shortened or spelt."""
    words = re.sub(r"\(.*?\)|[^\w\s]", "", title.lower().replace("-", " ")).split()
    return " ".join(SHORT.get(word, word) for word in words)


def titled():
    """Each number that stands right behind a title: the page, the title, the number."""
    for page in PAGES + FRONT:
        text = " ".join(prose(page.read_text("utf-8")).split())
        for title, number in re.findall(rf"\*([^*]+)\*[\s,°|]*\[(?:arXiv:)?({NUMBER})\]", text):
            yield page.name, plain(title), number


@every_page
def test_a_link_to_arxiv_goes_to_the_abstract_of_the_number_that_is_shown(page):
    text = page.read_text("utf-8")
    for url in re.findall(r"\w*:?/?/?(?:www\.)?arxiv\.org[^\s)>\"`]*", text, re.IGNORECASE):
        number = re.fullmatch(rf"https://arxiv\.org(?:/abs/({NUMBER}))?", url)
        assert number, url
        if number[1]:  # five digits behind the point since 2015
            assert len(number[1]) == (10 if number[1] >= "1501" else 9), url
    for shown_, behind in re.findall(r"\[(?:arXiv:)?(\d{4}\.\d+)\]\(([^)\s]*)\)", text):
        assert behind == f"https://arxiv.org/abs/{shown_}"


@every_page
def test_a_link_leads_to_a_safe_address(page):
    for host in re.findall(r"http://([^\s/:)\"]+)", prose(page.read_text("utf-8"))):
        assert host in ("localhost", "127.0.0.1"), host


def test_a_number_stands_beside_one_title_on_all_pages():
    known = {}
    for page, title, number in titled():
        for before in known.setdefault(number, []):
            assert f" {title} " in f" {before} " or f" {before} " in f" {title} ", (page, number)
        known[number].append(title)
    assert sum(len(titles) > 1 for titles in known.values()) > 10


def test_a_key_paper_is_listed_once_with_the_year_of_its_number():
    entries = ENTRY.findall(KEY_PAPERS)
    assert len(entries) == len(re.findall(r"^\|[^|]*\| \[\d", KEY_PAPERS, re.MULTILINE))
    for part in (1, 2):
        assert len({entry[part] for entry in entries}) == len(entries)
    for year, title, number in entries:
        assert year == f"20{number[:2]}", title


def test_the_count_of_key_papers_is_that_of_its_tables():
    rows = re.findall(r"^\| [^|]*\*[^|]*\|[^|]*\| [123] \|", KEY_PAPERS, re.MULTILINE)
    assert f"which of {len(rows)} papers" in KEY_PAPERS
    assert f"all {sum('°' in row for row in rows)} papers of it" in KEY_PAPERS


# ------------------------------------------------------------------------------- snippets, commands


@pytest.fixture
def as_before(monkeypatch, tmp_path):
    """An empty folder to work in; functions that a snippet replaces are put back."""
    monkeypatch.chdir(tmp_path)
    before = {module: dict(vars(module)) for module in MODULES.values()}
    known = dict(gym.registry)  # a snippet may register an environment of a name that others use
    yield
    gym.registry.clear()
    gym.registry.update(known)
    for module, values in before.items():
        vars(module).update(values)


SNIPPETS = [(page, code) for page in PAGES + FRONT for code in blocks(page, "python")]


@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=lambda x: getattr(x, "name", ""))
def test_a_snippet_runs(page, code, as_before):
    exec(compile(code, page.name, "exec"), {"__name__": "snippet"})


def shown(page):
    """Blocks that are nothing but functions: they claim to stand in the code as they are."""
    for code in blocks(page, "python"):
        body = ast.parse(code).body
        if all(isinstance(node, ast.FunctionDef) for node in body):
            yield from ((node.name, ast.get_source_segment(code, node)) for node in body)


@every_page
def test_a_function_that_is_shown_stands_so_in_the_code(page):
    for name, text in shown(page):
        there = [getattr(module, name, None) for module in MODULES.values()]
        assert text.strip() in [inspect.getsource(f).strip() for f in there if f], name


def test_the_readme_shows_a_function_of_the_code():
    if not FRONT:
        pytest.skip("there is no README.md")
    assert list(shown(README))


class Accepted(BaseException):
    """The command got as far as starting its work."""


@pytest.fixture
def dry(monkeypatch, tmp_path):
    """The command line, up to where work begins; the list fills with its runs."""

    def accept(*args, **kwargs):
        raise Accepted

    def record(*args):
        experiments = expand(*args)
        made.extend(experiments)
        return experiments

    def resolve(cfg, settings):  # without making it, so that it need not be installed
        return cfg.env if ":" in cfg.env else gym.spec(cfg.env).id

    made, expand = [], grid.expand
    monkeypatch.chdir(tmp_path)
    Path("experiments").symlink_to(ROOT / "experiments")
    monkeypatch.setattr(grid, "expand", record)
    monkeypatch.setattr(grid, "resolve", resolve)
    monkeypatch.setattr(grid, "device", torch.device)
    monkeypatch.setattr(policy, "check_initial", lambda *_: None)
    for module, name in (
        (mpi, "launch"),
        (plot, "curves"),
        (report, "studies"),
        (policy, "files"),
        (bundle, "export"),
        (checks, "check"),
    ):
        monkeypatch.setattr(module, name, accept)
    return made


def commands(page):
    """The lines of a page's sh blocks, each as words, continued lines joined."""
    for code in blocks(page, "sh", "bash", "shell"):
        for line in code.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words:
                yield words


@every_page
def test_every_command_line_is_accepted(page, dry, capsys):
    columns = set(re.findall(r"`(\w+)`", "".join(TEXTS.values())))
    for code in blocks(page, "yaml"):  # a file that commands of the page name
        name = re.match(r"# (\S+)", code)[1]
        Path(name).write_text(code, encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for words in commands(page):
        if "rlcourse.run" in words or words[0] == "rlcourse":
            start = words.index("rlcourse.run" if "rlcourse.run" in words else "rlcourse") + 1
            check(words[start:], dry, columns, capsys)
        elif words[0] == "make":
            for word in words[1:]:
                name, equals, _ = word.partition("=")
                known = rf"\b{name}\b" if equals else rf"^{name}:"
                assert re.search(known, makefile, re.MULTILINE), " ".join(words)
        for word in words[1:]:
            if re.match(r"(rlcourse|docs|tests|experiments)/", word):
                assert (ROOT / word).exists(), word


def check(argv, made, columns, capsys):
    """One command of rlcourse: accepted, and a folder or column that it names is there."""
    if argv[0].endswith("/config.yaml"):  # of a run that a command above makes
        there = next(run_ for run_ in reversed(made) if run_.folder == Path(argv[0]).parent)
        there.folder.mkdir(parents=True, exist_ok=True)
        folders.write_config(there.folder, there.cfg, there.settings)
    try:
        code = run.main(argv)
    except Accepted:
        code = 0
    except SystemExit as e:  # --help
        code = e.code
    assert code == 0, f"{' '.join(argv)}: {capsys.readouterr().err}"
    if argv and argv[0] in ("plot", "report", "watch", "eval", "export"):
        flags = [i for i, word in enumerate(argv) if word.startswith("--")]
        paths = argv[1 : flags[0]] if flags else argv[1:]
        places = [experiment.folder for experiment in made]
        if argv[0] == "export":
            made.append(SimpleNamespace(folder=Path(paths.pop())))
        known = {parent for folder in places for parent in (folder, *folder.parents)}
        for path in paths:
            stored = path.startswith("experiments/") and Path(path).exists()
            assert stored or Path(path) in known - {Path(".")}, f"no command above makes {path}"
        if "--value" in argv:
            named = itertools.takewhile(
                lambda word: not word.startswith("--"), argv[argv.index("--value") + 1 :]
            )
            assert set(named) <= columns, argv
    if "--init" in argv:
        places = [experiment.folder for experiment in made]
        assert Path(argv[argv.index("--init") + 1]) in places, argv


def test_a_command_line_with_a_wrong_flag_would_be_noticed(dry, capsys):
    with pytest.raises(AssertionError, match="unknown flag --clipp"):
        check(["ppo", "--env", "CartPole-v1", "--clipp", "0.1"], dry, set(), capsys)
