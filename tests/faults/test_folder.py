"""A run's folder in which a file is missing, damaged, foreign or half removed, or finds no room."""

import errno
import os
import resource
import shutil
import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from commands import here
from test_death import assert_same

from rlcourse import ppo
from rlcourse.utils import checkpoint, folders, mpi
from rlcourse.utils.config import Settings, UserError, cores
from rlcourse.utils.evaluate import Evaluation
from rlcourse.utils.logger import Logger, newest, read
from rlcourse.utils.run import Run

SAC = (
    "--env Pendulum-v1 --num-envs 2 --horizon 16 --minibatch 16 --random-steps 8 --memory 5000 "
    "--hidden 8 --max-ep-len 30 --eval-every 1 --eval-episodes 1 --epochs 4 --save-every 0"
)
VPG = (
    "--env CartPole-v1 --num-envs 2 --horizon 16 --minibatch 16 --eval-episodes 1 --epochs 3 "
    "--save-every 0"
)
FOLDER = Path("data/exp/exp_s0")
FILES = ("checkpoint.pt", "model.pt", "best.pt")


@pytest.fixture(scope="module", autouse=True)
def later_is_better():
    """Each epoch has the best evaluation so far, and writes best.pt."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Evaluation, "play", lambda self, policy, epoch: [(float(epoch), 1)])
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a `whole` run, and `begun`, a copy from when two of its epochs were saved."""
    place, before, save = tmp_path_factory.mktemp("runs"), Path.cwd(), Run._save

    def copied(self, row):
        save(self, row)
        if row["Epoch"] == 2:
            shutil.copytree(FOLDER, "begun")

    os.chdir(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_save", copied)
        assert here("sac", SAC) == 0
    FOLDER.rename("whole")
    os.chdir(before)
    return place


@pytest.fixture
def begun(runs):
    shutil.copytree(runs / "begun", FOLDER)


def columns(folder):
    rows = read(folder / "progress.csv")
    return [{n: x for n, x in r.items() if "Time" not in n and "PerSec" not in n} for r in rows]


def assert_continues(runs, rows=True):
    """The same command ends with what the whole run has."""
    assert here("sac", SAC) == 0
    for name in FILES:
        assert_same(checkpoint.load(FOLDER / name), checkpoint.load(runs / "whole" / name))
    assert not rows or columns(FOLDER) == columns(runs / "whole")


def contents():
    return {p: p.read_bytes() for p in FOLDER.rglob("*") if p.is_file()}


def assert_one_line(capsys, *fragments):
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("rlcourse: "), err
    for fragment in fragments:
        assert fragment in err


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def another_file(path):
    shutil.copy(FOLDER / "model.pt", path)


def another_segment(path):
    shutil.copy(FOLDER / "replay/0_0_32.pt", path)


def fewer_rows(path):
    checkpoint.save(path, {"rows": checkpoint.load(path)["rows"][:-1]}, keep=False)


# ------------------------------------------------------------------------------- replay memory


@pytest.mark.fault("damaged")
@pytest.mark.parametrize("damage", [flip, Path.unlink, another_file, another_segment, fewer_rows])
def test_where_the_newest_replay_is_damaged_the_generation_before_is_taken(
    damage, runs, begun, capsys
):
    assert checkpoint.load(FOLDER / "checkpoint.pt")["ranks"][0]["memory"]["segments"][1] == [
        32,
        64,
    ]
    damage(FOLDER / "replay/0_32_64.pt")
    assert_continues(runs)
    out = capsys.readouterr().out
    assert "0_32_64.pt" in out and "going on from the one before it" in out
    assert "continuing after epoch 1" in out


@pytest.mark.fault("damaged")
def test_where_both_generations_need_a_damaged_replay_it_is_named(begun, capsys):
    flip(FOLDER / "replay/0_0_32.pt")
    before = contents()
    assert here("sac", SAC) == 2
    assert_one_line(capsys, "damaged: --overwrite starts anew", "replay/0_0_32.pt")
    assert contents() == before


# -------------------------------------------------------------------------- the other files


@pytest.mark.fault("torn-rows")
@pytest.mark.parametrize(
    "damage",
    [
        lambda text: b"a,b\n1,2\n3,4\n",
        lambda text: b"",
        lambda text: text.replace(b"Epoch", b"Epocj", 1),
        lambda text: text.replace(b"TotalEnvInteracts", b"TotalEnvInterbcts", 1),
        lambda text: text.replace(b"\n2,64,", b"\n2,\x00\xff,"),
        lambda text: text.replace(b"\n1,", b'\n"1,') + b"3,96\n",
    ],
    ids=["foreign", "empty", "header", "steps", "bytes", "quote"],
)
def test_damaged_rows_are_lost_and_no_more_than_they(damage, runs, begun, capsys):
    path = FOLDER / "progress.csv"
    path.write_bytes(damage(path.read_bytes()))
    assert_continues(runs, rows=False)
    assert "progress.csv has lost " in capsys.readouterr().out
    rows, whole = columns(FOLDER), columns(runs / "whole")
    epochs = [row["Epoch"] for row in rows]
    assert epochs in ([1, 3, 4], [2, 3, 4], [3, 4])
    for row in rows:
        assert row == whole[row["Epoch"] - 1]


@pytest.mark.fault("torn-rows")
def test_a_row_that_was_lost_in_the_middle_does_not_make_room_for_one_that_is_not_covered(
    runs, begun
):
    lines = (runs / "whole/progress.csv").read_text().splitlines(keepends=True)
    (FOLDER / "progress.csv").write_text("".join([lines[0], lines[2], lines[3]]))  # epochs 2, 3
    assert_continues(runs, rows=False)
    assert [row["Epoch"] for row in columns(FOLDER)] == [2, 3, 4]


@pytest.mark.fault("torn-rows")
def test_no_changed_byte_of_a_table_breaks_its_readers():
    rows = [{"Epoch": k, "KL": -k / 3, "LossV": None} for k in range(1, 4)]
    log = Logger(Path(), [])
    for row in rows:
        log.write(row | {"TotalEnvInteracts": 9})
    log.close()
    path = Path("progress.csv")
    text = path.read_bytes()
    for at in range(len(text)):
        for byte in b'\x00\n\r",\xff9':
            path.write_bytes(text[:at] + bytes([byte]) + text[at + 1 :])
            assert len(read(path)) <= 4 and isinstance(newest(path), dict)
    path.write_text('Epoch,KL\n1,"0.1\n' + "2,0.1\n" * 30_000)  # a quote without an end
    assert len(read(path)) == 30_001


@pytest.mark.fault("torn-rows")
def test_a_finished_run_without_its_table_is_finished(runs, capsys):
    shutil.copytree(runs / "whole", FOLDER)
    (FOLDER / "progress.csv").unlink()
    assert here("sac", SAC) == 0
    assert here("sac", f"{SAC} --dry-run") == 0
    out = capsys.readouterr().out
    assert "finished already" in out and "1 runs: 1 finished" in out


@pytest.mark.fault("damaged")
def test_without_its_configuration_or_with_damaged_events_a_run_continues(runs, begun):
    (FOLDER / "config.yaml").unlink()
    for path in FOLDER.glob("events.*"):
        flip(path)
    assert_continues(runs)
    assert folders.read_config(FOLDER)["algo"] == "sac"


@pytest.mark.fault("damaged")
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 300, b"\xff\xfe", b"algo: [", b"- 1\n", b"algo: *a\n", b"x: 1\n"]
)
def test_a_configuration_that_is_damaged_is_named_and_nothing_is_changed(content, begun, capsys):
    (FOLDER / "config.yaml").write_bytes(content)
    before = contents()
    assert here("sac", SAC) == 2
    assert_one_line(capsys, "config.yaml")
    assert contents() == before


