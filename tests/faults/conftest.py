"""Every test of a fault works in a folder of its own, and fails instead of hanging."""

import signal

import commands
import pytest


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def with_a_time_limit():
    def expired(*_):
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(3 * commands.LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
