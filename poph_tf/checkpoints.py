"""Checkpoints of a training run: all that it needs to go on as if nothing happened.

TensorFlow writes a checkpoint under a temporary name and moves it, and the file that
names the newest one comes last; so a run that dies while writing leaves the one before.
A newest checkpoint that is damaged all the same is passed over, and said so.
"""

import tensorflow as tf
from absl import logging

from poph_tf.errors import InputError

KEEP = 3


class Checkpoints:
    """The checkpoints of one model directory.

    Args:
        directory: str.
        variables: list of keras or tf variables to keep, in a fixed order.
        counters: dict of name to tf.Variable, the run's own state.
    """

    def __init__(self, directory, variables, counters):
        raw = [getattr(variable, "value", variable) for variable in variables]
        raw = [v() if callable(v) else v for v in raw]
        self.checkpoint = tf.train.Checkpoint(variables=raw, counters=counters)
        self.manager = tf.train.CheckpointManager(
            self.checkpoint, directory, max_to_keep=KEEP
        )

    def save(self, step):
        """Saves everything; the newest `KEEP` checkpoints are kept."""
        return self.manager.save(checkpoint_number=step)

    def restore(self):
        """Restores the newest checkpoint that can be read.

        Returns:
            str, its path; None if there is none.

        Raises:
            InputError: If there are checkpoints and none can be read.
        """
        for path in reversed(self.manager.checkpoints):
            try:
                status = self.checkpoint.restore(path)
                status.assert_existing_objects_matched()
                return path
            except (tf.errors.OpError, AssertionError, ValueError) as error:
                reason = str(error).splitlines()[0][:200]
                logging.warning("Checkpoint %s cannot be read (%s).", path, reason)
        if self.manager.checkpoints:
            raise InputError(
                f"No checkpoint in {self.manager.directory} can be read; remove that "
                f"folder to train anew, or give another --model_dir."
            )
        return None
