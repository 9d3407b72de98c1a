"""Tests of workers that hang or die, and of runs that are killed."""

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import small
from collections_of_songs import shards, song, write

from poph_tf.config import DataConfig, ExecutionOptions
from poph_tf.data.preparation import sources, staging, workers
from poph_tf.errors import InputError

TOOL = small.ROOT / "tools" / "make_tfrecords.py"


class Deadly:
    """A path on which whoever opens it dies."""

    def __fspath__(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Endless:
    """A path on which whoever opens it hangs."""

    def __fspath__(self):
        time.sleep(3600)


def outcome(tmp_path, items, seconds=60.0):
    """(source, reason) of what became of items, in two chunks."""
    store = staging.Staging(tmp_path, "key")
    store.begin()
    chunks = [staging.Chunk("a", tuple(items)), staging.Chunk("b", (good("z"),))]
    effort = ExecutionOptions(num_workers=2, seconds_per_file=seconds)
    settings = DataConfig(input=("x",))
    done = list(workers.convert_all(chunks, settings, effort, store))
    assert sorted(d.key for d in done) == ["a", "b"]
    found = {}
    for key in ("a", "b"):
        pieces, rejects, _ = store.read(key)
        found |= {source: None for source, _ in pieces} | dict(map(tuple, rejects))
    return found


def good(name):
    return sources.Item(f"{name}.mid", "s", data=song(1))


def test_a_file_that_kills_its_worker_is_rejected_and_the_rest_converted(tmp_path):
    bad = sources.Item("bad.mid", "s", path=Deadly())
    found = outcome(tmp_path, [good("a"), bad, good("b")])
    assert found.pop("bad.mid") == "its worker died (SIGKILL)"
    assert found == {"a.mid": None, "b.mid": None, "z.mid": None}


def test_a_file_on_which_a_worker_hangs_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_START_SECONDS", 0.0)
    bad = sources.Item("bad.mid", "s", path=Endless())
    found = outcome(tmp_path, [good("a"), bad, good("b")], seconds=3.0)
    assert found.pop("bad.mid") == "took longer than 3 seconds"
    assert found == {"a.mid": None, "b.mid": None, "z.mid": None}


def test_a_chunk_counts_only_while_its_files_are_the_same(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(song(1))
    items = [sources.Item("a.mid", "s", path=str(path))]
    (first,) = staging.chunks(items)
    assert next(staging.chunks(items)).key == first.key
    path.write_bytes(song(2) + b" ")
    assert next(staging.chunks(items)).key != first.key
    (left,) = staging.chunks([sources.Item("a", "s", data=b"one")])
    (right,) = staging.chunks([sources.Item("a", "s", data=b"two")])
    assert left.key != right.key


def test_what_another_run_left_is_not_used(tmp_path):
    store = staging.Staging(tmp_path, "one")
    store.begin()
    store.write("a", [])
    staging.Staging(tmp_path, "one").begin()
    assert store.has("a")
    staging.Staging(tmp_path, "two").begin()
    assert not store.has("a")


def command(root, output, num_workers=2):
    arguments = [f"--input={root}", f"--output_dir={output}"]
    return [sys.executable, str(TOOL), *arguments, f"--num_workers={num_workers}"]


def test_the_number_of_workers_does_not_change_a_byte(tmp_path):
    root = write(tmp_path / "songs", 150)
    made = []
    for num_workers in (1, 3):
        output = tmp_path / f"out{num_workers}"
        subprocess.run(command(root, output, num_workers), check=True)
        made.append(shards(output))
    assert made[0] == made[1]
    assert len(made[0]) == 6


# What a run leaves in its folder, in the order of its work.
SIGNS = (".unfinished/run.json", ".unfinished/*.table", "*.gz*", "*.csv")


def newer(folder, pattern, since):
    """Whether there are files of a later time than `since` (seconds)."""
    with contextlib.suppress(FileNotFoundError):  # renamed while we look
        return any(path.stat().st_mtime > since for path in folder.glob(pattern))
    return False


def test_a_run_killed_ten_times_ends_like_one_that_was_not(tmp_path):
    root = write(tmp_path / "songs", 200)
    subprocess.run(command(root, tmp_path / "whole"), check=True)
    output = tmp_path / "killed"
    chance = random.Random(0)
    stopped = []
    for number in range(10):
        run = subprocess.Popen(command(root, output), stderr=subprocess.PIPE)
        sign = SIGNS[number % len(SIGNS)]
        begun = time.time()
        while run.poll() is None and not newer(output, sign, begun):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        # One Ctrl-C among them.
        run.send_signal(signal.SIGINT if number == 4 else signal.SIGKILL)
        stopped.append((run.wait(), run.stderr.read()[-13:]))
        if not stopped[-1][0] and number < 9:
            shutil.rmtree(output)  # It was quicker: from the start again.
    # It may have ended before the signal came, its last line said or not.
    ended = [(0, b""), (0, b", 0 rejected\n")]
    assert stopped[4] in [(1, b"Interrupted.\n"), *ended]
    assert sum(code == -signal.SIGKILL for code, _ in stopped) >= 5
    subprocess.run(command(root, output), check=True)
    assert shards(output) == shards(tmp_path / "whole")
    left = sorted(p.name for p in output.iterdir())
    assert left == sorted(p.name for p in (tmp_path / "whole").iterdir())


def test_a_full_disk_is_one_error(tmp_path, monkeypatch):
    store = staging.Staging(tmp_path / "out", "key")
    store.begin()

    def full(key, converted):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write", full)
    chunk = staging.Chunk("a", (good("a"),))
    with pytest.raises(InputError, match="Cannot write to .*: No space left on device"):
        workers.convert_chunk(chunk, {}, DataConfig(input=("x",)), store)


def test_the_parent_of_workers_raises_what_they_cannot_mend(tmp_path):
    store = staging.Staging(tmp_path, "key")
    store.begin()
    # A file where the store's folder was: nothing can be written there.
    shutil.rmtree(store.folder)
    store.folder.write_bytes(b"")
    chunks = [staging.Chunk("a", (good("a"),))]
    inputs = DataConfig(input=("x",))
    effort = ExecutionOptions(num_workers=1)
    with pytest.raises(InputError, match="Cannot write to"):
        list(workers.convert_all(chunks, inputs, effort, store))
