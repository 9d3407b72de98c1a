"""Event files for TensorBoard, written without TensorBoard installed.

TensorFlow no longer brings TensorBoard, and `tf.summary.scalar` refuses without it;
the files are records of TensorFlow's own Event message. What marks a tensor as a
scalar, picture or sound is the name of a plugin in its metadata.

A run that goes on from a checkpoint takes some steps again. `forget_after` removes
what was recorded of them, so that each step is in the files once; a TensorBoard that
is running meanwhile is told by a START event to forget them too.
"""

import errno
import glob
import io
import os
import socket
import struct
import time

import tensorflow as tf

from poph_tf.data import shards
from poph_tf.errors import InputError

# The audio plugin's own message: field 2, the encoding, is 11, WAV.
_WAV = b"\x10\x0b"
_VERSION = "brain.Event:2"


class EventLog:
    """Scalars, pictures and sounds of a run.

    A name belongs to one kind of thing: TensorBoard remembers only the first.

    Args:
        directory: str. Where the event file goes; `tensorboard --logdir` shows it.
        first_step: int. Events from this step on are taken to come anew.
    """

    def __init__(self, directory, first_step=0):
        os.makedirs(directory, exist_ok=True)
        place = f"{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        path = os.path.join(directory, f"events.out.tfevents.{place}.v2")
        # Without a buffer: a process that is killed leaves all that it has written.
        self.file = io.FileIO(path, "w")
        self._event(file_version=_VERSION)
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._event(step=first_step, session_log=start)

    def scalars(self, figures, step):
        """Writes a dict of name to number; None is left out."""
        # DATA_CLASS_SCALAR
        metadata = _metadata("scalars", data_class=1)
        for name, value in figures.items():
            if value is not None:
                self._write(name, tf.make_tensor_proto(float(value)), metadata, step)

    def picture(self, name, png, step):
        """Writes a picture, the bytes of a PNG file."""
        width, height = struct.unpack(">II", png[16:24])
        texts = tf.make_tensor_proto([str(width), str(height), png], tf.string)
        self._write(name, texts, _metadata("images"), step)

    def sound(self, name, wav, step):
        """Writes a sound, the bytes of a WAV file."""
        # Pairs of a sound and a label that is no longer shown.
        pair = tf.make_tensor_proto([[wav, b""]], tf.string)
        self._write(name, pair, _metadata("audio", _WAV), step)

    def _write(self, name, tensor, metadata, step):
        value = tf.compat.v1.Summary.Value(tag=name, tensor=tensor, metadata=metadata)
        self._event(step=step, summary=tf.compat.v1.Summary(value=[value]))

    def _event(self, **fields):
        event = tf.compat.v1.Event(wall_time=time.time(), **fields)
        record = shards.framed(event.SerializeToString())
        if self.file.write(record) < len(record):
            # The rest would only be refused by the next write.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _metadata(plugin, content=b"", data_class=0):
    message = tf.compat.v1.SummaryMetadata
    data = message.PluginData(plugin_name=plugin, content=content)
    return message(plugin_data=data, data_class=data_class)


def forget_after(directory, step):
    """Removes what event files hold of later steps, and a last record cut short.

    Args:
        directory: str. Need not exist.
        step: int. The last step that is kept.
    """
    pattern = os.path.join(glob.escape(directory), "events.out.tfevents.*")
    for path in sorted(glob.glob(pattern)):
        # First a look: a long run's files are seldom in need of it.
        if all(last <= step for last, _ in _records(path)):
            continue
        with open(f"{path}.writing", "wb") as file:
            for found, record in _records(path):
                if found <= step:
                    file.write(shards.framed(record))
        os.replace(f"{path}.writing", path)


def _records(path):
    """Yields (step, record) of an event file; infinity for a damaged rest."""
    try:
        for _, record in shards.read(path):
            yield tf.compat.v1.Event.FromString(record).step, record
    except InputError:
        yield float("inf"), b""
