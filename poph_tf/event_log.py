"""Event files for TensorBoard, written without TensorBoard installed.

TensorFlow no longer brings TensorBoard, and `tf.summary.scalar` refuses without it;
the event format itself is TensorFlow's own. What marks a tensor as a scalar is the
name of a plugin in its metadata.
"""

import tensorflow as tf


class EventLog:
    """Scalars of a run.

    Args:
        directory: str. Where the event file goes; `tensorboard --logdir` shows it.
    """

    def __init__(self, directory):
        self.writer = tf.summary.create_file_writer(directory)
        self.scalar = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
            data_class=1,  # DATA_CLASS_SCALAR
        )

    def scalars(self, figures, step):
        """Writes a dict of name to number; None is left out."""
        with self.writer.as_default(step=step):
            for name, value in figures.items():
                if value is not None:
                    number = tf.constant(float(value), tf.float32)
                    tf.summary.write(name, number, metadata=self.scalar)
        self.writer.flush()
