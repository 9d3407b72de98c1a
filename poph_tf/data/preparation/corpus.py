"""Turns the scores that come with music21 into folders of MIDI files.

Each corpus becomes one folder, named after its style, with one MIDI file per tune. A
hidden record beside them says for each source file what was written from it and why the
rest was rejected, so that a run continues where another stopped.

Licence: "to the best of our knowledge, each piece of music in the corpus is either out
of copyright in the United States or is licensed for use, though there may be
restrictions on commercial use" (music21, corpus/license.txt).
"""

import collections
import dataclasses
import importlib
import json
import multiprocessing
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from poph_tf import files
from poph_tf.cli.progress import Progress
from poph_tf.data import midi, score_sequence, scores
from poph_tf.data.score import Score
from poph_tf.errors import InputError, MusicFileError

if TYPE_CHECKING:
    from note_seq import NoteSequence

RECORD_NAME = ".corpus.json"
_RECORD_EVERY = 50
_VELOCITY = 80
VOICES = ("Soprano", "Alto", "Tenor", "Bass")
# What became of a source file: `written`, file names; `rejected`, counts by reason.
_Entry = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """One collection of scores.

    Attributes:
        about: what it holds.
        tempo_qpm: quarter notes a minute if a score gives no tempo.
        suffixes: the files read; others are copies of the same music.
        four_voices: keep soprano, alto, tenor and bass only, and reject scores without
            them.
        copies: names of files that hold much the same music as another, which would
            leak a test split into training.
    """

    about: str
    tempo_qpm: float
    suffixes: tuple[str, ...]
    four_voices: bool = False
    copies: tuple[str, ...] = ()


# Each shares more than half of its chords, in a row, with another chorale in some key
# (found with evaluation.copying): versions of one piece, or one piece used twice.
BACH_COPIES = (
    "bwv112.5-sc",
    "bwv120.8-a",
    "bwv158.4",
    "bwv171.6",
    "bwv177.4",
    "bwv18.5-w",
    "bwv190.7-inst",
    "bwv197.7-a",
    "bwv227.11",
    "bwv244.17",
    "bwv248.35-3c",
    "bwv62.6",
)

CORPORA = {
    "bach": Corpus(
        "four-part chorales by J. S. Bach, voices only",
        80.0,
        suffixes=(".mxl", ".xml"),
        four_voices=True,
        copies=BACH_COPIES,
    ),
    "palestrina": Corpus("masses by Palestrina, a movement per file", 144.0, (".krn",)),
    "monteverdi": Corpus("madrigals by Monteverdi, books 3 to 5", 120.0, (".mxl",)),
    "trecento": Corpus("Italian music of the 14th century", 120.0, (".mxl", ".xml")),
    "ryansMammoth": Corpus("one-voice fiddle tunes, one per file", 168.0, (".abc",)),
    "oneills1850": Corpus("Irish dance tunes, one voice", 168.0, (".abc",)),
    "airdsAirs": Corpus("Scottish and foreign airs, one voice", 144.0, (".abc",)),
    "essenFolksong": Corpus("folk songs of the Essen collection", 108.0, (".abc",)),
    "haydn": Corpus("string quartet movements by Haydn", 112.0, (".mxl",)),
    "mozart": Corpus("string quartets and a sonata by Mozart", 112.0, (".mxl",)),
    "beethoven": Corpus("string quartet movements by Beethoven", 112.0, (".mxl",)),
}


def _music21(module: str) -> Any:
    """Imports a module of music21, which only this file needs."""
    try:
        return importlib.import_module(f"music21.{module}")
    except ImportError as error:
        raise InputError(
            "The corpus needs music21, which is not installed: pip install music21"
        ) from error


def _root(name: str) -> pathlib.Path:
    return pathlib.Path(_music21("corpus").__file__).parent / name


def find(name: str) -> list[pathlib.Path]:
    """Lists the score files of a corpus, bwv2 before bwv10.

    Args:
        name: a key of `CORPORA`.

    Raises:
        InputError: If there is no such corpus, or no music21.
    """
    if name not in CORPORA:
        raise InputError(
            f"No corpus is called {name!r}; there are {', '.join(CORPORA)}."
        )
    suffixes = CORPORA[name].suffixes
    paths = [path for path in _root(name).rglob("*") if path.suffix in suffixes]
    if not paths:
        raise InputError(
            f"This installation of music21 lacks its corpus {name!r}: "
            "pip install --force-reinstall music21"
        )
    return sorted(paths, key=_natural)


