"""What the reference says of the code is so: names, messages, examples, and the kinds of blocks."""

import ast
import contextlib
import doctest
import inspect
import os
import re
import shlex
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from rlcourse import ALGOS, run
from rlcourse.utils import config, logger, tuned
from rlcourse.utils.config import Settings
from rlcourse.utils.run import Run

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SOURCES = sorted((ROOT / "rlcourse").rglob("*.py"))
MODULES = [
    ".".join(p.relative_to(ROOT).with_suffix("").parts) for p in SOURCES if "__" not in p.name
]
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
# A run of a second: short epochs, small networks
SMALL = {"num_envs": 2, "horizon": 32, "passes": 1, "minibatch": 64}
SMALL_OFF = {"num_envs": 2, "horizon": 4, "random_steps": 8, "minibatch": 8, "memory": 1000}

every_module = pytest.mark.parametrize("module", MODULES)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def text(path):
    return (ROOT / path).read_text("utf-8")


@cache
def tree(module):
    return ast.parse(text(module.replace(".", "/") + ".py"))


def public(node):
    return [n for n in node.body if isinstance(n, FUNCTION | ast.ClassDef) and n.name[0] != "_"]


# ------------------------------------------------------------------------------------ the API


@every_module
def test_every_public_name_says_what_it_is(module):
    """In the files of algorithms an equation says it by its number, a table by its comments."""
    silent = [n for n in public(tree(module)) if not ast.get_docstring(n)]
    if module.startswith("rlcourse.algos."):
        silent = [n for n in silent if n.name not in (*equations(module), "Config", "Batch")]
    else:
        methods = [m for n in tree(module).body if isinstance(n, ast.ClassDef) for m in public(n)]
        silent += [m for m in methods if m.name != "forward" and not ast.get_docstring(m)]
    assert [n.name for n in silent] == []


def equations(module):
    """The functions of an algorithm's file that have a line with a number."""
    rows = text(module.replace(".", "/") + ".py").splitlines()
    return [
        node.name
        for node in public(tree(module))
        if isinstance(node, FUNCTION) and node.name not in ("train", "collect")
        if "# Eq. " in "".join(rows[node.lineno - 1 : node.end_lineno])
    ]


def test_every_module_is_on_one_page_of_the_reference_whole():
    pages = "".join(p.read_text("utf-8") for p in (DOCS / "reference/api").glob("*.md"))
    assert sorted(re.findall(r"^\.\. automodule:: (\S+)$", pages, re.MULTILINE)) == sorted(MODULES)
    left_out = re.findall(r"automodule:: (\S+)\n +:exclude-members: (.*)", pages)
    apart = re.findall(r"^\.\. autofunction:: (\S+)$", pages, re.MULTILINE)
    assert sorted(f"{m}.{name}" for m, names in left_out for name in names.split(", ")) == sorted(
        apart
    )


@pytest.mark.parametrize("algo", ALGOS)
def test_the_equations_come_first_and_all_of_them(algo):
    page = text("docs/reference/api/algorithms.md")
    assert re.findall(
        rf"autofunction:: rlcourse\.algos\.{algo}\.(\w+)$", page, re.MULTILINE
    ) == equations(f"rlcourse.algos.{algo}")


@every_module
def test_the_examples_in_the_docstrings_of_a_module_hold(module):
    assert doctest.testmod(import_module(module)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    found = [t for name in MODULES for t in finder.find(import_module(name)) if t.examples]
    assert len(found) > 30


# --------------------------------------------------------------------------- source and pages


def test_pages_that_a_docstring_names_exist():
    for path in SOURCES:
        for name in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text("utf-8")):
            assert (ROOT / name).is_file(), f"{path.name} names {name}"


@pytest.mark.parametrize("algo", ALGOS)
def test_an_algorithm_names_its_page(algo):
    assert f"docs/algorithms/{algo}.md" in ast.get_docstring(tree(f"rlcourse.algos.{algo}"))


@every_module
def test_a_module_that_has_a_guide_names_it(module):
    guide = DOCS / "guide" / f"{GUIDES.get(module.rpartition('.')[2], '')}.md"
    named = re.findall(r"docs/guide/([\w-]+)\.md", ast.get_docstring(tree(module)) or "")
    assert not guide.is_file() or guide.stem in named


GUIDES = {
    "logger": "logging",
    "plot": "plotting",
    "grid": "running",
    "mpi": "mpi",
    "bundle": "sharing",
    "check": "environments",
    "envs": "environments",
    "checkpoint": "saving",
    "evaluate": "evaluation",
}


# ----------------------------------------------------------------------------------- notation


@cache
def identifiers():
    """Names, attributes, fields and arguments of each source file."""
    found = {}
    for path in SOURCES:
        names = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names |= {getattr(node, key, None) for key in ("id", "attr", "arg", "name")}
        found[path.stem] = {name for name in names if isinstance(name, str)}
    return found


