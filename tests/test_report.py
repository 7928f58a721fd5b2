"""Reports: the statistics against known values, what they say, and that those stored are true."""

import csv
import importlib.util
import itertools
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import yaml

from rlcourse import run
from rlcourse.utils import grid
from rlcourse.utils.logger import read, table
from rlcourse.utils.plot import STEPS, TEST
from rlcourse.utils.report import (
    MARKS,
    header,
    improvement,
    interval,
    iqm,
    mean,
    number,
    profile,
    report,
    studies,
)

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ROOT / "experiments"
RESULTS = EXPERIMENTS / "results"


def script(name):
    """A file of experiments/ as a module."""
    spec = importlib.util.spec_from_file_location(name, EXPERIMENTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_run(folder, tests, algo="ppo", env="CartPole-v1", seconds=10.0, **more):
    """A finished run of data/<exp>/<exp>_s<seed>, an evaluation in each epoch."""
    folder.mkdir(parents=True)
    command = f"/usr/bin/python3 -m rlcourse.run {algo} --env {env} --jobs 2"
    about = {"command": command, "machine": "2 cores", "versions": {"torch": "2.13.0"}}
    config = {"algo": algo, "env": env, "seed": int(folder.name[-1]), "epochs": len(tests)}
    config |= {"eval_episodes": 20} | more | {"about": about}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    rows = [
        {"Epoch": k, STEPS: 1000 * k, TEST: test, "KL": None, "Time": seconds * k / len(tests)}
        for k, test in enumerate(tests, 1)
    ]
    (folder / "progress.csv").write_text(table(rows))


@pytest.fixture
def study(tmp_path):
    """Two algorithms on two tasks, three seeds each, and a variant of one."""
    root = tmp_path / "experiments/results"
    for algo, env, seed in itertools.product(("vpg", "ppo"), ("Acrobot-v1", "CartPole-v1"), "012"):
        end = {"vpg": 100, "ppo": 200}[algo] + int(seed)
        folder = root / "classic" / f"{algo}_{env}" / f"{algo}_{env}_s{seed}"
        write_run(folder, [0.0] * 5 + [end] * 10, algo, env)
    for seed in "012":
        name = "ppo_CartPole-v1_cli0.1"
        write_run(root / "classic" / name / f"{name}_s{seed}", [50.0] * 15, clip=0.1)
    return root / "classic"


# ------------------------------------------------------------------------ statistics


def test_the_interquartile_mean_is_that_of_scipy_where_quarters_are_whole():
    scores = np.array([3.0, -1.0, 10.0, 4.0, 4.0, 2.0, 100.0, 0.5])
    assert iqm(scores) == pytest.approx(3.25)  # scipy.stats.trim_mean(scores, 0.25)


def test_the_interquartile_mean_counts_a_score_on_the_border_by_its_share():
    assert iqm(np.array([20.0, 500, 500, 500, 500])) == pytest.approx(500)
    assert iqm(np.array([0.0, 1, 2, 3, 10])) == pytest.approx(0.3 * 1 + 0.4 * 2 + 0.3 * 3)


def test_the_bootstrap_of_a_mean_is_as_wide_as_the_closed_form_says():
    """The variance of the mean of resamples is Σ n_m σ_m² / N², with tasks apart."""
    rng = np.random.default_rng(1)
    tasks = [rng.normal(0, 1, 40), 50 + rng.normal(0, 3, 60)]
    deviation = np.sqrt(sum(len(x) * x.var() for x in tasks)) / 100
    low, high = interval(tasks, mean)
    middle = np.concatenate(tasks).mean()
    assert (low - middle, high - middle) == pytest.approx(
        (-1.96 * deviation, 1.96 * deviation), rel=0.08
    )


def test_an_interval_contains_the_true_mean_as_often_as_the_page_says():
    rng = np.random.default_rng(2)
    ends = [interval([scores], mean) for scores in rng.normal(size=(400, 10))]
    assert np.mean([low <= 0 <= high for low, high in ends]) == pytest.approx(0.9, abs=0.04)


def test_an_interval_of_the_interquartile_mean_does_so_more_often():
    rng = np.random.default_rng(4)
    ends = [interval([scores], iqm) for scores in rng.normal(size=(400, 5))]
    assert np.mean([low <= 0 <= high for low, high in ends]) == pytest.approx(0.91, abs=0.04)


def test_shown_intervals_of_the_probability_of_improvement_contain_it_nine_times_in_ten():
    """P(X > Y) = Φ(d / √2) = 0.760 with d = 1; none is shown where all pairs agree."""
    rng = np.random.default_rng(5)
    pairs = rng.normal(1, 1, (300, 5)), rng.normal(0, 1, (300, 5))
    found = [improvement(x, y) for x, y in zip(*pairs, strict=True)]
    inside = [low <= 0.7602 <= high for p, low, high in found if 0 < p < 1]
    assert np.mean(inside) == pytest.approx(0.945, abs=0.04)


def test_the_probability_of_improvement_is_that_of_all_pairs():
    """U / (n m) of Mann and Whitney: scipy.stats.mannwhitneyu([1, 4, 2], [3, 1]) has U = 2.5."""
    x, y = np.array([1.0, 4.0, 2.0]), np.array([3.0, 1.0])
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(x, y)]
    assert improvement(x, y)[0] == pytest.approx(np.mean(pairs)) == pytest.approx(3.5 / 6)
    assert improvement(x, y)[0] + improvement(y, x)[0] == pytest.approx(1)


