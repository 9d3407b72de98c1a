"""Whether inputs are still what a data set was made of, as far as a look can tell.

Nothing is read: names, sizes and times of change say enough for a remark.
"""

import hashlib
import os

from poph_tf.data.preparation import folders


def describe(settings):
    """The state of all inputs.

    Args:
        settings: Settings.

    Returns:
        dict: `files` and `bytes`, int; `digest`, str.
    """
    digest, count, total = hashlib.sha256(), 0, 0
    for path in settings.input:
        is_folder = os.path.isdir(path)
        for inside in folders.files_under(path) if is_folder else [""]:
            status = _status(os.path.join(path, inside) if inside else path)
            count, total = count + 1, total + status[0]
            digest.update(repr((inside, *status)).encode())
    return {"files": count, "bytes": total, "digest": digest.hexdigest()[:16]}


def _status(path):
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def changes(before, now):
    """What has changed between two states, in words; None if nothing has.

    Args:
        before, now: dicts of `describe`; `before` may be None, for not known.
    """
    if not before or before["digest"] == now["digest"]:
        return None
    if before["files"] != now["files"]:
        return f"{before['files']:,} files then, {now['files']:,} now"
    if before["bytes"] != now["bytes"]:
        return f"{before['bytes']:,} bytes then, {now['bytes']:,} now"
    return "files of other names, or with another time of change"
