"""The log: averages, rows and their files, TensorBoard, and what a person sees."""

import csv
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rlcourse import ppo
from rlcourse.utils import console, mpi
from rlcourse.utils.config import Settings
from rlcourse.utils.console import Display, clock, number
from rlcourse.utils.logger import Logger, group, read, table
from rlcourse.utils.run import Run

ROWS = [
    {"Epoch": 1, "TotalEnvInteracts": 100, "AverageEpRet": None, "KL": 0.1, "Time": 1 / 3},
    {"Epoch": 2, "TotalEnvInteracts": 200, "AverageEpRet": -2.5, "KL": 5e-324, "Time": 1e300},
    {"Epoch": 3, "TotalEnvInteracts": 300, "AverageEpRet": -7.0, "KL": -1e-7, "Time": 123456789.25},
]


def tiny(folder=None, env="CartPole-v1", epochs=2, eval_every=2, save_every=10.0, **more):
    """A short run of PPO and its rows."""
    cfg = ppo.Config(env=env, epochs=epochs, num_envs=2, horizon=32, minibatch=32, passes=1, **more)
    settings = Settings(
        eval_every=eval_every, eval_episodes=2, max_ep_len=50, save_every=save_every
    )
    run = Run(cfg, settings, folder, show=False)
    ppo.train(cfg, run)
    return run.rows


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logged")
    return folder, tiny(folder, epochs=4)


def written(folder, rows):
    log = Logger(folder, [])
    for row in rows:
        log.write(row)
    log.close()
    return folder / "progress.csv"


# --------------------------------------------------------------------------------- averages


def test_what_is_stored_is_averaged_over_the_epoch_and_then_forgotten():
    log = Logger(None, [])
    log.store(KL=1, LossPi=torch.tensor(4.0))
    log.store(KL=torch.tensor([2.5]))
    assert log.averages() == {"KL": 1.75, "LossPi": 4.0}
    assert log.averages() == {}
    log.store(KL=8)
    assert log.averages() == {"KL": 8.0}


def test_averages_weigh_each_stored_value_alike_in_all_processes(monkeypatch):
    others = iter([[5.0, 1]])  # sum and count of the other process
    monkeypatch.setattr(mpi, "total", lambda x: np.array(x, float) + next(others))
    log = Logger(None, [])
    for value in (1, 2, 3):
        log.store(KL=value)
    assert log.averages() == {"KL": (1 + 2 + 3 + 5) / 4}


def test_statistics_are_those_of_all_numbers():
    x = [3.0, -1.0, 7.5, 7.5]
    found = mpi.statistics(x)
    expected = {"Average": np.mean(x), "Std": np.std(x), "Max": 7.5, "Min": -1.0}
    assert found == pytest.approx(expected, rel=1e-15)
    assert mpi.statistics([]) == {}


# ------------------------------------------------------------------------------------- rows


