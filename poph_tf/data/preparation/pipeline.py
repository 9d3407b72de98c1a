"""Makes a data set: from a collection of music files to shards and a report.

sources -> conversion (by runners, in chunks) -> staging on disk
-> near_duplicates -> splits and shards -> report
"""

import csv
import dataclasses
import hashlib
import io
import json
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from poph_tf import files, locks, provenance
from poph_tf.cli.progress import Progress
from poph_tf.config.data import DataConfig, ExecutionOptions
from poph_tf.data import examples, integrity, reading
from poph_tf.data.preparation import (
    given_splits,
    near_duplicates,
    report,
    runners,
    sources,
    splits,
    staging,
    time_splits,
)
from poph_tf.errors import InputError

REJECTS_NAME = "rejects.csv"
REPAIRS_NAME = "repairs.csv"
DUPLICATES_NAME = "duplicates.csv"
NEAR_DUPLICATES_NAME = "near_duplicates.csv"
REPORT_NAME = "report.html"
# Former names of these files.
_OLD_NAMES = ("twins.csv",)
_STATE = "input_state"
# Settings that the first data sets did not have, with the values that keep the key.
_LATER = {
    "near_duplicates": "group",
    "ornaments": "written",
    "repeats": "played",
    "split_by": "hash",
    "splits_csv": "",
    "tracks": ("merged",),
    "trim_silence": False,
}
# Nothing else in a folder counts as one of our shards.
_SHARD = re.compile(rf"({'|'.join(examples.SPLITS)})-\d{{5}}-of-\d{{5}}\.tfrecord\.gz")


def prepare(
    settings: DataConfig,
    output_dir: str | pathlib.Path,
    options: ExecutionOptions | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> examples.DatasetInfo:
    """Makes a data set, or continues an unfinished one.

    Args:
        settings: what to make.
        output_dir: folder for the data set.
        options: how the work is run.
        overwrite: replace another data set that is there.
        force: take the folder over from another run.
        progress: shows the progress; None shows nothing.

    Returns:
        The info of the data set; nothing is made if it already exists.

    Raises:
        InputError: If settings, inputs or the output folder cannot be used, or if
            nothing could be made from the input.
    """
    sources.check(settings)
    key, output = settings_key(settings), pathlib.Path(output_dir)
    _check_apart(settings, output)
    if existing := _existing(key, output, overwrite):
        return existing
    with locks.held(output, force=force) as lock:
        state = sources.state(settings)
        store = staging.Staging(output, key)
        pieces = _convert(settings, options or ExecutionOptions(), store, progress)
        lock.check()
        _check_found(settings, pieces, store)
        info = _write(settings, pieces, store, output, {"key": key, _STATE: state})
        store.remove()
        return info


def is_made(
    settings: DataConfig, output_dir: str | pathlib.Path, *, overwrite: bool = False
) -> bool:
    """Whether the data set that `prepare` would make already exists.

    Raises:
        InputError: As `prepare` does if another data set is there.
    """
    return bool(_existing(settings_key(settings), pathlib.Path(output_dir), overwrite))


def input_changes(settings: DataConfig, info: examples.DatasetInfo) -> str | None:
    """Describes what changed in the inputs since a data set was made, or None."""
    return sources.changes(info.settings.get(_STATE), sources.state(settings))


def settings_key(settings: DataConfig) -> str:
    """A hash that changes with the settings and with the table of styles.

    It keeps the form of earlier versions, so that their data sets are recognized.
    """
    table = settings.to_dict()
    table["inputs"], table["parser"] = table.pop("input"), table.pop("reader")
    for name, value in _LATER.items():
        if table[name] == value:
            del table[name]
    if settings.splits_csv:
        table["splits_csv"] = list(given_splits.read_table(settings.splits_csv).items())
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
    key: str, output: pathlib.Path, overwrite: bool
) -> examples.DatasetInfo | None:
    """The info of the data set with that key, if it is complete."""
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
    progress: Progress | None,
) -> staging.Pieces:
    """Converts all items except those of chunks that an earlier run has finished."""
    if options.runner == "beam":
        # A pipeline does not know which chunks an earlier run has finished.
        store.remove()
        store.begin()
        runners.convert_with_beam(settings, store, options.beam_options)
        return store.read(store.keys())
    store.begin()
    with progress or Progress(None, "files", stream=None) as shown:
        return store.read(_convert_locally(settings, options, store, shown))