def test_the_probability_of_improvement_of_normal_scores_has_its_closed_form():
    """P(X > Y) = Φ(d / √2)."""
    rng = np.random.default_rng(3)
    p, low, high = improvement(rng.normal(1, 1, 100), rng.normal(0, 1, 100))
    assert p == pytest.approx(0.7602, abs=0.07) and low < 0.7602 < high


def test_the_area_below_a_profile_is_the_mean_of_the_means():
    tasks = [np.array([0.2, 0.4, 1.0]), np.array([0.5])]
    taus = np.linspace(0, 1, 100_001)
    area = profile(tasks, taus).mean()
    assert area == pytest.approx(np.mean([task.mean() for task in tasks]), abs=1e-4)


# ------------------------------------------------------------------------ what is reported


def test_a_score_is_the_mean_of_the_last_ten_evaluations_and_never_a_maximum(tmp_path):
    write_run(tmp_path / "data/a/a_s0", [1000.0] + [0.0] * 5 + [10.0] * 5)
    (found,) = studies(tmp_path / "data")
    (experiment,) = found.experiments
    assert experiment.scores.tolist() == [5.0]
    assert experiment.whole.tolist() == [pytest.approx(1050 / 11)]


def test_experiments_are_told_apart_by_what_differs(study):
    (found,) = studies(study.parent)
    labels = {each.label: each.base for each in found.envs["CartPole-v1"]}
    assert labels == {"VPG": True, "PPO": True, "PPO clip 0.1": False}
    assert [each.label for each in found.envs["Acrobot-v1"]] == ["VPG", "PPO"]


def test_runs_with_equal_settings_are_told_apart_by_their_folders(tmp_path):
    for name in ("sac_Pendulum-v1", "sac_Pendulum-v1_terminal"):
        write_run(tmp_path / "data" / name / f"{name}_s0", [1.0], "sac", "Pendulum-v1")
    (found,) = studies(tmp_path / "data")
    assert [(e.label, e.base) for e in found.experiments] == [("SAC", True), ("terminal", False)]


def test_where_one_setting_varies_its_value_is_always_told(tmp_path):
    for utd in (0.5, 1.0, 2.0):
        name = f"sac_Pendulum-v1_utd{utd}"
        write_run(tmp_path / "data" / name / f"{name}_s0", [1.0], "sac", "Pendulum-v1", utd=utd)
    (found,) = studies(tmp_path / "data")
    labels = {e.label: e.base for e in found.experiments}
    assert labels == {"utd 0.5": False, "utd 1.0": True, "utd 2.0": False}  # 1 is the default


