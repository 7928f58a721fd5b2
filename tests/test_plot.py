"""Learning curves: what is read, what is drawn, and what a user is told."""

import subprocess
import sys

import numpy as np
import pytest

from rlcourse.utils import plot as plots
from rlcourse.utils.config import UserError
from rlcourse.utils.plot import RETURN, TEST, curves, plot, resample, text_curve

HEAD = f"Epoch,TotalEnvInteracts,{RETURN},{TEST},KL\n"


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


def draw(*paths, value=RETURN, tests=True):
    return plots._figure(curves(paths), [value], tests)


def bold(axes):
    return [line for line in axes.lines if line.get_linewidth() == 2]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# ---------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("torn", ["3,3000", "3,3000,20,40,0.0", "3,3000\n", "3,30"])
def test_a_torn_last_row_is_dropped(tmp_path, torn):
    run = write_run(tmp_path / "run", [1, 2])
    with open(run / "progress.csv", "a") as file:
        file.write(torn)
    assert plots.read_csv(run / "progress.csv")[RETURN].tolist() == [1, 2]


def test_an_empty_or_unreadable_cell_is_nan(tmp_path):
    (tmp_path / "progress.csv").write_bytes(HEAD.encode() + b"1,10,,x\xff,\0\n2,20,5,6,7\n")
    columns = plots.read_csv(tmp_path / "progress.csv")
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
    assert [len(runs) for runs in curves([exp / "ppo_CartPole-v1_s1"]).values()] == [1]
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


def test_the_bold_line_is_the_mean_and_the_band_goes_from_lowest_to_highest(tmp_path):
    for seed, returns in enumerate([[1, 5], [2, 5], [6, 8]]):
        write_run(tmp_path / "exp" / f"exp_s{seed}", returns)
    axes = draw(tmp_path, tests=False).axes[0]
    assert [line.get_xydata().tolist() for line in bold(axes)] == [[[1000, 3], [2000, 6]]]
    band = axes.collections[0].get_paths()[0].vertices
    for step, low, high in ((1000, 1, 6), (2000, 5, 8)):
        y = band[band[:, 0] == step, 1]
        assert (y.min(), y.max()) == (low, high)
    assert len(axes.lines) == 3 + 1  # a thin line for each seed


def test_a_seed_that_is_behind_ends_the_mean_but_not_the_other_lines(tmp_path):
    write_run(tmp_path / "exp" / "exp_s0", [1, 2, 3, 4])
    write_run(tmp_path / "exp" / "exp_s1", [1, 2])
    axes = draw(tmp_path, tests=False).axes[0]
    assert bold(axes)[0].get_xdata().max() == 2000
    assert max(line.get_xdata().max() for line in axes.lines) == 4000


def test_the_deterministic_evaluation_is_a_dashed_line_of_the_same_colour(data):
    figure = draw(data / "ppo_CartPole-v1")
    mean, tested = figure.axes[0].lines[-2:]
    assert tested.get_color() == mean.get_color() and tested.is_dashed()
    np.testing.assert_array_equal(tested.get_xdata(), [2000, 4000, 6000, 8000, 10000])
    np.testing.assert_allclose(tested.get_ydata(), 2 * mean.get_ydata()[1::2])
    assert legend(figure) == ["ppo (3 seeds)", "deterministic evaluation"]


def test_the_legend_has_an_entry_for_each_experiment_outside_the_data(data):
    write_run(data / "sac" / "sac_s0", [1, 2])
    figure = draw(data, tests=False)
    assert legend(figure) == ["ppo (3 seeds)", "sac (1 seed)", "vpg (3 seeds)"]
    assert "lowest to highest" in figure.legends[0].get_title().get_text()
    assert len({line.get_color() for line in bold(figure.axes[0])}) == 3
    figure.draw_without_rendering()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_window_extent())


def test_an_experiment_keeps_its_name_where_a_shorter_one_would_be_ambiguous(data):
    write_run(data / "ppo" / "ppo_s0", [1, 2])
    assert legend(draw(data, tests=False)) == [
        "ppo (1 seed)",
        "ppo_CartPole-v1 (3 seeds)",
        "vpg_CartPole-v1 (3 seeds)",
    ]


def test_each_environment_has_its_panel_and_an_algorithm_one_colour(data):
    write_run(data / "ppo_Pendulum-v1" / "ppo_Pendulum-v1_s0", [-9, -1], env="Pendulum-v1")
    figure = draw(data, tests=False)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["CartPole-v1", "Pendulum-v1"]
    assert legend(figure) == ["ppo (1–3 seeds)", "vpg (3 seeds)"]
    cartpole, pendulum = (bold(axes)[0].get_color() for axes in figure.axes)
    assert cartpole == pendulum


def test_steps_are_counted_in_thousands_and_millions(tmp_path):
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
        ({"out": "curve.gif"}, r"curve\.gif: unknown kind .* \.png, \.svg or \.pdf"),
        ({"out": "curve"}, "unknown kind of figure"),
        (
            {"out": "ppo_CartPole-v1/ppo_CartPole-v1_s0/progress.csv/a.png"},
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