def test_rows_come_back_from_the_file_bit_for_bit(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(table(ROWS))
    found = read(path)
    assert found == ROWS
    kinds = [[type(value) for value in row.values()] for row in found]
    assert kinds == [[type(value) for value in row.values()] for row in ROWS]


def test_what_a_run_writes_is_what_it_keeps_in_memory(logged):
    folder, rows = logged
    assert read(folder / "progress.csv") == rows
    assert len(rows) == 4


def test_a_cell_without_a_value_is_empty(tmp_path):
    lines = written(tmp_path, ROWS).read_text().splitlines()
    assert lines[:2] == [",".join(ROWS[0]), "1,100,,0.1,0.3333333333333333"]


@pytest.mark.fault("torn-rows")
@pytest.mark.parametrize("torn", ["4,400", "4,400,1,0.5,20", "4"])
def test_a_row_that_was_cut_short_is_left_out(tmp_path, torn):
    path = written(tmp_path, ROWS)
    with open(path, "a") as file:
        file.write(torn)
    assert read(path) == ROWS


def test_no_more_rows_are_read_than_asked_for(tmp_path):
    path = written(tmp_path, ROWS)
    assert read(path, 2) == ROWS[:2]
    assert read(path, 0) == []
    assert read(tmp_path / "absent.csv") == []


def test_a_column_may_begin_late_and_the_file_stays_a_table(tmp_path):
    log = Logger(tmp_path, ROWS)
    late = ROWS[0] | {"LossQ": 1.5}
    log.write(late)
    log.write(ROWS[1])
    log.close()
    rows = read(tmp_path / "progress.csv")
    assert rows == [row | {"LossQ": row.get("LossQ")} for row in [*ROWS, late, ROWS[1]]]
    assert log.rows == rows


def test_a_column_without_a_value_is_an_empty_cell(tmp_path):
    log = Logger(tmp_path, ROWS)
    row = {name: value for name, value in ROWS[0].items() if name != "KL"}
    log.write(row)
    log.close()
    assert read(tmp_path / "progress.csv") == [*ROWS, row | {"KL": None}]


@pytest.mark.fault("torn-rows")
def test_continuing_drops_the_rows_that_no_checkpoint_covers(tmp_path):
    path = written(tmp_path, ROWS)
    log = Logger(tmp_path, read(path, 1))
    assert read(path) == ROWS[:1]
    log.write(ROWS[1])
    log.close()
    assert read(path) == ROWS[:2]
    assert path.read_text().count("Epoch") == 1


@pytest.mark.fault("short-episodes")
def test_an_epoch_in_which_no_episode_ends_has_empty_cells_for_it(tmp_path):
    rows = tiny(tmp_path, env="Pendulum-v1", epochs=2)
    columns = ["AverageEpRet", "StdEpRet", "MaxEpRet", "MinEpRet", "EpLen"]
    assert [rows[0][name] for name in columns] == [None] * 5
    assert None not in [rows[1][name] for name in columns]  # 64 steps of at most 50
    with open(tmp_path / "progress.csv") as file:
        first = next(csv.DictReader(file))
    assert [first[name] for name in columns] == [""] * 5


def test_only_evaluated_epochs_have_the_columns_of_the_evaluation(logged):
    _, rows = logged
    for name in ("AverageTestEpRet", "StdTestEpRet", "TestEpLen", "TestTime"):
        assert [row[name] is None for row in rows] == [True, False, True, False]


def test_the_last_epoch_is_always_evaluated():
    rows = tiny(epochs=3)
    assert [row["AverageTestEpRet"] is None for row in rows] == [True, False, False]


def test_rows_count_epochs_and_environment_steps(logged):
    _, rows = logged
    assert [row["Epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["TotalEnvInteracts"] for row in rows] == [64, 128, 192, 256]
    assert [row["Time"] for row in rows] == sorted(row["Time"] for row in rows)


# ------------------------------------------------------------------------------ TensorBoard


def events(folder):
    found = EventAccumulator(str(folder))
    found.Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_tensorboard_has_every_value_over_environment_steps(logged):
    folder, rows = logged
    found = events(folder)
    for name in rows[0]:
        expected = [(r["TotalEnvInteracts"], r[name]) for r in rows if r[name] is not None]
        steps, values = zip(*found.pop(f"{group(name)}/{name}"), strict=True)
        assert list(steps) == [step for step, _ in expected]
        np.testing.assert_allclose(values, [value for _, value in expected], rtol=1e-6)
    assert found == {}


def test_columns_are_grouped_by_what_they_tell(logged):
    _, rows = logged
    groups = {name: group(name) for name in rows[0]}
    stats = ("Average", "Std", "Max", "Min")
    assert {n for n in groups if groups[n] == "rollout"} == {*(f"{s}EpRet" for s in stats), "EpLen"}
    tests = {*(f"{s}TestEpRet" for s in stats), "TestEpLen"}
    assert {n for n in groups if groups[n] == "eval"} == tests
    times = {"Epoch", "TotalEnvInteracts", "StepsPerSec", "TestTime", "Time"}
    assert {n for n in groups if groups[n] == "time"} == times
    assert {"LossPi", "LossV", "KL", "Entropy"} <= {n for n in groups if groups[n] == "train"}


@pytest.mark.fault("torn-rows")
def test_continuing_hides_what_tensorboard_had_of_dropped_rows(tmp_path):
    path = written(tmp_path, ROWS)
    log = Logger(tmp_path, read(path, 1))
    log.write(ROWS[1] | {"KL": 0.5})
    log.close()
    assert events(tmp_path)["train/KL"] == [(100, pytest.approx(0.1)), (200, 0.5)]


def assert_the_same(folder, rows):
    """TensorBoard shows the rows, each value once."""
    found = events(folder)
    for name in rows[0]:
        expected = [(r["TotalEnvInteracts"], r[name]) for r in rows if r[name] is not None]
        assert found.pop(f"{group(name)}/{name}", []) == [
            (step, pytest.approx(value, rel=1e-6)) for step, value in expected
        ]
    assert found == {}


@pytest.mark.parametrize("saved", [False, True], ids=["before the first checkpoint", "later"])
def test_a_run_that_was_cut_off_shows_each_row_once(saved, tmp_path, monkeypatch):
    write = Logger.write

    def cut_off(self, row):
        write(self, row)
        if row["Epoch"] == 3:
            with open(tmp_path / "progress.csv", "a") as file:
                file.write("4,25")  # a row that was being written
            raise KeyboardInterrupt

    save_every = 0 if saved else 1000
    monkeypatch.setattr(Logger, "write", cut_off)
    with pytest.raises(KeyboardInterrupt):
        tiny(tmp_path, epochs=4, save_every=save_every)
    with open(next(tmp_path.glob("events.*")), "ab") as file:
        file.write(b"torn")
    monkeypatch.setattr(Logger, "write", write)
    rows = tiny(tmp_path, epochs=4, save_every=save_every)
    assert len(list(tmp_path.glob("events.*"))) == 2
    assert rows == read(tmp_path / "progress.csv") and len(rows) == 4
    assert_the_same(tmp_path, rows)


def test_a_run_that_goes_on_for_longer_shows_each_row_once(tmp_path):
    tiny(tmp_path, epochs=2)
    rows = tiny(tmp_path, epochs=5)
    assert len(rows) == 5
    assert_the_same(tmp_path, rows)


def sessions(logdir):
    """What TensorBoard's own hparams page is given: parameters and final metrics of each run."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(logdir))
    backend = backend_context.Context(TBContext(data_provider=provider, logdir=str(logdir)))
    ctx, request = RequestContext(), api_pb2.ListSessionGroupsRequest(slice_size=100)
    request.allowed_statuses.extend([api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS])
    experiment = backend.experiment_from_metadata(
        ctx, "", True, backend.hparams_metadata(ctx, ""), []
    )
    for metric in experiment.metric_infos:
        request.col_params.add().metric.CopyFrom(metric.name)
    handler = list_session_groups.Handler(ctx, backend, "", request)
    found = {}
    for run in handler.run().session_groups:
        (session,) = run.sessions
        params = {n: getattr(v, v.WhichOneof("kind")) for n, v in run.hparams.items()}
        values = {m.name.tag: m.value for m in session.metric_values}
        found[session.name] = params, values
    return found, {info.name for info in experiment.hparam_infos if info.differs}


def test_tensorboard_compares_runs_by_hyper_parameters_and_results(tmp_path):
    slow = tiny(tmp_path / "a" / "slow", lr=1e-4, hidden=(8, 8))
    fast = tiny(tmp_path / "b" / "fast", lr=1e-2, epochs=3, norm_obs=False)
    found, differing = sessions(tmp_path)
    assert set(found) == {"a/slow", "b/fast"}
    for name, rows, lr, hidden in (("a/slow", slow, 1e-4, "8,8"), ("b/fast", fast, 1e-2, "64,64")):
        params, values = found[name]
        assert (params["algo"], params["env"], params["seed"]) == ("ppo", "CartPole-v1", 0)
        assert (params["lr"], params["hidden"]) == (lr, hidden)
        for column in ("AverageTestEpRet", "AverageEpRet"):
            last = console.last(rows, column)
            assert values[f"{group(column)}/{column}"] == pytest.approx(last)
    assert differing == {"lr", "hidden", "norm_obs"}


def test_hyper_parameters_are_there_from_the_first_moment_of_a_run(tmp_path):
    (folder := tmp_path / "run").mkdir()
    log = Logger(folder, [], {"lr": 0.5, "hidden": [8, 4], "norm_obs": True, "clip": 1})
    params, values = sessions(tmp_path)[0]["run"]
    log.close()
    assert params == {"lr": 0.5, "hidden": "8,4", "norm_obs": "True", "clip": 1}
    assert values == {}


# ------------------------------------------------------------------------------ the console


@pytest.fixture
def terminal(monkeypatch):
    """Variables that decide what rich takes the terminal for."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    return monkeypatch


def show(rows, title="ppo on [red]CartPole-v1"):
    display = Display(title, len(rows), 0)
    for k in range(len(rows)):
        display.show(rows[: k + 1])
    display.close()


def test_a_file_or_pipe_gets_a_plain_line_for_each_epoch(terminal, capsys, logged):
    _, rows = logged
    show(rows)
    title, head, *lines = capsys.readouterr().out.splitlines()
    assert title == "ppo on [red]CartPole-v1"
    assert head.split()[:3] == ["Epoch", "TotalEnvInteracts", "AverageEpRet"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert "\x1b" not in "".join([title, head, *lines])


def test_a_terminal_gets_a_table_of_everything(terminal, capsys, logged):
    terminal.setenv("FORCE_COLOR", "1")
    _, rows = logged
    show(rows)
    out = capsys.readouterr().out
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    assert all(name in plain for name in rows[0])
    assert "epoch 4/4" in plain
    assert re.search(r"\x1b\[[0-9;]*36m", out), "values are coloured"


def test_no_color_is_respected(terminal, capsys, logged):
    terminal.setenv("FORCE_COLOR", "1")
    terminal.setenv("NO_COLOR", "1")
    show(logged[1])
    out = capsys.readouterr().out
    assert "epoch 4/4" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    assert not re.search(r"\x1b\[([0-9]+;)*(3[0-7]|9[0-7]|38)[;m]", out)


def test_a_table_of_epochs_without_an_episode_can_be_shown(terminal, capsys, logged):
    terminal.setenv("FORCE_COLOR", "1")
    show([row | {"AverageEpRet": None} for row in logged[1][:1]])
    assert "no episode has ended yet" in capsys.readouterr().out


@pytest.mark.fault("names")
def test_ascii_terminals_get_ascii(tmp_path):
    command = [*"-m rlcourse.run ppo --env CartPole-v1 --epochs 2 --horizon 32".split()]
    command += [*"--num-envs 2 --minibatch 64 --eval-episodes 2 --data-dir späce🙂".split()]
    plain = {"PYTHONIOENCODING": "ascii", "FORCE_COLOR": "1", "PYTHONUTF8": "1"}
    found = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, env=os.environ | plain, capture_output=True
    )
    assert found.returncode == 0, found.stderr.decode()
    assert found.stdout.isascii() and b"deterministic policy" in found.stdout
    assert len(read(next(tmp_path.rglob("progress.csv")))) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (3, "3"), (250.0, "250"), (0.123456, "0.1235"), (-1234.56, "-1234.6")]
    + [(8.673407e-05, "8.673e-05"), (2_000_000, "2000000"), (float("nan"), "nan")],
)
def test_numbers_are_short(value, shown):
    assert number(value) == shown


def test_the_clock_shows_hours_minutes_and_seconds():
    assert [clock(s) for s in (0, 59.6, 3661, 100_000)] == [
        "0:00:00",
        "0:01:00",
        "1:01:01",
        "27:46:40",
    ]


def test_long_histories_are_thinned_to_means():
    assert console.thin([1.0, 3, 5, 7, 9], 3) == [2, 6, 9]
    assert console.thin([1.0, 2], 40) == [1, 2]
    assert console.sparkline([0.0, 7, 3.5]) == "▁█▄"
    assert console.sparkline([2.0, 2]) == "▁▁"
