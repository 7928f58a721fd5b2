"""The runner of the exercises, as a learner meets it.

That the checks are right is proved by `python -m exercises dev check`, on every known wrong answer.
"""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from exercises import bugs, course, judge, lab, screen
from exercises.__main__ import main
from exercises.course import ROOT, find, tasks
from exercises.state import State

HEAD = "def both(x, w):\n"
RIGHT = "    y = (x * w).sum(-1)\n"
TOY = {  # an exercise of its own, so that no change of a real one changes what is tested
    "source.py": f'''"""9.9 A toy"""

import torch


{HEAD}    """x (B, D), w (D,): the sum over D of x w, and its square, (B,) each."""
    # BEGIN SOLUTION
{RIGHT}    return y, y**2
    # END SOLUTION
''',
    "check.py": """import torch
from exercises.lab import call, check


@check("T1", "three rows")
def three(m):
    yield from call(m.both, torch.tensor([[1.0], [2], [3]]), torch.tensor([2.0]), names=("y", "z"))


@check("T1", "two dimensions")
def two(m):
    yield from call(m.both, torch.randn(3, 2), torch.randn(2), names=("y", "z"))
""",
    "task.toml": """id = "9.9"
name = "toy"
title = "A toy"
minutes = 1
difficulty = 1
page = "README.md"
equation = ""
why = "To be tested."
hints = ["a", "b", "c", "____"]

[[mutant]]
name = "mean for sum"
replace = ".sum(-1)"
with = ".mean(-1)"
says = "Your y is a mean over D, not a sum."
""",
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    place = tmp_path_factory.mktemp("toy")
    for name, text in TOY.items():
        (place / name).write_text(text, encoding="utf-8")
    return course.read(place)


@pytest.fixture
def folder(tmp_path):
    """An own copy of the problem sets, all blank."""
    state = State(tmp_path)
    for task in tasks().values():
        state.put_blank(task)
    return tmp_path


def write(folder, id_, text):
    path = State(folder).file(find(id_))
    path.write_text(text, encoding="utf-8")
    return path


def run(folder, *words):
    command, *rest = words
    return main([command, "--folder", str(folder), *rest])


def told(toy, body, tmp_path):
    """What is said of an answer with this body: the verdict, and all its lines as one text."""
    path = tmp_path / "toy.py"
    path.write_text(f"import torch\n\n\n{HEAD}{body}", encoding="utf-8")
    v = judge.forked(toy, path)
    lines = [*v.lines, *(line for c in v.checks for line in c.lines), v.where, *v.printed]
    return v, "\n".join(lines)


@pytest.mark.parametrize(
    "body, words",
    [
        ("    return x +\n", ["SyntaxError", "toy.py:5", "return x +"]),
        ("  y = 1\n    return y\n", ["IndentationError", "toy.py:6"]),
        ("    pass\n", ["both returned None: is a return missing?"]),
        (RIGHT + "    return y\n", ["both returned a tensor (3,), but 2 are wanted: y, z"]),
        (RIGHT + "    return y[:, None], y**2\n", ["y   expected shape (3,)   got (3, 1)"]),
        (RIGHT + "    return y.float(), y**2\n", ["expected dtype float64   got float32"]),
        (RIGHT + "    return y.tolist(), y**2\n", ["expected a tensor (3,)   got a list"]),
        (RIGHT + "    return y * torch.nan, y\n", ["y[0]   expected 2.0000   got nan"]),
        (RIGHT + "    return -y, y**2\n", ["y has the opposite sign everywhere"]),
        (RIGHT + "    return 3 * y, y**2\n", ["y is 3.0000 times what is expected"]),
        (RIGHT + "    return y - 2, y**2\n", ["y is off by -2.0000 everywhere"]),
        (RIGHT + "    return y.detach(), y**2\n", ["gradient of y", "is zero everywhere"]),
        ("    with torch.no_grad():\n        x += 1\n" + RIGHT + "    return y, y**2\n",
         ["both changed its argument x in place"]),
        ("    return x / nothing, x\n", ["your code raised NameError", "toy.py:5"]),
        ("    return both(x, w)\n", ["calls itself without end"]),
        ("    raise SystemExit(3)\n", ["the code ended the program"]),
        ("    import os\n    os._exit(5)\n", ["the code ended the process (status 5)"]),
        ("    input()\n", ["waits for input"]),
        ("    import scipy.nothing\n", ["No module named", "toy.py:5"]),
        ("    print('x' * 10)\n    pass\n", ["both returned None", "xxxxxxxxxx"]),
        ("    for i in range(99):\n        print(i)\n", ["... and 79 more lines: is a print"]),
    ],
)  # fmt: skip
def test_each_kind_of_mistake_has_its_own_message_and_names_the_learners_line(
    toy, body, words, tmp_path
):
    v, text = told(toy, body, tmp_path)
    assert v.status == "fail"
    for word in words:
        assert word in text
    shown = screen.verdict(toy, v, 1, 0)
    assert "Traceback" not in shown and "check.py" not in shown and "lab.py" not in shown
    assert RIGHT.strip() not in shown.replace(body, "") or RIGHT in body


@pytest.mark.parametrize("body", [
    "    while True:\n        pass\n",
    "    while True:\n        try:\n            x = x + 1\n        except:\n            pass\n",
])  # fmt: skip
def test_an_endless_loop_ends_and_is_named(toy, body, tmp_path):
    v, text = told(toy, body, tmp_path)
    assert v.status == "fail" and "does a loop never end?" in text


def test_a_renamed_function_another_signature_and_bytes_that_are_no_text_are_told(toy, tmp_path):
    path = tmp_path / "toy.py"
    path.write_text("def bohts():\n    pass\n")
    assert "both is not defined" in " ".join(judge.forked(toy, path).checks[0].lines)
    path.write_text("def both(x):\n    return x\n")
    assert "does not take the arguments" in " ".join(judge.forked(toy, path).checks[0].lines)
    path.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in judge.forked(toy, path).lines[0]
    assert judge.forked(toy, tmp_path / "none.py").status == "broken"


def test_a_known_wrong_answer_is_named_with_the_learners_line_and_an_unknown_one_is_not(
    toy, tmp_path
):
    v, _ = told(toy, "    y = (x * w).mean(-1)\n    return y, y**2\n", tmp_path)
    assert v.mutant == "mean for sum" and v.says == "Your y is a mean over D, not a sum."
    assert v.where.endswith("toy.py:5   y = (x * w).mean(-1)")
    v, _ = told(toy, "    y = (x * w).mean(-1)\n    return y, y**3\n", tmp_path)
    assert v.status == "fail" and not v.mutant and not v.says
    assert told(toy, RIGHT + "    return y, y**2\n", tmp_path)[0].status == "pass"


def test_the_checker_cannot_be_satisfied_by_comparing_a_function_with_itself(toy):
    two = judge.checks(toy)[1]
    right, wrong = judge.expected(toy, two, 0, None), judge.of_mutant(toy, toy.mutants[0], two, 0)
    assert judge.compare(wrong, right) and not judge.compare(right, right)


def test_numbers_agree_up_to_rounding_at_the_scale_of_the_largest():
    one = torch.tensor([1.0, 1e6], dtype=torch.float64)
    assert lab.close(one + 1e-3, one).all() and not lab.close(one * 1.001, one).all()
    assert lab.close(torch.tensor([float("inf")]), torch.tensor([float("inf")])).all()
    assert lab.difference("n", 3, 4) and not lab.difference("n", 3.0, 3)
    assert lab.difference("x", torch.zeros(2), torch.zeros(2, 1))
    assert lab.difference("d", {"a": 1}, {"a": 1, "b": 2}) == [
        "d   expected the keys ['a', 'b']   got ['a']"
    ]


def test_blank_and_solution_come_from_one_text_and_a_mutant_must_fit_once():
    task = find("2.3")
    assert 'raise NotImplementedError("2.3: write gae")' in task.blank
    assert (
        "SOLUTION" not in task.blank + task.solution and "BLANK" not in task.blank + task.solution
    )
    with pytest.raises(ValueError, match="there 0 times"):
        task.variant(course.Variant("x", "not there", ""))


def test_every_blank_in_the_tree_is_what_its_source_makes_and_is_told_as_not_written(tmp_path):
    for task in tasks().values():
        path = course.HERE / task.path
        assert path.read_text(encoding="utf-8") == task.blank, "python -m exercises dev generate"
    v = judge.forked(find("2.3"), course.HERE / find("2.3").path)
    shown = screen.verdict(find("2.3"), v, 0, 0)
    assert v.status == "blank" and "not written yet" in shown and "hint 2.3" in shown
    assert "2_3_gae.py:" in shown


def test_a_whole_way_through_an_exercise(folder, capsys):
    assert run(folder, "start", "2.3") == 0
    assert run(folder, "check") == 1
    assert "not written yet" in capsys.readouterr().out
    for i in range(5):
        assert run(folder, "hint") == 0
        assert f"Hint {min(i + 1, 4)} of 4" in capsys.readouterr().out
    write(folder, "2.3", find("2.3").variant(find("2.3").mutants[0]))
    assert run(folder, "check") == 1
    assert "runs through the end of an episode" in " ".join(capsys.readouterr().out.split())
    assert run(folder, "trace") == 1
    assert "<- first difference" in capsys.readouterr().out
    write(folder, "2.3", find("2.3").solution)
    assert run(folder, "check") == 0
    assert "PASS  2.3 gae" in capsys.readouterr().out
    assert run(folder, "diff") == 0
    assert "the same as ours" in capsys.readouterr().out
    assert run(folder, "next") == 0
    assert State(folder).current().id != "2.3"
    assert run(folder, "reset", "2.3") == 0
    assert State(folder).file(find("2.3")).read_text() == find("2.3").blank
    assert len(list((folder / ".rlcourse" / "backup").iterdir())) == 1
    assert run(folder, "progress") == 0


def test_the_status_follows_the_file(folder, capsys):
    def status():
        return State(folder).status(find("2.3"))

    assert status() == "todo"
    path = write(folder, "2.3", find("2.3").solution)
    assert status() == "started"
    run(folder, "check", "2.3")
    assert status() == "passed"
    path.write_text(path.read_text() + "\n")
    assert status() == "stale"
    run(folder, "check", "2.3")
    assert status() == "passed"
    (folder / ".rlcourse" / "state.json").unlink()
    assert status() == "started", "the history is only a memory"
    assert run(folder, "check", "2.3") == 0 and status() == "passed"


def test_the_solution_is_offered_and_not_forced(folder, capsys):
    assert run(folder, "solution", "2.3") == 1
    assert "--give-up" in capsys.readouterr().out
    assert run(folder, "solution", "2.3", "--give-up") == 0
    assert "carry" in capsys.readouterr().out
    assert State(folder).status(find("2.3")) == "seen"


def test_json_is_an_array_of_exercises_and_of_verdicts(folder, capsys):
    assert run(folder, "list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["id"] for r in rows] == list(tasks()) and {"minutes", "status", "file"} <= set(
        rows[0]
    )
    write(folder, "2.3", find("2.3").solution)
    assert run(folder, "check", "2.3", "1.1", "--json") == 1
    verdicts = json.loads(capsys.readouterr().out)
    assert [v["status"] for v in verdicts] == ["pass", "blank"]


def test_a_class_is_graded_in_one_command(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "exercises.__main__.tasks", lambda: {"2.3": find("2.3"), "1.1": find("1.1")}
    )
    write(folder, "2.3", find("2.3").solution)
    assert main(["grade", str(folder), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert {k: v["status"] for k, v in report[str(folder)].items()} == {
        "2.3": "pass",
        "1.1": "blank",
    }
    (tmp_path / "names.txt").write_text("of a class/*")
    assert main(["grade", str(tmp_path / "names.txt"), str(folder)]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"1 of 2   passed 2.3   failed -", out)
    assert err.count("\n") == 1 and "names.txt is no folder, and left out" in err
    assert main(["grade", str(tmp_path / "nobody")]) == 2


@pytest.mark.parametrize("words, said", [
    (["check", "2.33"], "there is no exercise '2.33'"),
    (["check", "gaee"], "did you mean gae?"),
    (["nothing"], "invalid choice"),
    (["list", "--set", "PS12"], "there is no problem set PS12"),
    (["check", "--folder", "/nowhere"], "/nowhere is no folder"),
    (["predict", "2.3"], "asks for no prediction"),
    (["submit", "2.3", "data"], "takes no runs"),
    (["bug", "check", "7"], "no hunt"),
])  # fmt: skip
def test_a_wrong_call_is_one_line_and_exit_code_2(words, said, capsys, tmp_path):
    extra = [] if "--folder" in words else ["--folder", str(tmp_path)]
    assert main([words[0], *extra, *words[1:]]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_damaged_history_is_put_aside_and_a_newer_one_refused(folder, capsys):
    home = folder / ".rlcourse"
    home.mkdir()
    (home / "state.json").write_text("{")
    assert run(folder, "list") == 2
    assert "could not be read" in capsys.readouterr().err
    assert run(folder, "list") == 0
    (home / "state.json").write_text('{"schema": 99, "exercises": {}}')
    assert run(folder, "list") == 2


def test_unknown_keys_of_the_history_are_kept(folder):
    home = folder / ".rlcourse"
    home.mkdir()
    record = {"attempts": 2, "hints": 0, "seconds": 0, "more": 1}
    data = {"schema": 1, "current": "", "exercises": {"2.3": record}, "other": 5}
    (home / "state.json").write_text(json.dumps(data))
    run(folder, "start", "2.3")
    kept = json.loads((home / "state.json").read_text())
    assert kept["other"] == 5 and kept["exercises"]["2.3"]["more"] == 1


def test_a_learners_own_version_is_used_where_it_passes_and_ours_elsewhere(folder, monkeypatch):
    from exercises.given import use

    monkeypatch.setattr(judge, "own", lambda task: None)
    assert use("2.3").gae.__code__.co_filename == "<solution of 2.3>.py"
    write(folder, "2.3", find("2.3").solution + "\nMINE = True\n")
    run(folder, "check", "2.3")
    monkeypatch.setattr(judge, "own", State(folder).passed)
    assert use("2.3").MINE


def test_a_learners_function_takes_the_place_of_the_courses_and_trains(
    folder, tmp_path, capsys, monkeypatch
):
    from rlcourse import ppo

    monkeypatch.setattr(ppo, "gae", ppo.gae)  # puts the course's back afterwards
    assert run(folder, "train", "2.3") == 1
    marked = find("2.3").solution.replace("    delta =", "    CALLS.append(1)\n    delta =")
    write(folder, "2.3", marked.replace("def gae", "CALLS = []\n\n\ndef gae"))
    run(folder, "check", "2.3")
    monkeypatch.chdir(tmp_path)
    assert run(folder, "train", "2.3", "--epochs", "1", "--horizon", "32", "--data-dir", "d") == 0
    assert len(ppo.gae.__globals__["CALLS"]) == 1
    assert (tmp_path / "d" / "my_gae" / "my_gae_s0" / "model.pt").exists()


def test_watch_checks_at_once_and_again_when_the_file_is_saved(folder):
    command = [sys.executable, "-m", "exercises", "watch", "2.3", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as p:
        try:
            assert "not written yet" in until(p, "-----")
            write(folder, "2.3", find("2.3").solution)
            assert "PASS  2.3 gae" in until(p, "-----")
        finally:
            p.kill()


def until(p, mark, seconds=60):
    text, end = "", time.monotonic() + seconds
    while mark not in text and time.monotonic() < end:
        if select.select([p.stdout], [], [], 0.2)[0]:
            text += os.read(p.stdout.fileno(), 1 << 14).decode()
    return text


def test_watch_takes_keys_on_a_terminal_and_leaves_it_as_it_was(folder):
    pid, fd = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execv(
            sys.executable,
            [sys.executable, "-m", "exercises", "watch", "2.3", "--folder", str(folder)],
        )
    seen, asked = "", False
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.5)[0]:
            try:
                seen += os.read(fd, 1 << 14).decode(errors="replace")
            except OSError:
                break
        if "q quit" in seen and not asked:
            os.write(fd, b"h")
            asked = True
        if "Hint 1 of 4" in seen:
            os.write(fd, b"q")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert "Hint 1 of 4" in seen


def test_a_warm_check_runs_no_code_of_the_learners_in_the_runner(toy, tmp_path):
    path = tmp_path / "toy.py"
    path.write_text("import sys\nsys.modules['spoilt'] = 1\nraise ValueError('x')\n")
    judge.forked(toy, path)
    assert "spoilt" not in sys.modules


# ---- hunts


def test_a_bug_is_planted_told_found_and_not_given_twice(folder, capsys, monkeypatch):
    bug = bugs.bugs()["ppo: max for min"]
    monkeypatch.setattr(bugs, "bugs", lambda: {bug.id: bug})
    assert run(folder, "bug", "new") == 0
    home = folder / ".rlcourse" / "bugs" / "1"
    assert {p.name for p in home.iterdir()} == {"ppo.py", "answer.toml", "log.txt", "curve.png"}
    assert "max for min" not in (folder / ".rlcourse" / "state.json").read_text()
    assert run(folder, "bug", "check") == 1
    assert "not given yet" in capsys.readouterr().out
    (home / "ppo.py").write_text(bugs.source("ppo"))
    line = bug.lines[0]
    (home / "answer.toml").write_text(f'line = {line}\nmechanism = "sign"\n')
    assert run(folder, "bug", "check") == 0
    assert "FOUND" in capsys.readouterr().out
    assert run(folder, "bug", "new") == 2


def test_a_fix_that_is_none_or_too_large_or_breaks_something_is_told(folder, capsys, monkeypatch):
    bug = bugs.bugs()["sac: temperature the wrong way"]
    monkeypatch.setattr(bugs, "bugs", lambda: {bug.id: bug})
    run(folder, "bug", "new")
    home = folder / ".rlcourse" / "bugs" / "1"
    (home / "answer.toml").write_text(f'line = {bug.lines[0]}\nmechanism = "sign"\n')
    for change, said in (
        (lambda s: s, "0 lines changed"),
        (lambda s: s.replace("lr: float = 1e-3 ", "lr: float = 1e-4 "), "FAIL  mended"),
        (lambda s: s.replace("        y = ", "        y = nothing + "), "NameError"),
        (lambda s: s.replace("return", "return "), "lines changed, 3 at most"),
    ):
        (home / "sac.py").write_text(change(bug.planted))
        capsys.readouterr()
        assert run(folder, "bug", "check") == 1
        assert said in capsys.readouterr().out
    assert run(folder, "bug", "reveal") == 0
    assert "sac.py:" in capsys.readouterr().out


@pytest.mark.parametrize("bug", list(bugs.bugs().values())[::9], ids=lambda b: b.id)
def test_a_planted_bug_changes_what_the_algorithm_does(bug):
    assert bugs.compared(bug.planted, bug.algo)
    assert not bugs.compared(bugs.source(bug.algo), bug.algo)


@pytest.mark.parametrize("algo", bugs.TRAINED)
def test_the_stored_runs_begin_as_the_algorithm_begins_now_with_their_settings(algo, monkeypatch):
    env, settings = bugs.TRAINED[algo]
    monkeypatch.setitem(bugs.TRAINED, algo, (env, settings | {"epochs": 1}))
    for row in bugs.measure(None, algo):
        stored = bugs.stored(algo)["", row["seed"]][0]
        for name in {"LossV", "GradNorm", "GradSteps", "LossQ"} & {k for k in stored if stored[k]}:
            assert row[name] == pytest.approx(float(stored[name]), rel=0.01), (name, row["seed"])


def test_lists_and_hints_come_without_loading_torch():
    code = "import sys; from exercises.__main__ import main; main(['list']); main(['hint', '2.3']);"
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_commands_of_the_help_are_there():
    from exercises import __main__ as m

    named = set(re.findall(r"python -m exercises (\w+)", m.__doc__))
    assert named | {"watch"} == set(m.COMMANDS)


def test_the_folder_of_a_clone_can_be_named_by_its_root(folder):
    from exercises.__main__ import folder as named

    assert named(str(ROOT)) == ROOT / "exercises"
    assert named(str(folder)) == Path(folder).resolve()


def test_an_optimiser_steps_without_loading_the_compiler_and_does_the_same():
    code = """
import sys, torch
def run():
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    opt = torch.optim.Adam(net.parameters(), 0.1)
    for _ in range(5):
        net(torch.randn(4, 3)).square().mean().backward()
        opt.step()
        opt.zero_grad()
    return torch.cat([p.detach().flatten() for p in net.parameters()])
from exercises import judge
light = run()
assert not hasattr(torch._dynamo, '__file__') and 'torch._dynamo.eval_frame' not in sys.modules
assert torch._dynamo.config is not None, 'whatever else is asked for loads the real one'
assert torch.equal(light, run()) and hasattr(torch._dynamo, '__file__')
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_trained_check_needs_so_many_of_its_runs():
    def steps(m, seed):
        m.seeds.append(seed)
        yield lab.at_least("return", m.returns[seed], 100.0)

    trained = lab.Check("T6", "training", steps, seeds=3, needed=2)
    for returns, ran, fine in (
        ([120, 130, 0], 2, True),
        ([0, 130, 120], 3, True),
        ([0, 9, 120], 2, False),
    ):
        m = SimpleNamespace(seeds=[], returns=returns)
        _, lines = judge.attempt(find("2.3"), trained, m, 0)
        assert m.seeds == list(range(ran)) and (not lines) == fine


def test_a_mistake_is_named_while_another_function_is_not_written_yet_or_wrong(tmp_path):
    task, path = find("1.4"), tmp_path / "x.py"
    mutant = next(m for m in task.mutants if judge.changed(task, m) == {"squashed_logp"})
    wrong = task.variant(mutant)
    part = task.blank.split("def tanh_gaussian", 1)[1]
    unwritten = wrong.split("def tanh_gaussian", 1)[0] + "def tanh_gaussian" + part
    for text in (wrong, unwritten):
        path.write_text(text, encoding="utf-8")
        v = judge.forked(task, path)
        assert v.mutant == mutant.name


def test_an_exception_is_told_with_how_the_function_was_called(toy, tmp_path):
    _, text = told(toy, "    y = x @ torch.ones(7)\n    return y, y\n", tmp_path)
    assert (
        "your code raised RuntimeError" in text
        and "called as both(x=[[1], [2], [3]], w=[2])" in text
    )
    _, text = told(toy, "    x -= 1\n    return x, x\n", tmp_path)
    assert "changes an argument in place" in text


def test_an_own_folder_gets_its_own_solutions_and_is_named_in_the_next_command(folder, capsys):
    before = sorted(course.HERE.glob("solutions/*"))
    run(folder, "solution", "1.1", "--give-up")
    assert (folder / "solutions" / "1_1_gaussian_logp.py").exists()
    assert sorted(course.HERE.glob("solutions/*")) == before
    run(folder, "start", "1.1")
    assert f"--folder {folder}" in capsys.readouterr().out


def test_a_hunt_does_not_name_the_function_with_the_bug(folder, capsys):
    run(folder, "start", "9.3")
    run(folder, "check", "9.3")
    assert "loss_alpha" not in capsys.readouterr().out
    run(folder, "trace", "9.3")
    assert "<- first difference" in capsys.readouterr().out


def test_a_hunt_is_drawn_by_algorithm_level_and_seed_and_its_file_trains(
    folder, tmp_path, capsys, monkeypatch
):
    drawn = []
    for _ in range(2):
        shutil.rmtree(folder / ".rlcourse", ignore_errors=True)
        assert run(folder, "bug", "new", "--algo", "ppo", "--level", "3", "--seed", "5") == 0
        drawn.append((folder / ".rlcourse" / "bugs" / "1" / "ppo.py").read_text())
    assert drawn[0] == drawn[1] != bugs.source("ppo")
    assert "ppo on CartPole-v1, two seeds, level 3" in capsys.readouterr().out
    path = folder / ".rlcourse" / "bugs" / "1" / "ppo.py"
    path.write_text(path.read_text() + "\nprint('mine is used')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "rlcourse.algos.ppo", raising=False)
    flags = ("--epochs", "1", "--horizon", "32", "--data-dir", "d")
    assert run(folder, "bug", "train", "1", *flags) == 0
    assert "mine is used" in capsys.readouterr().out
    assert (tmp_path / "d" / "bug_1" / "bug_1_s0" / "model.pt").exists()


def test_what_another_command_wrote_meanwhile_is_kept(folder):
    task, one = find("2.3"), State(folder)
    other = State(folder)
    other.of(task)["hints"] = 2
    other.go_to(find("2.1"))
    other.save()
    one.of(find("1.1"))["attempts"] = 5
    one.save()
    now = State(folder)
    assert now.of(task)["hints"] == 2 and now.data["current"] == "2.1"
    assert now.of(find("1.1"))["attempts"] == 5 == one.of(find("1.1"))["attempts"]


def test_passing_becomes_passed_and_stale_ends_without_a_change_of_the_file(folder):
    state, task = State(folder), find("2.3")
    write(folder, "2.3", task.solution)
    state.attempt(task, "pass", "T2", full=False)
    assert state.status(task) == "passing"
    state.attempt(task, "pass", "T2", full=True)
    assert state.status(task) == "passed"
    state.attempt(task, "pass", "T2", full=False)
    assert state.status(task) == "passed"
    state.of(task)["task"] = "another version of the exercise"
    assert state.status(task) == "stale"
    state.attempt(task, "pass", "T2", full=True)
    assert state.status(task) == "passed" and state.of(task)["attempts"] == 1


def test_the_next_exercise_is_the_current_one_if_it_alone_is_left(folder):
    state, all_ = State(folder), list(tasks().values())
    for t in all_[1:]:
        write(folder, t.id, t.solution)
        state.attempt(t, "pass", "T1", full=True)
    assert state.following(all_[0]) is all_[0]
    write(folder, all_[0].id, all_[0].solution)
    state.attempt(all_[0], "pass", "T1", full=True)
    assert state.following(all_[0]) is None


@pytest.mark.parametrize("body, words", [
    ("    import os, time\n    os.fork() or time.sleep(30)\n    return x, x\n", ["y"]),
    ("    raise KeyboardInterrupt\n", ["KeyboardInterrupt"]),
    ("    import faulthandler, os\n    faulthandler.disable()\n    os.kill(os.getpid(), 11)\n",
     ["died of SIGSEGV"]),
    ("    import os\n    os.write(1, b'leak')\n    os.system('echo leak')\n    return x\n", ["y"]),
    ("    while 1:\n        try:\n            sum(range(10**7))\n        except:\n            0\n",
     ["does a loop never end?"]),
])  # fmt: skip
def test_nothing_that_an_answer_does_reaches_the_runner(toy, body, words, tmp_path, capfd):
    began = time.monotonic()
    v, text = told(toy, body, tmp_path)
    assert v.status == "fail" and all(w in text for w in words)
    seen = capfd.readouterr()
    assert "leak" not in seen.out and "Traceback" not in seen.err
    assert time.monotonic() - began < 25


def test_what_an_answer_leaves_behind_has_no_influence_on_the_reference(toy, tmp_path):
    path = tmp_path / "toy.py"
    body = RIGHT.replace("(x * w)", "(x * w).detach()") + "    return y, y**2\n"
    path.write_text(f"import torch\ntorch.set_grad_enabled(False)\n{HEAD}{body}")
    v = judge.forked(toy, path)
    assert v.status == "fail" and "is zero everywhere" in "".join(v.checks[0].lines)


def test_trace_of_a_file_that_cannot_be_loaded_is_told_in_words(folder, capfd):
    write(folder, "2.3", "def gae(:\n")
    assert run(folder, "trace", "2.3") == 1
    seen = capfd.readouterr()
    assert "SyntaxError" in seen.out and "2_3_gae.py:1" in seen.out and not seen.err


def test_a_prediction_that_is_none_reveals_nothing(folder, capsys):
    write(folder, "4.4", "this is no toml")
    assert run(folder, "predict", "4.4") == 1
    assert "What was measured" not in capsys.readouterr().out
    assert "prediction" not in State(folder).of(find("4.4"))
    write(folder, "4.4", find("4.4").solution)
    assert run(folder, "predict", "4.4") == 0
    assert "What was measured" in capsys.readouterr().out


def test_submit_writes_the_folders_into_the_claim_whatever_they_are_called(
    folder, tmp_path, capsys
):
    runs = [tmp_path / "run [1]", tmp_path / 'ru"n']
    for r in runs:
        r.mkdir()
        (r / "progress.csv").write_text("Epoch\n1\n")
    for _ in range(2):
        assert run(folder, "submit", "8.2", *map(str, runs)) == 1
        claim = tomllib.loads(State(folder).file(find("8.2")).read_text())
        assert claim["runs"] == [str(r) for r in runs]


def test_a_hunt_is_never_written_over_work_and_a_deleted_file_is_no_small_fix(folder, capsys):
    assert run(folder, "bug", "new", "--algo", "ppo", "--seed", "5") == 0
    mine = folder / ".rlcourse" / "bugs" / "1" / "ppo.py"
    mine.write_text("mine")
    (folder / ".rlcourse" / "state.json").unlink()
    assert run(folder, "bug", "new", "--algo", "ppo", "--seed", "5") == 0
    assert mine.read_text() == "mine"
    (folder / ".rlcourse" / "bugs" / "2" / "ppo.py").write_text("")
    capsys.readouterr()
    assert run(folder, "bug", "check", "2") == 1
    assert "FAIL  small" in capsys.readouterr().out


def test_processes_that_would_not_have_the_learners_function_are_refused(folder, capsys):
    write(folder, "2.3", find("2.3").solution)
    run(folder, "check", "2.3")
    assert run(folder, "train", "2.3", "--cpu", "2") == 2
    assert "--cpu starts processes" in capsys.readouterr().err
