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
from collections_of_songs import ROOT, shards, song, write
from systems import needs_posix

from poph_tf import files
from poph_tf.config import DataConfig, ExecutionOptions
from poph_tf.data.preparation import (
    conversion,
    dependencies,
    runners,
    sources,
    splits,
    staging,
)
from poph_tf.errors import InputError

TOOL = ROOT / "tools" / "make_tfrecords.py"


class Deadly:
    """A path whose opening kills the process."""

    def open(self, mode):
        os.kill(os.getpid(), signal.SIGKILL)


class Endless:
    """A path whose opening never ends."""

    def open(self, mode):
        time.sleep(3600)


class Faulty:
    """A path whose opening hits a bug in the program."""

    def open(self, mode):
        raise ZeroDivisionError


def outcome(items, seconds=60.0, num_workers=2):
    """Converts items in two chunks; returns the reason by source."""
    chunks = [staging.Chunk("a", tuple(items)), staging.Chunk("b", (good("z"),))]
    options = ExecutionOptions(num_workers=num_workers, seconds_per_file=seconds)
    found = {
        chunk.key: [(c.source, c.reason) for c in converted]
        for chunk, converted in runners.convert_locally(
            chunks, DataConfig(input=("x",)), options
        )
    }
    assert [source for source, _ in found["a"]] == [item.source for item in items]
    return dict(found["a"] + found["b"])


def good(name):
    return sources.Item(f"{name}.mid", "s", data=song(1))


@needs_posix
@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_file_that_kills_its_worker_is_rejected_and_the_rest_converted(num_workers):
    bad = sources.Item("bad.mid", "s", path=Deadly())
    found = outcome([good("a"), bad, good("b")], num_workers=num_workers)
    assert found.pop("bad.mid") == "its worker died (SIGKILL)"
    assert found == {"a.mid": None, "b.mid": None, "z.mid": None}


def test_a_file_on_which_a_worker_hangs_is_rejected(monkeypatch):
    monkeypatch.setattr(runners, "_START_SECONDS", 0.0)
    monkeypatch.setattr(runners, "_TASK_SECONDS", 0.0)
    bad = sources.Item("bad.mid", "s", path=Endless())
    found = outcome([good("a"), bad, good("b")], seconds=6.0)
    assert found.pop("bad.mid") == "took longer than 6 seconds"
    assert found == {"a.mid": None, "b.mid": None, "z.mid": None}


def test_a_file_that_meets_a_defect_is_rejected_with_its_kind():
    bad = sources.Item("bad.mid", "s", path=Faulty())
    found = outcome([good("a"), bad])
    assert found.pop("bad.mid") == "its conversion failed (ZeroDivisionError)"
    assert found == {"a.mid": None, "z.mid": None}


def test_slow_files_are_returned_in_parts(monkeypatch):
    monkeypatch.setattr(runners, "_TASK_SECONDS", 0.0)
    settings = DataConfig(input=("x",))
    assert len(runners._convert_items([good("a"), good("b")], settings)) == 1
    task = runners._Task(staging.Chunk("a", (good("a"), good("b"))), range(2), {})
    pool = runners._Pool(settings, ExecutionOptions())
    try:
        future = runners.Future()
        future.set_result(runners._convert_items([good("a")], settings))
        pool._take(task, future)
        assert [list(left.numbers) for left in pool.pending.values()] == [[1]]
        ((chunk, converted),) = [x for _ in range(60) for x in pool.finished()][:1]
        assert [c.source for c in converted] == ["a.mid", "b.mid"]
    finally:
        pool.stop()


