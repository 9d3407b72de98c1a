"""Checkpoints of a training run: all that it needs to go on as if nothing happened.

TensorFlow writes the data of a checkpoint under a temporary name and moves it, and the
index comes last; so a run that dies while writing leaves the one before. No checkpoint
is ever written over: its name holds epoch and step, and a number where that step is
saved again. A newest one that is damaged all the same is passed over, and said so.
Which checkpoints there are is read from the folder itself, so that no lost list of them
starts a run anew.
"""

import glob
import os
import re
import shutil

import keras
import tensorflow as tf
from absl import logging

from poph_tf.errors import InputError

KEEP = 3
PREFIX = "ckpt"
# What TensorFlow was seen to raise over cut, flipped and missing bytes.
UNREADABLE = (
    tf.errors.OpError,
    OSError,
    AssertionError,
    LookupError,
    RuntimeError,
    ValueError,
)


class Checkpoints:
    """The checkpoints of one model directory.

    Args:
        directory: str. Made when the first one is saved.
        variables: list of keras or tf variables to keep, in a fixed order.
        counters: dict of name to tf.Variable, the run's own state.
    """

    def __init__(self, directory, variables, counters):
        raw = [v.value if isinstance(v, keras.Variable) else v for v in variables]
        self.directory = directory
        self.checkpoint = tf.train.Checkpoint(variables=raw, counters=counters)
        self.variables = [*raw, *counters.values()]
        self.last_good = None

    def paths(self):
        """Paths of the checkpoints there are, oldest first."""
        names = glob.glob(
            os.path.join(glob.escape(self.directory), f"{PREFIX}-*.index")
        )
        pattern = rf"(.*{PREFIX}-(\d+)-(\d+)(?:\.(\d+))?)\.index"
        matches = [re.fullmatch(pattern, name) for name in names]
        found = [(int(m[3]), int(m[2]), int(m[4] or 0), m[1]) for m in matches if m]
        return [path for *_, path in sorted(found)]

    def save(self, epoch, step):
        """Saves everything; the newest `KEEP` checkpoints are kept.

        Args:
            epoch, step: int. The numbers in the checkpoint's name; they grow.

        Returns:
            str, its path.

        Raises:
            InputError: If it cannot be written; the ones before are left as they were.
        """
        path = self._unused(os.path.join(self.directory, f"{PREFIX}-{epoch}-{step}"))
        try:
            os.makedirs(self.directory, exist_ok=True)
            _remove(path)  # there is one only if it was damaged and passed over
            self.checkpoint.write(path)
        except (OSError, tf.errors.OpError) as error:
            _remove(path)  # an index too can be cut short
            self._sweep()
            raise InputError(
                f"Cannot write a checkpoint of step {step} in {self.directory} "
                f"({_reason(error)}). Last good checkpoint: "
                f"{self.last_good or 'none yet'}. "
                f"Make room and start the same command again."
            ) from error
        self.last_good = path
        for old in self.paths()[:-KEEP]:
            _remove(old)
        return path

    def _unused(self, path):
        """A name for a checkpoint that does not take the last good one's place."""
        again = re.fullmatch(rf"{re.escape(path)}(?:\.(\d+))?", self.last_good or "")
        return f"{path}.{int(again[1] or 0) + 1}" if again else path

    def restore(self):
        """Restores the newest checkpoint that can be read.

        Returns:
            str, its path; None if there is none.

        Raises:
            InputError: If there are checkpoints and none can be read.
        """
        self._sweep()
        paths = self.paths()
        for path in reversed(paths):
            try:
                status = self.checkpoint.read(path)
                status.assert_existing_objects_matched()
                self.last_good = path
                return path
            except UNREADABLE as error:
                logging.warning(
                    "Checkpoint %s cannot be read (%s).", path, _reason(error)
                )
        if paths:
            raise InputError(
                f"No checkpoint in {self.directory} can be read; remove that folder "
                f"to train anew, or give another --model_dir."
            )
        return None

    def _sweep(self):
        """Removes what a run left that died, or found the disk full, while writing."""
        for path in self._glob("*_temp"):
            shutil.rmtree(path, ignore_errors=True)
        whole = set(self.paths())
        for path in self._glob("*.data-*"):
            if path.rsplit(".data-", 1)[0] not in whole:
                os.remove(path)

    def _glob(self, ending):
        folder = glob.escape(self.directory)
        return glob.glob(os.path.join(folder, f"{PREFIX}-{ending}"))


def _remove(path):
    # The index goes first: without it the rest is swept up.
    for name in [f"{path}.index", *glob.glob(f"{glob.escape(path)}.data-*")]:
        if os.path.exists(name):
            os.remove(name)


def _reason(error):
    """What TensorFlow says, without the name of the operation that says it."""
    text = str(error).splitlines()[0]
    return re.sub(r"^\{\{.*?\}\} *", "", text).removesuffix(" [Op:SaveV2]")[-200:]
