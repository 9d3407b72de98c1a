"""Turns the scores that come with music21 into folders of MIDI files.

Each corpus becomes one folder, named as its style, with one MIDI file a tune. Every
source file stands in a hidden record beside them, with what was written from it and
why the rest was rejected: so that the work can be taken up again where it stopped.
`scores.py` says how a score becomes music.

Licence: "to the best of our knowledge, each piece of music in the corpus is either out
of copyright in the United States or is licensed for use, though there may be
restrictions on commercial use" (music21, corpus/license.txt).
"""

import collections
import dataclasses
import json
import multiprocessing
import os
import pathlib
import re
import warnings

from poph_tf.data import midi, scores
from poph_tf.errors import InputError, MusicFileError

RECORD_NAME = ".corpus.json"
SCORE_SUFFIXES = (".mxl", ".xml", ".musicxml", ".krn", ".abc")
_RECORD_EVERY = 50


@dataclasses.dataclass(frozen=True)
class Corpus:
    """One collection of scores.

    Attributes:
        about: str. What it holds.
        tempo_qpm: float. Quarter notes per minute where a score gives no tempo.
        suffixes: tuple of str. The files read; others are copies of the same music.
        four_voices: bool. Keep soprano, alto, tenor and bass only, and reject scores
            without them.
        copies: tuple of str. Names of files that hold much the same music as another,
            which would let a test split leak into training.
    """

    about: str
    tempo_qpm: float
    suffixes: tuple = SCORE_SUFFIXES
    four_voices: bool = False
    copies: tuple = ()


# Each has more than half of its chords in a row in common with another chorale, in
# some key (found with copying.Index): versions of one piece, or one piece used twice.
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
    "palestrina": Corpus("masses by Palestrina, a movement a file", 144.0, (".krn",)),
    "monteverdi": Corpus("madrigals by Monteverdi, books 3 to 5", 120.0, (".mxl",)),
    "trecento": Corpus("Italian music of the 14th century", 120.0, (".mxl", ".xml")),
    "ryansMammoth": Corpus("fiddle tunes, one voice, a tune a file", 168.0, (".abc",)),
    "oneills1850": Corpus("Irish dance tunes, one voice", 168.0, (".abc",)),
    "airdsAirs": Corpus("Scottish and foreign airs, one voice", 144.0, (".abc",)),
    "essenFolksong": Corpus("folk songs of the Essen collection", 108.0, (".abc",)),
    "haydn": Corpus("string quartet movements by Haydn", 112.0, (".mxl",)),
    "mozart": Corpus("string quartets and a sonata by Mozart", 112.0, (".mxl",)),
    "beethoven": Corpus("string quartet movements by Beethoven", 112.0, (".mxl",)),
}


def _music21(module):
    """Imports a music21 module, late: only this file's callers need it."""
    try:
        return __import__(f"music21.{module}", fromlist=[module])
    except ImportError as error:
        raise InputError(
            "The corpus needs music21, which is not installed: pip install music21"
        ) from error


def find(name):
    """Lists the score files of a corpus, in natural order.

    Args:
        name: str. A key of `CORPORA`.

    Returns:
        list of pathlib.Path.

    Raises:
        InputError: If there is no such corpus, or no music21.
    """
    if name not in CORPORA:
        raise InputError(
            f"No corpus is called {name!r}; there are {', '.join(CORPORA)}."
        )
    root = _root() / name
    suffixes = CORPORA[name].suffixes
    paths = [p for p in root.rglob("*") if p.suffix in suffixes]
    if not paths:
        raise InputError(
            f"This installation of music21 lacks its corpus {name!r}: "
            "pip install --force-reinstall music21"
        )
    return sorted(paths, key=_natural)


def _root():
    return pathlib.Path(_music21("corpus").__file__).parent


