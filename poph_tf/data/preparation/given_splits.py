"""Finds the splits that a collection comes with, from its folders or from a table.

MAESTRO's table has a row for each recording, with the columns `midi_filename` and
`split`; the files of Hugging Face data sets begin with the name of their split.
"""

import pathlib
import re
from collections.abc import Callable

from poph_tf import files
from poph_tf.config.data import DataConfig
from poph_tf.errors import InputError

_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "valid"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_FILE_COLUMNS = ("midi_filename", "path", "file", "filename")


def finder(settings: DataConfig) -> Callable[[str], str | None] | None:
    """The function from a source to its split, or None if hashes decide.

    Raises:
        InputError: If the table cannot be used.
    """
    if settings.split_by == "hash":
        return None
    if settings.split_by == "folder":
        return _of_folder
    table = read_table(settings.splits_csv)

    def of_table(source: str) -> str | None:
        path = pathlib.PurePosixPath(source)
        # Longer paths first; a table may start them lower down. "#" marks a tune.
        names = ["/".join(path.parts[k:]) for k in range(len(path.parts))]
        names += [path.stem, source.rpartition("#")[0]]
        return next((table[name] for name in names if name in table), None)

    return of_table


def _of_folder(source: str) -> str | None:
    """The split that a folder above a file names, alone or as a word; or None.

    Example:
        >>> _of_folder("songs/validation/a.mid"), _of_folder("test-00000.tfrecord/1")
        ('valid', 'test')
    """
    for part in reversed(source.lower().split("/")[:-1]):
        words = re.findall(r"[a-z]+", part)
        found = {_NAMES[word] for word in words if word in _NAMES}
        if len(found) == 1:
            return found.pop()
    return None


def read_table(path: str) -> dict[str, str]:
    """Reads a CSV table of splits.

    Args:
        path: a file whose first row names its columns, including `split`, or a file of
            two columns: a path, file name or stem, and a split. Empty for no table.

    Returns:
        dict from path to "train", "valid" or "test", sorted by path.

    Raises:
        InputError: If it is not such a table.
    """
    if not path:
        return {}
    rows = files.read_csv(path, "splits")
    head = [cell.strip().lower() for cell in rows[0]] if rows else []
    file_column, split_column = 0, 1
    if "split" in head:
        split_column = head.index("split")
        file_column = next((head.index(n) for n in _FILE_COLUMNS if n in head), 0)
        rows = rows[1:]
    found = {}
    for number, row in enumerate(rows, 1 + ("split" in head)):
        split = _NAMES.get(row[split_column].strip().lower()) if row[1:] else None
        if split is None:
            raise InputError(
                f"{path}, row {number}: must name a file and its split (train, "
                f"validation or test), got {row}."
            )
        found[row[file_column].strip()] = split
    if not found:
        raise InputError(f"{path} names no splits.")
    return dict(sorted(found.items()))
