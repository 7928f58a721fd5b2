"""Learning curves: what is read, what is drawn, and what a user is told."""

import csv
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from rlcourse import run
from rlcourse.utils import plot as plots
from rlcourse.utils.config import UserError
from rlcourse.utils.plot import (
    RETURN,
    TEST,
    curves,
    middle,
    plot,
    resample,
    smoothed,
    spread,
    text_curve,
)

HEAD = f"Epoch,TotalEnvInteracts,{RETURN},{TEST},KL\n"


def command(*words, **environ):
    """The command line in a process of its own."""
    line = [sys.executable, "-m", "rlcourse.run", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, env=os.environ | environ)


def write_run(folder, returns, per_epoch=1000, env="CartPole-v1"):
    """A run folder, an epoch per return; every second is evaluated, at twice the return."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(f"algo: ppo\nenv: {env}\n")
    rows = [
        f"{k},{k * per_epoch},{r},{2 * r if k % 2 == 0 else ''},\n"
        for k, r in enumerate(returns, 1)
    ]
    (folder / "progress.csv").write_text(HEAD + "".join(rows))
    return folder


@pytest.fixture
def data(tmp_path):
    """Two experiments of three seeds."""
    for exp, gain in (("ppo_CartPole-v1", 20), ("vpg_CartPole-v1", 10)):
        for seed in range(3):
            returns = [gain * k + seed for k in range(1, 11)]
            write_run(tmp_path / "data" / exp / f"{exp}_s{seed}", returns)
    return tmp_path / "data"


@pytest.fixture
def draw(monkeypatch):
    """plot(), but the figure itself is returned."""
    drawn = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda self, *_, **__: drawn.append(self)
    )

    def draw(*paths, **options):
        plot(paths, **options)
        return drawn.pop()

    return draw


def bold(axes):
    return [line for line in axes.lines if line.get_linewidth() == 2]


def ends(axes, number=0):
    """The lower and the upper end of a band, by x."""
    x, y = axes.collections[number].get_paths()[0].vertices.T
    return {at: (y[x == at].min(), y[x == at].max()) for at in np.unique(x)}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# ---------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("torn", ["3,3000", "3,3000,20,40,0.0", "3,3000\n", "3,30"])
def test_a_torn_last_row_is_dropped(tmp_path, torn):
    run = write_run(tmp_path / "run", [1, 2])
    with open(run / "progress.csv", "a") as file:
        file.write(torn)
    assert plots.read_columns(run / "progress.csv")[RETURN].tolist() == [1, 2]


def test_an_empty_or_unreadable_cell_is_nan(tmp_path):
    (tmp_path / "progress.csv").write_bytes(HEAD.encode() + b"1,10,,x\xff,\0\n2,20,5,6,7\n")
    columns = plots.read_columns(tmp_path / "progress.csv")
    np.testing.assert_array_equal(columns["TotalEnvInteracts"], [10, 20])
    for name, last in ((RETURN, 5), (TEST, 6), ("KL", 7)):
        np.testing.assert_array_equal(columns[name], [np.nan, last])


def test_runs_are_grouped_by_experiment_with_seeds_in_order(data):
    name = "ppo_CartPole-v1"
    write_run(data / name / f"{name}_s10", [1])
    groups = curves([data])
    assert list(groups) == [name, "vpg_CartPole-v1"]
    assert [run.folder.name for run in groups[name]] == [f"{name}_s{s}" for s in (0, 1, 2, 10)]


def test_a_run_and_its_experiment_name_the_same_run_once(data):
    exp = data / "ppo_CartPole-v1"
    for name in "ppo_CartPole-v1_s1", "ppo_CartPole-v1_s1/progress.csv":
        assert [len(runs) for runs in curves([exp / name]).values()] == [1]
    assert [len(runs) for runs in curves([exp, exp / "ppo_CartPole-v1_s1"]).values()] == [3]


def test_a_run_folder_of_another_name_is_its_own_experiment(tmp_path):
    for name in "first", "second":
        write_run(tmp_path / name, [1, 2])
    assert list(curves([tmp_path])) == ["first", "second"]


def test_experiments_of_one_name_in_two_folders_stay_apart(tmp_path):
    for place in "old", "new":
        write_run(tmp_path / place / "ppo" / "ppo_s0", [1, 2])
    assert list(curves([tmp_path / "old", tmp_path / "new"])) == ["old/ppo", "new/ppo"]


@pytest.mark.parametrize("config", [None, "env: [", "- a list"])
def test_a_curve_needs_no_config(tmp_path, config):
    run = write_run(tmp_path / "run", [1, 2])
    (run / "config.yaml").unlink()
    if config:
        (run / "config.yaml").write_text(config)
    assert plot([run]).exists()


# ---------------------------------------------------------------------------------------- drawing


def test_seeds_are_interpolated_only_where_all_have_data():
    a = np.array([0.0, 10, 20]), np.array([0.0, 10, 20])
    b = np.array([5.0, 15]), np.array([100.0, 200])
    steps, values = resample([a, b, (np.empty(0), np.empty(0))])
    np.testing.assert_array_equal(steps, [5, 10, 15])
    np.testing.assert_allclose(values, [[5, 10, 15], [100, 150, 200]])


def test_the_bold_line_is_the_mean_and_the_band_goes_from_lowest_to_highest(tmp_path, draw):
    for seed, returns in enumerate([[1, 5], [2, 5], [6, 8]]):
        write_run(tmp_path / "exp" / f"exp_s{seed}", returns)
    axes = draw(tmp_path, value=RETURN).axes[0]
    assert [line.get_xydata().tolist() for line in bold(axes)] == [[[1000, 3], [2000, 6]]]
    assert ends(axes) == {1000: (1, 6), 2000: (5, 8)}
    assert len(axes.lines) == 3 + 1  # a thin line for each seed


def test_a_seed_that_is_behind_ends_the_mean_but_not_the_other_lines(tmp_path, draw):
    write_run(tmp_path / "exp" / "exp_s0", [1, 2, 3, 4])
    write_run(tmp_path / "exp" / "exp_s1", [1, 2])
    axes = draw(tmp_path, value=RETURN).axes[0]
    assert bold(axes)[0].get_xdata().max() == 2000
    assert max(line.get_xdata().max() for line in axes.lines) == 4000


def test_seeds_that_share_no_step_meet_at_a_bounded_number_of_points():
    rng = np.random.default_rng(0)
    seeds = [(np.cumsum(rng.uniform(size=900)), np.arange(900.0)) for _ in range(5)]
    steps, values = resample(seeds)
    assert len(steps) == plots.MOST and values.shape == (5, plots.MOST)
    assert steps[0] == max(x[0] for x, _ in seeds) and steps[-1] == min(x[-1] for x, _ in seeds)
    shared = np.arange(5000.0)
    assert len(resample([(shared, shared), (shared[:4000], shared[:4000])])[0]) == 4000


def test_a_window_averages_the_rows_around_and_ends_where_the_data_end():
    y = np.array([1, 2, 6, np.nan, 8, 100])
    expected = [1.5, 3, 4, np.nan, 54, 54]
    np.testing.assert_allclose(smoothed(y, 3), expected)
    np.testing.assert_array_equal(smoothed(y, 1), y)
    np.testing.assert_allclose(smoothed(y, 99), np.where(np.isnan(y), np.nan, 117 / 5))
    spike = np.array([1e15, 0.25, 0.25, 0.25])  # a running sum would have forgotten the rest
    assert smoothed(spike, 3)[2] == 0.25


@pytest.mark.parametrize("window, first", [(1, 0), (2, 5), (3, 5)])
def test_smoothing_is_of_each_seed_and_is_said(tmp_path, draw, window, first):
    figure = draw(write_run(tmp_path / "run", [0, 10, 20]), smooth=window, value=RETURN)
    assert bold(figure.axes[0])[0].get_ydata().tolist() == [first, 10, 20 - first]
    said = "smoothed over 3 epochs" in figure.legends[0].get_title().get_text()
    assert said == (window > 1)


def test_the_interquartile_mean_is_that_of_the_middle_half():
    ys = np.array([[9.0], [1], [5], [2], [1000], [4], [3], [-1000]])
    assert middle(ys, "iqm") == (2 + 3 + 4 + 5) / 4
    assert middle(ys, "mean") == ys.mean() and middle(ys, "median") == 3.5
    three = np.array([[0.0], [6], [30]])  # the outer two lie in the middle half by a quarter each
    assert middle(three, "iqm") == pytest.approx((0 / 4 + 6 + 30 / 4) / 1.5)
    assert middle(three[:2], "iqm") == 3 and middle(three[:1], "iqm") == 0


@pytest.mark.parametrize("estimate", plots.ESTIMATES)
def test_the_bootstrap_interval_is_that_of_all_possible_draws(estimate):
    """Four seeds can be drawn in 256 ways; each x is drawn alike, and the same again."""
    ys = np.random.default_rng(1).normal(size=(4, 250))
    ways = np.array(list(itertools.product(range(4), repeat=4)))
    expected = np.percentile(middle(ys[ways], estimate), [2.5, 97.5], axis=0)
    found = spread(ys, estimate, "ci")
    assert np.abs(found - expected).mean() < 0.03 < np.ptp(expected, axis=0).mean() / 20
    np.testing.assert_array_equal(found, spread(ys, estimate, "ci"))
    np.testing.assert_array_equal(spread(ys[:, 200:], estimate, "ci"), np.array(found)[:, 200:])


def test_a_band_is_what_was_asked_for_and_what_the_legend_says(tmp_path, draw):
    for seed, returns in enumerate([[1, 5], [2, 5], [6, 8]]):
        write_run(tmp_path / "exp" / f"exp_s{seed}", returns)
    figure = draw(tmp_path, band="std", estimate="median")
    assert bold(figure.axes[0])[0].get_ydata().tolist() == [2, 5]
    low, high = ends(figure.axes[0])[2000]
    assert (low, high) == pytest.approx((5 - 3**0.5, 5 + 3**0.5))
    note = figure.legends[0].get_title().get_text()
    assert "median" in note and "standard deviation" in note
    figure = draw(tmp_path, band="none")
    assert not figure.axes[0].collections and len(figure.axes[0].lines) == 2  # and the evaluation
    assert "band" not in figure.legends[0].get_title().get_text()
    assert "bootstrap" in draw(tmp_path, band="ci").legends[0].get_title().get_text()


def test_one_seed_has_no_band_and_no_note(tmp_path, draw):
    figure = draw(write_run(tmp_path / "run", [1, 2]), band="ci")
    assert not figure.axes[0].collections and figure.legends[0].get_title().get_text() == ""


def test_a_crowd_is_drawn_in_bold_lines_alone_unless_a_band_is_asked_for(tmp_path, draw):
    for k in range(plots.FEW + 1):
        for seed in range(2):
            write_run(tmp_path / f"exp{k}" / f"exp{k}_s{seed}", [k, k + seed])
    axes = draw(tmp_path).axes[0]
    assert len(axes.lines) == len(bold(axes)) == plots.FEW + 1 and not axes.collections
    axes = draw(tmp_path, band="range").axes[0]
    assert len(axes.lines) == len(axes.collections) == plots.FEW + 1
    rows = table(plot(tmp_path, tmp_path / "all.csv"))
    assert {row["value"] for row in rows} == {RETURN, TEST} and all(row["low"] for row in rows)


def test_experiments_stand_in_the_order_of_their_numbers(tmp_path):
    names = ["lr1e-05", "lr0.0001", "lr0.001", "lr2", "lr10"]
    for name in sorted(names):
        write_run(tmp_path / name / f"{name}_s0", [1])
    assert list(curves([tmp_path])) == names


@pytest.mark.parametrize(
    "xaxis, label, x", [("Epoch", "epochs", [1, 2]), (TEST, "return per test episode", [4])]
)
def test_any_column_can_be_the_x_axis(tmp_path, draw, xaxis, label, x):
    axes = draw(write_run(tmp_path / "run", [1, 2]), xaxis=xaxis, value="Epoch").axes[0]
    assert bold(axes)[0].get_xdata().tolist() == x and axes.get_xlabel() == label


def test_counted_runs_have_a_line_each(data, draw):
    figure = draw(data, count=True, value=RETURN)
    assert legend(figure) == [f"{algo}_s{seed}" for algo in ("ppo", "vpg") for seed in range(3)]
    assert [line.get_ydata()[0] for line in bold(figure.axes[0])] == [20, 21, 22, 10, 11, 12]
    assert not figure.axes[0].collections


def test_the_module_of_an_environment_is_in_no_label_and_no_title(tmp_path, draw):
    exp = tmp_path / "ppo_mine-Task-v0"
    figure = draw(write_run(exp / f"{exp.name}_s0", [1, 2], env="mine:Task-v0"), value=RETURN)
    assert legend(figure) == ["ppo (1 seed)"]
    assert figure.axes[0].get_title(loc="left") == "Task-v0"


def test_names_replace_those_of_the_experiments_in_order(data, draw):
    write_run(data / "ppo_Pendulum-v1" / "ppo_Pendulum-v1_s0", [-9, -1], env="Pendulum-v1")
    figure = draw(data, legend=["Mine $1", "Theirs"], value=RETURN)
    assert legend(figure) == ["Mine $1 (1–3 seeds)", "Theirs (3 seeds)"]
    assert len(bold(figure.axes[1])) == 1


def test_a_name_that_is_no_text_is_drawn_as_well_as_it_can_be(tmp_path, draw):
    name = os.fsdecode("größe".encode("latin-1"))
    write_run(tmp_path / name, [1, 2])
    assert legend(draw(tmp_path, value=RETURN)) == ["gr\ufffd\ufffde (1 seed)"]
    assert plot(tmp_path / name, tmp_path / "a.csv").read_text("utf-8").count("gr\ufffd") == 3


@pytest.mark.parametrize(
    "rules, expected",
    [
        ({"select": ["ppo"]}, {"ppo_CartPole-v1": 3}),
        ({"select": ["_s1", "vpg"]}, {"vpg_CartPole-v1": 1}),
        ({"exclude": ["ppo", "_s2"]}, {"vpg_CartPole-v1": 2}),
        ({"select": ["data"], "exclude": ["vpg"]}, {"ppo_CartPole-v1": 3}),
    ],
)
def test_runs_are_taken_by_what_their_path_contains(data, rules, expected):
    found = {name: len(runs) for name, runs in curves([data], **rules).items()}
    assert found == expected


def test_a_rule_does_not_look_above_the_folder_that_was_named(tmp_path):
    write_run(tmp_path / "sac" / "data" / "ppo" / "ppo_s0", [1])
    with pytest.raises(UserError, match="--select sac leaves no run"):
        curves([tmp_path / "sac" / "data"], select=["sac"])


def test_files_that_a_shell_brings_along_are_passed_over_and_kept(data):
    (data / "a.png").write_bytes(b"mine")
    assert plot(sorted(data.iterdir())) == data / "curve.png"
    assert (data / "a.png").read_bytes() == b"mine"


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_table_has_a_row_for_each_point_with_the_numbers_of_the_figure(tmp_path, draw):
    for seed, returns in enumerate([[1, 5], [2, 5], [6, 8]]):
        write_run(tmp_path / "ppo_CartPole-v1" / f"ppo_CartPole-v1_s{seed}", returns)
    write_run(tmp_path / "größe", [0.1], env="Pendulum-v1")
    rows = table(plot(tmp_path, tmp_path / "new" / "a.csv"))
    assert ["|".join(row.values()) for row in rows] == [
        f"größe|Pendulum-v1|{RETURN}|1|1000|0.1||",
        f"ppo|CartPole-v1|{RETURN}|3|1000|3.0|1.0|6.0",
        f"ppo|CartPole-v1|{RETURN}|3|2000|6.0|5.0|8.0",
        f"ppo|CartPole-v1|{TEST}|3|2000|12.0|10.0|16.0",
    ]
    assert list(rows[0])[3:] == ["seeds", "TotalEnvInteracts", "mean", "low", "high"]
    path = plot(tmp_path, tmp_path / "b.csv", TEST, xaxis="Epoch", estimate="iqm", band="none")
    assert list(table(path)[0])[4:] == ["Epoch", "iqm", "low", "high"]


def test_a_run_that_is_being_written_is_drawn_as_far_as_it_has_come(data, draw):
    exp = data / "ppo_CartPole-v1"
    with open(exp / "ppo_CartPole-v1_s0" / "progress.csv", "a") as file:
        file.write("11,11000,22")
    (exp / "ppo_CartPole-v1_s3").mkdir()
    (exp / "ppo_CartPole-v1_s3" / "progress.csv").write_text(HEAD)
    figure = draw(exp)
    assert bold(figure.axes[0])[0].get_xdata().max() == 10_000
    assert legend(figure)[0] == "ppo (3 seeds)"


def test_several_values_of_several_environments_stand_in_rows(data, draw):
    write_run(data / "ppo_Pendulum-v1" / "ppo_Pendulum-v1_s0", [-9, -1], env="Pendulum-v1")
    figure = draw(data, value=[RETURN, TEST, "Epoch"])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["CartPole-v1"] * 3 + ["Pendulum-v1"] * 3
    assert figure.axes[0].get_gridspec().ncols == 3


def test_a_column_that_an_environment_lacks_has_no_panel_there(data, draw):
    write_run(data / "ppo_Pendulum-v1" / "ppo_Pendulum-v1_s0", [-9], env="Pendulum-v1")
    titles = [axes.get_title(loc="left") for axes in draw(data, value=[TEST, RETURN]).axes]
    assert titles == ["CartPole-v1", "CartPole-v1", "Pendulum-v1"]


@pytest.mark.parametrize("experiments, words", [(1, 9), (2, 4), (7, 1), (20, 4)])
def test_legend_and_titles_fit_into_the_figure_and_cover_nothing(
    tmp_path, draw, experiments, words
):
    for k in range(experiments):
        name = f"ppo_{'lr0.0003_hidden64_' * words}{k}"
        for env in ("CartPole-v1", "package_of_mine:ATaskWithAVeryLongName-v12"[: 12 * words]):
            write_run(tmp_path / f"{name}_{env}" / f"{name}_{env}_s0", [k, 2 * k], env=env)
    figure = draw(tmp_path)
    figure.draw_without_rendering()
    whole, box = figure.bbox, figure.legends[0].get_window_extent()
    assert whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0
    axes = [a.get_tightbbox() for a in figure.axes]
    assert not any(box.overlaps(a) for a in axes)
    assert all(a.x1 <= whole.x1 and a.y1 <= whole.y1 for a in axes)
    assert not any(a.overlaps(b) for a in axes for b in axes if a is not b)
    assert min(a.get_window_extent().height for a in figure.axes) > 100  # pixels: an inch


def test_seeds_without_a_common_x_are_drawn_by_themselves(tmp_path, draw):
    for seed, steps in enumerate([1000, 1500]):
        write_run(tmp_path / "one" / f"one_s{seed}", [1], env="one")
        write_run(tmp_path / "two" / f"two_s{seed}", [2], steps, env="two")
    with pytest.raises(
        UserError, match="no TotalEnvInteracts in common yet; wait, or take --count"
    ):
        plot(tmp_path / "two", band="ci")
    one, two = draw(tmp_path, band="ci", value=RETURN).axes
    assert len(one.lines) == 2 + 1 and len(two.lines) == 2 + 1
    assert not len(bold(two)[0].get_xdata())


def test_the_deterministic_evaluation_is_a_dashed_line_of_the_same_colour(data, draw):
    figure = draw(data / "ppo_CartPole-v1")
    mean, tested = figure.axes[0].lines[-2:]
    assert tested.get_color() == mean.get_color() and tested.is_dashed()
    np.testing.assert_array_equal(tested.get_xdata(), [2000, 4000, 6000, 8000, 10000])
    np.testing.assert_allclose(tested.get_ydata(), 2 * mean.get_ydata()[1::2])
    assert legend(figure) == ["ppo (3 seeds)", "deterministic evaluation"]


def test_the_legend_has_an_entry_for_each_experiment_outside_the_data(data, draw):
    write_run(data / "sac" / "sac_s0", [1, 2])
    figure = draw(data, value=RETURN)
    assert legend(figure) == ["ppo (3 seeds)", "sac (1 seed)", "vpg (3 seeds)"]
    assert "lowest to highest" in figure.legends[0].get_title().get_text()
    assert len({line.get_color() for line in bold(figure.axes[0])}) == 3
    figure.draw_without_rendering()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_window_extent())


def test_an_experiment_keeps_its_name_where_a_shorter_one_would_be_ambiguous(data, draw):
    write_run(data / "ppo" / "ppo_s0", [1, 2])
    assert legend(draw(data, value=RETURN)) == [
        "ppo (1 seed)",
        "ppo_CartPole-v1 (3 seeds)",
        "vpg_CartPole-v1 (3 seeds)",
    ]


def test_each_environment_has_its_panel_and_an_algorithm_one_colour(data, draw):
    write_run(data / "ppo_Pendulum-v1" / "ppo_Pendulum-v1_s0", [-9, -1], env="Pendulum-v1")
    figure = draw(data, value=RETURN)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["CartPole-v1", "Pendulum-v1"]
    assert legend(figure) == ["ppo (1–3 seeds)", "vpg (3 seeds)"]
    cartpole, pendulum = (bold(axes)[0].get_color() for axes in figure.axes)
    assert cartpole == pendulum


def test_steps_are_counted_in_thousands_and_millions(tmp_path, draw):
    for name, per_epoch, tick in (("short", 10_000, "20k"), ("long", 1_000_000, "1M")):
        axes = draw(write_run(tmp_path / name, [1, 2, 3], per_epoch)).axes[0]
        axes.figure.draw_without_rendering()
        assert tick in [label.get_text() for label in axes.get_xticklabels()]


def test_the_figure_is_a_png_of_readme_size_and_not_blank(data):
    from matplotlib.image import imread

    path = plot([data])
    assert path == data / "curve.png"
    pixels = imread(path)[..., :3]
    assert pixels.shape == (900, 1600, 3)
    assert np.all(pixels[:5] == 1), "the background is white"
    for colour in plots.COLOURS[:2]:
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert np.all(np.abs(pixels - rgb) < 0.02, axis=-1).sum() > 2000


@pytest.mark.parametrize(
    "name, head", [("a.svg", b"<?xml"), ("b.pdf", b"%PDF"), ("c.png", b"\x89PN")]
)
def test_the_ending_of_the_file_chooses_its_kind(data, name, head):
    path = plot(str(data), data / "new folder" / name)
    assert path.name == name and path.read_bytes().startswith(head)


def test_an_svg_of_the_same_data_is_the_same_file(data):
    assert plot([data], data / "a.svg").read_bytes() == plot([data], data / "b.svg").read_bytes()


def test_a_named_value_is_drawn_without_the_evaluation(data):
    default, named = plot([data], data / "a.svg"), plot([data], data / "b.svg", RETURN)
    assert len(named.read_bytes()) < len(default.read_bytes())


def test_several_values_make_several_panels(data):
    from matplotlib.image import imread

    height, width, _ = imread(plot([data], value=[RETURN, TEST, "Epoch"])).shape
    assert width == 1600 and height > 900


def test_drawing_leaves_the_users_matplotlib_alone(data):
    code = f"""
