"""What makes the algorithm files read alike and like their equations, checked by machine.

Each rule is stated by its test's name, and by the message of a failure, which says why it exists.
The rules hold for every file in rlcourse/algos, also for those that do not exist yet.
"""

import ast
import io
import re
import tokenize
from dataclasses import fields
from importlib import import_module
from itertools import combinations, pairwise
from pathlib import Path

import pytest

import rlcourse.algos
from rlcourse.utils import config

FOLDER = Path(rlcourse.algos.__path__[0])
PATHS = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")
SOURCES = {path.stem: path.read_text(encoding="utf-8") for path in PATHS}
TREES = {name: ast.parse(source) for name, source in SOURCES.items()}
MODULES = {name: import_module(f"rlcourse.algos.{name}") for name in SOURCES}

each_file = pytest.mark.parametrize("name", SOURCES)
each_pair = pytest.mark.parametrize("one, other", list(combinations(SOURCES, 2)))

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
BLOCK = ast.For | ast.While | ast.If | ast.With | ast.Try | ast.Match
SECTIONS = ["hyper-parameters", "data", "networks", "equations", "algorithm"]

# What may differ between the files, because it is what makes them different algorithms.
DIFFERENCE = {
    "Config": "other algorithms have other hyper-parameters",
    "Batch": "and need other columns",
    "loss_pi": "the objective is the algorithm",
    "Agent.__init__": "how many learning rates and optimisers there are",
    "Agent.update": "the order of the steps is the algorithm",
    "measure": "what is worth logging depends on the objective",
    "collect": "it fills the Batch",
    "train": "what changes from epoch to epoch",
    "Softmax": "SAC's gives expectations over all actions, the others' a distribution",
    "loss_q": "what Q is compared with is the algorithm",
    "Agent.act": "what is best in a distribution, or the action itself",
}

# Files in which it must be the same nevertheless, because they do not differ in this.
KIN = {
    "Batch": [{"ddpg", "td3", "sac"}],
    "Agent.act": [{"vpg", "ppo"}, {"ddpg", "td3"}],
    "collect": [{"ddpg", "td3"}],
    "Softmax": [{"vpg", "ppo"}],
    "train": [{"ddpg", "td3", "sac"}],
}


def comments(source):
    """Line number, text before it on the line, and text of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.line[: token.start[1]].strip(), token.string[1:].strip()


def docstring_lines(tree):
    """The numbers of all lines that belong to a docstring."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | FUNCTION) and ast.get_docstring(node):
            found |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return found


def code_lines(source):
    """The numbers of the lines that hold a token, without comments and docstrings."""
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
    found = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (*layout, tokenize.ENDMARKER):
            found |= set(range(token.start[0], token.end[0] + 1))
    return found - docstring_lines(ast.parse(source))


def size(name, node):
    """The code lines of a function or class, with its decorators."""
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return len(code_lines(SOURCES[name]) & set(range(first, node.end_lineno + 1)))


def functions(name):
    """Every function and method of a file with its full name."""
    for node in TREES[name].body:
        if isinstance(node, FUNCTION):
            yield node.name, node
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, FUNCTION):
                    yield f"{node.name}.{part.name}", part


def definitions(name):
    """What is compared between files: functions and classes; Agent and TwinQ by methods."""
    found = dict(functions(name))
    for node in TREES[name].body:
        if isinstance(node, ast.ClassDef) and node.name not in ("Agent", "TwinQ"):
            found = {k: v for k, v in found.items() if not k.startswith(node.name + ".")}
            found[node.name] = node
    return found