# ------------------------------------------------------------------------ no room, at any moment


@pytest.mark.fault("full-disk")
@pytest.mark.parametrize(
    "name", ["config.yaml", "progress.csv", "0_64_96.pt", "best.pt", "model.pt", "checkpoint.pt"]
)
def test_whichever_file_finds_no_room_the_run_continues_from_its_last_save(
    name, runs, begun, capsys, monkeypatch
):
    def full(source, target, replace=os.replace):
        if Path(target).name == name:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert here("sac", SAC) == 2
    assert_one_line(capsys, f"{name} cannot be written: No space left on device")
    assert not [*FOLDER.rglob("*.tmp")]
    assert checkpoint.load(FOLDER / "checkpoint.pt")["epoch"] == 2
    assert_continues(runs)


@pytest.mark.fault("full-disk")
@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EFBIG"])
def test_each_kind_of_no_room_is_called_so(name):
    number = getattr(errno, name)
    with pytest.raises(UserError, match="x.pt cannot be written: .*make room"):
        with checkpoint.room(Path("x.pt")):
            raise OSError(number, os.strerror(number))


@pytest.mark.fault("full-disk")
def test_a_row_that_finds_no_room_is_one_line():
    log = Logger(Path(), [])
    log.write({"Epoch": 1, "TotalEnvInteracts": 9})
    log.close()
    log.shows = False
    size = Path("progress.csv").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1, hard))
    try:
        with pytest.raises(UserError, match="progress.csv cannot be written: File too large"):
            log.write({"Epoch": 2, "TotalEnvInteracts": 18})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [row["Epoch"] for row in read(Path("progress.csv"))] == [1]