def test_the_row_in_bold_has_the_most_steps_the_most_runs_and_the_fewest_changes(tmp_path):
    def bold(*made):
        for name, seeds, epochs, gamma in made:
            for seed in range(seeds):
                folder = tmp_path / str(len(made)) / name / f"{name}_s{seed}"
                write_run(folder, [1.0] * epochs, gamma=gamma)
        (found,) = studies(tmp_path / str(len(made)))
        return [each.name for each in found.experiments if each.base]

    made = [("d", 1, 2, 0.99)]
    assert bold(*made) == ["d"]
    made += [("c", 1, 2, 0.9)]  # one change
    assert bold(*made) == ["d"]
    made += [("b", 2, 2, 0.9)]  # more runs
    assert bold(*made) == ["b"]
    made += [("a", 1, 3, 0.9)]  # more steps
    assert bold(*made) == ["a"]
    made += [("a_x", 3, 3, 0.9)]  # a change that is no setting
    assert bold(*made) == ["a"]


def test_a_report_has_the_numbers_the_figure_the_command_and_the_cost(study, capsys):
    assert run.main(["report", str(study.parent)]) == 0
    assert capsys.readouterr().out == f"{study / 'report.md'}\n"
    text = (study / "report.md").read_text()
    assert "| **VPG** | 15,000 | 3 | 101 | 101 | 100 to 102 | 67.3 | – | 10 s |" in text
    assert "| **PPO** | 15,000 | 3 | 201 | 201 | 200 to 202 | 134 | 1.00 | 10 s |" in text
    assert "![every run of classic](report.svg)" in text and (study / "report.svg").exists()
    assert "python -m rlcourse.run ppo --env CartPole-v1\n" in text and "--jobs" not in text
    assert "15 runs, 2.5 min of one core. 2 cores; torch 2.13.0." in text
    assert text.count("Not the defaults") == 0  # for the rows in bold have them
    with open(study / "scores.csv") as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 15 and rows[0]["score"] == "100.0" and rows[0]["seed"] == "0"


def test_with_few_runs_no_interval_is_claimed(tmp_path):
    for seeds, brackets in ((4, 0), (5, 2)):
        for seed in range(seeds):
            write_run(tmp_path / f"data{seeds}" / "a" / f"a_s{seed}", [float(seed)])
        report(tmp_path / f"data{seeds}")
        row = (tmp_path / f"data{seeds}/report.md").read_text().split("**PPO**")[1]
        assert row.partition("\n")[0].count("[") == brackets


def test_where_all_runs_agree_no_interval_is_claimed(tmp_path):
    for seed in range(5):
        write_run(tmp_path / f"data/a/a_s{seed}", [500.0])
    report(tmp_path / "data")
    assert "| **PPO** | 1,000 | 5 | 500 | 500 |" in (tmp_path / "data/report.md").read_text()


@pytest.mark.parametrize("grows", [0, 1])
def test_panels_say_their_steps_where_these_differ_and_long_labels_wrap(tmp_path, grows):
    for k in range(5):
        name = f"ppo_{k}_{'long-' * 10}"
        write_run(tmp_path / f"data/{name}/{name}_s0", [1.0] * (1 + k * grows), lr=k / 10)
    panels = []
    with mock.patch("rlcourse.utils.report.save", lambda figure, out: panels.extend(figure.axes)):
        report(tmp_path / "data")
    ticks = [axes.xaxis.get_tick_params()["labelbottom"] for axes in panels]
    assert ticks == [bool(grows), True, True, True, True]
    titles = [axes.get_title(loc="left") for axes in panels]
    assert all(len(line) <= 30 for title in titles for line in title.split("\n"))


def test_the_same_runs_make_the_same_bytes(study):
    files = [study / name for name in ("report.md", "report.svg", "scores.csv")]
    report(study.parent)
    before = [file.read_bytes() for file in files]
    report(study.parent)
    assert [file.read_bytes() for file in files] == before


