"""Event files for TensorBoard, written without TensorBoard installed.

TensorFlow no longer brings TensorBoard, and `tf.summary.scalar` refuses without it;
the event format itself is TensorFlow's own. What marks a tensor as a scalar, picture
or sound is the name of a plugin in its metadata.
"""

import struct

import tensorflow as tf

# The audio plugin's own message: field 2, the encoding, is 11, WAV.
_WAV = b"\x10\x0b"


class EventLog:
    """Scalars, pictures and sounds of a run.

    A name belongs to one kind of thing: TensorBoard remembers only the first.

    Args:
        directory: str. Where the event file goes; `tensorboard --logdir` shows it.
    """

    def __init__(self, directory):
        self.writer = tf.summary.create_file_writer(directory)

    def scalars(self, figures, step):
        """Writes a dict of name to number; None is left out."""
        # DATA_CLASS_SCALAR
        metadata = _metadata("scalars", data_class=1)
        with self.writer.as_default(step=step):
            for name, value in figures.items():
                if value is not None:
                    number = tf.constant(float(value), tf.float32)
                    tf.summary.write(name, number, metadata=metadata)
        self.writer.flush()

    def picture(self, name, png, step):
        """Writes a picture, the bytes of a PNG file."""
        width, height = struct.unpack(">II", png[16:24])
        texts = [str(width), str(height), png]
        self._write(name, tf.constant(texts, tf.string), "images", b"", step)

    def sound(self, name, wav, step):
        """Writes a sound, the bytes of a WAV file."""
        # Pairs of a sound and a label that is no longer shown.
        self._write(name, tf.constant([[wav, b""]]), "audio", _WAV, step)

    def _write(self, name, tensor, plugin, content, step):
        with self.writer.as_default(step=step):
            tf.summary.write(name, tensor, metadata=_metadata(plugin, content))
        self.writer.flush()


def _metadata(plugin, content=b"", data_class=0):
    message = tf.compat.v1.SummaryMetadata
    data = message.PluginData(plugin_name=plugin, content=content)
    return message(plugin_data=data, data_class=data_class)
