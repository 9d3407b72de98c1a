"""Makes a data set: from a collection of music files to shards and a report.

sources -> conversion (by runners, in chunks) -> staging on disk
-> near_duplicates -> splits and shards -> report
"""

import csv
import hashlib
import io
import json
import pathlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from poph_tf import files, provenance
from poph_tf.cli.progress import Progress
from poph_tf.config.data import DataConfig, ExecutionOptions
from poph_tf.data import examples, reading
from poph_tf.data.preparation import (
    near_duplicates,
    report,
    runners,
    sources,
    splits,
    staging,
)
from poph_tf.errors import InputError

REJECTS_NAME = "rejects.csv"
DUPLICATES_NAME = "duplicates.csv"
NEAR_DUPLICATES_NAME = "near_duplicates.csv"
REPORT_NAME = "report.html"
# Former names of these files.
_OLD_NAMES = ("twins.csv",)
_STATE = "input_state"
# Nothing else in a folder is taken for a shard of ours.
_SHARD = re.compile(rf"({'|'.join(examples.SPLITS)})-\d{{5}}-of-\d{{5}}\.tfrecord\.gz")


def prepare(
    settings: DataConfig,
    output_dir: str | pathlib.Path,
    options: ExecutionOptions | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> examples.DatasetInfo:
    """Makes a data set, or continues one that was begun.

    Args:
        settings: what to make.
        output_dir: folder for the data set.
        options: how the work is run.
        overwrite: whether another data set that is there is replaced.
        progress: shows how far the work is; None shows nothing.

    Returns:
        The info of the data set; nothing is made if the same one is there.

    Raises:
        InputError: If settings, inputs or the output folder cannot be used, or if
            nothing could be made of the input.
    """
    options = options or ExecutionOptions()
    sources.check(settings)
    output = pathlib.Path(output_dir)
    _check_apart(settings, output)
    existing = _existing(settings, output, overwrite)
    if existing:
        return existing
    state = sources.state(settings)
    store = staging.Staging(output, settings_key(settings))
    if options.runner == "beam":
        # A pipeline does not know which chunks an earlier run has finished.
        store.remove()
    store.begin()
    if options.runner == "beam":
        keys = runners.convert_with_beam(settings, store, options.beam_options)
    else:
        with progress or Progress(None, "files", stream=None) as shown:
            keys = _convert(settings, options, store, shown)
    pieces = store.read(keys)
    if not pieces.sources:
        store.remove()
        raise InputError(_nothing(settings, pieces.rejects))
    info = _write(settings, pieces, output, state)
    store.remove()
    return info


def is_made(
    settings: DataConfig, output_dir: str | pathlib.Path, *, overwrite: bool = False
) -> bool:
    """Whether `prepare` would find its work done.

    Raises:
        InputError: As `prepare` does if another data set is there.
    """
    return bool(_existing(settings, pathlib.Path(output_dir), overwrite))


def input_changes(settings: DataConfig, info: examples.DatasetInfo) -> str | None:
    """Describes what changed in the inputs since a data set was made, or None."""
    return sources.changes(info.settings.get(_STATE), sources.state(settings))


def settings_key(settings: DataConfig) -> str:
    """A hash that differs wherever the settings differ, or the table of styles.

    It keeps the form of earlier versions, so that their data sets are recognized.
    """
    table = settings.to_dict()
    table["inputs"], table["parser"] = table.pop("input"), table.pop("reader")
    table["styles"] = list(sources.read_styles(table.pop("styles_csv")).items())
    table["fractions"] = [table.pop(f"{s}_fraction") for s in examples.SPLITS]
    for name in ("programs", "channels"):
        table[name] = sorted(set(table[name]))
    text = json.dumps(table, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _check_apart(settings: DataConfig, output: pathlib.Path) -> None:
    """Refuses an output folder where the data set would replace its own input."""
    for path in map(pathlib.Path, settings.input):
        if path.resolve() == output.resolve():
            raise InputError(
                f"{path} is the input: choose another folder as --output_dir."
            )
        own = _SHARD.fullmatch(path.name) or path.name == examples.INFO_NAME
        if own and path.resolve().parent == output.resolve():
            raise InputError(
                f"{path} would be replaced by a file of the data set: choose another "
                "--output_dir."
            )


def _existing(
    settings: DataConfig, output: pathlib.Path, overwrite: bool
) -> examples.DatasetInfo | None:
    """The info of the same data set, if it is complete."""
    key = settings_key(settings)
    if overwrite or not (output / examples.INFO_NAME).exists():
        return None
    info = examples.read_info(output)
    if info.settings.get("key") == key:
        return info
    raise InputError(
        f"{output} holds another data set; choose another --output_dir, or give "
        "--overwrite to replace it."
    )


def _convert(
    settings: DataConfig,
    options: ExecutionOptions,
    store: staging.Staging,
    progress: Progress,
) -> list[str]:
    """Converts what an earlier run has not; returns the keys of all chunks in order."""
    keys: list[str] = []
    counts: Counter[str] = Counter()
    position = sources.Position()

    def count(chunk: staging.Chunk, num_rejects: int) -> None:
        counts.update(files=len(chunk.items), rejected=num_rejects)
        total = counts["files"] / position.share if position.share else None
        text = f"{counts['rejected']:,} rejected"
        progress.update(counts["files"], text, total=total)

    def unfinished() -> Iterator[staging.Chunk]:
        for chunk in staging.chunks(sources.walk(settings, position)):
            keys.append(chunk.key)
            if store.has(chunk.key):
                count(chunk, len(store.read([chunk.key]).rejects))
            else:
                yield chunk

    for chunk, converted in runners.convert_locally(unfinished(), settings, options):
        store.write(chunk.key, converted)
        count(chunk, sum(c.record is None for c in converted))
    progress.print(f"{counts['files']:,} files, {counts['rejected']:,} rejected")
    return keys


def _nothing(settings: DataConfig, rejects: Sequence[tuple[str, str]]) -> str:
    where = ", ".join(settings.input)
    if not rejects:
        return f"Found no music files in {where}."
    counts = report.by_reason(rejects)
    reasons = "; ".join(f"{reason}: {count}" for reason, count in counts.items())
    return f"None of the {len(rejects)} files in {where} can be used ({reasons})."


def _write(
    settings: DataConfig,
    pieces: staging.Pieces,
    output: pathlib.Path,
    state: dict[str, Any],
) -> examples.DatasetInfo:
    """Writes all files of a data set; its info comes last."""
    kept, duplicates = near_duplicates.without_duplicates(
        pieces.sources, pieces.hashes("id", slice(None))
    )
    fingerprints = pieces.hashes("fingerprint", kept)
    names = [pieces.sources[k] for k in kept]
    alike = near_duplicates.groups(names, fingerprints)
    where = splits.split(fingerprints, settings.fractions)
    chosen = {name: kept[where == name] for name in examples.SPLITS}
    _remove_old(output)
    infos = {}
    for name, own in chosen.items():
        wanted = settings.num_shards if name == "train" else 0
        shards = splits.write_shards(pieces, own, name, wanted, output)
        infos[name] = _split_info(pieces, own, shards)
    _write_csv(output / REJECTS_NAME, [("source", "reason"), *sorted(pieces.rejects)])
    _write_csv(output / DUPLICATES_NAME, [("source", "same_as"), *duplicates])
    _write_csv(output / NEAR_DUPLICATES_NAME, alike)
    info = examples.DatasetInfo(
        format_version=examples.FORMAT_VERSION,
        id=_dataset_id(pieces, kept, where),
        steps_per_quarter=settings.steps_per_quarter,
        styles=tuple(sorted({pieces.styles[k] for k in kept})),
        splits=infos,
        rejects=report.by_reason(pieces.rejects),
        num_duplicates=len(duplicates),
        num_near_duplicates=sum(len(group) - 1 for group in alike),
        grid_error=round(float(pieces.statistics["aligned_error"][kept].mean()), 6),
        settings={"key": settings_key(settings), **_public(settings), _STATE: state},
        provenance=provenance.describe(),
    )
    statistics = {s: pieces.statistics[own] for s, own in chosen.items() if len(own)}
    files.write(output / REPORT_NAME, report.page(info, statistics))
    examples.write_info(info, output)
    return info


def _public(settings: DataConfig) -> dict[str, Any]:
    """The settings, with paths cut to their names: a data set is passed on."""
    names = [reading.readable_name(pathlib.Path(path).name) for path in settings.input]
    styles_csv = pathlib.Path(settings.styles_csv).name
    table = settings.to_dict() | {"input": names, "styles_csv": styles_csv}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in table.items()}


def _remove_old(output: pathlib.Path) -> None:
    """Removes the data set that is replaced, its info first, and unfinished files."""
    (output / examples.INFO_NAME).unlink(missing_ok=True)
    for path in [*output.iterdir()]:
        unfinished = path.name.startswith(".") and files.PARTIAL in path.suffixes
        if _SHARD.fullmatch(path.name) or path.name in _OLD_NAMES or unfinished:
            path.unlink()


def _split_info(
    pieces: staging.Pieces, chosen: np.ndarray, shards: tuple[str, ...]
) -> examples.SplitInfo:
    steps: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for k in sorted(chosen.tolist(), key=lambda k: pieces.styles[k]):
        steps[pieces.styles[k]] += int(pieces.statistics["steps"][k])
        counts[pieces.styles[k]] += 1
    return examples.SplitInfo(
        shards=shards,
        num_pieces=len(chosen),
        num_steps=steps.total(),
        steps_by_style=dict(steps),
        pieces_by_style=dict(counts),
    )


def _dataset_id(pieces: staging.Pieces, kept: np.ndarray, where: np.ndarray) -> str:
    digest = hashlib.sha256(f"poph_tf data {examples.FORMAT_VERSION}".encode())
    ids = pieces.hashes("id", kept)
    rows = [
        (name, piece_id.hex(), pieces.styles[k], pieces.sources[k])
        for name, piece_id, k in zip(where, ids, kept, strict=True)
    ]
    for row in sorted(rows):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _write_csv(path: pathlib.Path, rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    files.write(path, text.getvalue())
