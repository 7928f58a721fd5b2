"""Completion by the Tab key, asked of the shells themselves."""

import os
import shutil
import subprocess
from signal import SIGKILL
from threading import Timer

import pytest

from rlcourse import ALGOS, run

CASES = {
    "p": {"plot", "ppo"},
    "": {"plot", "report", "eval", "watch", "export", "check", "completion", *ALGOS},
    "ppo --ga": {"--gamma"},
    "sac --rand": {"--random-steps"},
    "vpg --rand": set(),
    "ppo --env CartP": {"CartPole-v1"},
    "ppo --seed 1 --env Pend": {"Pendulum-v1"},
    "check Acro": {"Acrobot-v1"},
    "check --max": {"--max-ep-len"},
    "check CartPole-v1 --env-": {"--env-kwargs"},
    "plot --val": {"--value"},
    "plot da": set(),  # the shell completes the names of files
    "ppo --env CartPole-v1 ": set(),
    "nothing --ga": set(),
}


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "rlcourse.sh"
    with pytest.MonkeyPatch.context() as patch, open(path, "w") as file:
        patch.setattr("sys.stdout", file)
        assert run.main(["completion"]) == 0
    return path


def test_bash_completes_commands_flags_and_environments(script):
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    lines = [f'source "{script}"; complete -p rlcourse']
    for line in CASES:
        words = " ".join(f"'{word}'" for word in ["rlcourse", *line.split(" ")])
        lines.append(f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))")
        lines.append('_rlcourse; echo "${COMPREPLY[*]}"')
    found = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True)
    assert found.stderr == ""
    registered, *replies = found.stdout.splitlines()
    assert registered == "complete -o default -F _rlcourse rlcourse"
    assert {line: set(r.split()) for line, r in zip(CASES, replies, strict=True)} == CASES


def test_zsh_completes_them_at_the_prompt(script, tmp_path):
    pty = pytest.importorskip("pty")
    if not shutil.which("zsh"):
        pytest.skip("there is no zsh")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ |= {"ZDOTDIR": str(tmp_path), "TERM": "dumb", "HOME": str(tmp_path)}
        os.execvp("zsh", ["zsh", "-f", "-i"])
    guard = Timer(60, os.kill, (pid, SIGKILL))  # a question of the shell's must not hang the test
    guard.start()
    with os.fdopen(terminal, "r+b", buffering=0) as screen:
        screen.write(f'source "{script}"; rlcourse() {{ echo "[$*]"; }}\n'.encode())
        screen.write(b"rlcourse ppo --ga\t0.9 --env CartP\t\n")
        screen.write(b"exit\n")
        seen = b""
        try:
            while part := screen.read(1024):
                seen += part
        except OSError:  # how Linux says that the other side has closed
            pass
    os.waitpid(pid, 0)
    guard.cancel()
    assert b"[ppo --gamma 0.9 --env CartPole-v1]" in seen
