"""Music files, notes, matrices and records: from a file to a batch.

    reading        formats and their readers: a file -> Notes or a NoteSequence
      midi_bytes, midi_chunks, midi_scan, midi_note_seq       the readers of MIDI
      musicxml, abc                                           those of scores
    midi, midi_writing, scores   read and write files as NoteSequences
    notes          a piece as arrays of notes in ticks
    quantization, bars                                        notes on the grid
    matrices       play, replay and volume on the grid
    examples, example_message                                 records and data sets
    shards, recovery                                          TFRecord files
    dataset        batches for training (tf.data)
    loading        `poph_tf.data.load`: whole pieces as tf.data
    editing        cuts, joins and transposes pieces
    piano_rolls, writing                                      data sets of benchmarks
    preparation/   data sets made of collections of files

Nothing here imports `models`.
"""

from typing import Any


def load(*args: Any, **kwargs: Any) -> Any:
    """Opens a data set as tf.data; see `poph_tf.data.loading.load`."""
    from poph_tf.data import loading

    return loading.load(*args, **kwargs)
