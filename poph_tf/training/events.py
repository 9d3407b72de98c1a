"""Event files for TensorBoard, written by `tf.summary`.

`tf.summary.scalar` and the like need the package tensorboard, which TensorFlow no
longer installs. `tf.summary.write` does not need it: the metadata names the TensorBoard
plugin that shows the value.
"""

import pathlib
import struct
import time
from collections.abc import Mapping

import tensorflow as tf

# Field 2 of the audio plugin's own message, the encoding: WAV.
_WAV = b"\x10\x0b"
_DATA_CLASS_SCALAR = 1


class EventWriter:
    """Writes the scalars, pictures and sounds of a run.

    Args:
        directory: folder of the event file, for `tensorboard --logdir`.
        first_step: TensorBoard discards this step and later ones from earlier files,
            because a resumed run repeats them.
    """

    def __init__(self, directory: pathlib.Path, first_step: int = 0) -> None:
        self.writer = tf.summary.create_file_writer(str(directory))
        log = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        start = tf.compat.v1.Event(
            wall_time=time.time(), step=first_step, session_log=log
        ).SerializeToString()
        tf.raw_ops.ImportEvent(writer=self.writer._resource, event=start)

    def scalars(self, figures: Mapping[str, float | None], step: int) -> None:
        """Writes numbers by name, except those that are None."""
        for name, value in figures.items():
            if value is not None:
                tensor = tf.constant(value, tf.float32)
                self._write(name, tensor, step, "scalars", kind=_DATA_CLASS_SCALAR)

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Writes the bytes of a PNG file."""
        width, height = struct.unpack(">II", png[16:24])
        self._write(name, tf.constant([str(width), str(height), png]), step, "images")

    def sound(self, name: str, wav: bytes, step: int) -> None:
        """Writes the bytes of a WAV file."""
        # The second text is a label, which TensorBoard no longer shows.
        self._write(name, tf.constant([[wav, b""]]), step, "audio", _WAV)

    def _write(
        self, name: str, tensor: tf.Tensor, step: int, plugin: str,
        content: bytes = b"", kind: int = 0,
    ) -> None:  # fmt: skip
        message = tf.compat.v1.SummaryMetadata
        data = message.PluginData(plugin_name=plugin, content=content)
        with self.writer.as_default():
            metadata = message(plugin_data=data, data_class=kind)
            tf.summary.write(name, tensor, step, metadata)
