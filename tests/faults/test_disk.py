"""Full disks, damaged files, unusual names, and processes that are killed while they save."""

import contextlib
import io
import itertools
import multiprocessing
import os
import random
import resource
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from commands import end, here, start, wait_for

from rlcourse.utils import checkpoint
from rlcourse.utils.config import UserError
from rlcourse.utils.logger import read

TINY = "--env CartPole-v1 --num-envs 2 --horizon 16 --minibatch 16 --passes 1 --eval-episodes 1"
OFF_POLICY = (
    "--env Pendulum-v1 --num-envs 2 --horizon 16 --minibatch 16 --random-steps 8 --memory 5000 "
    "--hidden 32 --eval-episodes 1"
)
FOLDER = Path("data/exp/exp_s0")


def at_most(size):
    """For a child process: no file may become larger than `size` bytes."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix == ".pt"}


# ---------------------------------------------------------------------------------- full disks


@pytest.mark.fault("full-disk")
@pytest.mark.parametrize(
    ("algo", "flags"), [("ppo", f"{TINY} --save-every 0"), ("sac", f"{OFF_POLICY} --save-every 0")]
)
def test_a_full_disk_is_one_line_and_leaves_whole_what_was_saved(algo, flags):
    """Epochs 1 to 3 fit; then no file may be half as large as the smallest one is."""
    assert here(algo, f"{flags} --epochs 3") == 0
    before = contents(FOLDER)
    least = min(map(len, before.values())) // 2
    code, out = end(start(algo, f"{flags} --epochs 6", preexec_fn=at_most(least)))
    assert code == 2, out
    told = [line for line in out.splitlines() if line.startswith("rlcourse: ")]
    assert len(told) == 1 and "cannot be written: File too large" in told[0], out
    assert "make room, and repeat the command" in told[0] and "Traceback" not in out
    assert contents(FOLDER) == before
    assert not [*FOLDER.rglob("*.tmp")]
    assert here(algo, f"{flags} --epochs 6") == 0
    assert here(algo, f"{flags} --epochs 6 --exp-name whole") == 0
    whole, mine = (
        checkpoint.load(Path(f"data/{name}/{name}_s0/checkpoint.pt")) for name in ("whole", "exp")
    )
    for name, value in whole["agent"].items():
        assert torch.equal(value, mine["agent"][name]), name


@pytest.mark.slow
@pytest.mark.fault("full-disk")
def test_a_run_goes_on_without_tensorboard_where_its_events_find_no_room():
    code, out = end(
        start("ppo", f"{TINY} --hidden 4 --epochs 150 --eval-every 50", preexec_fn=at_most(75_000))
    )
    assert code == 0, out
    assert out.count("no more events for TensorBoard: File too large") == 1
    assert len(read(FOLDER / "progress.csv")) == 150
    assert checkpoint.load(FOLDER / "checkpoint.pt")["epoch"] == 150
    assert max(p.stat().st_size for p in FOLDER.glob("events.*")) <= 75_000


# -------------------------------------------------------------------------------- damaged files


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A checkpoint as bytes, of a run with all that one can hold."""
    folder, before = tmp_path_factory.mktemp("whole"), Path.cwd()
    os.chdir(folder)
    assert here("sac", f"{OFF_POLICY} --epochs 2 --hidden 8") == 0
    os.chdir(before)
    return (folder / FOLDER / "checkpoint.pt").read_bytes()


def refused(content):
    Path("damaged.pt").write_bytes(content)
    with pytest.raises(UserError, match="damaged.pt is damaged or foreign"):
        checkpoint.load(Path("damaged.pt"))


