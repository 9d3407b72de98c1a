"""Checkpoints: damaged, half-written and refused ones, with real files."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from systems import needs_posix

from poph_tf.errors import InputError
from poph_tf.training.checkpoints import KEEP, Checkpoints

SIZE = 30_000  # float32 numbers, so that a part of a file can be damaged


class Kept:
    """A weight, a plain variable and a counter that all hold the same step."""

    def __init__(self, folder):
        self.weight = keras.Variable(np.zeros(SIZE, np.float32))
        self.average = tf.Variable(tf.zeros(3))
        self.step = tf.Variable(0, dtype=tf.int64)
        self.files = Checkpoints(
            folder, [self.weight, self.average], {"step": self.step}
        )

    def save(self, epoch, step):
        self.weight.assign(np.full(SIZE, step, np.float32))
        self.average.assign(np.full(3, step, np.float32))
        self.step.assign(step)
        return self.files.save(epoch, step)

    def found(self):
        """The step that all three hold."""
        values = {float(x) for x in self.weight.numpy()}
        values |= {float(x) for x in self.average.numpy()} | {float(self.step.numpy())}
        (step,) = values
        return step


@pytest.fixture
def folder(tmp_path):
    kept = Kept(tmp_path / "checkpoints")
    kept.save(0, 9)
    kept.save(1, 10)
    return tmp_path / "checkpoints"


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, pathlib.Path.unlink])
@pytest.mark.parametrize("ending", ["data-00000-of-00001", "index"])
def test_a_corrupt_latest_checkpoint_is_skipped_for_the_one_before(
    folder, damage, ending, caplog
):
    damage(folder / f"ckpt-1-10.{ending}")
    kept = Kept(folder)
    assert kept.files.restore() == folder / "ckpt-0-9"
    assert kept.found() == 9
    if not (damage is pathlib.Path.unlink and ending == "index"):
        # Without its index, it does not count as a checkpoint.
        assert "Skip checkpoint" in caplog.text and "ckpt-1-10:" in caplog.text
    # The same step is saved again, in place of the corrupt one.
    kept.save(1, 10)
    again = Kept(folder)
    assert again.files.restore() == folder / "ckpt-1-10" and again.found() == 10


def test_without_a_readable_checkpoint_training_does_not_start_again(folder):
    for path in folder.glob("*.data-*"):
        cut(path)
    with pytest.raises(InputError, match="No checkpoint .* can be read; remove"):
        Kept(folder).files.restore()


def test_an_empty_folder_restores_nothing(tmp_path):
    assert Kept(tmp_path / "none").files.restore() is None
    assert not (tmp_path / "none").exists()


@needs_posix
def test_a_full_disk_leaves_earlier_checkpoints_and_no_partial_files(folder):
    import resource

    before = sorted(path.name for path in folder.iterdir())
    kept = Kept(folder)
    kept.files.restore()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Writing past this limit fails like a full disk, after a part of the file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, limits[1]))
    try:
        with pytest.raises(InputError) as caught:
            kept.save(1, 11)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "step 11" in str(caught.value)
    assert f"Last good checkpoint: {folder / 'ckpt-1-10'}" in str(caught.value)
    assert sorted(path.name for path in folder.iterdir()) == before
    again = Kept(folder)
    again.files.restore()
    assert again.found() == 10
    again.save(1, 11)
    assert again.files.paths()[-1] == folder / "ckpt-1-11"


def test_a_disk_that_fills_up_with_the_index_leaves_no_part_of_the_checkpoint(
    folder, monkeypatch
):
    before = sorted(path.name for path in folder.iterdir())
    kept = Kept(folder)
    kept.files.restore()

    def write(path):
        pathlib.Path(f"{path}.data-00000-of-00001").write_bytes(b"whole")
        pathlib.Path(f"{path}.index").write_bytes(b"ha")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(kept.files.checkpoint, "write", write)
    with pytest.raises(InputError, match="No space left on device.*ckpt-1-10"):
        kept.files.save(1, 11)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_step_that_is_saved_again_is_readable_at_every_moment(folder, monkeypatch):
    kept = Kept(folder)
    kept.files.restore()
    write, seen = kept.files.checkpoint.write, []

    def watched(path):
        seen.append(kept.files.paths())
        return write(path)

    monkeypatch.setattr(kept.files.checkpoint, "write", watched)
    for _ in range(KEEP):
        kept.save(1, 10)
    # While each is written, the one before it exists.
    assert [paths[-1] for paths in seen] == [
        folder / f"ckpt-1-10{again}" for again in ("", ".1", ".2")
    ]
    again = Kept(folder)
    assert again.files.restore() == folder / f"ckpt-1-10.{KEEP}"
    assert again.found() == 10 and len(again.files.paths()) == KEEP
    kept.save(1, 11)
    assert Kept(folder).files.restore() == folder / "ckpt-1-11"


def test_files_of_a_killed_save_are_removed(folder):
    (folder / "ckpt-1-11_temp").mkdir()
    (folder / "ckpt-1-11_temp" / "part-0.data").write_bytes(b"half")
    (folder / "ckpt-1-12.data-00000-of-00001").write_bytes(b"no index yet")
    assert Kept(folder).files.restore() == folder / "ckpt-1-10"
    assert {path.name.split(".")[0] for path in folder.iterdir()} == {
        "ckpt-0-9",
        "ckpt-1-10",
    }


def test_the_newest_are_kept_in_the_order_of_steps(folder):
    kept = Kept(folder)
    for step in (99, 100, 101):
        kept.save(2, step)
    names = [path.name for path in kept.files.paths()]
    assert names == ["ckpt-2-99", "ckpt-2-100", "ckpt-2-101"] and len(names) == KEEP
    # Index, data and notes of each.
    assert len(list(folder.iterdir())) == 3 * KEEP