def test_the_grid_beside_the_results_says_what_was_asked(study):
    head = (
        "# Question: Is it\n#   good?\n# Answer: Yes.\n# Notes: Five runs.\n#\n# More.\nalgo: ppo\n"
    )
    (study.parents[1] / "classic.yaml").write_text(head + "# Answer: no\n")
    assert header(study.parents[1] / "classic.yaml") == {
        "question": "Is it good?",
        "answer": "Yes.",
        "notes": "Five runs. More.",
    }
    report(study.parent)
    text = (study / "report.md").read_text()
    assert "**Is it good?** Yes.\n\nFive runs. More.\n" in text
    assert "```sh\npython -m rlcourse.run experiments/classic.yaml\n```" in text


def test_what_others_published_stands_beside_ours_at_their_number_of_steps(study):
    (study.parent / "published.csv").write_text(
        "env,algo,steps,runs,score,spread,source\n"
        "CartPole-v1,vpg,5000,10,7.5,1.5,somebody\n"
        "CartPole-v1,vpg,99700,1,485,,somebody else\n"
        "CartPole-v1,vpg,99000,1,480,,somebody else\n"
        "CartPole-v1,vpg,99500,10,490,,somebody\n"
        "CartPole-v1,ppo,5000,3,8,,of the base\n"
        "CartPole-v1,ppo,6000,3,9,,somebody\n"
        "CartPole-v1,ppo,900000,3,8,,far away\n"
        "Acrobot-v1,sac,5000,3,8,,of nobody\n"
    )
    report(study.parent)
    text = (study / "report.md").read_text()
    assert "| VPG | 5,000 | 7.500 ± 1.5 | 10 | 0 | 1 |" in text
    assert "| VPG | 99,000 | 480 | 1 | – | 2 |" in text
    assert "99,500" not in text  # who has something to hold ours against has it without
    assert "99,700" not in text  # nor more than the first
    assert "| PPO | 6,000 | 9 | 3 | 201 | 1 |" in text  # a source has one number
    assert "| PPO | 5,000 | 8 | 3 | 0 | 3 |" in text
    assert "\n\n1. somebody\n2. somebody else\n3. of the base\n\n" in text
    assert "far away" not in text and "of nobody" not in text


def test_scores_over_tasks_are_normalised_by_random_and_goal(study):
    rows = [f"{env},random,0,,0,," for env in ("CartPole-v1", "Acrobot-v1")]
    rows += ["CartPole-v1,goal,0,,200,,", "Acrobot-v1,goal,0,,100,,"]
    head = "env,algo,steps,runs,score,spread,source\n"
    (study.parent / "published.csv").write_text(head + "\n".join(rows) + "\n")
    report(study.parent)
    text = (study / "report.md").read_text()
    vpg = np.concatenate([np.array([100, 101, 102]) / goal for goal in (100, 200)])
    assert f"| VPG | 6 | {number(float(iqm(vpg)))} [" in text
    assert (study / "profile.svg").exists()
    for algo, seed in itertools.product(("ppo", "vpg"), "012"):  # where one setting varies
        name = f"{algo}_Acrobot-v1_gam0.9"
        folder = study / name / f"{name}_s{seed}"
        write_run(folder, [0.0] * 15, algo, "Acrobot-v1", gamma=0.9)
        config = study / f"{algo}_Acrobot-v1/{algo}_Acrobot-v1_s{seed}/config.yaml"
        config.write_text(config.read_text() + "gamma: 0.99\n")
    report(study.parent)
    assert "| VPG | 6 | " in (study / "report.md").read_text()
    for env, seed in itertools.product(("Acrobot-v1", "CartPole-v1"), "012"):  # fewer steps
        write_run(study / f"sac_{env}/sac_{env}_s{seed}", [0.0] * 5, "sac", env)
    report(study.parent)
    text = (study / "report.md").read_text()
    assert "| VPG | 6 | " in text and "| SAC | 6 | " not in text
    for env, seed in itertools.product(("Acrobot-v1", "CartPole-v1"), "012"):  # more, but alone
        write_run(study / f"td3_{env}/td3_{env}_s{seed}", [0.0] * 30, "td3", env)
    report(study.parent)
    text = (study / "report.md").read_text()
    assert "| VPG | 6 | " in text and "| TD3 | 6 | " not in text


