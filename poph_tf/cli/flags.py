"""Command-line flags, derived from the declarations in `poph_tf.config`.

    flags.define(GenerationConfig)              # a flag for each setting, with its help
    settings = GenerationConfig(**flags.values(GenerationConfig))

A flag has the setting's name, default, choices and help. Values are checked where the
settings are made, so that a flag, a keyword and a request fail with the same message.
Former names of settings still work, with a warning.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Collection
from typing import Any

from absl import flags

from poph_tf.config.declaration import Setting, describe
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
# The flags belong to the commands that call these functions, so --help lists them.
flags.disclaim_key_flags()
# Names that other programs use for our flags, where absl finds no similarity.
_ELSEWHERE = {"lr": "learning_rate", "bs": "batch_size", "bpm": "tempo_qpm"}
_LISTS = {tuple[str, ...]: str, tuple[int, ...]: int, tuple[float, ...]: float}


def define(cls: type, *, skip: Collection[str] = (), unset: bool = False) -> None:
    """Defines a flag for each setting of a class.

    Args:
        cls: a class of settings.
        skip: settings to leave out.
        unset: whether flags are None unless given; the help still shows the default.
    """
    for setting in describe(cls):
        if setting.name not in skip:
            _define(setting, unset)
    for old, new in getattr(cls, "renamed", {}).items():
        if new not in skip and old not in FLAGS:
            flags.DEFINE_alias(old, new)


def _define(setting: Setting, unset: bool) -> None:
    required = setting.default is dataclasses.MISSING
    default = None if unset or required else setting.default
    text = setting.help
    if unset and setting.default not in ("", False, None):
        text += f" (default: {setting.default})"
    # absl would also list an empty choice; the settings check those.
    if setting.choices and "" not in setting.choices:
        flags.DEFINE_enum(setting.name, default, list(setting.choices), text)
    elif setting.type in _LISTS:
        flags.DEFINE_list(setting.name, list(default or ()), text)
    else:
        kinds: dict[type, Callable[..., object]] = {
            bool: flags.DEFINE_bool,
            int: flags.DEFINE_integer,
            float: flags.DEFINE_float,
        }
        define = kinds.get(setting.type, flags.DEFINE_string)
        define(setting.name, default, text)


def values(cls: type, *, given_only: bool = False) -> dict[str, Any]:
    """The values of the flags of a class, ready to build its settings.

    Args:
        cls: a class of settings.
        given_only: whether settings whose flag was not given are left out.

    Raises:
        InputError: If an item of a list has the wrong type.
    """
    _warn_of_former_names(cls)
    found = {}
    for setting in describe(cls):
        if setting.name not in FLAGS:
            continue
        flag = FLAGS[setting.name]
        if flag.value is None or (given_only and not flag.present):
            continue
        found[setting.name] = _converted(setting, flag.value)
    return found


def _converted(setting: Setting, value: Any) -> Any:
    kind = _LISTS.get(setting.type)
    if kind is None:
        return value
    try:
        return tuple(kind(item) for item in value)
    except ValueError:
        raise InputError(
            f"{setting.name} must be {setting.expected}, got {','.join(value)!r}."
        ) from None


def _warn_of_former_names(cls: type) -> None:
    for old, new in getattr(cls, "renamed", {}).items():
        given = any(word.split("=")[0].lstrip("-") == old for word in sys.argv[1:])
        if given and old in FLAGS:
            print(f"warning: --{old} is now called --{new}.", file=sys.stderr)


def with_suggestion(error: flags.Error) -> flags.Error:
    """The error; for a flag of other programs, with its name here as a suggestion."""
    if isinstance(error, flags.UnrecognizedFlagError):
        name = _ELSEWHERE.get(error.flagname)
        if name and name in FLAGS:
            return flags.UnrecognizedFlagError(error.flagname, suggestions=[name])
    return error


def check_finite() -> None:
    """Raises InputError for NaN and infinities, which absl lets through."""
    for name in FLAGS:
        value = FLAGS[name].value
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"--{name} must be a finite number, got {value}.")


def require(*names: str) -> None:
    """Raises InputError for the first of these flags that was not given."""
    for name in names:
        if not FLAGS[name].value:
            raise InputError(f"--{name} must be given; see --help.")


def define_cores() -> None:
    """Defines --cores, for commands that process batches."""
    text = (
        "Number of CPU cores that share a batch; 0: all of them, or as set by "
        "TF_NUM_INTRAOP_THREADS and TF_NUM_INTEROP_THREADS."
    )
    flags.DEFINE_integer("cores", 0, text, lower_bound=0, upper_bound=1024)


def define_force() -> None:
    """Defines --force, for commands that lock the folder they write to."""
    text = "Take the folder over from another run that is at work there."
    flags.DEFINE_bool("force", False, text)
