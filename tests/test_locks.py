"""Only one run at a time may use a folder."""

import os
import subprocess
import sys

import pytest

from poph_tf import locks
from poph_tf.errors import InputError

HOLD = """
import sys, time
from poph_tf import locks
with locks.held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_told_whose_the_folder_is(tmp_path):
    folder = tmp_path / "new" / "run"
    with locks.held(folder):
        with pytest.raises(InputError) as caught:
            locks.FolderLock(folder)
        message = str(caught.value)
        assert (
            f"Another run is at work in {folder} (process {os.getpid()} on" in message
        )
        assert "for 0 s)" in message and "--force" in message
    with locks.held(folder):
        pass
    assert not folder.exists()


def test_who_is_forced_out_finds_out_and_leaves_the_lock_of_the_other(tmp_path):
    with locks.held(tmp_path) as first:
        first.check()
        second = locks.FolderLock(tmp_path, force=True)
        with pytest.raises(InputError, match="has taken over .*process"):
            first.check()
    second.check()
    with pytest.raises(InputError, match="at work"):
        locks.FolderLock(tmp_path)
    second.release()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {owner.pid} on"):
            locks.FolderLock(tmp_path)
        owner.kill()
    with locks.held(tmp_path) as lock:
        lock.check()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write in .*file.run .Not a directory"):
        locks.FolderLock(tmp_path / "file" / "run")


def test_an_unreadable_owner_is_said(tmp_path):
    with locks.held(tmp_path):
        (tmp_path / locks.NAME).write_text("{")
        with pytest.raises(InputError, match="its owner is not known"):
            locks.FolderLock(tmp_path)
