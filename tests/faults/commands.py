"""Commands as processes: started in a session of their own, so that none is left behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

from rlcourse import run

HERE = Path(__file__).parent
LIMIT = 120  # seconds after which a process counts as hanging


def words(algo, text):
    return [algo, "--exp-name", "exp", "--data-dir", "data", *text.split()]


def here(algo, text):
    """Run a command in this process: its exit code."""
    try:
        return run.main(words(algo, text))
    except SystemExit as e:
        return e.code


def start(algo, text, data="data", **more):
    named = ["--exp-name", "exp", "--data-dir", data]
    return launch([sys.executable, "-m", "rlcourse.run", algo, *named, *text.split()], **more)


def launch(command, **more):
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    more["env"] = os.environ | {"PYTHONPATH": path} | more.get("env", {})
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **more,
    )


def end(process, limit=LIMIT):
    """Exit code and output, once no process of its session is left; a hang is a TimeoutExpired."""
    try:
        out, _ = process.communicate(timeout=limit)
        deadline = time.monotonic() + 10
        while left := session(process.pid):
            assert time.monotonic() < deadline, f"processes {left} are still there"
            time.sleep(0.05)
    finally:
        for pid in session(process.pid):
            os.kill(pid, 9)
        process.wait()
    return process.returncode, out.decode(errors="replace")


def session(leader):
    """The processes that a process and its children started, zombies aside (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session_, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(session_) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(condition, process):
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"nothing in {LIMIT} s"
        assert process.poll() is None, process.communicate()[0].decode(errors="replace")
        time.sleep(0.005)