@pytest.fixture
def _interruptible():
    """Enables Ctrl-C, which a background job of a shell ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_a_ctrl_c_waits_until_processes_have_started():
    done = []
    with pytest.raises(KeyboardInterrupt), runners._interrupts_held():
        signal.raise_signal(signal.SIGINT)
        done.append("start")
    assert done == ["start"]
    with pytest.raises(KeyboardInterrupt):  # After that it does not wait.
        signal.raise_signal(signal.SIGINT)


def test_workers_that_cannot_start_are_an_error(monkeypatch):
    monkeypatch.setattr(runners, "_begin_worker", os._exit)
    chunk = staging.Chunk("a", (good("a"),))
    # The memory limit is passed to os._exit, so it becomes the exit code.
    options = ExecutionOptions(worker_memory_mb=1)
    with pytest.raises(RuntimeError, match="they die at their start"):
        list(runners.convert_locally([chunk], DataConfig(input=("x",)), options))


def test_a_chunk_counts_only_while_its_files_are_the_same(tmp_path):
    path = tmp_path / "a.mid"
    path.write_bytes(song(1))
    items = [sources.Item("a.mid", "s", path=path)]
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


KILLS = 6
# Files that a run leaves in its folder, in the order it writes them.
SIGNS = (".unfinished/run.json", ".unfinished/*.chunk", "*.gz*", "*.csv")


def newer(folder, pattern, since):
    """Whether any file is newer than `since` (seconds)."""
    with contextlib.suppress(FileNotFoundError):  # renamed while we look
        return any(path.stat().st_mtime > since for path in folder.glob(pattern))
    return False


@needs_posix
def test_a_run_killed_again_and_again_ends_like_one_that_was_not(tmp_path):
    root = write(tmp_path / "songs", 200)
    subprocess.run(command(root, tmp_path / "whole"), check=True)
    output = tmp_path / "killed"
    chance = random.Random(0)
    stopped = []
    for number in range(KILLS):
        run = subprocess.Popen(command(root, output), stderr=subprocess.PIPE)
        sign = SIGNS[number % len(SIGNS)]
        begun = time.time()
        while run.poll() is None and not newer(output, sign, begun):
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.1))
        # One of the kills is a Ctrl-C.
        run.send_signal(signal.SIGINT if number == 4 else signal.SIGKILL)
        stopped.append((run.wait(), run.stderr.read()[-13:]))
        if not stopped[-1][0] and number < KILLS - 1:
            shutil.rmtree(output)  # It finished first: start again.
    # It may have ended before the signal, with or without its last line.
    ended = [(0, b""), (0, b", 0 rejected\n")]
    assert stopped[4] in [(75, b" to continue.\n"[-13:]), *ended]
    assert sum(code == -signal.SIGKILL for code, _ in stopped) >= KILLS // 2
    subprocess.run(command(root, output), check=True)
    assert shards(output) == shards(tmp_path / "whole")
    left = sorted(p.name for p in output.iterdir())
    assert left == sorted(p.name for p in (tmp_path / "whole").iterdir())


def test_a_full_disk_is_one_error(tmp_path, monkeypatch):
    store = staging.Staging(tmp_path / "out", "key")
    store.begin()

    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "replacing", full)
    with pytest.raises(InputError, match="Cannot write to .*: No space left on device"):
        store.write("a", [])


def test_a_staging_folder_that_is_lost_is_one_error(tmp_path):
    store = staging.Staging(tmp_path, "key")
    store.begin()
    shutil.rmtree(store.folder)
    store.folder.write_bytes(b"")
    with pytest.raises(InputError, match="Cannot write to"):
        store.write("a", [])


def test_stored_chunks_read_back_the_same(tmp_path):
    store = staging.Staging(tmp_path, "key")
    store.begin()
    settings = DataConfig(input=("x",))
    made = [conversion.convert(good(name), settings)[0] for name in "ab"]
    store.write("0-a", [made[0], conversion.Converted("c.mid", "s", reason="bad")])
    store.write("1-b", [made[1]])
    assert store.keys() == ["0-a", "1-b"]
    pieces = store.read(store.keys())
    assert pieces.sources == ["a.mid", "b.mid"] and pieces.styles == ["s", "s"]
    assert pieces.rejects == [("c.mid", "bad")]
    for k, converted in enumerate(made):
        assert splits.record(pieces, k) == converted.record
        assert pieces.statistics[k] == converted.statistics


def test_a_chunk_depends_on_all_code_that_its_conversion_imports(tmp_path):
    names = dependencies.source_files("poph_tf.data.preparation.staging")
    imported = [
        "data/abc", "data/reading", "data/bars", "data/examples", "data/midi_bytes",
        "data/midi_scan", "data/musicxml", "data/notes", "data/numba_utils",
        "data/quantization", "data/shards", "data/preparation/alignment",
        "data/preparation/conversion", "data/preparation/downbeats",
        "data/preparation/sources", "config/data", "config/declaration", "errors",
        "files", "theory",
    ]  # fmt: skip
    assert {f"poph_tf/{name}.py" for name in imported} <= set(names)
    above = ("models", "training", "generation", "evaluation", "rendering", "serving")
    assert not [name for name in names if name.split("/")[1] in above]
    # All modules imported while converting a piece are among them.
    (tmp_path / "a.mid").write_bytes(song(1))
    loaded = f"import sys; data = open({str(tmp_path / 'a.mid')!r}, 'rb').read()\n"
    loaded += "from poph_tf.config import DataConfig\n"
    loaded += "from poph_tf.data.preparation import conversion, sources\n"
    loaded += "item = sources.Item('a.mid', 's', data=data)\n"
    loaded += "conversion.convert(item, DataConfig(input=('x',), align='auto'))\n"
    loaded += "print(*(n for n in sys.modules if n.startswith('poph_tf.')))"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    run = subprocess.run(
        [sys.executable, "-c", loaded],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    data = [n for n in run.stdout.split() if n.startswith("poph_tf.data.")]
    assert len(data) > 10
    used = {f"{n.replace('.', '/')}.py" for n in data} - {"poph_tf/data/preparation.py"}
    assert used <= set(names)


@pytest.mark.parametrize(
    "name", ["theory", "errors", "data/shards", "config/data", "data/numba_utils"]
)
def test_chunks_of_other_code_are_not_used(tmp_path, monkeypatch, name):
    store = staging.Staging(tmp_path, "key")
    store.begin()
    store.write("a", [])
    staging.Staging(tmp_path, "key").begin()
    assert store.has("a")
    read = dependencies.read
    changed = f"poph_tf/{name}.py"
    monkeypatch.setattr(
        dependencies, "read", lambda n: read(n) + b"\n#" * (n == changed)
    )
    staging.Staging(tmp_path, "key").begin()
    assert not store.has("a")
