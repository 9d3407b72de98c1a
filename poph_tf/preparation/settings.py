"""All that decides what a data set will be.

Two runs with equal settings over equal input give equal shards; how many workers there
are and how long they may take is no part of it (see `Effort`).
"""

import dataclasses
import hashlib
import json

from poph_tf.errors import InputError
from poph_tf.music import bars

ALIGNMENTS = ("off", "auto")
PARSERS = ("fast", "note_seq")
RUNNERS = ("local", "beam")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to make.

    Args:
        inputs: tuple of str. Folders, archives, music files, NoteSequence TFRecords.
        fractions: (train, valid, test), shares of the pieces; they add up to 1.
        steps_per_quarter: int.
        style_depth: int. Which folder under the input names the style; 1 the top.
        styles: tuple of (path, style) that override the folders, or empty.
        sustain, drums: bool.
        align: str, one of ALIGNMENTS.
        parser: str, one of PARSERS.
        programs, channels: tuple of int (channels 1..16), or empty for all.
        metres: tuple of str such as "4/4"; pieces with others are left out.
        min_steps, max_steps: int.
        min_polyphony: float. Least mean number of notes in steps that sound.
        max_silence: float. Largest share of silent steps.
        max_bytes, max_events, max_notes: int. Larger files are rejected.
        num_shards: int. Of the training split; 0 for a number that suits its size.
    """

    inputs: tuple
    fractions: tuple = (0.8, 0.1, 0.1)
    steps_per_quarter: int = bars.STEPS_PER_QUARTER
    style_depth: int = 1
    styles: tuple = ()
    sustain: bool = False
    drums: bool = False
    align: str = "off"
    parser: str = "fast"
    programs: tuple = ()
    channels: tuple = ()
    metres: tuple = ()
    min_steps: int = 1
    max_steps: int = 40_000
    min_polyphony: float = 0.0
    max_silence: float = 1.0
    max_bytes: int = 5_000_000
    max_events: int = 1_000_000
    max_notes: int = 200_000
    num_shards: int = 0

    def key(self):
        """A hash that differs wherever the settings differ."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@dataclasses.dataclass(frozen=True)
class Effort:
    """How to go about it; never changes the result, save where the net must catch.

    Args:
        num_workers: int. Processes.
        seconds_per_file: float. A worker that takes longer is replaced.
        worker_memory_mb: int. Address space of a worker; 0 for no limit.
        runner: str, one of RUNNERS.
        beam_options: str. Of the Beam pipeline.
    """

    num_workers: int = 1
    seconds_per_file: float = 120.0
    worker_memory_mb: int = 4096
    runner: str = "local"
    beam_options: str = ""


def validate(settings, effort):
    """Raises InputError with the first setting that cannot be."""
    if not settings.inputs:
        raise InputError("--input must name a folder, archive or file.")
    fractions = settings.fractions
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            "--train_fraction, --valid_fraction and --test_fraction must not be "
            f"negative and must add up to 1, got {fractions}."
        )
    if settings.channels and settings.parser == "note_seq":
        raise InputError("--channels needs --parser=fast: note-seq forgets channels.")
    for name, choices in (("align", ALIGNMENTS), ("parser", PARSERS)):
        if getattr(settings, name) not in choices:
            raise InputError(
                f"--{name} must be one of {', '.join(choices)}, "
                f"got {getattr(settings, name)!r}."
            )
    _validate_numbers(settings, effort)
    _validate_lists(settings)


def _validate_numbers(settings, effort):
    least = {
        "steps_per_quarter": 1,
        "style_depth": 1,
        "min_steps": 1,
        "max_steps": settings.min_steps,
        "min_polyphony": 0,
        "max_silence": 0,
        "max_bytes": 1,
        "max_events": 1,
        "max_notes": 1,
        "num_shards": 0,
    }
    for name, bound in least.items():
        if getattr(settings, name) < bound:
            raise InputError(
                f"--{name} must be at least {bound}, got {getattr(settings, name)}."
            )
    if settings.steps_per_quarter > 96:
        raise InputError("--steps_per_quarter must be at most 96.")
    if effort.runner not in RUNNERS:
        raise InputError(f"--runner must be local or beam, got {effort.runner!r}.")
    for name in ("num_workers", "seconds_per_file"):
        if getattr(effort, name) <= 0:
            raise InputError(f"--{name} must be above 0, got {getattr(effort, name)}.")


def _validate_lists(settings):
    for program in settings.programs:
        if not 0 <= program <= 127:
            raise InputError(f"--programs must lie in 0..127, got {program}.")
    for channel in settings.channels:
        if not 1 <= channel <= 16:
            raise InputError(f"--channels must lie in 1..16, got {channel}.")
    for metre in settings.metres:
        parts = metre.split("/")
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            raise InputError(f"--metres must be like 4/4, got {metre!r}.")


def whole_numbers(name, texts):
    """The numbers of a flag that is a list; raises InputError for what is none."""
    for text in texts:
        if not text.strip().isdecimal():
            raise InputError(f"--{name} must be whole numbers, got {text!r}.")
    return tuple(sorted({int(text) for text in texts}))