@pytest.mark.fault("damaged")
@pytest.mark.parametrize(
    "count", [100, pytest.param(3000, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_no_checkpoint_with_a_flipped_bit_is_loaded(count, whole):
    for bit in random.Random(0).sample(range(8 * len(whole)), count):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        refused(bytes(changed))


@pytest.mark.fault("damaged")
@pytest.mark.parametrize(
    "count", [20, pytest.param(200, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_no_checkpoint_that_was_cut_off_is_loaded(count, whole):
    for length in [0, len(whole) - 1, *random.Random(0).sample(range(len(whole)), count)]:
        refused(whole[:length])


@pytest.mark.fault("torn-rows")
def test_a_run_continues_from_a_table_that_was_cut_anywhere_in_its_last_rows():
    flags = f"{TINY} --save-every 0 --eval-every 2"
    assert here("vpg", f"{flags.replace('--passes 1', '')} --epochs 4") == 0
    table = (FOLDER / "progress.csv").read_bytes()
    saved = checkpoint.load(FOLDER / "checkpoint.prev.pt")["epoch"]
    assert saved == 3
    expected = [row["LossPi"] for row in read(FOLDER / "progress.csv")]
    kept = contents(FOLDER)
    end_of_3 = table.rfind(b"\n", 0, -1) + 1
    for length in range(end_of_3, len(table), 37):
        (FOLDER / "checkpoint.pt").write_bytes(kept["checkpoint.prev.pt"])
        (FOLDER / "progress.csv").write_bytes(table[:length])
        assert here("vpg", f"{flags.replace('--passes 1', '')} --epochs 4") == 0
        assert [row["LossPi"] for row in read(FOLDER / "progress.csv")] == expected


# --------------------------------------------------------------------------- killed in a save


def save_for_ever(tell):
    for value in itertools.count(1):
        data = dict.fromkeys(checkpoint.PARTS) | {"value": value}
        checkpoint.save(Path("state.pt"), data | {"x": torch.full((50_000,), float(value))})
        tell.send(value)


@pytest.mark.fault("killed-saving")
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_process_killed_while_it_saves_leaves_two_whole_files(kills):
    """And what a reader finds is the save that was reported, or the one after it."""
    fork = multiprocessing.get_context("fork")  # it begins at once, without importing anything
    for _ in range(kills):
        hear, tell = fork.Pipe(duplex=False)
        process = fork.Process(target=save_for_ever, args=(tell,))
        process.start()
        tell.close()
        told = [hear.recv() for _ in range(random.randint(2, 9))]
        time.sleep(random.random() * 0.01)
        process.kill()
        process.join()
        with contextlib.suppress(EOFError):
            while True:
                told.append(hear.recv())
        data, complaint = checkpoint.load_newest(Path("state.pt"))
        assert complaint == ""
        assert told[-1] <= data["value"] <= told[-1] + 1
        assert (data["x"] == data["value"]).all()
        before = checkpoint.load(checkpoint.previous(Path("state.pt")))
        assert before["value"] in (data["value"] - 1, data["value"])


# ---------------------------------------------------------------------------------------- names


@pytest.mark.slow
@pytest.mark.fault("names")
@pytest.mark.parametrize(
    "name",
    [b"with spaces", "Größe \N{SNOWMAN} \N{GRINNING FACE}".encode(), b"bytes \xff\xfe", b"-flag"],
    ids=["spaces", "unicode", "bytes", "dash"],
)
def test_a_folder_may_have_any_name_on_a_terminal_that_has_ascii_only(name):
    data = os.fsdecode(name)
    ascii_only = {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C", "PYTHONUTF8": "0"}
    flags = f"{TINY} --epochs 2"
    code, out = end(start("ppo", flags, data=f"./{data}", env=ascii_only))
    assert code == 0 and "Traceback" not in out, out
    assert ("no more events" in out) == (name.decode("ascii", "replace").isascii() is False)
    folder = Path(data) / "exp" / "exp_s0"
    assert checkpoint.load(folder / "checkpoint.pt")["epoch"] == 2
    code, out = end(start("ppo", flags, data=f"./{data}", env=ascii_only))
    assert code == 0 and "finished already" in out


@pytest.mark.slow
@pytest.mark.fault("in-use")
def test_two_runs_never_write_into_one_folder():
    first = start("ppo", f"{TINY} --epochs 100000 --save-every 0")
    try:
        wait_for((FOLDER / "checkpoint.pt").exists, first)
        code, out = end(start("ppo", f"{TINY} --epochs 100000"))
        assert code == 2 and f"is in use by process {first.pid}" in out
    finally:
        first.kill()
        first.communicate()
    assert here("ppo", f"{TINY} --epochs 2 --exp-name other") == 0  # a lock dies with its process
    assert here("ppo", f"{TINY} --epochs 1 --overwrite") == 0


@pytest.mark.fault("foreign")
def test_what_pickle_would_run_is_never_run():
    class Evil:
        def __reduce__(self):
            return os.system, ("touch executed",)

    import pickle

    files = {"pickle.pt": pickle.dumps(Evil())}
    buffer = io.BytesIO()
    torch.save({"format": 1, "epoch": Evil()}, buffer)
    files["torch.pt"] = buffer.getvalue()
    mark = checkpoint._MARK
    import hashlib

    for name, body in files.items():
        for signed in (body, body + mark + hashlib.sha256(body).hexdigest().encode()):
            Path(name).write_bytes(signed)
            with pytest.raises(UserError):
                checkpoint.load(Path(name))
    assert not Path("executed").exists()