def _convert_locally(
    settings: DataConfig,
    options: ExecutionOptions,
    store: staging.Staging,
    progress: Progress,
) -> list[str]:
    """Returns the keys of all chunks, in the order of the source."""
    keys: list[str] = []
    position = sources.Position()
    files_done, pieces, rejected = 0.0, 0, 0

    def count(chunk: staging.Chunk, num_pieces: int, num_rejects: int) -> None:
        nonlocal files_done, pieces, rejected
        files_done += sum(1 / item.part[1] for item in chunk.items)
        pieces, rejected = pieces + num_pieces, rejected + num_rejects
        show()

    def show() -> None:
        text = f"{pieces:,} pieces, {rejected:,} rejected"
        progress.update(files_done, text, total=position.total)

    def unfinished() -> Iterator[staging.Chunk]:
        for chunk in staging.chunks(sources.walk(settings, position)):
            keys.append(chunk.key)
            if store.has(chunk.key):
                found = store.read([chunk.key])
                count(chunk, len(found.sources), len(found.rejects))
            else:
                yield chunk

    show()
    for chunk, converted in runners.convert_locally(unfinished(), settings, options):
        store.write(chunk.key, converted)
        num_rejects = sum(c.record is None for c in converted)
        count(chunk, len(converted) - num_rejects, num_rejects)
    progress.print(f"{files_done:,.0f} files, {rejected:,} rejected")
    return keys


def _check_found(
    settings: DataConfig, pieces: staging.Pieces, store: staging.Staging
) -> None:
    """Rejects a collection without any usable file."""
    if pieces.sources:
        return
    store.remove()
    where, rejects = ", ".join(settings.input), pieces.rejects
    if not rejects:
        raise InputError(f"Found no music files in {where}.")
    counts = report.by_reason(rejects)
    reasons = "; ".join(f"{reason}: {count}" for reason, count in counts.items())
    raise InputError(
        f"None of the {len(rejects)} files in {where} can be used ({reasons})."
    )


@dataclasses.dataclass(frozen=True)
class _Chosen:
    """Which pieces go where.

    Attributes:
        pieces: all pieces, cut into windows of time if `by_time`.
        kept: int [piece], indices into `pieces`, without duplicates.
        by_split: those of each split.
        duplicates: (source, the equal source that is kept).
        alike: sources of each group of near-duplicates.
        num_leaked: pieces of other splits with a near-duplicate in training.
        by_time: whether pieces were cut because there are too few.
    """

    pieces: staging.Pieces
    kept: np.ndarray
    by_split: dict[str, np.ndarray]
    duplicates: Sequence[tuple[str, str]]
    alike: Sequence[Sequence[str]]
    num_leaked: int
    by_time: bool


def _choose(
    settings: DataConfig, pieces: staging.Pieces, store: staging.Staging
) -> _Chosen:
    """Leaves out duplicates, groups near-duplicates and assigns the splits."""
    ids = pieces.hashes("id", slice(None))
    kept, duplicates = near_duplicates.without_duplicates(pieces.sources, ids)
    first = _groups(pieces, kept)
    members = near_duplicates.members(first)
    alike = [[pieces.sources[k] for k in kept[group]] for group in members]
    if settings.near_duplicates == "drop":
        kept = first = kept[kept == first]
    where = _splits(settings, pieces, kept, first)
    wanted = sum(share > 0 for share in settings.fractions)
    by_time = settings.split_by == "hash" and len(set(first.tolist())) < wanted
    leaked = np.isin(first[where != "train"], first[where == "train"])
    if by_time:
        leaked = np.zeros(0, bool)
        pieces, kept, where = time_splits.cut(pieces, kept, settings.fractions, store)
        by_time = len(set(where)) > 1
    by_split = {name: kept[where == name] for name in examples.SPLITS}
    num_leaked = int(leaked.sum())
    return _Chosen(pieces, kept, by_split, duplicates, alike, num_leaked, by_time)