# ---------------------------------------------------------------------- killed between two files


class Killed(BaseException):
    """Nothing catches it."""


@pytest.mark.fault("killed")
@pytest.mark.parametrize("count", range(7))
def test_a_run_whose_removal_was_cut_off_is_made_whole_by_the_same_command(count, monkeypatch):
    assert here("vpg", VPG) == 0
    whole = {name: checkpoint.load(FOLDER / name) for name in FILES}
    calls, unlink = 0, Path.unlink

    def cut_off(self, missing_ok=False):
        nonlocal calls
        calls += 1
        if calls > count:
            raise Killed
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", cut_off)
        with pytest.raises(Killed):
            here("vpg", f"{VPG} --overwrite")
    assert here("vpg", VPG) == 0
    for name, data in whole.items():
        assert_same(checkpoint.load(FOLDER / name), data)
    assert len(read(FOLDER / "progress.csv")) == 3


@pytest.mark.fault("killed")
@pytest.mark.parametrize("name", ["0_64_96.pt", "best.pt", "model.pt", "checkpoint.pt"])
@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_was_killed_between_two_files_of_a_save_continues(
    name, after, runs, begun, monkeypatch
):
    def killed(source, target, replace=os.replace):
        if not after and Path(target).name == name:
            raise Killed
        replace(source, target)
        if Path(target).name == name:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "replace", killed)
        here("sac", SAC)
    assert_continues(runs)


