"""Music files, notes, matrices and records: from a file to a batch.

    reading        formats and their readers: a file -> Notes or a NoteSequence
      midi_bytes, midi_chunks, midi_scan, midi_note_seq       MIDI readers
      musicxml, abc                                           score readers
    midi, midi_writing, scores   read and write files as NoteSequences
    notes          a piece as arrays of notes in ticks
    quantization, bars                                        notes on the grid
    matrices       play, replay and volume on the grid
    examples, example_message                                 records and data sets
    shards, recovery                                          TFRecord files
    dataset        batches for training (tf.data)
    loading        `poph_tf.data.load`: whole pieces as tf.data
    editing        cuts, joins and transposes pieces
    piano_rolls, writing                                      benchmark data sets
    preparation/   makes data sets from collections of files

Nothing here imports `models`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def load(
    folder: str | Path, split: str | None = None, batch_size: int | None = None
) -> "tf.data.Dataset | dict[str, tf.data.Dataset]":
    """Opens a data set as tf.data; see `poph_tf.data.loading.load`.

    Example:
        >>> import numpy as np, tempfile
        >>> from poph_tf.data import matrices, writing
        >>> silence = matrices.Matrices(np.zeros((16, 128, 3), np.uint8), np.arange(16))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = writing.write({"train": [silence] * 3}, "bach", f"{folder}/data")
        ...     train = load(f"{folder}/data", "train", batch_size=2)
        ...     [batch["cells"].shape.as_list() for batch in train]
        [[2, 16, 128, 3], [1, 16, 128, 3]]
    """
    from poph_tf.data import loading

    return loading.load(folder, split, batch_size)