def _write(
    settings: DataConfig,
    pieces: staging.Pieces,
    store: staging.Staging,
    output: pathlib.Path,
    marks: dict[str, Any],
) -> examples.DatasetInfo:
    """Writes all files of a data set; its info, with the marks, comes last."""
    _remove_old(output)
    chosen = _choose(settings, pieces, store)
    _write_lists(chosen, output)
    pieces, kept = chosen.pieces, chosen.kept
    info = examples.DatasetInfo(
        format_version=examples.format_version(settings.wanted_tracks),
        id=_dataset_id(pieces, chosen.by_split),
        steps_per_quarter=settings.steps_per_quarter,
        styles=tuple(sorted({pieces.styles[k] for k in kept})),
        splits={
            name: splits.write(pieces, own, name, settings.num_shards, output)
            for name, own in chosen.by_split.items()
        },
        tracks=settings.wanted_tracks,
        rejects=report.by_reason(pieces.rejects),
        repairs=report.by_reason(pieces.repairs),
        num_duplicates=len(chosen.duplicates),
        num_near_duplicates=sum(len(group) - 1 for group in chosen.alike),
        num_leaked=chosen.num_leaked,
        split_by_time=chosen.by_time,
        grid_error=round(float(pieces.statistics["aligned_error"][kept].mean()), 6),
        settings={**_public(settings), **marks},
        provenance=provenance.describe(),
    )
    files.write(output / REPORT_NAME, _report(info, chosen))
    examples.write_info(info, output)
    return info


def _write_lists(chosen: _Chosen, output: pathlib.Path) -> None:
    """Writes the lists of rejects, repairs, duplicates and near-duplicates."""
    rejects = [("source", "reason"), *sorted(chosen.pieces.rejects)]
    _write_csv(output / REJECTS_NAME, rejects)
    repairs = [("source", "repair"), *sorted(chosen.pieces.repairs)]
    _write_csv(output / REPAIRS_NAME, repairs)
    _write_csv(output / DUPLICATES_NAME, [("source", "same_as"), *chosen.duplicates])
    _write_csv(output / NEAR_DUPLICATES_NAME, chosen.alike)


def _report(info: examples.DatasetInfo, chosen: _Chosen) -> str:
    pieces, by_split = chosen.pieces, chosen.by_split.items()
    statistics = {name: pieces.statistics[own] for name, own in by_split if len(own)}
    return report.page(
        info, statistics, chosen.alike, pieces.score_seconds, pieces.picture
    )


def _groups(pieces: staging.Pieces, kept: np.ndarray) -> np.ndarray:
    """The first piece of the composition of each, int64 [kept]."""
    return kept[
        near_duplicates.groups(
            pieces.hashes("fingerprint", kept),
            [pieces.sketches[k] for k in kept],
            pieces.statistics["passages"][kept],
        )
    ]


def _splits(
    settings: DataConfig, pieces: staging.Pieces, kept: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """The split of each piece, object [kept]."""
    if split_of := given_splits.finder(settings):
        return np.array([split_of(pieces.sources[k]) for k in kept], object)
    deciding = kept if settings.near_duplicates == "keep" else first
    return splits.split(pieces.hashes("fingerprint", deciding), settings.fractions)


def _dataset_id(pieces: staging.Pieces, chosen: dict[str, np.ndarray]) -> str:
    return integrity.data_id(
        (name, piece_id.hex(), pieces.styles[k], pieces.sources[k])
        for name, own in chosen.items()
        for piece_id, k in zip(pieces.hashes("id", own), own, strict=True)
    )


def _public(settings: DataConfig) -> dict[str, Any]:
    """The settings, with paths cut to their names, since data sets are passed on."""
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


def _write_csv(path: pathlib.Path, rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    files.write(path, text.getvalue())