def _natural(path: pathlib.Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.as_posix())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def fetch(
    name: str,
    output_dir: str | pathlib.Path,
    *,
    limit: int | None = None,
    num_workers: int = 1,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes a corpus as MIDI files into `output_dir/name`.

    Files of an earlier run are kept, and what it rejected is not tried again.

    Args:
        name: a key of `CORPORA`.
        output_dir: gets the folder.
        limit: read only the first `limit` score files.
        num_workers: processes.
        progress: shows the progress.

    Returns:
        dict with `folder`, `written` (count of MIDI files) and `rejected` (count of
        score files by reason).

    Raises:
        InputError: If there is no such corpus, or the folder cannot be written.
    """
    keys = [path.relative_to(_root(name)).as_posix() for path in find(name)[:limit]]
    folder = pathlib.Path(output_dir) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        record = _load_record(folder) | _again(keys)
        _convert_all(name, keys, record, folder, num_workers, progress)
    except OSError as error:
        raise InputError(f"Cannot write into {folder}: {error.strerror}") from error
    rejected: collections.Counter[str] = collections.Counter()
    for key in keys:
        rejected.update(record[key]["rejected"])
    written = sum(len(record[key]["written"]) for key in keys)
    return {"folder": str(folder), "written": written, "rejected": dict(rejected)}


def _again(keys: Sequence[str]) -> dict[str, _Entry]:
    """Entries of the files whose score also exists with another suffix."""
    seen, again = set(), {}
    for key in keys:
        stem = key.rpartition(".")[0]
        if stem in seen:
            again[key] = _rejected("the same score in another format")
        seen.add(stem)
    return again


def _rejected(reason: str) -> _Entry:
    return {"written": [], "rejected": {reason: 1}}


def _convert_all(
    name: str,
    keys: Sequence[str],
    record: dict[str, _Entry],
    folder: pathlib.Path,
    num_workers: int,
    progress: Progress | None,
) -> None:
    """Converts the files whose entry is missing or incomplete; fills the record."""
    todo = [
        (name, key, folder)
        for key in keys
        if key not in record
        or not all((folder / written).exists() for written in record[key]["written"])
    ]
    first = len(keys) - len(todo) + 1
    # Not fork: the caller may have TensorFlow's threads running.
    with multiprocessing.get_context("spawn").Pool(num_workers) as pool:
        try:
            results = pool.imap_unordered(_convert, todo)
            for done, (key, entry) in enumerate(results, first):
                record[key] = entry
                if progress:
                    progress.update(done, name, total=len(keys))
                if done % _RECORD_EVERY == 0:
                    files.write_json(folder / RECORD_NAME, record)
        finally:
            files.write_json(folder / RECORD_NAME, record)


def _convert(task: tuple[str, str, pathlib.Path]) -> tuple[str, _Entry]:
    """Converts one score file; returns its key and its entry for the record."""
    name, key, folder = task
    corpus = CORPORA[name]
    stem = key.rpartition(".")[0].replace("/", "_")
    if stem in corpus.copies:
        return key, _rejected("much the same as another piece")
    try:
        tunes = list(scores.parse((_root(name) / key).read_bytes(), key))
    except MusicFileError as error:
        return key, _rejected(error.reason)
    written, rejected = [], collections.Counter[str]()
    for number, tune in enumerate(tunes, start=1):
        place = f"_{number:03}" if len(tunes) > 1 else ""
        target = folder / f"{stem}{place}.mid"
        try:
            midi.write(to_sequence(tune, corpus, target), target)
            written.append(target.name)
        except MusicFileError as error:
            rejected[error.reason] += 1
    return key, {"written": written, "rejected": dict(rejected)}


def to_sequence(
    score: Score, corpus: Corpus, path: str | pathlib.Path = "score"
) -> "NoteSequence":
    """Turns a score of a corpus into a NoteSequence, each bar once.

    Raises:
        MusicFileError: If the score lacks the voices, or has no notes.
    """
    if corpus.four_voices:
        named = [(next(iter(part.name.split()), ""), part) for part in score.parts]
        parts = [part for name, part in named if name in VOICES]
        if sorted(name for name, _ in named if name in VOICES) != sorted(VOICES):
            raise MusicFileError(path, f"not in four voices {', '.join(VOICES)}")
        score = dataclasses.replace(score, parts=parts)
    return score_sequence.to_sequence(
        score, path, repeats="once", tempo_qpm=corpus.tempo_qpm, velocity=_VELOCITY
    )


def _load_record(folder: pathlib.Path) -> dict[str, _Entry]:
    try:
        return json.loads((folder / RECORD_NAME).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
