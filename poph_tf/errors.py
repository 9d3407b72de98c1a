"""The errors that a user can correct.

Whatever a user can get wrong (a path, a flag, the content of a file) raises
`InputError` with one line that says what it got and what would be right. Commands
print that line and exit with code 2; any other exception is a bug in poph_tf and shows
its traceback.
"""

import re
import unicodedata

# Control characters; line and paragraph ends; changes of writing direction.
_CONTROL = ("Cc", "Cf", "Zl", "Zp")


class InputError(ValueError):
    """The user's input cannot be used; the message says what would be right."""


class MusicFileError(InputError):
    """A music file cannot be read.

    Args:
        path: the file, or archive member, as the user would name it.
        reason: what is wrong with it, in a few words; the same for every file with the
            same fault, so that rejects can be counted by reason.
    """

    def __init__(self, path: object, reason: object) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = str(reason)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Exceptions are pickled by their message, which is not what __init__ takes.
        return type(self), (self.path, self.reason)


class TrainingFailed(InputError):  # noqa: N818 - an outcome, not an input error
    """Training failed because the loss exploded; the best weights are kept.

    Commands exit with code 1: the same command would fail again.
    """


class Interrupted(Exception):  # noqa: N818 - a requested stop, not an error
    """SIGTERM or Ctrl-C arrived; work is saved, and the same command continues it."""


def one_line(text: object) -> str:
    r"""Puts a text on one line; control characters, as in file names, are escaped.

    Example:
        >>> one_line("No file a\nb.mid.")
        'No file a\\nb.mid.'
    """
    control = {c for c in str(text) if unicodedata.category(c) in _CONTROL}
    return str(text).translate({ord(c): repr(c)[1:-1] for c in control})


def kind_of(error: BaseException) -> str:
    """The name of an exception, as words.

    Example:
        >>> kind_of(ZeroDivisionError())
        'zero division'
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__)
    return words.removesuffix(" Error").lower()
