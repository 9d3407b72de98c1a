"""Watches a folder: answers each score dropped into it with a new piece.

A file is read if it has not changed between two polls. Each is answered once, with a
file beside it that appears complete; an unreadable file is skipped until it changes.
"""

import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from poph_tf.config import GenerationConfig
from poph_tf.data import reading
from poph_tf.errors import InputError, MusicFileError, one_line
from poph_tf.generation.composer import Composer
from poph_tf.rendering import saving

POLL_SECONDS = 0.5
# Tasks that answer a file.
TASKS = ("harmonize", "accompany", "continue", "infill", "vary", "reharmonize")
SUFFIXES = (*reading.MIDI_SUFFIXES, *reading.SCORE_SUFFIXES)

Stamp = tuple[int, int]
Answer = Callable[[pathlib.Path, pathlib.Path], None]


class Watch:
    """The files in a folder that wait for an answer.

    Args:
        folder: the watched folder.
        task: the task, which names the answers: NAME.TASK.mid.
    """

    def __init__(self, folder: pathlib.Path, task: str) -> None:
        self._folder, self._task = folder, task
        self._last: dict[pathlib.Path, Stamp] = {}
        self._tried: dict[pathlib.Path, Stamp] = {}

    def ready(self) -> Iterator[pathlib.Path]:
        """Yields files that have not changed since the last call."""
        last, self._last = self._last, dict(self._waiting())
        for path, stamp in sorted(self._last.items()):
            if last.get(path) == stamp:
                self._tried[path] = stamp
                yield path

    def output(self, path: pathlib.Path) -> pathlib.Path:
        """The path of the answer to a file."""
        return path.with_name(f"{path.stem}.{self._task}.mid")

    def _waiting(self) -> Iterator[tuple[pathlib.Path, Stamp]]:
        """Files that are not empty, not answers, and not yet answered or tried."""
        answers = tuple(f".{task}" for task in TASKS)
        for path in self._folder.iterdir():
            ours = path.name.startswith(".") or path.stem.endswith(answers)
            if path.suffix.lower() not in SUFFIXES or ours:
                continue
            stamp = _stamp(path)
            if stamp in (None, self._tried.get(path)) or self.output(path).exists():
                continue
            yield path, stamp


def _stamp(path: pathlib.Path) -> Stamp | None:
    """Size and modification time; None if it is empty, not a file, or gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    is_there = path.is_file() and status.st_size
    return (status.st_size, status.st_mtime_ns) if is_there else None


def answer_ready(watch: Watch, answer: Answer) -> None:
    """Answers the files that are ready, and prints errors."""
    for path in watch.ready():
        output = watch.output(path)
        try:
            answer(path, output)
        except (InputError, OSError) as error:
            print(f"{path.name}: {_reason(error)}", file=sys.stderr, flush=True)
        else:
            print(output, flush=True)


def _reason(error: Exception) -> str:
    return one_line(error.reason if isinstance(error, MusicFileError) else error)


def run(folder: pathlib.Path, composer: Composer, options: Mapping[str, Any]) -> None:
    """Answers files until it is interrupted.

    Args:
        folder: the watched folder.
        composer: composes the answers.
        options: settings of `GenerationConfig`, with a task and without music.

    Raises:
        InputError: If the settings are wrong, or the folder is gone.
    """

    def settings(music: pathlib.Path) -> GenerationConfig:
        return GenerationConfig(**options, num_pieces=1, music=str(music))

    def answer(path: pathlib.Path, output: pathlib.Path) -> None:
        request = settings(path).resolve(composer.config)
        for change in request.task.changes:
            print(f"{path.name}: {change}", file=sys.stderr, flush=True)
        (piece,) = composer.engine(request).generate(request)
        saving.save(piece, output)

    watch = Watch(folder, settings(folder).kind)
    while folder.is_dir():
        answer_ready(watch, answer)
        time.sleep(POLL_SECONDS)
    raise InputError(f"The folder {folder} is gone.")
