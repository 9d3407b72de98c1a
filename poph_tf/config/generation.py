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
# strides of this, so that no two of them share a seed.
MAX_PIECES = 4096
# Rows that may be drawn for one piece: best_of times particles.
MAX_ROWS = 4096
# Just above the slowest tempo that fits the three bytes of a MIDI file.
SLOWEST_TEMPO_QPM = 4.0
# The key setting that follows the notes drawn so far.
AUTO_KEY = "auto"

_Temperature = Annotated[float, Interval(ge=0.0, le=100.0)]
_Pitch = Annotated[int, Interval(ge=0, le=127)]
_Rows = Annotated[int, Interval(ge=1, le=MAX_ROWS)]
# Empty: inferred from the other settings, see `GenerationConfig.kind`.
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
    """Number of pieces to compose."""
    num_bars: Annotated[int, Interval(ge=1, le=10**6)] = 32
    """New bars per piece; if notes of the music are kept, the music sets the length."""
    temperature: _Temperature = 1.0
    """Sampling temperature: below 1 is safer, above 1 bolder."""
    replay_temperature: _Temperature = 0.0
    """Temperature of repeated notes, and in voices also of rests and held notes; 0: the
    same as temperature, in voices 1."""
    seed: Annotated[int, Interval(ge=0, le=2**31 - 1)] = 0
    """Random seed; the same seed, settings and build give the same pieces."""
    style: str = ""
    """A style or a mixture (bach:0.7,monteverdi:0.3); to change it along the piece,
    give the bar where each starts ('0: bach; 16: monteverdi'). Empty: in proportion to
    the training data."""
    ending: bool = True
    """Lead to an ending in the last bar (models with tracks); false: compose as if the
    music went on."""
    task: Task = ""
    """What to do with the music: continue it; harmonize or accompany the given tracks;
    infill bars; vary tracks (redraw them); reharmonize (redraw all but the melody).
    Empty: infill if bars or steps are set, vary with draw, harmonize with fix or given,
    continue with music alone, otherwise compose."""
    music: Music = None
    """Music file (MIDI, MusicXML, ABC) that the task works on."""
    bars: str = ""
    """Bars of the music to redraw, counted from 1, such as 9-12; the rest is kept."""
    steps: str = ""
    """Sixteenths of the music to redraw, counted from 0, such as 16-31 (models with
    tracks)."""
    given: Texts = ()
    """Tracks of the model whose notes in the music are kept, such as soprano (models
    with tracks)."""
    draw: Texts = ()
    """Tracks of the model to redraw, such as bass, or bass:16-31 for some of its
    sixteenths; other tracks of the music are kept (models with tracks)."""
    map: Texts = ()
    """Which track of the music goes to which track of the model, such as
    'Vln 1:soprano'; empty: they are matched by name, or else by height."""
    chords: str = ""
    """Chords, one per bar in turn, such as 'C G Am F'; pitches outside a chord lose
    key_strength logits."""
    primer: Music = None
    """Alias of music, for continue and infill."""
    from_bar: Annotated[int, Interval(ge=0, le=10**6)] = 0
    """First new bar, counted from 1: the primer is cut there; 0: after its end."""
    keep_primer: bool = True
    """Whether the pieces begin with the primer."""
    redraw: str = ""
    """Alias of bars, for infill."""
    redraw_lookahead: Annotated[int, Interval(ge=0, le=1024)] = 2
    """Number of bars after the redrawn ones that the new bars should lead into."""
    fix: Music = None
    """Alias of music, for harmonize: its notes are kept."""
    fix_as: Literal["melody", "bass", "any"] = "melody"
    """melody: nothing is drawn above the kept notes while they sound; bass: nothing is
    drawn below them; any: notes may be drawn anywhere."""
    particles: _Rows = 16
    """Number of versions drawn side by side and weighted by how well they fit the kept
    notes; models with tracks look ahead instead."""
    best_of: _Rows = 1
    """Number of candidates per piece, of which best_by keeps one."""
    best_by: Literal["key", "likelihood"] = "key"
    """Which candidate to keep. key: the one with the fewest notes outside a key;
    likelihood: the likeliest."""
    tempo_qpm: Annotated[float, Interval(ge=0.0, le=1000.0)] = 0.0
    """Tempo in quarter notes per minute; 0: the given music's tempo, or 120."""
    humanize: Annotated[float, Interval(ge=0.0, le=1.0)] = 1.0
    """How much to slow down over the last two bars (models with tracks and dynamics);
    1: by a quarter of the tempo, 0: not at all."""
    metre: str = ""
    """Time signature, such as 3/4; empty: that of the given music, or 4/4."""
    form: str = ""
    """One letter per section, such as AABA: the same letter is the same music. Empty: a
    form is drawn; free: no form is planned. Only for models that read the form."""
    form_strength: Annotated[float, Interval(ge=0.0, le=10.0)] = 1.3
    """How strongly the form counts; 1 is as in training, higher values repeat more
    literally."""
    chord_strength: Annotated[float, Interval(ge=0.0, le=10.0)] = 1.0
    """How strongly chords count in models that read them; 1 is as in training."""
    key: str = ""
    """Key, such as 'Bb major' or 'D dorian'. Empty: models that read the key take it
    from the given music (its file, else its notes) or the chords, or draw one; other
    models use none. auto: other models follow the key that the piece is in."""
    key_strength: Annotated[float, Interval(ge=0.0, le=100.0)] = 2.0
    """How strongly the key counts. Models that read it: a factor, 1 is as in training.
    Other models, chords, and scales other than major and minor: logits subtracted from
    every pitch outside."""
    min_pitch: _Pitch = 0
    """Lowest MIDI pitch to draw."""
    max_pitch: _Pitch = 127
    """Highest MIDI pitch to draw."""
    density: Annotated[float, Interval(ge=0.0, le=128.0)] = 0.0
    """Target for the mean number of notes sounding at a time; 0: no control."""
    min_probability: Annotated[float, Interval(ge=0.0, le=0.5)] = 0.0
    """Never draw notes less probable than this, and always draw those more probable
    than 1 minus this."""
    top_p: Annotated[float, Interval(ge=0.01, le=1.0)] = 0.85
    """Nucleus sampling: a voice draws from its likeliest pitches that together have
    this probability; 1: from all. Only for models whose tracks are all voices."""
    probability_exponent: Annotated[float, Interval(ge=0.01, le=100.0)] = 1.0
    """Exponent of the note probabilities (Johnson's); above 1 gives fewer notes."""
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
            raise InputError("bars, redraw and steps cannot be combined: give one.")
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
        """The music that the task works on: `music` or one of its aliases."""
        found = (self.music, self.primer, self.fix)
        return next((music for music in found if music is not None), None)

    @property
    def bars_to_draw(self) -> str:
        """The bars to redraw: `bars` or its alias."""
        return self.bars or self.redraw

    @property
    def kind(self) -> str:
        """The task; if none is named, it is inferred from the other settings."""
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
        """Particles of each candidate; 0 if there are no given notes to weight them."""
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
