"""Compares scores with MIDI files of the same pieces, onset by onset.

    python tools/compare_onsets.py score.musicxml score.mid
    python tools/compare_onsets.py asap.tar.gz
    python tools/compare_onsets.py folder

In a folder or an archive, each score is compared with the MIDI file beside it that has
the same name, or the name with `midi` for `xml` (`xml_score.musicxml` with
`midi_score.mid`, as in ASAP). Prints a row for each piece and the total: what is equal,
what is left out of the score and what is set aside of the MIDI file, by class. Repeats
and ornaments of the scores are played; the last row is the total with ornaments as
written.
"""

import pathlib
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from poph_tf.cli import commands
from poph_tf.data import reading
from poph_tf.errors import InputError
from poph_tf.evaluation import onsets


def _pairs(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    for score in sorted(folder.rglob("*")):
        if score.suffix.lower() in reading.SCORE_SUFFIXES:
            names = (f"{score.stem}.mid", score.stem.replace("xml", "midi") + ".mid")
            found = [score.with_name(n) for n in names if score.with_name(n).is_file()]
            if found:
                yield score, found[0]


def _compare(
    folder: pathlib.Path, pairs: list[tuple[pathlib.Path, pathlib.Path]]
) -> None:
    rows = []
    print(onsets.HEADER)
    for score, midi in pairs:
        rows.append(onsets.compare(score, midi))
        name = score.parent if score.parent != folder else score
        print(rows[-1].row(str(name.relative_to(folder))))
    whole = onsets.total(rows)
    print(whole.row("all"))
    as_written = [onsets.compare(*pair, "written") for pair in pairs]
    print(onsets.total(as_written).row("all, ornaments as written"))
    kinds = ", ".join(f"{name} {count:,}" for name, count in whole.added.items())
    print(f"of the MIDI files' onsets are set aside: {kinds or 'none'}")


def main(words: Sequence[str]) -> None:
    """Prints the table."""
    paths = [pathlib.Path(word) for word in words]
    if len(paths) not in (1, 2) or not all(path.exists() for path in paths):
        raise InputError("Give a score and a MIDI file, or a folder or archive.")
    if len(paths) == 2:
        _compare(paths[0].parent, [(paths[0], paths[1])])
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = paths[0]
        if folder.is_file():
            folder = pathlib.Path(temporary)
            if zipfile.is_zipfile(paths[0]):
                with zipfile.ZipFile(paths[0]) as archive:
                    archive.extractall(folder)  # nosec B202: zipfile stays within
            else:
                with tarfile.open(paths[0]) as archive:
                    archive.extractall(folder, filter="data")
        pairs = list(_pairs(folder))
        if not pairs:
            raise InputError(f"{paths[0]} holds no score with a MIDI file beside it.")
        _compare(folder, pairs)


if __name__ == "__main__":
    commands.run(main, takes_words=True)