def _natural(path):
    """A sort key that puts bwv2 before bwv10."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def parse(path):
    """Parses a score file with music21.

    Args:
        path: str or path. May hold several tunes.

    Returns:
        list of music21.stream.Score, one for each tune.

    Raises:
        MusicFileError: If music21 cannot read it.
    """
    converter, stream = _music21("converter"), _music21("stream")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # music21's cache of parsed scores costs more to write than it saves here.
            score = converter.parse(str(path), forceSource=True, storePickle=False)
    except Exception as error:  # music21 raises what its parser happens to meet
        kind = type(error).__name__
        raise MusicFileError(path, f"music21 cannot read it ({kind})") from error
    return list(score.scores) if isinstance(score, stream.Opus) else [score]


def fetch(name, output_dir, *, limit=None, num_workers=1, progress=None):
    """Writes a corpus as MIDI files into `output_dir/name`.

    What an earlier run wrote is kept, and what it rejected is not tried again.

    Args:
        name: str. A key of `CORPORA`.
        output_dir: str or path.
        limit: int or None. Take this many score files at most, the first ones.
        num_workers: int. Processes.
        progress: function of (done, total), called after each file, or None.

    Returns:
        dict with `written` (count of MIDI files), `rejected` (reason -> count of
        score files) and `folder`.

    Raises:
        InputError: If there is no such corpus, or the folder cannot be written.
    """
    sources = find(name)[:limit]
    folder = pathlib.Path(output_dir) / name
    keys = [p.relative_to(_root() / name).as_posix() for p in sources]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        record = _load_record(folder) | _again(keys)
        todo = [
            (name, str(p), key, str(folder))
            for p, key in zip(sources, keys, strict=True)
            if not _is_done(record.get(key), folder)
        ]
        _convert_all(todo, record, folder, len(sources), num_workers, progress)
    except OSError as error:
        raise InputError(f"Cannot write into {folder}: {error.strerror}") from error
    found = [record[key] for key in keys]
    return {
        "folder": str(folder),
        "written": sum(len(entry["written"]) for entry in found),
        "rejected": dict(
            sum(
                (collections.Counter(e["rejected"]) for e in found),
                collections.Counter(),
            )
        ),
    }


def _again(keys):
    """Entries of the files that hold a score which another file's suffix has too."""
    seen, again = set(), {}
    for key in keys:
        stem = os.path.splitext(key)[0]
        if stem in seen:
            reason = "the same score in another format"
            again[key] = {"written": [], "rejected": {reason: 1}}
        seen.add(stem)
    return again


def _is_done(entry, folder):
    return entry is not None and all((folder / f).exists() for f in entry["written"])


def _convert_all(todo, record, folder, total, num_workers, progress):
    done = total - len(todo)
    workers = min(num_workers, len(todo))
    # Not fork: the caller may have TensorFlow's threads running.
    pool = multiprocessing.get_context("spawn").Pool(workers) if workers > 1 else None
    results = pool.imap_unordered(_convert, todo) if pool else map(_convert, todo)
    try:
        for key, entry in results:
            record[key] = entry
            done += 1
            if progress:
                progress(done, total)
            if done % _RECORD_EVERY == 0:
                _save_record(folder, record)
    finally:
        _save_record(folder, record)
        if pool:
            pool.terminate()


def _convert(task):
    """Converts one score file; returns its key and its entry for the record."""
    name, path, key, folder = task
    written, rejected = [], collections.Counter()
    stem = os.path.splitext(key)[0].replace("/", "_")
    if stem in CORPORA[name].copies:
        return key, {"written": [], "rejected": {"much the same as another piece": 1}}
    try:
        tunes = parse(path)
    except MusicFileError as error:
        return key, {"written": [], "rejected": {error.reason: 1}}
    for number, tune in enumerate(tunes, start=1):
        filename = f"{stem}_{number:03}.mid" if len(tunes) > 1 else f"{stem}.mid"
        try:
            _write(tune, CORPORA[name], pathlib.Path(folder) / filename)
            written.append(filename)
        except MusicFileError as error:
            rejected[error.reason] += 1
    return key, {"written": written, "rejected": dict(rejected)}


def _write(tune, corpus, target):
    sequence = scores.to_sequence(
        tune, tempo_qpm=corpus.tempo_qpm, four_voices=corpus.four_voices, path=target
    )
    midi.write(sequence, str(target))


def _load_record(folder):
    try:
        return json.loads((folder / RECORD_NAME).read_text("utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _save_record(folder, record):
    partial = folder / f"{RECORD_NAME}.partial"
    partial.write_text(json.dumps(record, indent=1, sort_keys=True), "utf-8")
    partial.rename(folder / RECORD_NAME)