def test_the_time_to_the_goal_is_a_median_and_runs_that_never_get_there_count(tmp_path):
    for seed, tests in enumerate(([0, 9, 9], [0, 0, 9], [0, 0, 0])):
        write_run(tmp_path / f"data/a/a_s{seed}", list(map(float, tests)), seconds=30)
    goal = "env,algo,steps,runs,score,spread,source\nCartPole-v1,goal,0,,8,,\n"
    (tmp_path / "data/published.csv").write_text(goal)
    report(tmp_path / "data")
    text = (tmp_path / "data/report.md").read_text()
    assert "| to 8 | a run |" in text and "| 30 s (2 of 3) | 30 s |" in text


def test_the_index_goes_between_its_marks_and_nowhere_else(study):
    readme = study.parents[1] / "README.md"
    readme.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    report(study.parent)
    first, *rest = readme.read_text().split("\n")
    assert first == "before" and rest[-2] == "after" and "old" not in rest
    assert "[classic](results/classic/report.md)" in readme.read_text()
    assert "15 runs, 2.5 min" in readme.read_text()
    (study.parents[1] / "later.yaml").write_text("# Question: Soon?\n")
    report(study.parent)
    assert "| later | Soon? | Not run yet. |" in readme.read_text()
    readme.write_text("mine\n")
    report(study.parent)
    assert readme.read_text() == "mine\n"


def row_of(text, label):
    return next(line for line in text.splitlines() if line.startswith(f"| {label} |")).split(" | ")


def test_a_variant_is_held_against_its_own_algorithm(tmp_path):
    ends = {"sac": 10.0, "sac_x": 20.0, "td3": 30.0, "td3_x": 25.0}
    for name, end in ends.items():
        for seed in range(2):
            folder = tmp_path / "data" / name / f"{name}_s{seed}"
            write_run(folder, [end + seed] * 10, name[:3], "Pendulum-v1")
    report(tmp_path / "data")
    text = (tmp_path / "data/report.md").read_text()
    better = {label: row_of(text, label)[7] for label in ("SAC x", "TD3 x", "**SAC**")}
    assert better == {"SAC x": "1.00", "TD3 x": "0.00", "**SAC**": "0.00"}  # TD3 stands first


def test_a_change_that_is_no_setting_is_held_against_its_like_without_it(tmp_path):
    ends = {"sac_utd1": 10.0, "sac_utd4": 20.0, "sac_utd4_x": 15.0}
    for name, end in ends.items():
        for seed in range(2):
            folder = tmp_path / "data" / name / f"{name}_s{seed}"
            write_run(folder, [end + seed] * 10, "sac", "Pendulum-v1", utd=float(name[7]))
    report(tmp_path / "data")
    text = (tmp_path / "data/report.md").read_text()
    assert row_of(text, "utd 4.0")[7] == "1.00" and row_of(text, "utd 4.0, x")[7] == "0.00"


def test_settings_of_a_row_in_bold_that_are_not_the_defaults_are_told(tmp_path):
    for name, gamma in (("ppo_a", 0.9), ("vpg_a", 0.99)):
        write_run(tmp_path / f"data/{name}/{name}_s0", [1.0], name[:3], gamma=gamma, hidden=[8, 8])
    report(tmp_path / "data")
    said = "Not the defaults: VPG hidden 8×8; PPO gamma 0.9, hidden 8×8.\n"
    assert said in (tmp_path / "data/report.md").read_text()


def test_after_other_numbers_of_steps_runs_are_not_compared(tmp_path):
    for name, epochs in (("vpg", 10), ("ppo", 20)):
        write_run(tmp_path / "data" / name / f"{name}_s0", [1.0] * epochs, name)
    report(tmp_path / "data")
    assert row_of((tmp_path / "data/report.md").read_text(), "**PPO**")[7] == "–"