@pytest.mark.fault("killed-saving")
def test_rows_and_replay_are_on_the_disk_before_the_checkpoint_that_covers_them(begun, monkeypatch):
    calls = []

    def fsync(file, original=os.fsync):
        calls.append("sync " + Path(f"/proc/self/fd/{file}").readlink().name)
        original(file)

    def replace(source, target, original=os.replace):
        calls.append(f"rename {Path(target).name}")
        original(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    assert here("sac", SAC) == 0
    last = calls[calls.index("rename checkpoint.pt") + 1 :]
    order = ["rename 0_96_128.pt", "sync replay", "sync progress.csv", "rename checkpoint.pt"]
    assert [call for call in last if call in order] == order
    assert last[last.index(order[-1]) + 1] == "sync exp_s0"


@pytest.mark.fault("killed-saving")
def test_what_a_killed_process_was_writing_is_removed(runs, begun):
    for name in (".checkpoint.pt.99.tmp", "replay/.0_64_96.pt.99.tmp"):
        (FOLDER / name).write_bytes(b"torn")
    (FOLDER / "run.lock").write_text("98765432109\n")
    assert_continues(runs)
    assert not [*FOLDER.rglob(".*.tmp")]
    assert (FOLDER / "run.lock").read_text() == f"{os.getpid()}\n"


# -------------------------------------------------------------------------------- odds and ends


@pytest.mark.fault("repeat")
def test_time_only_goes_on_though_the_clock_goes_back(monkeypatch):
    clock = iter(range(2_000_000_000, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    assert here("vpg", VPG) == 0
    times = [row["Time"] for row in read(FOLDER / "progress.csv")]
    assert 0 < times[0] and all(a < b for a, b in pairwise(times))
    assert here("vpg", VPG.replace("--epochs 3", "--epochs 5")) == 0
    assert read(FOLDER / "progress.csv")[-1]["Time"] > times[-1]


@pytest.mark.fault("repeat")
def test_equal_data_make_equal_bytes_under_any_name():
    data = {"x": torch.ones(3), "n": {"a": [1, 2.5, None]}}
    for name in ("a.pt", "longer_name.pt"):
        checkpoint.save(Path(name), data)
    assert Path("a.pt").read_bytes() == Path("longer_name.pt").read_bytes()


@pytest.mark.fault("side-by-side")
def test_no_two_processes_or_seeds_draw_the_same_numbers(monkeypatch):
    drawn = set()
    for seed in (0, 1, 10_000):
        for rank in range(4):
            monkeypatch.setattr(mpi, "rank", lambda rank=rank: rank)
            Run(ppo.Config("CartPole-v1", seed=seed), Settings(), show=False)
            drawn.add(float(torch.rand((), dtype=torch.float64)))
    assert len(drawn) == 12


@pytest.mark.fault("mistake")
def test_a_folder_that_cannot_be_written_is_named():
    Path("locked").mkdir(mode=0o500)
    Path().chmod(0o755)
    user = os.geteuid()
    try:
        if user == 0:  # whom modes do not bind
            os.seteuid(65534)
        with pytest.raises(UserError, match="cannot write to locked/run: Permission denied"):
            folders.take(Path("locked/run"))
    finally:
        os.seteuid(user)
    assert not any(Path("locked").iterdir())


@pytest.mark.fault("signal")
def test_all_processes_stay_until_the_last_words_are_out(monkeypatch, capsys):
    said = []
    monkeypatch.setattr(mpi, "barrier", lambda: said.append(capsys.readouterr().out))
    with pytest.raises(SystemExit, match="143"):
        Run._leave(None, signal.SIGTERM)
    assert said == ["stopped by SIGTERM, saved: the same command continues\n"]


@pytest.mark.fault("wrong-launcher")
def test_the_mpiexec_beside_python_comes_before_all_others(monkeypatch):
    calls = []
    for place in ("bin", "path"):
        Path(place).mkdir()
        Path(place, "mpiexec").touch(0o755)
    monkeypatch.setattr(os, "execve", lambda *call: calls.append(call))
    monkeypatch.setattr(sys, "executable", str(Path("bin/python").absolute()))
    monkeypatch.setenv("PATH", str(Path("path").absolute()))
    monkeypatch.delenv("RLCOURSE_CPU", raising=False)
    mpi.launch(2, [])
    Path("bin/mpiexec").unlink()
    mpi.launch(2, [])
    assert [Path(call[0]).parent.name for call in calls] == ["bin", "path"]


@pytest.mark.fault("mistake")
def test_more_processes_than_cores_are_told_that_they_wait(monkeypatch, capsys):
    monkeypatch.setattr(os, "execve", lambda *_: None)
    monkeypatch.delenv("RLCOURSE_CPU", raising=False)
    mpi.launch(cores() + 1, [])
    assert f"{cores() + 1} processes share {cores()} cores" in capsys.readouterr().err
    mpi.launch(2, [])
    assert cores() < 2 or capsys.readouterr().err == ""


@pytest.mark.fault("process-fails")
def test_a_job_that_cannot_even_write_its_log_does_not_end_the_others(capfd):
    Path("data/exp/exp_s0/log.txt").mkdir(parents=True)
    assert here("vpg", f"{VPG} --seed 0 1 --jobs 2") == 1
    assert "1 of 2 runs failed" in capfd.readouterr().out
    assert len(read(Path("data/exp/exp_s1/progress.csv"))) == 3


@pytest.mark.fault("not-finite")
def test_a_job_with_a_reward_that_is_none_fails_alone_and_says_why(capfd):
    kwargs = "--env-kwargs fault=nan_reward at_step=20"
    flags = VPG.replace("CartPole-v1", "faulty:Faulty-v0")
    assert here("vpg", f"{flags} --seed 0 1 --jobs 2 {kwargs}") == 1
    out = capfd.readouterr().out
    assert "2 of 2 runs failed" in out and out.count("FloatingPointError: the reward of") >= 2
    for seed in (0, 1):
        folder = Path(f"data/exp/exp_s{seed}")
        assert checkpoint.load(folder / "checkpoint.pt")["epoch"] == 1
        assert "FloatingPointError" in (folder / "log.txt").read_text()
