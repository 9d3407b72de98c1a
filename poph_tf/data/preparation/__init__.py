"""Turns collections of music files into data sets, for tools/make_tfrecords.py.

sources          what folders, archives and NoteSequence files hold, item by item
conversion       one item -> records, or the reason why there is none
alignment        finds the grid of music that was not played on the file's
beats            finds the beats of performances from their notes, with
                 beat_features, beat_network and beat_decoding
beat_warping     puts notes on the grid of the beats found
downbeats        estimates where bars begin
runners          conversion of chunks of items in processes, or as a Beam pipeline
staging          finished chunks on disk, so that a killed run can continue
dependencies     the code that a finished chunk depends on
near_duplicates  pieces that are the same composition
splits           training, validation and test; shards
report           report.html and the table at the end
pipeline         all of these in order

inspection       looks into an existing data set
corpus           music21's scores as MIDI files: a first collection
"""
