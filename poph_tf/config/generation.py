"""What to compose: the settings of `generate`, `Composer.compose` and the server."""

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pydantic
from annotated_types import Interval

from poph_tf import named_chords, theory
from poph_tf.config.declaration import Stored, Texts, settings
from poph_tf.errors import InputError

if TYPE_CHECKING:
    from poph_tf.generation.request import Request

# The second word of a seed is a piece's number; its candidates and particles come in
# strides of this, so that no two of them share one.
MAX_PIECES = 4096
# Rows that may be drawn for one piece: best_of times particles.
MAX_ROWS = 4096
# Just above what the three bytes of a MIDI file's tempo can say.
SLOWEST_TEMPO_QPM = 4.0
# The key setting that follows what has been played.
AUTO_KEY = "auto"

_Temperature = Annotated[float, Interval(ge=0.0, le=100.0)]
_Pitch = Annotated[int, Interval(ge=0, le=127)]
_Rows = Annotated[int, Interval(ge=1, le=MAX_ROWS)]
# Empty: what the other settings say, see `GenerationConfig.kind`.
Task = Literal[
    "",
    "compose",
    "continue",
    "harmonize",
    "accompany",
    "infill",
    "vary",
    "reharmonize",
]
# The path of a music file, Matrices or Notes.
Music = Annotated[Any, pydantic.WithJsonSchema({"type": ["string", "null"]})]