def rows(page, heading):
    below = re.split(rf"^## {re.escape(heading)}$", page, flags=re.MULTILINE)[1]
    below = re.split(r"^## ", below, flags=re.MULTILINE)[0]
    return [
        [c.strip() for c in row.split("|")[1:-1]]
        for row in re.findall(r"^\|.*\|$", below, re.MULTILINE)[2:]
    ]


@pytest.mark.parametrize(
    ("heading", "files"),
    [
        ("What the environment gives", ALGOS),
        ("Policies and values", ALGOS),
        ("On-policy: VPG and PPO", ("vpg", "ppo")),
        ("Off-policy: DDPG, TD3 and SAC", ("ddpg", "td3", "sac")),
    ],
)
def test_identifiers_of_the_notation_are_those_of_the_source(heading, files):
    known = set.union(*(identifiers()[f] for f in files), identifiers()["nets"])
    table = rows(text("docs/reference/notation.md"), heading)
    for symbol, names, *_ in table:
        found = re.findall(r"`([\w.]+)`", names)
        assert found, f"{symbol} has no identifier"
        assert set(".".join(found).split(".")) <= known, f"{symbol}: {names}"


def test_terms_in_code_font_of_the_glossary_are_there():
    code = "".join(p.read_text("utf-8") for p in SOURCES)
    strings = set(re.findall(r"[\w./+-]+", code))
    page = text("docs/reference/glossary.md")
    for term in re.findall(r"(?<!\})`([^`\n]+)`", page):
        words = re.findall(r"[\w./-]+", term.replace("--", ""))
        there = (ROOT / term).exists() or all(w in strings or w.isdigit() for w in words)
        assert there or set(term.split(".")) <= strings, term


@pytest.fixture(scope="module")
def columns():
    """All that the five algorithms log."""
    found = set()
    for algo in ALGOS:
        module = import_module(f"rlcourse.algos.{algo}")
        sizes = SMALL_OFF if hasattr(module.Config, "memory") else SMALL
        opened = Run(module.Config(env="Pendulum-v1", epochs=1, **sizes), show=False)
        module.train(opened.cfg, opened)
        found |= set(opened.rows[0])
    return found


def test_the_guide_to_the_log_has_every_column_in_its_group(columns):
    for name, listed, _ in rows(text("docs/guide/logging.md"), "The columns"):
        there = re.findall(r"`(\w+)`", listed)
        assert sorted(there) == sorted(c for c in columns if logger.group(c) == name.strip("`"))


def test_every_equation_is_in_the_anatomy_of_an_update():
    page = text("docs/source/anatomy-of-an-update.md")
    for algo in ("ppo", "sac"):
        shown = set(re.findall(rf"^```\{{update-trace\}} {algo} (\w+)", page, re.MULTILINE))
        assert set(equations(f"rlcourse.algos.{algo}")) - {"track"} <= shown


# ----------------------------------------------------------------------------------- messages


@cache
def templates():
    """The strings of the source, each as the fixed texts between what is filled in."""
    found = [[line] for line in re.split(r"\$\([^()]*\)+|\$\(error |['\n]", text("Makefile"))]
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values = node.values if isinstance(node, ast.JoinedStr) else [node]
            constants = [v.value for v in values if isinstance(v, ast.Constant)]
            found.append([value for value in constants if isinstance(value, str)])
    return [parts for parts in found if "".join(parts).strip()]


def quoted(page):
    """The messages in the first column of the tables of a page."""
    cells = re.findall(r"^\| (`.+?) \| ", page, re.MULTILINE)
    return [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]


