"""The errors that a user can correct.

Whatever a user can get wrong (a path, a flag, the content of a file) raises
`InputError` with one line that says what came and what would be right. Commands print
that line and exit with code 2; any other exception is a defect of ours and shows its
traceback.
"""

import re
import unicodedata

# Control characters; line and paragraph ends; turns of the writing direction.
_CONTROL = ("Cc", "Cf", "Zl", "Zp")


class InputError(ValueError):
    """The user's input cannot be used; the message says what would be right."""


class MusicFileError(InputError):
    """A music file cannot be read.

    Args:
        path: the file, or archive member, as the user would name it.
        reason: what is wrong with it, in a few words that are the same for every file
            with the same fault, so that rejects can be counted by reason.
    """

    def __init__(self, path: object, reason: object) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = str(reason)

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        # Exceptions are pickled by their message, which is not what __init__ takes.
        return type(self), (self.path, self.reason)


class TrainingFailed(InputError):  # noqa: N818 - what came of it, not what was given
    """Training came to nothing (its loss exploded); the best weights are kept.

    Commands exit with code 1: the same command would fail again.
    """


class Interrupted(Exception):  # noqa: N818 - an early end that was asked for, no error
    """SIGTERM came; all work is saved and the same command continues from there."""


def one_line(text: object) -> str:
    r"""Text on one line: control characters, which names may hold, are escaped.

    Example:
        >>> one_line("No file a\nb.mid.")
        'No file a\\nb.mid.'
    """
    control = {c for c in str(text) if unicodedata.category(c) in _CONTROL}
    return str(text).translate({ord(c): repr(c)[1:-1] for c in control})


def kind_of(error: BaseException) -> str:
    """The name of an exception in words.

    Example:
        >>> kind_of(ZeroDivisionError())
        'zero division'
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__)
    return words.removesuffix(" Error").lower()
