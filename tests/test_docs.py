"""The pages of docs/ and the README say what the code does, and their commands and snippets run."""

import ast
import dataclasses
import inspect
import itertools
import re
import shlex
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import pytest
import torch

from rlcourse import ALGOS, run
from rlcourse.utils import bundle, config, folders, grid, mpi, plot, policy
from rlcourse.utils import check as checks
from rlcourse.utils.run import Run

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
README = ROOT / "README.md"
FRONT = [README] if README.exists() else []
MODULES = {algo: import_module(f"rlcourse.algos.{algo}") for algo in ALGOS}
TEXTS = {algo: (ROOT / "docs/algorithms" / f"{algo}.md").read_text("utf-8") for algo in ALGOS}
HEADINGS = [
    "The idea in five sentences",
    "Quick facts",
    "Where it sits",
    "The equations, derived",
    "What is easy to get wrong",
    "What is logged",
    "Hyper-parameters",
    "Run it, change it",
    "Check yourself",
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
            below = FENCE.sub("", there.read_text("utf-8"))
            assert part in map(anchor, re.findall(r"^#+ (.*)$", below, re.MULTILINE)), target


@every_page
def test_a_linked_name_is_defined_in_the_file_it_links_to(page):
    for name, target in re.findall(r"\[`([\w.]+)`\]\(([^)#\s]+\.py)\)", page.read_text("utf-8")):
        if name.endswith(".py"):
            continue
        text = (page.parent / target).read_text("utf-8")
        for part in name.split("."):
            assert re.search(rf"^ *(def|class) {part}\b|^{part}\b", text, re.MULTILINE), name


# ------------------------------------------------------------------------------- snippets, commands


@pytest.fixture
def as_before(monkeypatch, tmp_path):
    """An empty folder to work in; functions that a snippet replaces are put back."""
    monkeypatch.chdir(tmp_path)
    before = {module: dict(vars(module)) for module in MODULES.values()}
    yield
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
    if argv and argv[0] in ("plot", "watch", "eval", "export"):
        flags = [i for i, word in enumerate(argv) if word.startswith("--")]
        paths = argv[1 : flags[0]] if flags else argv[1:]
        places = [experiment.folder for experiment in made]
        if argv[0] == "export":
            made.append(SimpleNamespace(folder=Path(paths.pop())))
        known = {parent for folder in places for parent in (folder, *folder.parents)}
        for path in paths:
            assert Path(path) in known - {Path(".")}, f"no command above makes {path}"
    if "--init" in argv:
        places = [experiment.folder for experiment in made]
        assert Path(argv[argv.index("--init") + 1]) in places, argv
        if "--value" in argv:
            named = itertools.takewhile(
                lambda word: not word.startswith("--"), argv[argv.index("--value") + 1 :]
            )
            assert set(named) <= columns, argv


def test_a_command_line_with_a_wrong_flag_would_be_noticed(dry, capsys):
    with pytest.raises(AssertionError, match="unknown flag --clipp"):
        check(["ppo", "--env", "CartPole-v1", "--clipp", "0.1"], dry, set(), capsys)
