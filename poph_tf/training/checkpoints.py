"""Checkpoints of a training run: all that it needs to continue where it stopped.

TensorFlow writes the data of a checkpoint under a temporary name and renames it, and
writes the index last, so a run that dies while saving leaves the previous checkpoint.
No checkpoint is overwritten: its name contains epoch and step, and a number if that
step is saved again. A corrupt latest checkpoint is skipped with a warning. The list of
checkpoints is read from the folder, so there is no list file that can be lost.
"""

import json
import pathlib
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from poph_tf import files
from poph_tf.errors import InputError

KEEP = 3
_INDEX_FILE = re.compile(r"(ckpt-(\d+)-(\d+)(?:\.(\d+))?)\.index")


class Checkpoints:
    """The checkpoints of one model directory.

    Args:
        directory: created when the first checkpoint is saved.
        variables: the variables to keep, in a fixed order.
        counters: the run's own variables by name.

    Attributes:
        variables: all variables of a checkpoint, as TensorFlow variables.
        last_good: path of the last checkpoint that was saved or restored, or None.
        notes: what the restored checkpoint holds besides its variables, as JSON values.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        variables: Sequence[keras.Variable | tf.Variable],
        counters: Mapping[str, tf.Variable],
    ) -> None:
        raw = [v.value if isinstance(v, keras.Variable) else v for v in variables]
        self.directory = directory
        self.checkpoint = tf.train.Checkpoint(variables=raw, counters=dict(counters))
        self.variables = [*raw, *counters.values()]
        self.last_good: pathlib.Path | None = None
        self.notes: dict[str, Any] = {}

    def paths(self) -> list[pathlib.Path]:
        """Paths of the checkpoints, oldest first."""
        names = [path.name for path in self.directory.glob("*.index")]
        matches = [match for name in names if (match := _INDEX_FILE.fullmatch(name))]
        matches.sort(key=lambda m: (int(m[3]), int(m[2]), int(m[4] or 0)))
        return [self.directory / match[1] for match in matches]

    def save(
        self, epoch: int, step: int, notes: Mapping[str, Any] | None = None
    ) -> pathlib.Path:
        """Saves all variables and keeps the newest `KEEP` checkpoints.

        The name of the checkpoint contains epoch and step, which both grow.

        Args:
            epoch: the epoch.
            step: the step.
            notes: what else to keep, as JSON.

        Returns:
            The path of the checkpoint, without file suffixes.

        Raises:
            InputError: If it cannot be written; earlier checkpoints are unchanged.
        """
        path = self._unused(f"ckpt-{epoch}-{step}")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._remove(path)  # exists only if it was corrupt and skipped
            files.write_json(_notes_path(path), notes or {})
            self.checkpoint.write(str(path))
        except (OSError, tf.errors.OpError) as error:
            self._remove(path)  # the index may be cut short too
            self._remove_rests()
            raise InputError(
                f"Cannot write a checkpoint of step {step} in {self.directory} "
                f"({_reason(error)}). Last good checkpoint: "
                f"{self.last_good or 'none yet'}. "
                f"Make room and start the same command again."
            ) from error
        self.last_good = path
        for old in self.paths()[:-KEEP]:
            self._remove(old)
        return path

    def _unused(self, name: str) -> pathlib.Path:
        """A path that does not replace the last good checkpoint."""
        last = self.last_good.name if self.last_good else ""
        again = re.fullmatch(rf"{name}(?:\.(\d+))?", last)
        return self.directory / (f"{name}.{int(again[1] or 0) + 1}" if again else name)

    def restore(self) -> pathlib.Path | None:
        """Restores the newest readable checkpoint.

        Returns:
            Its path; None if there are no checkpoints.

        Raises:
            InputError: If there are checkpoints but none is readable.
        """
        self._remove_rests()
        paths = self.paths()
        for path in reversed(paths):
            try:
                status = self.checkpoint.read(str(path))
                status.assert_existing_objects_matched()
            # Cut, flipped and missing bytes raise errors of many kinds.
            except Exception as error:
                logging.warning("Skip checkpoint %s: %s.", path, _reason(error))
            else:
                self.last_good = path
                self.notes = _read_notes(path)
                return path
        if paths:
            raise InputError(
                f"No checkpoint in {self.directory} can be read; remove that folder to "
                f"train from the start, or give another --model_dir, with "
                f"--init_from={self.directory.parent} to start from its weights."
            )
        return None

    def _remove(self, path: pathlib.Path) -> None:
        # The index first: data without an index are removed as leftovers.
        path.with_name(f"{path.name}.index").unlink(missing_ok=True)
        _notes_path(path).unlink(missing_ok=True)
        for data in self.directory.glob(f"{path.name}.data-*"):
            data.unlink()

    def _remove_rests(self) -> None:
        """Removes the files of a save interrupted by a full disk or a kill."""
        for folder in self.directory.glob("ckpt-*_temp"):
            shutil.rmtree(folder, ignore_errors=True)
        whole = {path.name for path in self.paths()}
        for rest in self.directory.glob("ckpt-*"):
            name = re.sub(r"\.(data-.*|notes\.json)$", "", rest.name)
            if name != rest.name and name not in whole:
                rest.unlink()


def _notes_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.notes.json")


def _read_notes(path: pathlib.Path) -> dict[str, Any]:
    """The notes of a checkpoint; earlier versions wrote none."""
    try:
        return dict(json.loads(_notes_path(path).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _reason(error: Exception) -> str:
    """TensorFlow's message without the name of the operation."""
    text = str(error).splitlines()[0]
    return re.sub(r"^\{\{.*?\}\} *", "", text).removesuffix(" [Op:SaveV2]")[-200:]