def test_what_has_not_ended_or_lies_deeper_is_not_reported(tmp_path):
    for seed in range(3):
        write_run(tmp_path / f"data/a/a_s{seed}", [1.0] * 10)
    write_run(tmp_path / "data/deep/b/b_s0", [5.0] * 10)
    write_run(tmp_path / "data/c/c_s0", [3.0] * 10)
    config = tmp_path / "data/a/a_s2/config.yaml"
    config.write_text(config.read_text().replace("epochs: 10", "epochs: 50"))
    (tmp_path / "data/c/c_s0/config.yaml").unlink()
    (tmp_path / "data/d/d_s0").mkdir(parents=True)
    (tmp_path / "data/d/d_s0/progress.csv").write_text("Epoch\n")
    (tmp_path / "fresh/e/e_s0").mkdir(parents=True)
    (tmp_path / "fresh/e/e_s0/progress.csv").write_text("Epoch\n")
    found = {study.folder.name: study.experiments for study in studies(tmp_path)}
    assert set(found) == {"data", "deep"}
    assert [(len(e.runs), e.scores.tolist()) for e in found["data"]] == [(2, [1.0, 1.0])]


def test_a_study_is_found_from_inside_too(study, monkeypatch):
    (study.parents[1] / "classic.yaml").write_text("# Question: Well?\n")
    monkeypatch.chdir(study)
    assert [(s.folder.name, s.about["question"]) for s in studies(Path())] == [("classic", "Well?")]
    assert report(".") == [Path("report.md")]


@pytest.mark.fault("mistake")
def test_one_experiment_alone_is_no_study(study, capsys):
    assert run.main(["report", str(study / "ppo_CartPole-v1")]) == 2
    assert "name the folder that holds the experiments" in capsys.readouterr().err


@pytest.mark.fault("mistake")
def test_a_folder_without_evaluated_runs_is_one_line(tmp_path, capsys):
    for folder, said in (("nowhere", "no such folder"), (".", "no run in there")):
        assert run.main(["report", str(tmp_path / folder)]) == 2
        out = capsys.readouterr()
        assert said in out.err and out.err.count("\n") == 1 and not out.out


# ------------------------------------------------------------------------ what is stored


def test_stored_reports_are_what_their_runs_say(tmp_path):
    copy = tmp_path / "experiments"
    shutil.copytree(RESULTS, copy / "results")
    for file in (*EXPERIMENTS.glob("*.yaml"), EXPERIMENTS / "README.md"):
        shutil.copy(file, copy)
    made = [path.parent for path in report(copy / "results")]
    for folder in made:
        for file in filter(Path.is_file, folder.iterdir()):
            stored = RESULTS / folder.relative_to(copy / "results") / file.name
            assert stored.read_bytes() == file.read_bytes(), f"{stored}: run the report anew"
    assert (copy / "README.md").read_bytes() == (EXPERIMENTS / "README.md").read_bytes()
    kept = {file.parent for file in RESULTS.rglob("report.md")}
    assert {RESULTS / folder.relative_to(copy / "results") for folder in made} == kept


def test_at_least_two_hundred_runs_are_stored_in_less_than_twenty_megabytes():
    runs = [*RESULTS.rglob("progress.csv")]
    assert len(runs) >= 200
    assert sum(file.stat().st_size for file in RESULTS.rglob("*") if file.is_file()) < 20e6
    assert all(run.with_name("config.yaml").exists() for run in runs)