@settings
class GenerationConfig(Stored):
    """What to compose.

    Example:
        >>> config = GenerationConfig(num_bars=16, key="D minor", seed=7)
        >>> config.key, config.temperature
        ('D minor', 1.0)
        >>> GenerationConfig(form="A2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        poph_tf.errors.InputError: form must be ...
    """

    num_pieces: Annotated[int, Interval(ge=1, le=MAX_PIECES)] = 4
    """Number of pieces."""
    num_bars: Annotated[int, Interval(ge=1, le=10**6)] = 32
    """New bars of each piece; where notes of the music are kept, it decides."""
    temperature: _Temperature = 1.0
    """Below 1 is safer, above 1 bolder."""
    replay_temperature: _Temperature = 0.0
    """Temperature of repeated notes, in voices also of rests and held notes; 0: as
    temperature, in voices 1."""
    seed: Annotated[int, Interval(ge=0, le=2**31 - 1)] = 0
    """The same seed, settings and build give the same pieces."""
    style: str = ""
    """A style, a mixture (bach:0.7,monteverdi:0.3), or either from a bar on
    ('0: bach; 16: monteverdi'); empty: the shares of the training data."""
    ending: bool = True
    """Lead to an end at the last bar (models with tracks); false: an endless stream."""
    task: Task = ""
    """What to do with the music: continue it; harmonize or accompany the given tracks;
    infill bars; vary tracks (draw them anew); reharmonize (draw anew all but the
    melody). Empty: harmonize with fix, infill with bars, continue with music, else
    compose."""
    music: Music = None
    """Music file (MIDI, MusicXML, ABC) that the task works on."""
    bars: str = ""
    """Bars of the music to draw anew, such as 9-12; the rest is kept."""
    steps: str = ""
    """Sixteenths of the music to draw anew, counted from 0, such as 16-31 (models with
    tracks)."""
    given: Texts = ()
    """Tracks of the model whose notes in the music are kept (models with tracks)."""
    draw: Texts = ()
    """Tracks of the model to draw anew, such as bass, or bass:16-31 for some of its
    sixteenths; those of the music that are not named are given (models with tracks)."""
    map: Texts = ()
    """Tracks of the music by track of the model, such as 'Vln 1:soprano'; otherwise
    by their names."""
    chords: str = ""
    """Chords of the bars, in turn, such as 'C G Am F': other pitches cost key_strength
    logits."""
    primer: Music = None
    """Another name of music, for continue and infill."""
    from_bar: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """First new bar, counted from 1: the primer is cut there; 0: after its end."""
    keep_primer: bool = True
    """Begin the pieces with the primer."""
    redraw: str = ""
    """Another name of bars, for infill."""
    redraw_lookahead: Annotated[int, Interval(ge=0, le=1024)] = 2
    """Bars after the redrawn ones that they should lead to."""
    fix: Music = None
    """Another name of music, for harmonize: its notes are kept."""
    fix_as: Literal["melody", "bass", "any"] = "melody"
    """melody: nothing is drawn above the kept notes while they sound; bass: nothing
    below; any: anywhere."""
    particles: _Rows = 16
    """Candidates weighted by how well they fit fix or redraw; models with tracks
    look ahead instead."""
    best_of: _Rows = 1
    """Candidates of each piece, of which one is kept."""
    best_by: Literal["key", "likelihood"] = "key"
    """Keep the candidate with the fewest notes outside a key, or the likeliest."""
    tempo_qpm: Annotated[float, Interval(ge=0.0, le=1000.0)] = 0.0
    """Quarter notes a minute; 0: the given music's tempo, or 120."""
    humanize: Annotated[float, Interval(ge=0.0, le=1.0)] = 1.0
    """Slow down over the last two bars, at 1 by a quarter of the tempo (models with
    tracks and dynamics); 0: keep the tempo."""
    metre: str = ""
    """Time signature such as 3/4; empty: that of the given music, or 4/4."""
    form: str = ""
    """A letter for each section, such as AABA: the same letter is the same music.
    Empty: drawn; free: nothing is planned. Only of models that read the form."""
    form_strength: Annotated[float, Interval(ge=0.0, le=10.0)] = 1.3
    """How much the form counts: a factor of what it says, 1 as in training; higher
    repeats more literally."""
    chord_strength: Annotated[float, Interval(ge=0.0, le=10.0)] = 1.0
    """How much chords count in models that read them: a factor of what they say, 1 as
    in training."""
    key: str = ""
    """Key, such as 'Bb major' or 'D dorian'. Empty: in models that read the key that
    of the given music (its file's, else by its notes), or of the chords, or a drawn
    one; in others none. auto: there the key that the piece is in."""
    key_strength: Annotated[float, Interval(ge=0.0, le=100.0)] = 2.0
    """How much the key counts: in models that read it a factor of what it says, 1 as in
    training; in others, and for chords and scales but major and minor, logits
    subtracted from every pitch outside."""
    min_pitch: _Pitch = 0
    """Lowest MIDI pitch to draw."""
    max_pitch: _Pitch = 127
    """Highest MIDI pitch to draw."""
    density: Annotated[float, Interval(ge=0.0, le=128.0)] = 0.0
    """Wanted mean number of notes sounding at a time; 0: no control."""
    min_probability: Annotated[float, Interval(ge=0.0, le=0.5)] = 0.0
    """Never draw notes less probable than this, and always draw those more probable
    than 1 minus this."""
    top_p: Annotated[float, Interval(ge=0.01, le=1.0)] = 0.85
    """A voice draws from its likeliest pitches that together have this probability; 1:
    from all. Only of networks of voices alone."""
    probability_exponent: Annotated[float, Interval(ge=0.01, le=100.0)] = 1.0
    """Exponent of the probabilities (Johnson's); above 1 fewer notes."""
    silence_temperature: _Temperature = 0.1
    """Temperature added per silent step after one bar of silence (0 disables)."""

    renamed = {
        "pieces": "num_pieces",
        "cut": "min_probability",
        "conservativity": "probability_exponent",
        "silent_warmth": "silence_temperature",
    }

    def __post_init__(self) -> None:
        if 0 < self.tempo_qpm < SLOWEST_TEMPO_QPM:
            raise InputError(
                f"tempo_qpm must be 0 (the given music's, or 120) or at least "
                f"{SLOWEST_TEMPO_QPM:g}, the slowest that MIDI can store, got "
                f"{self.tempo_qpm:g}."
            )
        if self.min_pitch > self.max_pitch:
            raise InputError(
                f"min_pitch must not exceed max_pitch, got {self.min_pitch} and "
                f"{self.max_pitch}."
            )
        if self.key and self.key != AUTO_KEY:
            theory.key_outside(self.key)
        theory.check_form(self.form)
        if self.metre:
            theory.read_metre(self.metre)
        if self.bars_to_draw:
            theory.read_bars(self.bars_to_draw)
        if self.steps:
            theory.read_range(self.steps, "steps")
        if self.chords:
            named_chords.read_chords(self.chords)
        self._check_together()

    def _check_together(self) -> None:
        names = ("music", "primer", "fix")
        several = [name for name in names if getattr(self, name) is not None]
        if len(several) > 1:
            raise InputError(
                f"{several[1]} and {several[0]} cannot be combined: give one of them."
            )
        if sum(map(bool, (self.redraw, self.bars, self.steps))) > 1:
            raise InputError("bars, redraw and steps say the same: give one of them.")
        self._check_task()
        if self.rows_per_piece > MAX_ROWS:
            raise InputError(
                f"best_of times particles must be at most {MAX_ROWS}, got "
                f"{self.rows_per_piece}."
            )

    def _check_task(self) -> None:
        kind, has_music = self.kind, self.source is not None
        if self.redraw and not has_music:
            raise InputError("redraw needs a primer: the piece that has these bars.")
        if kind == "compose" and has_music:
            raise InputError(
                "compose takes no music; continue, harmonize or infill do."
            )
        if kind != "compose" and not has_music:
            raise InputError(f"The task {kind} needs music.")
        for name in ("bars_to_draw", "steps", "given", "draw"):
            if getattr(self, name) and kind in ("compose", "continue"):
                raise InputError(f"The task {kind} draws whole bars of all tracks.")
        if self.from_bar and (kind != "continue" or not has_music):
            raise InputError("from_bar needs a primer to continue, and no redraw.")
        if self.metre and kind not in ("compose", "continue"):
            raise InputError(
                "metre cannot be combined with fix or redraw; the input's time "
                "signature is used."
            )

    @property
    def source(self) -> Any:
        """The music that the task works on: `music` or its other names."""
        found = (self.music, self.primer, self.fix)
        return next((music for music in found if music is not None), None)

    @property
    def bars_to_draw(self) -> str:
        """The bars to draw anew: `bars` or its other name."""
        return self.bars or self.redraw

    @property
    def kind(self) -> str:
        """The task; where none is named, what the other settings say."""
        if self.task:
            return self.task
        if self.bars_to_draw or self.steps:
            return "infill"
        if self.draw:
            return "vary"
        if self.fix is not None or (self.given and self.source is not None):
            return "harmonize"
        return "continue" if self.source is not None else "compose"

    @property
    def num_particles(self) -> int:
        """Particles of each candidate; 0 where no given notes could weight them."""
        return 0 if self.kind in ("compose", "continue") else self.particles

    @property
    def rows_per_piece(self) -> int:
        """Rows drawn for each piece: candidates times particles."""
        return self.best_of * max(self.num_particles, 1)

    def resolve(self, model: Any) -> "Request":
        """Turns the settings into the complete request that the sampler reads.

        Args:
            model: PolyphonyModel, or its ModelConfig.

        Raises:
            InputError: If the settings do not fit the model or the given music.
        """
        from poph_tf.generation import request

        return request.resolve(self, model)


def is_path(music: Any) -> bool:
    """Whether a music setting names a file; otherwise it is music, or None."""
    return isinstance(music, (str, os.PathLike))
