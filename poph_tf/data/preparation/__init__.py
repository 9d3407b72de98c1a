"""Turns collections of music files into data sets: the library behind
tools/make_tfrecords.py.

    sources    what is in folders, archives and NoteSequence files, one item at a time
    conversion one item -> records, or a reason why not
    alignment  the phase of the grid and of the bar, for what was not played on it
    workers    processes that convert chunks of items; replaced when they hang or die
    staging    finished chunks on disk, so that a run that was killed goes on
    assembly   duplicates, twins, splits, shards
    report     report.html and the table at the end
    corpus     music21's scores as MIDI files: something to begin with
    job        all of it in order
"""
