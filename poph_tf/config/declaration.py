"""One declaration of each setting: a field of a frozen dataclass.

A field has a type, bounds or choices (`typing.Annotated` with annotated-types,
`typing.Literal`), a default and, in the string below it, a help text:

    @settings
    class GenerationConfig:
        temperature: Annotated[float, Interval(ge=0, le=100)] = 1.0
        \"\"\"Sampling temperature: below 1 is safer, above 1 bolder.\"\"\"

pydantic checks the values. Command-line flags (`cli/flags.py`), the JSON schema and the
manual's tables of settings are derived from the same fields by `describe`. An invalid
value raises `InputError` with one sentence that says what is allowed and what it got.
"""

import dataclasses
import difflib
import functools
import json
import types
import typing
import warnings
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import pydantic

from poph_tf.errors import InputError

T = TypeVar("T")
_CONFIG = pydantic.ConfigDict(
    strict=True,
    allow_inf_nan=False,
    arbitrary_types_allowed=True,
    use_attribute_docstrings=True,
)
# JSON has lists where a setting has a tuple.
Texts = Annotated[tuple[str, ...], pydantic.Strict(False)]
Ints = Annotated[tuple[int, ...], pydantic.Strict(False)]
Floats = Annotated[tuple[float, ...], pydantic.Strict(False)]

_TYPE_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    tuple[str, ...]: "a list of strings",
    tuple[int, ...]: "a list of whole numbers",
    tuple[float, ...]: "a list of numbers",
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a field declares.

    Attributes:
        name: str.
        type: the type without its annotations, such as int or tuple[str, ...].
        default: the default value; `dataclasses.MISSING` for a required setting.
        help: str. One or more sentences.
        choices: tuple of the allowed values; empty if they are not listed.
        low, high: the inclusive bounds, or None.
    """

    name: str
    type: Any
    default: Any
    help: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def expected(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(filter(None, map(str, self.choices)))
        is_list = typing.get_origin(self.type) is tuple
        other = "a list of objects" if is_list else "of another type"
        words = _TYPE_WORDS.get(self.type, other)
        if self.low is None and self.high is None:
            return words
        if self.high is None:
            return f"{words} from {self.low} up"
        return f"{words} from {self.low} to {self.high}"


@typing.dataclass_transform(frozen_default=True)
def settings(cls: type[T]) -> type[T]:
    """Turns a class of annotated fields into a frozen, validated dataclass.

    The class may list former names of fields in `renamed`, a dict from old to new: they
    are still accepted, with a warning that names the new one.

    Raises:
        InputError: On construction, for an unknown setting or an invalid value.
    """
    made = pydantic.dataclasses.dataclass(frozen=True, config=_CONFIG)(cls)
    checked_init = made.__init__

    @functools.wraps(checked_init)
    def init(self: Any, *args: Any, **values: Any) -> None:
        values = current_names(made, values)
        check_names(made, values)
        try:
            checked_init(self, *args, **values)
        except pydantic.ValidationError as error:
            raise InputError(_sentence(made, error)) from None

    # The class was made just above, so nothing uses its constructor yet.
    made.__init__ = init  # type: ignore[method-assign]
    return typing.cast(type[T], made)


class Stored:
    """Settings that can be written to JSON and read back."""

    renamed: ClassVar[Mapping[str, str]] = {}

    def to_dict(self) -> dict[str, Any]:
        """The settings by name, ready for JSON."""
        return dataclasses.asdict(typing.cast(Any, self))

    @classmethod
    def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
        """Builds the settings from the mapping of `to_dict`, old names included."""
        return cls(**current_names(cls, values, warn=False))


@functools.cache
def describe(cls: type) -> tuple[Setting, ...]:
    """The settings of a class, in the order of their declaration.

    Example:
        >>> from poph_tf.config import LiveConfig
        >>> [(s.name, s.default) for s in describe(LiveConfig)][:2]
        [('mode', 'answer'), ('call_bars', 2)]
    """
    return tuple(
        _describe_field(name, field)
        for name, field in typing.cast(Any, cls).__pydantic_fields__.items()
    )


def _describe_field(name: str, field: Any) -> Setting:
    kind, choices = field.annotation, ()
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        kind = next((a for a in arguments if a in _TYPE_WORDS), kind)
    elif typing.get_origin(kind) is Literal:
        kind, choices = type(arguments[0]), arguments
    low = [m.ge for m in field.metadata if getattr(m, "ge", None) is not None]
    high = [m.le for m in field.metadata if getattr(m, "le", None) is not None]
    required = field.is_required()
    return Setting(
        name=name,
        type=kind,
        default=dataclasses.MISSING if required else field.default,
        help=" ".join((field.description or "").split()),
        choices=choices,
        low=low[0] if low else None,
        high=high[0] if high else None,
    )


def listing(cls: type) -> str:
    """Lists the settings of a class for people: a line each, and the help below it.

    Example:
        >>> from poph_tf.config import LiveConfig
        >>> listing(LiveConfig).splitlines()[0]
        'mode=answer (one of answer, accompany)'
    """
    return "\n".join(
        f"{each.name}={each.default} ({each.expected})\n    {each.help}"
        for each in describe(cls)
    )


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON schema of a class of settings.

    Example:
        >>> from poph_tf.config import LiveConfig
        >>> json_schema(LiveConfig)["properties"]["call_bars"]["maximum"]
        64
    """
    return pydantic.TypeAdapter(cls).json_schema()


