"""Which files of a folder are music or NoteSequences, always in the same order."""

import json
import os
import re

from poph_tf.data import examples, midi

# Folder in an output folder while it is being filled (see staging.py).
UNFINISHED = ".unfinished"
# With what TensorFlow's own tools add to the name of a shard.
RECORDS = re.compile(r"\.tfrecords?(\.gz)?(-\d+-of-\d+)?(\.gz)?$")


def is_music(name):
    """Whether a file name is that of a music file (not of a Mac's shadow of one)."""
    base = os.path.basename(name)
    return not base.startswith("._") and base.lower().endswith(midi.SUFFIXES)


def is_records(name):
    """Whether a file name is that of a file of NoteSequences."""
    return bool(RECORDS.search(name.lower()))


def files_under(root):
    """Relative paths of the music files and NoteSequence files, sorted by folder."""
    linked = {os.path.realpath(root)}
    for folder, folders, files in os.walk(root, followlinks=True):
        if UNFINISHED in folders or _is_data_set(folder, files):
            # A data set of ours: what was made of music is no more to be read.
            folders.clear()
            continue
        paths = [(name, os.path.join(folder, name)) for name in sorted(folders)]
        folders[:] = [name for name, path in paths if _leads_on(path, linked)]
        for name in sorted(files):
            if is_music(name) or is_records(name):
                path = os.path.join(folder, name)
                yield os.path.relpath(path, root).replace(os.sep, "/")


def _leads_on(path, linked):
    """Whether a folder is to be walked: a link only where it leads somewhere new.

    Args:
        path: str.
        linked: set of str, the real paths of the root and of the links followed, which
            is added to.
    """
    if not os.path.islink(path):
        return True
    real = os.path.realpath(path)
    if any(_lies_in(real, other) or _lies_in(other, real) for other in linked):
        return False
    linked.add(real)
    return True


def _lies_in(path, folder):
    return os.path.commonpath([path, folder]) == folder


def _is_data_set(folder, files):
    """Whether a data set of ours lies in a folder; other programs use the name too."""
    if examples.INFO_NAME not in files:
        return False
    try:
        with open(os.path.join(folder, examples.INFO_NAME), encoding="utf-8") as file:
            info = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and {"format_version", "splits"} <= set(info)
