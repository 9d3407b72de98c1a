"""How a frozen dataclass of settings is read, checked and overridden.

A dataclass calls `check` in its `__post_init__`; commands call `parse_overrides` on
their `--set key=value` flags. Every fault is an `InputError` that names the setting,
what came and what would be right.
"""

import dataclasses
import difflib
import json
import typing

from poph_tf.errors import InputError


class Stored:
    """What a dataclass of settings needs to go to JSON and come back."""

    def to_dict(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Builds the settings from `to_dict`'s mapping; an unknown key raises."""
        check_keys(cls, values)
        return cls(**values)


def check(config, choices, ranges):
    """Coerces the values of a dataclass to its field types and checks them.

    Args:
        config: the dataclass instance, in its `__post_init__`.
        choices: dict of field name to the texts allowed.
        ranges: dict of field name to (lowest, highest) number allowed.

    Raises:
        InputError: Names the first field whose value is impossible.
    """
    _coerce(config)
    _check_choices(config, choices)
    _check_ranges(config, ranges)


def parse_overrides(cls, assignments):
    """Reads `key=value` texts into values of the types of `cls`' fields.

    Args:
        cls: `ModelConfig` or `TrainingConfig`.
        assignments: iterable of str, such as `num_time_units=128`.

    Returns:
        dict of field name to value.
    """
    overrides = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"Settings are key=value, got {assignment!r}.")
        check_keys(cls, [name])
        overrides[name] = _parse_value(cls, name, text)
    return overrides


def _parse_value(cls, name, text):
    wanted = _field_type(cls, name)
    if wanted is str:
        return text
    try:
        return json.loads(text.lower() if wanted is bool else text)
    except json.JSONDecodeError:
        raise InputError(
            f"{name} must be {_type_name(wanted)}, got {text!r}."
        ) from None


def _field_type(cls, name):
    return {f.name: f.type for f in dataclasses.fields(cls)}[name]


def _type_name(wanted):
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        tuple[str, ...]: "a list of texts",
        tuple[float, ...]: "a list of numbers",
    }
    return names[wanted]


def _coerce(config):
    """Puts lists from JSON into tuples and whole numbers into float fields."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        items = typing.get_args(field.type)
        if items and isinstance(value, (list, tuple)):
            value = tuple(_as_float(v, items[0]) for v in value)
            fits = all(_is_a(v, items[0]) for v in value)
        else:
            value = _as_float(value, field.type)
            fits = not items and _is_a(value, field.type)
        if not fits:
            raise InputError(
                f"{field.name} must be {_type_name(field.type)}, got {value!r}."
            )
        object.__setattr__(config, field.name, value)


def _as_float(value, wanted):
    return float(value) if wanted is float and type(value) is int else value


def _is_a(value, wanted):
    # To Python a bool is an int; to a user it is no number.
    return isinstance(value, wanted) and (wanted is bool or type(value) is not bool)


def check_keys(cls, names):
    known = [field.name for field in dataclasses.fields(cls)]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{cls.__name__} has no setting {name!r}.{hint}")


def _check_choices(config, choices):
    for field in dataclasses.fields(config):
        allowed = choices.get(field.name)
        value = getattr(config, field.name)
        if allowed and value not in allowed:
            raise InputError(
                f"{field.name} must be one of {', '.join(allowed)}, got {value!r}."
            )


def _check_ranges(config, ranges):
    for field in dataclasses.fields(config):
        if field.name not in ranges:
            continue
        low, high = ranges[field.name]
        value = getattr(config, field.name)
        if not isinstance(value, (int, float)) or not low <= value <= high:
            raise InputError(
                f"{field.name} must be between {low} and {high}, got {value!r}."
            )