import sys
from rlcourse.utils.plot import plot
assert "matplotlib" not in sys.modules, "importing is not cheap"
import matplotlib
before = matplotlib.rcParams.copy()
plot([{str(data)!r}])
assert "matplotlib.pyplot" not in sys.modules, "pyplot has global state"
assert dict.__eq__(matplotlib.rcParams, before), "its settings have changed"
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": "", "HOME": str(data)})


def test_without_a_screen_the_command_writes_a_file(data):
    found = command("plot", data, DISPLAY="", WAYLAND_DISPLAY="")
    assert (found.returncode, found.stdout) == (0, f"{data / 'curve.png'}\n"), found.stderr


def test_with_a_screen_the_command_opens_a_window_and_writes_no_file(data, monkeypatch, capsys):
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shown = []
    pyplot.switch_backend("agg")
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "tk")
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gcf()))
    assert run.main(["plot", str(data)]) == 0
    assert legend(shown[0])[0] == "ppo (3 seeds)"
    assert not list(data.glob("*.png")) and capsys.readouterr().out == ""
    assert run.main(["plot", str(data), "--out", str(data / "a.png")]) == 0
    assert len(shown) == 1 and (data / "a.png").exists()
    pyplot.close("all")


def test_the_command_is_quick_and_loads_no_torch(tmp_path):
    names = ["Epoch", "TotalEnvInteracts", RETURN, *(f"Column{i}" for i in range(17))]
    rows = "".join(f"{k},{k}000,{k % 7}{',0.123456789' * 17}\n" for k in range(500))
    for k in range(50):
        folder = write_run(tmp_path / f"exp{k % 10}" / f"exp{k % 10}_s{k}", [])
        (folder / "progress.csv").write_text(",".join(names) + "\n" + rows)
    code = f"""
import sys, time
from rlcourse.run import main
assert main(["plot", {str(tmp_path)!r}, "--band", "ci"]) == 0
assert not {{"torch", "gymnasium", "tensorboard"}} & set(sys.modules)
assert time.process_time() < 5, time.process_time()
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"paths": ["ppo_CartPole-v2"]}, r"v2: no such folder; did you mean .*ppo_CartPole-v1\?"),
        ({"paths": ["nowhere/to/be/found"]}, "no such folder; train a run first"),
        ({"paths": ["empty"]}, r"empty: no run in there .* name a run, an experiment"),
        ({"paths": ["started"]}, "started: no run has finished an epoch yet; wait"),
        ({"value": "AverageEpret"}, r"no column AverageEpret; did you mean AverageEpRet\?"),
        ({"value": [RETURN, "xyz"]}, "no column xyz; there are Epoch, TotalEnvInteracts"),
        ({"value": ["KL"]}, "KL has no value yet"),
        ({"out": "curve.gif"}, r"curve\.gif: unknown kind .* \.png, \.svg, \.pdf or \.csv"),
        ({"out": "curve"}, "unknown kind of figure"),
        ({"estimate": "avg"}, "--estimate 'avg' is none of mean, iqm, median"),
        ({"band": "sem"}, "--band 'sem' is none of range, ci, std, none"),
        ({"smooth": 0}, "--smooth 0 is out of range"),
        ({"xaxis": "Epochs"}, r"no column Epochs; did you mean Epoch\?"),
        ({"xaxis": "KL"}, "KL has no value yet"),
        ({"legend": ["PPO", "VPG"]}, r"--legend takes 1 names \(ppo\), not 2"),
        ({"paths": ["."], "legend": ["A", "A"]}, "--legend A A has a name twice"),
        ({"select": ["CartPole", "Pole-v2"]}, "--select CartPole --select Pole-v2 leaves no run"),
        ({"paths": ["."], "select": ["vpg_Cartpole"]}, r"no run\. Did you mean vpg_CartPole-v1\?"),
        (
            {"exclude": ["ppo"]},
            r"--exclude ppo leaves no run\. Their paths are such as ppo_CartPole-v1/",
        ),
        ({"paths": ["ppo_CartPole-v1/ppo_CartPole-v1_s0/config.yaml"]}, "no run in there"),
        ({"paths": ["ppo_CartPole-v1/ppo_CartPole-v1_s0/config.yaml"] * 2}, "no run in there"),
        (
            {"out": "ppo_CartPole-v1/ppo_CartPole-v1_s0/progress.csv/a.png"},
            "cannot write the figure",
        ),
        (
            {"out": "ppo_CartPole-v1/ppo_CartPole-v1_s0/progress.csv/a.csv"},
            "cannot write the figure",
        ),
    ],
)
def test_a_users_mistake_is_one_line_that_says_what_to_do(data, monkeypatch, kwargs, message):
    monkeypatch.chdir(data)
    (data / "empty").mkdir()
    (data / "started").mkdir()
    (data / "started" / "progress.csv").write_text(HEAD)
    with pytest.raises(UserError, match=message) as error:
        plot(**({"paths": ["ppo_CartPole-v1"]} | kwargs))
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------------------------- in characters


def test_a_text_curve_rises_from_the_lower_left_to_the_upper_right():
    lines = text_curve([0, 1, 2, 3, 4], width=40, height=5, ascii_only=True).splitlines()
    assert [line.find("*") for line in lines[:5]] == sorted(
        (line.find("*") for line in lines[:5]), reverse=True
    )
    assert lines[0].startswith("4 |") and lines[0].endswith("*") and len(lines[0]) == 40
    assert lines[4].startswith("0 |*")
    assert lines[5] == "  +" + "-" * 37
    assert lines[6].split() == ["first", "0", "last", "4"]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_text_curve_has_no_gap_and_keeps_to_its_width(ascii_only):
    values = [float("nan"), -1000, 12345.6, *[0] * 500, None, 3]
    lines = text_curve(values, width=60, height=8, ascii_only=ascii_only).splitlines()
    assert len(lines) == 8 + 2 and max(map(len, lines)) == 60
    assert all(line[7:].strip() for line in lines[:8]), "each row is crossed"
    columns = zip(*(line[7:].ljust(53) for line in lines[:8]), strict=True)
    assert all("".join(column).strip() for column in columns)
    assert lines[0].lstrip().startswith("12346") and lines[7].lstrip().startswith("-1000")
    assert lines[9].split() == ["first", "-1000", "last", "3"]
    assert "\n".join(lines).isascii() == ascii_only


def test_a_braille_cell_shows_eight_dots():
    top, bottom = text_curve([0, 1], width=32, height=2).splitlines()[:2]
    assert bottom[3] == "⣀" and top[-1] == "⠉"


def test_a_text_curve_of_one_value_or_none_is_no_error():
    assert "7" in text_curve([7]) and "7" in text_curve([7, 7, 7])
    assert text_curve([None, 1, 2, None]) == text_curve([1, 2])
    assert text_curve([]) == text_curve([None, float("nan")]) == "(no values yet)"
