"""The list of faults: each is brought about, and no mark names one that is not there."""

import ast
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LIST = tomllib.loads((TESTS / "faults/faults.toml").read_text("utf-8"))


def marks():
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
                yield ast.literal_eval(node.args[0])


@pytest.mark.parametrize("fault", LIST["fault"], ids=lambda f: f["name"])
def test_every_fault_is_brought_about_and_belongs_to_a_promise(fault):
    assert fault["name"] in set(marks())
    assert fault["promise"] in LIST["promises"]


def test_every_mark_is_in_the_list():
    assert set(marks()) == {f["name"] for f in LIST["fault"]}