NOT_OURS = "externally-managed|expected at least one argument|No module named 'rl|No rule to make"
MESSAGES = [
    message
    for page in ("reference/faq", "start/install")
    for message in quoted(text(f"docs/{page}.md"))
    if " " in message and not re.search(NOT_OURS, message)
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_quoted_is_one_of_the_source(message):
    for fixed in templates():
        parts = [part.strip() for part in fixed if part.strip()]
        kept = [part for part in parts if part in message]
        whole = len(kept) == len(parts) or "..." in message
        if whole and sum(map(len, kept)) > 10 or any(message in part for part in parts):
            return
    raise AssertionError(f"no string of the source makes: {message}")


USED = """\
pppo
ppo
ppo --env CartPole-v1 --clipp 0.1
ppo --env CartPole-v1 --seed
ppo --env CartPole-v1 --epochs ten
ppo --env CartPole-v1 --norm-obs maybe
ppo --env CartPole-v1 --hidden big
ppo --env CartPole-v1 --gamma 1.5
ppo --env CartPole-v1 --activation sine
ppo --env CartPole-v1 --seed 0 0
ppo --env CartPole-v1 --lr[h] 1e-3 1e-4 --hidden[h] 32 64
ppo --env CartPole-v1 --minibatch 100
ppo --env CartPole-v1 --num-envs 8 --cpu 3
sac --env Pendulum-v1 --utd 0.3
sac --env Pendulum-v1 --memory 500
sac --env Pendulum-v1 --random-steps 0 --memory 2
ppo --env CartPole-v1 --jobs 2 --cpu 2 --seed 0 1
ppo --env CartPole-v1 --device gpu
ppo --env CartPol-v1
ppo --env LunarLander-v2
ppo --env CartPole-v1 --env-kwargs wind=3
ppo --env CartPole-v1 --env-kwargs wind
ppo --env Blackjack-v1
ddpg --env CartPole-v1"""


@pytest.mark.parametrize("command", USED.splitlines())
def test_what_a_mistake_prints_is_on_the_page_of_messages(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run.main(shlex.split(command)) == 2
    said = capsys.readouterr().err.strip().removeprefix("rlcourse: ")
    patterns = (
        re.escape(m).replace(r"\.\.\.", ".*") for m in quoted(text("docs/reference/faq.md"))
    )
    assert any(re.fullmatch(pattern, said) for pattern in patterns), said


# ------------------------------------------------------------------------------------- blocks

KINDS = {"python": "run", "sh": "parsed, and some run", "yaml": "read by commands", "": "output"}


@every_page
def test_a_page_has_no_kind_of_block_that_nothing_checks(page):
    """Directives are checked by the build, where a name that is not known is a warning."""
    fences = re.findall(r"^ *(`{3,}|~{3,})([^\s`]*)", page.read_text("utf-8"), re.MULTILINE)
    opened = []
    for mark, kind in fences:
        if opened and mark == opened[-1] and not kind:
            opened.pop()
            continue
        opened.append(mark)
        assert kind in KINDS or re.fullmatch(r"\{[a-z-]+\}", kind), f"{page.name}: {mark}{kind}"
    assert not opened


# ----------------------------------------------------------------------------------- commands

ELSEWHERE = ("make", "sbatch", "srun", "mpiexec", ".")  # not a command of this program


@pytest.fixture
def small(monkeypatch, tmp_path):
    """An empty folder, short epochs of small networks, and a tenth of the epochs."""

    def usual(cls, **values):
        names = list(inspect.signature(cls).parameters)
        before = cls.__init__.__defaults__
        given = dict(zip(names[-len(before) :], before, strict=True)) | values
        monkeypatch.setattr(
            cls.__init__, "__defaults__", tuple(given[n] for n in names[-len(before) :])
        )
        for name, value in values.items():
            monkeypatch.setattr(cls.__dataclass_fields__[name], "default", value)

    for algo in ALGOS:
        cls = import_module(f"rlcourse.algos.{algo}").Config
        epochs = cls.__dataclass_fields__["epochs"].default // 10
        usual(cls, **(SMALL_OFF if hasattr(cls, "memory") else SMALL), epochs=epochs, hidden=(8,))
    parse, values = config.parse, tuned.values
    monkeypatch.setattr(config, "parse", lambda *field: tenth(field[2], parse(*field)))
    less = lambda *key: {n: tenth(n, x) for n, x in values(*key).items()}  # noqa: E731
    monkeypatch.setattr(tuned, "values", less)
    usual(Settings, eval_episodes=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what a disk does is tested elsewhere
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")


def tenth(name, value):
    return max(1, value // 10) if name == "epochs" else value


def blocks(page, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", text(f"docs/{page}.md"), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["start/first-run", "start/ten-minutes", "guide/running"])
def test_the_commands_of_a_page_work_one_after_the_other(page, small, capsys):
    """As they stand, on a small scale; those that need a cluster or make are left out."""
    for code in blocks(page, "yaml"):
        Path(re.match(r"# (\S+)", code)[1]).write_text(code, encoding="utf-8")
    printed = ""
    for line in "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] in ELSEWHERE:
            continue
        assert words[:3] == ["python", "-m", "rlcourse.run"], line
        with contextlib.suppress(SystemExit):  # --help
            code = run.main(words[3:])
            out, err = capsys.readouterr()
            printed += out
            assert code == 0, f"{line}: {err}"
    if page == "start/first-run":
        shown = re.search(
            r"^```\n(ppo on .*?)^```$", text(f"docs/{page}.md"), re.MULTILINE | re.DOTALL
        )[1]
        kinds = {kind(line) for line in printed.splitlines()}
        said = {kind(line) for line in shown.splitlines() if line != "..."}
        assert said <= kinds


def kind(line):
    """A line with its numbers made equal, whatever their width."""
    return " ".join(re.sub(r"-?[\d.:]+(e-?\d+)?", "0", line).split())