def nesting(node):
    """How many loops, conditions and contexts stand inside each other below a node."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        chained = isinstance(node, ast.If) and isinstance(child, ast.If) and [child] == node.orelse
        deepest = max(deepest, nesting(child) + (isinstance(child, BLOCK) and not chained))
    return deepest


def banners(name):
    """Title and line of each section."""
    found = re.finditer(r"^# -{20,} (.+)$", SOURCES[name], re.MULTILINE)
    return [(m[1], SOURCES[name].count("\n", 0, m.start()) + 1) for m in found]


def section(name, *titles):
    """The nodes of these sections."""
    found = []
    for (title, start), (_, end) in pairwise([*banners(name), ("", len(SOURCES[name]))]):
        if title in titles:
            found += [node for node in TREES[name].body if start < node.lineno < end]
    return found


def equations(name):
    """The functions that are equations."""
    return [node for node in section(name, "equations") if isinstance(node, FUNCTION)]


def where(name, node):
    return f"{name}.py:{node.lineno}"


def test_there_are_files_to_check():
    assert set(rlcourse.ALGOS) == set(SOURCES)


# ---------------------------------------------------------------------------- size


@each_file
def test_a_file_has_at_most_140_lines_of_code(name):
    count = len(code_lines(SOURCES[name]))
    assert count <= 140, f"{name}.py has {count}: an algorithm should be read in one sitting"


@each_file
def test_functions_fit_into_one_look(name):
    limits = {"Agent.update": 15, "collect": 15, "train": 20}
    limits |= {node.name: 10 for node in equations(name)}
    for function, node in functions(name):
        count, limit = size(name, node), limits.get(function, 25)
        assert count <= limit, (
            f"{where(name, node)}: {function} has {count} lines of code, {limit} is the limit: "
            "what does not fit into one look cannot be checked against its equation"
        )


@each_file
def test_networks_are_small_and_a_config_has_at_most_20_fields(name):
    for node in section(name, "networks"):
        assert size(name, node) <= 14, (
            f"{where(name, node)}: {node.name} is longer than 14 lines: "
            "a network should be seen as a whole"
        )
    count = len(fields(MODULES[name].Config))
    assert count <= 20, f"{name}.py has {count} hyper-parameters: nobody can know them all"


@each_file
def test_nesting_is_at_most_3_and_4_in_train(name):
    for function, node in functions(name):
        depth, limit = nesting(node), 4 if function == "train" else 3
        assert depth <= limit, (
            f"{where(name, node)}: {function} is nested {depth} deep, {limit} is the limit: "
            "the line that is the algorithm should not hide in the sixth column"
        )


@each_file
def test_lines_are_at_most_100_wide_and_end_without_blanks(name):
    for number, line in enumerate(SOURCES[name].splitlines(), 1):
        assert len(line) <= 100, (
            f"{name}.py:{number} has {len(line)} columns: two files side by side"
        )
        assert line == line.rstrip(), f"{name}.py:{number} ends in blanks: they show in every diff"
        assert "\t" not in line, f"{name}.py:{number} has a tab: aligned tags shift"


@each_file
def test_docstrings_of_functions_are_one_or_two_lines(name):
    for function, node in functions(name):
        text = ast.get_docstring(node) or ""
        assert len(text.splitlines()) <= 2, (
            f"{where(name, node)}: {function} has a long docstring: it parts a name from its code; "
            "derivations stand in the docs"
        )


# ---------------------------------------------------------------------------- sections


@each_file
def test_the_sections_are_the_same_in_the_same_order(name):
    assert [title for title, _ in banners(name)] == SECTIONS, (
        f"{name}.py: the banners are what a diff between two algorithms holds on to"
    )


@each_file
def test_each_section_holds_what_its_banner_says(name):
    data, networks = section(name, "data"), section(name, "networks")
    assert [node.name for node in section(name, "hyper-parameters")] == ["Config"]
    assert [node.name for node in data] == ["Batch"], f"{name}.py: Batch is the table of shapes"
    assert networks and all(isinstance(node, ast.ClassDef) for node in networks)
    assert equations(name) == section(name, "equations"), (
        f"{name}.py: an equation is a module-level function, so that it can be tested and replaced"
    )
    names = [node.name for node in section(name, "algorithm")]
    assert names[0] == "Agent"
    assert names[-2:] == ["collect", "train"], f"{name}.py: the loop over all stands last"


@each_pair
def test_what_has_the_same_name_in_two_files_is_the_same(one, other):
    mine, theirs = definitions(one), definitions(other)
    kin = {f for f, groups in KIN.items() if any({one, other} <= group for group in groups)}
    for function in mine.keys() & theirs.keys() - (DIFFERENCE.keys() - kin):
        assert ast.dump(mine[function]) == ast.dump(theirs[function]), (
            f"{function} differs between {where(one, mine[function])} and "
            f"{where(other, theirs[function])}: an equation is repeated where it is needed, "
            "but then to the letter, or `diff` shows what is no difference"
        )


@each_pair
def test_what_has_the_same_name_in_two_files_stands_in_the_same_order(one, other):
    mine, theirs = list(definitions(one)), list(definitions(other))
    common = set(mine) & set(theirs)
    assert [f for f in mine if f in common] == [f for f in theirs if f in common], (
        f"{one}.py and {other}.py order their functions differently: `diff` would show moves only"
    )


@pytest.mark.parametrize("function", DIFFERENCE)
def test_what_is_listed_as_a_difference_is_one(function):
    bodies = [definitions(name)[function] for name in SOURCES if function in definitions(name)]
    assert len({ast.dump(node) for node in bodies}) > 1, (
        f"{function} is the same in all files: take it off the list, so that it stays so"
    )


@each_pair
def test_files_import_what_they_share_in_the_same_way(one, other):
    mine, theirs = (
        {ast.unparse(node) for node in TREES[name].body if isinstance(node, ast.Import)}
        | {
            f"from {node.module} import {alias.name} as {alias.asname}"
            for node in TREES[name].body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for name in (one, other)
    )
    bound = {line.split(" import ")[1]: line for line in theirs if " import " in line}
    for line in mine:
        if " import " in line:
            target = line.split(" import ")[1]
            assert bound.get(target, line) == line, (
                f"{one}.py and {other}.py mean different things by {target}"
            )


# ---------------------------------------------------------------------------- equations


@each_file
def test_equation_tags_and_the_docstring_list_are_the_same_without_gaps(name):
    listed = re.findall(r"^ +Eq\. (\d+)   \S", ast.get_docstring(TREES[name]), re.MULTILINE)
    listed = [int(number) for number in listed]
    coded = [
        int(m[1])
        for _, code, text in comments(SOURCES[name])
        if code and (m := re.fullmatch(r"Eq\. (\d+)", text))
    ]
    assert listed == list(range(1, len(listed) + 1)), f"{name}.py: equations are counted from 1"
    assert set(coded) == set(listed), (
        f"{name}.py: code without its equation or an equation without its code: "
        f"{sorted(set(coded) ^ set(listed))}"
    )
    assert len(coded) == len(set(coded)), f"{name}.py: the docs link an equation to one line"


@each_file
def test_each_equation_is_tagged_in_the_equations_or_in_train(name):
    """Those about a state or an action stand in functions; a schedule stands in the loop."""
    homes = [*equations(name), TREES[name].body[-1]]
    for line, code, text in comments(SOURCES[name]):
        if code and re.fullmatch(r"Eq\. \d+", text):
            assert any(node.lineno <= line <= node.end_lineno for node in homes), (
                f"{name}.py:{line} has an equation outside the section of equations: "
                "there it cannot be tested or replaced by itself"
            )


@each_file
def test_the_symbol_that_a_comment_says_is_of_an_equation_stands_in_it(name):
    text = ast.get_docstring(TREES[name])
    lines = dict(re.findall(r"^ +Eq\. (\d+)   (.*)$", text, re.MULTILINE))
    for line, _, comment in comments(SOURCES[name]):
        for number in re.findall(r"Eq\. (\d+)", comment):
            assert number in lines, f"{name}.py:{line} speaks of Eq. {number}, which is not listed"
        for symbol, number in re.findall(r"(\S+) of Eq\. (\d+)", comment):
            if not symbol.isascii():
                assert symbol in lines[number], (
                    f"{name}.py:{line}: Eq. {number} has no {symbol}: a reader looks there in vain"
                )


@each_file
def test_equations_are_pure(name):
    """They read their arguments and what is imported, and change neither."""
    tree = TREES[name]
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    others = {node.name for node in equations(name)}
    builtins = set(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)
    for node in equations(name):
        arguments = {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
        why = (
            f"{where(name, node)}: {node.name} is not pure: an equation depends on nothing but its "
            "arguments, so that it can be tested, replaced and compiled by itself"
        )
        assert "self" not in arguments, why
        stored = set()
        for part in ast.walk(node):
            assert not isinstance(part, ast.Global | ast.Nonlocal | ast.Yield), why
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                stored.add(part.id)
            if isinstance(part, ast.Attribute | ast.Subscript):
                root = part.value
                while isinstance(root, ast.Attribute | ast.Subscript):
                    root = root.value
                if not isinstance(part.ctx, ast.Load) and isinstance(root, ast.Name):
                    assert root.id not in arguments, f"{why}; it changes {root.id}"
        read = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        local = stored | {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
        outside = read - local - imported - others - builtins
        assert not outside, f"{why}; it reads {', '.join(sorted(outside))}"


@each_file
def test_equations_do_not_overwrite_their_arguments(name):
    for node in equations(name):
        arguments = {arg.arg for arg in node.args.args}
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                assert part.id not in arguments, (
                    f"{where(name, part)}: {part.id} means something else from here on; "
                    "flags edited in place are how time limits become deaths"
                )


@each_file
def test_a_loss_is_returned_as_minus_its_objective(name):
    for node in equations(name):
        named = [p for p in ast.walk(node) if isinstance(p, ast.Name) and p.id == "objective"]
        if not named:
            continue
        last = node.body[-1].value
        first = last.elts[0] if isinstance(last, ast.Tuple) else last
        assert ast.unparse(first) == "-objective", (
            f"{where(name, node)}: the objective is written as printed in the paper and negated "
            "once, in the return"
        )


# ---------------------------------------------------------------------------- bans


@each_file
def test_equations_and_networks_compute_and_nothing_else(name):
    for top in section(name, "equations", "networks"):
        for node in ast.walk(top):
            here = f"{where(name, node) if hasattr(node, 'lineno') else name}: "
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("item", "numpy", "cpu", "cuda", "tolist"), (
                    f"{here}.{node.attr}() waits for the device and leaves the graph"
                )
            if isinstance(node, ast.Name):
                assert node.id not in ("print", "logger", "log", "run"), (
                    f"{here}{node.id} in the mathematics: it is logged in train, from what is "
                    "returned"
                )
            if isinstance(node, ast.keyword):
                assert node.arg != "device", f"{here}tensors are born where their arguments live"
            if isinstance(node, ast.If | ast.IfExp):
                tested = {part.id for part in ast.walk(node.test) if isinstance(part, ast.Name)}
                assert "cfg" not in tested, (
                    f"{here}a switch inside an equation makes two equations of it, and a test for "
                    "neither: a variant is another function"
                )


@each_file
def test_equations_have_no_conditions(name):
    for top in equations(name):
        for node in ast.walk(top):
            assert not isinstance(node, ast.If | ast.IfExp | ast.While | ast.Try), (
                f"{where(name, node)}: {top.name} branches: in the paper it is one line"
            )


@each_file
def test_only_train_knows_the_run_and_nothing_prints(name):
    for function, node in functions(name):
        read = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        assert "print" not in read, f"{where(name, node)}: {function} prints: many processes would"
        assert "run" not in read or function == "train", (
            f"{where(name, node)}: {function} uses the run: what it computes is returned, and "
            "logged in train"
        )


@each_file
def test_arguments_are_named_and_have_no_mutable_defaults(name):
    for function, node in functions(name):
        here = f"{where(name, node)}: {function}"
        assert node.args.kwarg is None and node.args.vararg is None, (
            f"{here} takes anything: a misspelt argument would be swallowed"
        )
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            assert default is None or isinstance(default, ast.Constant | ast.Name), (
                f"{here} has a default that calls share"
            )


@each_file
def test_no_function_is_defined_inside_another(name):
    calls = [call for call in ast.walk(TREES[name]) if isinstance(call, ast.Call)]
    passed = {
        id(x) for call in calls for x in [*call.args, *(keyword.value for keyword in call.keywords)]
    }
    for function, node in functions(name):
        for part in ast.walk(node):
            inner = isinstance(part, FUNCTION | ast.ClassDef) and part is not node
            bound = isinstance(part, ast.Lambda) and id(part) not in passed
            assert not inner and not bound, (
                f"{where(name, part)}: {function} defines a function: it could not be imported, "
                "tested or replaced"
            )


@each_file
def test_there_are_no_base_classes_of_our_own(name):
    allowed = {"nn.Module", "NamedTuple"}
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base) for base in node.bases}
            assert bases <= allowed and not node.keywords, (
                f"{where(name, node)}: {node.name} inherits: half of it stands somewhere else"
            )


@each_file
def test_modules_hold_definitions_and_imports_only(name):
    allowed = ast.Import | ast.ImportFrom | ast.ClassDef | FUNCTION
    for node in TREES[name].body[1:]:
        assert isinstance(node, allowed), (
            f"{where(name, node)}: a global or a script: the command line is rlcourse/run.py, and "
            "numbers are hyper-parameters"
        )


@each_file
def test_there_is_nothing_for_the_type_checker_and_no_assert(name):
    for node in ast.walk(TREES[name]):
        assert not isinstance(node, ast.Assert), f"{where(name, node)}: asserts belong into tests"
    assert not re.search(r"#\s*(type:|noqa|pragma|pyright)", SOURCES[name]), (
        f"{name}.py: a comment for a tool, where a comment for the reader should stand"
    )


@each_file
def test_annotations_stand_where_they_teach(name):
    for function, node in functions(name):
        arguments = [arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)]
        assert node.returns is None and not any(arg.annotation for arg in arguments), (
            f"{where(name, node)}: {function} is annotated: types say Tensor everywhere, shapes "
            "stand in Batch and in comments"
        )


def is_code(text):
    """Whether a comment would do something if it were not one."""
    if re.match(r"(if|elif|else|for|while|with|def|class|try|except)\b.*:$", text):
        return True
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return False
    for node in body:
        if not isinstance(node, ast.Expr):
            return True
        if isinstance(node.value, ast.Call):
            return text[node.value.func.end_col_offset] == "("  # prose has a blank before it
    return False


@each_file
def test_no_code_is_commented_out(name):
    for line, _, text in comments(SOURCES[name]):
        assert not is_code(text), f"{name}.py:{line}: `{text}` is dead code; git remembers it"


@pytest.mark.parametrize("text", ["x = 1", "f(x)", "return adv", "if a:", "import os", "adv += 1"])
def test_commented_out_code_would_be_found(text):
    assert is_code(text)


@pytest.mark.parametrize(
    "text", ["(T, N, ...)", "π_old", "s' is terminal", "K, rounds", "0 is off"]
)
def test_prose_is_not_taken_for_code(text):
    assert not is_code(text)


@each_file
def test_there_are_no_excuses(name):
    found = re.findall(r"\b(todo|fixme|xxx|hack\w*|magic\w*)\b", SOURCES[name], re.IGNORECASE)
    assert not found, f"{name}.py says {found[0]}: what needs an excuse needs a better solution"


# ---------------------------------------------------------------------------- configuration


@each_file
def test_every_number_of_a_config_has_a_range_and_every_word_its_choices(name):
    for f in fields(MODULES[name].Config):
        if f.type in (int, float) or isinstance(f.default, tuple):
            assert f.name in config.RANGES, f"{name}: a {f.name} out of range would be found late"
        if f.type is str and f.name != "env":
            assert f.name in config.CHOICES, f"{name}: a misspelt {f.name} would be found late"


@each_file
def test_every_field_of_a_config_has_a_help_text(name):
    cls = MODULES[name].Config
    helps = config.helps(cls)
    for f in fields(cls):
        assert helps.get(f.name, "").strip(), f"{name}: {f.name} has no comment, so --help no text"


@each_file
def test_the_defaults_pass_their_own_checks_and_only_env_has_none(name):
    cls = MODULES[name].Config
    config.check(cls(env="CartPole-v1"))
    config.check_shares(cls(env="CartPole-v1"), 1)
    assert [f.name for f in fields(cls) if config.default(f) is None] == ["env"]
    assert cls.__dataclass_params__.frozen, f"{name}: a Config that changes is not what was logged"


@each_file
def test_no_field_of_a_config_is_also_a_setting(name):
    both = {f.name for f in fields(MODULES[name].Config)} & {
        f.name for f in fields(config.Settings)
    }
    assert not both, f"{name}: {both} would be one flag with two meanings"


@each_file
def test_every_field_of_a_config_is_used(name):
    elsewhere = {"env", "seed", "epochs", "num_envs"}  # by the environments and the run
    for f in fields(MODULES[name].Config):
        used = re.search(rf"\bcfg\.{f.name}\b", SOURCES[name])
        assert used or f.name in elsewhere, f"{name}: {f.name} changes nothing"


@each_pair
def test_fields_that_two_configs_share_have_one_order_and_one_type(one, other):
    mine, theirs = ({f.name: f for f in fields(MODULES[name].Config)} for name in (one, other))
    assert [n for n in mine if n in theirs] == [n for n in theirs if n in mine], (
        f"{one} and {other} order their hyper-parameters differently: `diff` would show moves only"
    )
    for n in mine.keys() & theirs.keys():
        assert mine[n].type == theirs[n].type, f"{n} is two things in {one} and {other}"


@each_pair
def test_columns_that_two_batches_share_have_one_order_and_one_comment(one, other):
    shapes = []
    for name in (one, other):
        node = section(name, "data")[0]
        rows = SOURCES[name].splitlines()[node.lineno : node.end_lineno]
        shapes.append({row.split(":")[0].strip(): row for row in rows if ":" in row})
    mine, theirs = shapes
    common = [n for n in mine if n in theirs]
    why = f"Batch of {one} and {other}: the same column is the same line"
    assert common == [n for n in theirs if n in mine], why
    siblings = ("gae" in definitions(one)) == ("gae" in definitions(other))
    for n in common:
        if siblings:
            assert mine[n] == theirs[n], why
        else:  # other columns, other blanks; and some take Discrete actions as well
            short, long = sorted((" ".join(rows[n].split()) for rows in shapes), key=len)
            assert (
                long == short or n == "act" and long.removeprefix(short) == ", or (B,) if discrete"
            )