@pytest.mark.parametrize("name", sorted(p.stem for p in EXPERIMENTS.glob("*.yaml")))
def test_a_grid_has_a_question_and_where_it_was_run_an_answer_and_all_runs(name, monkeypatch):
    monkeypatch.setattr(grid, "resolve", lambda cfg, settings: cfg.env)  # MuJoCo need not be here
    about = header(EXPERIMENTS / f"{name}.yaml")
    assert about["question"].endswith("?")
    done = {path.parent.name for path in (RESULTS / name).rglob("progress.csv")}
    asked = {each.folder.name for each in grid.expand(grid.read(EXPERIMENTS / f"{name}.yaml"))}
    changes = [change for lesson, change in script("ablations").CHANGES if lesson == name]
    more = [f"_{change}_s" for change in (*changes, "sb3")]
    assert about["answer"].endswith(".") == bool(done)
    assert not done or asked - done == set()
    assert all(any(end in each for end in more) for each in done - asked)


def test_runs_that_have_not_ended_are_not_stored(tmp_path):
    write_run(tmp_path / "data/a_s0", [1.23456789, 2.0])
    (tmp_path / "data/a_s0/events.1").write_text("")
    store = script("store").store
    assert store(tmp_path / "data/a_s0", tmp_path / "kept/a_s0")
    kept = tmp_path / "kept/a_s0"
    assert sorted(path.name for path in kept.iterdir()) == ["config.yaml", "progress.csv"]
    assert [row[TEST] for row in read(kept / "progress.csv")] == [1.23457, 2.0]
    assert "KL" not in read(kept / "progress.csv")[0]
    config = yaml.safe_load((kept / "config.yaml").read_text())
    (tmp_path / "data/a_s0/config.yaml").write_text(yaml.safe_dump(config | {"epochs": 3}))
    assert not store(tmp_path / "data/a_s0", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_nothing_that_is_stored_is_lost_where_there_are_no_runs(tmp_path, monkeypatch):
    store = script("store")
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    write_run(tmp_path / "classic/a/a_s0", [1.0])
    monkeypatch.setattr("sys.argv", ["store.py", "classic", "--data", str(tmp_path / "data")])
    with pytest.raises(SystemExit, match="no finished run"):
        store.main()
    assert (tmp_path / "classic/a/a_s0/progress.csv").exists()
    write_run(tmp_path / "data/classic/b/b_s0", [1.0])
    store.main()
    assert [run.name for run in tmp_path.glob("classic/*/*")] == ["b_s0"]


# ------------------------------------------------------------------------ what no flag changes


def test_layer_norm_is_in_the_critics_alone_and_normalises_each():
    normed = script("ablations").normed
    actor, critics = normed([3, 8, 8, 2], "relu"), normed([4, 8, 8, 1], "relu", n=2)
    assert not any(isinstance(layer, torch.nn.LayerNorm) for layer in actor)
    assert sum(isinstance(layer, torch.nn.LayerNorm) for layer in critics) == 2
    hidden = critics[1](critics[0](torch.randn(5, 4)))
    assert torch.allclose(hidden.mean(-1), torch.zeros(2, 5), atol=1e-5)
    assert critics(torch.randn(5, 4)).shape == (2, 5, 1)


def test_the_time_limit_as_terminal_tells_each_end_as_the_end(monkeypatch):
    ablations = script("ablations")
    step = (torch.zeros(2), torch.zeros(2), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
    monkeypatch.setattr(ablations, "step", lambda self, act: step)
    _, _, term, done = ablations.terminal(None, None)
    assert term.tolist() == done.tolist() == [1.0, 0.0]


def test_every_change_replaces_a_function_that_training_calls(monkeypatch):
    ablations = script("ablations")
    small = {"num_envs": 2, "horizon": 8, "hidden": (8,), "epochs": 1, "minibatch": 8}
    for (lesson, name), (where, function, other) in ablations.CHANGES.items():
        algo = grid.read(EXPERIMENTS / f"{lesson}.yaml")[0].modules[0]
        more = {"random_steps": 8} if algo is ablations.sac else {}
        with monkeypatch.context() as patch:
            patch.setattr(where, function, called := mock.Mock(wraps=other))
            if where is ablations.Envs:
                patch.setattr(where, function, lambda *args, f=called: f(*args))  # with its self
            algo.train(algo.Config("Pendulum-v1", **small, **more))
        assert called.called, name
