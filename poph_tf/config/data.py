"""How a data set is built: what goes into it, and how the work is run."""

import re
from typing import Annotated, Literal

from annotated_types import Interval

from poph_tf.config import tracks as tracks_lib
from poph_tf.config.declaration import Ints, Stored, Texts, settings
from poph_tf.config.tracks import MERGED
from poph_tf.errors import InputError

_Share = Annotated[float, Interval(ge=0.0, le=1.0)]
_Positive = Annotated[int, Interval(ge=1, le=10**9)]
_Seconds = Annotated[float, Interval(ge=0.001, le=1e6)]


@settings
class DataConfig(Stored):
    """What to build; equal settings and equal input give equal shards.

    Example:
        >>> config = DataConfig(input=("midi",), tracks=("melody:voice", "piano"))
        >>> [(track.name, track.voice) for track in config.wanted_tracks]
        [('melody', True), ('piano', False)]
        >>> DataConfig(input=())
        Traceback (most recent call last):
        poph_tf.errors.InputError: input must name a folder, archive or file.
    """

    input: Texts
    """Folders, archives, music files and NoteSequence TFRecords, comma-separated."""
    train_fraction: _Share = 0.8
    """Share of the pieces for training."""
    valid_fraction: _Share = 0.1
    """Share of the pieces for validation."""
    test_fraction: _Share = 0.1
    """Share of the pieces for testing."""
    steps_per_quarter: Annotated[int, Interval(ge=1, le=96)] = 4
    """Time grid: steps per quarter note. With 4, a step is a sixteenth note."""
    style_depth: Annotated[int, Interval(ge=1, le=100)] = 1
    """Level of the folder below the input that names the style; 1 is the top level."""
    styles_csv: str = ""
    """CSV table of paths and styles, to use instead of the folders."""
    near_duplicates: Literal["keep", "group", "drop"] = "group"
    """How to treat versions of one composition (other performances, keys or
    arrangements, excerpts). group: keep them in one split; drop: keep only the first
    by name; keep: do nothing."""
    split_by: Literal["hash", "folder", "table"] = "hash"
    """How to split the pieces. hash: by the fractions; folder: by folders named train,
    validation or test; table: by --splits_csv."""
    splits_csv: str = ""
    """CSV table of paths and splits, or with a header that names a column split, as in
    MAESTRO."""
    tracks: Texts = (MERGED,)
    """merged puts all instruments in one roll. Otherwise names of tracks, such as
    soprano,alto,tenor,bass or melody,bridge,piano, which are found by the names and
    programs of the parts. Add :voice to a name for one note at a time."""
    sustain: bool = False
    """Let the sustain pedal lengthen notes."""
    drums: bool = False
    """Keep drums (as pitches)."""
    align: Literal["off", "auto", "beats"] = "off"
    """auto: move each piece onto the grid; find its bars if the file has none, and its
    beats if those of the file fit the onsets badly. Use it for performances and files
    that do not begin on the grid. beats: find the beats of every piece from its notes.
    off: keep the beats of the file."""
    reader: Literal["fast", "note_seq"] = "fast"
    """MIDI reader. Both give the same notes, except for pedals on several channels with
    --sustain; note_seq is far slower."""
    repeats: Literal["played", "once"] = "played"
    """How to read repeats, endings and jumps of scores. played: as a player plays them;
    once: each bar once."""
    ornaments: Literal["written", "played"] = "written"
    """How to read trills, turns, mordents and arpeggios of MusicXML and Humdrum scores.
    written: as the note or chord written; played: as their notes, mostly 32nds."""
    programs: Ints = ()
    """Keep only these General MIDI programs, 0..127; empty: all."""
    channels: Ints = ()
    """Keep only these MIDI channels, 1..16; empty: all."""
    metres: Texts = ()
    """Keep only pieces in these metres, such as 4/4,3/4; empty: all."""
    min_steps: _Positive = 1
    """Reject shorter pieces."""
    max_steps: _Positive = 40_000
    """Reject longer pieces."""
    min_polyphony: Annotated[float, Interval(ge=0.0, le=128.0)] = 0.0
    """Reject pieces with fewer notes, on average, in the steps that sound."""
    max_silence: _Share = 1.0
    """Reject pieces with a larger share of silent steps."""
    trim_silence: bool = False
    """Remove the silence before the first note and after the last."""
    max_bytes: _Positive = 5_000_000
    """Reject larger files."""
    max_events: _Positive = 1_000_000
    """Reject files with more events."""
    max_notes: _Positive = 200_000
    """Reject pieces with more notes."""
    num_shards: Annotated[int, Interval(ge=0, le=99_999)] = 0
    """Number of training shards; 0: as many as suit the size."""

    renamed = {"inputs": "input", "parser": "reader"}

    def __post_init__(self) -> None:
        if not self.input:
            raise InputError("input must name a folder, archive or file.")
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise InputError(
                "train_fraction, valid_fraction and test_fraction must add up to 1, "
                f"got {self.fractions}."
            )
        tracks_lib.wanted(self.tracks)
        if self.min_steps > self.max_steps:
            raise InputError(
                f"min_steps must not exceed max_steps, got {self.min_steps} > "
                f"{self.max_steps}."
            )
        if (self.split_by == "table") != bool(self.splits_csv):
            raise InputError("split_by=table and splits_csv must be given together.")
        if self.channels and self.reader == "note_seq":
            raise InputError("channels needs reader=fast: note-seq forgets channels.")
        for name, low, high in (("programs", 0, 127), ("channels", 1, 16)):
            for number in getattr(self, name):
                if not low <= number <= high:
                    raise InputError(f"{name} must be {low} to {high}, got {number}.")
        for metre in self.metres:
            if not re.fullmatch(r"\d+/\d+", metre):
                raise InputError(f"metres must be like 4/4, got {metre!r}.")

    @property
    def wanted_tracks(self) -> tuple[tracks_lib.Track, ...]:
        """The tracks of each piece; empty if they are merged."""
        return tracks_lib.wanted(self.tracks)

    @property
    def fractions(self) -> tuple[float, float, float]:
        """Shares of training, validation and test."""
        return self.train_fraction, self.valid_fraction, self.test_fraction


@settings
class ExecutionOptions:
    """How the work is run; changes the result only if a limit is hit.

    Example:
        >>> ExecutionOptions(num_workers=8).seconds_per_file
        120.0
    """

    num_workers: Annotated[int, Interval(ge=1, le=4096)] = 1
    """Number of worker processes."""
    seconds_per_file: _Seconds = 120.0
    """Give up on a file that takes longer."""
    worker_memory_mb: Annotated[int, Interval(ge=0, le=2**24)] = 4096
    """Memory limit of each worker in megabytes; 0: none."""
    runner: Literal["local", "beam"] = "local"
    """local: processes on this machine; beam: Apache Beam (extra `beam`)."""
    beam_options: str = ""
    """Options of the Beam pipeline, such as '--runner=FlinkRunner ...'."""