def parse_overrides(cls: type, assignments: Iterable[str]) -> dict[str, Any]:
    """Parses `key=value` strings into values of the types that the settings have.

    Args:
        cls: a class of settings.
        assignments: strings such as `num_time_units=128`.

    Returns:
        dict of setting to value.

    Raises:
        InputError: If a string is not an assignment, or there is no such setting.

    Example:
        >>> from poph_tf.config import ModelConfig
        >>> parse_overrides(ModelConfig, ["num_heads=2", "replay=false"])
        {'num_heads': 2, 'replay': False}
    """
    overrides = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"Settings are key=value, got {assignment!r}.")
        ((name, _),) = current_names(cls, {name: text}).items()
        check_names(cls, [name])
        overrides[name] = _parse_value(cls, name, text)
    return overrides


def _parse_value(cls: type, name: str, text: str) -> Any:
    setting = {s.name: s for s in describe(cls)}[name]
    if setting.type is str:
        return text
    try:
        return json.loads(text.lower() if setting.type is bool else text)
    except json.JSONDecodeError:
        raise InputError(f"{name} must be {setting.expected}, got {text!r}.") from None


def current_names(
    cls: type, values: Mapping[str, Any], *, warn: bool = True
) -> dict[str, Any]:
    """Replaces former names of settings by the current ones."""
    renamed: Mapping[str, str] = getattr(cls, "renamed", {})
    for name in values if warn else ():
        if name in renamed:
            text = f"The setting {name!r} is now called {renamed[name]!r}."
            warnings.warn(text, FutureWarning, stacklevel=4)
    return {renamed.get(name, name): value for name, value in values.items()}


def check_names(cls: type, names: Iterable[str], caller: str = "") -> None:
    """Raises InputError for the first name that is not a setting of the class.

    Args:
        cls: a class of settings.
        names: the names to check.
        caller: what was called with them, such as "compose()".
    """
    known = [field.name for field in dataclasses.fields(typing.cast(Any, cls))]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            got = "got an unknown option" if caller else "has no setting"
            raise InputError(f"{caller or cls.__name__} {got} {name!r}{hint}")


def _sentence(cls: type, error: pydantic.ValidationError) -> str:
    """The first error that pydantic found, in our words."""
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return str(cause)
    place = first["loc"][0] if first["loc"] else ""
    name = describe(cls)[place].name if isinstance(place, int) else str(place)
    if first["type"].startswith("missing"):
        return f"{name} must be given."
    known = {setting.name: setting for setting in describe(cls)}
    if name not in known:
        return f"{cls.__name__}: {first['msg']}."
    value = first["input"]
    return f"{name} must be {known[name].expected}, got {value!r}."
