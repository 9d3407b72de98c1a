"""Scores: MusicXML, MEI, Humdrum and ABC.

    read(path)        the NoteSequence of a file that holds one piece
    read_all(path)    the NoteSequences of all its tunes
    parse(data, name) the scores as written, with repeats, grace notes and ties

`score_sequence.to_sequence` turns a score as written into a NoteSequence.
"""

from collections.abc import Iterator
from pathlib import Path

from poph_tf.data import abc, reading
from poph_tf.data.reading import read as read
from poph_tf.data.reading import read_all as read_all
from poph_tf.data.score import Score
from poph_tf.errors import MusicFileError


def parse(data: bytes, name: str) -> Iterator[Score]:
    """The scores of a file as written; only ABC files hold more than one.

    Args:
        data: the content.
        name: the name of the file; its suffix gives the format.

    Raises:
        MusicFileError: If the file, or the next of its tunes, cannot be read.
    """
    if name.lower().endswith(".abc"):
        tunes = abc.Tunes(data, name)
        yield from (tunes.score(label) for label in tunes)
        return
    for suffix, parser in reading.SCORE_PARSERS.items():
        if name.lower().endswith(suffix):
            yield parser(data, name)
            return
    suffixes = " ".join(reading.SCORE_SUFFIXES)
    raise MusicFileError(name, f"its suffix must be one of {suffixes}")


def parse_one(path: str | Path) -> Score:
    """The score of a file that holds one.

    Raises:
        MusicFileError: If there is no such file, it cannot be read, or holds several.
    """
    found = list(parse(reading.content(path), str(path)))
    if len(found) != 1:
        raise MusicFileError(path, f"must hold one tune, holds {len(found)}")
    return found[0]
