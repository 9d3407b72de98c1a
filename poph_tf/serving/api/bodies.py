"""The bodies of requests to the API: settings of `GenerationConfig`, and music.

The models of the bodies are built from the declaration of the settings. An error is
one sentence.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pydantic
from annotated_types import Interval, MaxLen
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from poph_tf.config import GenerationConfig, describe
from poph_tf.errors import InputError, one_line
from poph_tf.rendering.engraving import PAGE_PIXELS
from poph_tf.serving.api.scores import (
    MAX_STEPS,
    MAX_TRACKS,
    ONE_ERROR,
    Score,
    Strict,
)

MAX_CANDIDATES = 64
# Enough for every track in every bar.
MAX_DRAW = MAX_TRACKS * MAX_STEPS // 16
# Settings that a request gives in other ways: by its path, `candidates` and `music`.
LEFT_OUT = ("num_pieces", "task", "music", "primer", "fix", "redraw")
# Longest text of a setting, and longest value shown in an error.
MAX_TEXT, SHOWN = 1000, 60


class Upload(Strict):
    """A music file: one of `midi`, `musicxml`, `abc`, or `data` with its name."""

    midi: str | None = None
    """A MIDI file as base64."""
    musicxml: str | None = None
    """A MusicXML file as text."""
    abc: str | None = None
    """A tune in ABC notation as text."""
    data: str | None = None
    """A file of any supported kind as base64; the suffix of `name` tells which."""
    name: Annotated[str, MaxLen(200)] = ""
    """The file name for `data`, such as tune.mxl."""

    def content(self) -> tuple[bytes, str]:
        """The content of the file and its name.

        Raises:
            InputError: If there is no file or more than one, or the base64 is invalid.
        """
        given = {
            name: text
            for name in ("midi", "musicxml", "abc", "data")
            if (text := getattr(self, name)) is not None
        }
        if len(given) != 1:
            raise InputError("music must hold one of notes, midi, musicxml, abc, data.")
        ((kind, text),) = given.items()
        if kind in ("musicxml", "abc"):
            return text.encode("utf-8", "surrogatepass"), f"music.{kind}"
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise InputError(f"music.{kind} must be base64.") from None
        return content, "music.mid" if kind == "midi" else self.name


def _kind_of_music(value: Any) -> str:
    is_score = isinstance(value, Score) or (
        isinstance(value, dict) and "notes" in value
    )
    return "score" if is_score else "upload"


Music = Annotated[
    Annotated[Score, pydantic.Tag("score")] | Annotated[Upload, pydantic.Tag("upload")],
    pydantic.Discriminator(_kind_of_music),
]


class Lasso(Strict):
    """Steps of a track to draw again."""

    track: Annotated[str, MaxLen(200)]
    """The name of the track."""
    start: Annotated[int, Interval(ge=0, le=MAX_STEPS)]
    """The first step."""
    end: Annotated[int, Interval(ge=1, le=MAX_STEPS)]
    """The step after the last one."""

    def __str__(self) -> str:
        if self.end <= self.start:
            raise InputError(f"draw must end after step {self.start}, got {self.end}.")
        return f"{self.track}:{self.start}-{self.end - 1}"


class Reading(Strict):
    """A music file to read."""

    music: Music


class Scoring(Reading):
    """Music to score."""

    model: Annotated[str, MaxLen(200)] = ""
    """The name of the model; empty: the default."""
    style: Annotated[str, MaxLen(MAX_TEXT)] = ""


class Rendering(Reading):
    """Music to write as a file."""

    format: Literal["midi", "musicxml", "wav", "png", "pdf", "svg"] = "midi"
    """The file format; svg has the whole score on one page."""
    width: Annotated[int, Interval(ge=200, le=4000)] = PAGE_PIXELS
    """Width of a line of the score in pixels for svg; other formats ignore it."""

    @property
    def view(self) -> dict[str, Any]:
        """The drawing options for `saving.RENDERERS`."""
        return {"width": self.width} if self.format == "svg" else {}


class Settings(Strict):
    """Fields of requests for pieces in addition to those of `GenerationConfig`."""

    model: Annotated[str, MaxLen(200)] = ""
    """The name of the model; empty: the default."""
    candidates: Annotated[int, Interval(ge=1, le=MAX_CANDIDATES)] = 1
    """Number of pieces to compose, with consecutive seeds."""


def _declared() -> dict[str, Any]:
    # pydantic adds this attribute; type checkers see a plain dataclass.
    fields: Mapping[str, Any] = GenerationConfig.__pydantic_fields__  # type: ignore[attr-defined]
    made: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in LEFT_OUT:
            kind = field.annotation
            if kind is str:
                kind = Annotated[str, MaxLen(MAX_TEXT)]
            elif kind == tuple[str, ...]:  # track names
                kind = Annotated[kind, MaxLen(MAX_TRACKS), ONE_ERROR]
            made[name] = (kind, field)
    kind = Annotated[list[str | Lasso], MaxLen(MAX_DRAW), ONE_ERROR]
    help_text = fields["draw"].description
    made["draw"] = (kind, pydantic.Field([], description=help_text))
    return made


Composing: type[Settings] = pydantic.create_model(
    "Composing", __base__=Settings, __doc__="What to compose.", **_declared()
)
Arranging: type[Settings] = pydantic.create_model(
    "Arranging",
    __base__=Composing,
    __doc__="What to do with music.",
    music=(Music, pydantic.Field()),
)


def configs(body: Settings, task: Any, notes: Any) -> list[GenerationConfig]:
    """The settings of each candidate.

    Args:
        body: a `Composing` or `Arranging`.
        task: the task.
        notes: the music, if there is any.

    Raises:
        InputError: If the settings do not fit together.
    """
    own = ("model", "candidates", "music")
    # Unset fields are left out: the presence of a setting may have a meaning.
    values = {k: v for k, v in body if k not in own and k in body.model_fields_set}
    values["draw"] = tuple(str(each) for each in values.get("draw", ()))
    seed = values.pop("seed", 0)
    return [
        GenerationConfig(
            task=task,
            music=notes,
            num_pieces=1,
            seed=(seed + k) % 2**31,
            **values,
        )
        for k in range(body.candidates)
    ]


def sentence(errors: Sequence[Any]) -> str:
    """The first error that pydantic found, as one sentence."""
    error = errors[0]
    place = [str(part) for part in error["loc"] if part != "body"]
    name = ".".join(part for part in place if part not in ("score", "upload"))
    known = {setting.name: setting for setting in describe(GenerationConfig)}
    kind = error["type"]
    if kind == "json_invalid":
        return "The body must be JSON."
    if kind == "missing":
        return f"{name or 'The body'} must be given."
    if kind == "extra_forbidden":
        return f"{_shown(name)} is unknown here."
    if name in known and len(place) == 1 and kind != "too_long":
        return f"{name} must be {known[name].expected}, got {_shown(error['input'])}."
    return one_line(f"{name or 'The body'}: {error['msg']}.")


def _shown(value: Any) -> str:
    text = one_line(value if isinstance(value, str) else repr(value))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


async def form_to_json(content_type: str, content: bytes) -> bytes:
    """Converts a form with `music` and `settings` to the equivalent JSON body.

    Raises:
        InputError: If the form has other content.
    """

    async def stream() -> Any:
        yield content

    headers = Headers({"content-type": content_type})
    parser = MultiPartParser(
        headers, stream(), max_files=1, max_fields=1, max_part_size=len(content) + 1
    )
    parser.spool_max_size = len(content) + 1  # stays in memory
    try:
        form = await parser.parse()
        settings = json.loads(str(form.get("settings") or "{}"))
        music = form.get("music")
    except (MultiPartException, ValueError, RecursionError, KeyError):
        music = None
    if not isinstance(music, UploadFile) or not isinstance(settings, dict):
        raise InputError(
            "A form must have the file music, and may have settings, a JSON object."
        )
    data = base64.b64encode(await music.read()).decode("ascii")
    upload = {"name": (music.filename or "")[-200:], "data": data}
    return json.dumps({**settings, "music": upload}).encode("utf-8", "surrogatepass")
