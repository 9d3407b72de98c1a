"""Turns collections of music files into data sets; behind tools/make_tfrecords.py.

sources          what folders, archives and NoteSequence files hold, item by item
conversion       one item -> records, or the reason why there is none
alignment        the grid of music that was not played on the file's
beats            finds the beats of performances from their notes, by
                 beat_features, beat_network and beat_decoding
beat_warping     puts notes on the grid of beats that were found
downbeats        estimates where bars begin
runners          conversion of chunks of items in processes, or as a Beam pipeline
staging          finished chunks on disk, so that a run that was killed continues
dependencies     the code that a finished chunk depends on
near_duplicates  pieces that are the same composition
splits           training, validation and test; shards
report           report.html and the table at the end
pipeline         all of these in order

inspection       looks into a data set that is there
corpus           music21's scores as MIDI files: a first collection
"""
