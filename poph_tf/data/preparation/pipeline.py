"""Makes a data set: the whole way from a collection to shards and a report."""

import csv
import dataclasses
import hashlib
import os
import pathlib
import re

from poph_tf import provenance
from poph_tf.config import ExecutionOptions
from poph_tf.data import examples, midi
from poph_tf.data.preparation import (
    beam_runner,
    input_state,
    report,
    sources,
    staging,
    workers,
)
from poph_tf.data.preparation import splits as splits_lib
from poph_tf.errors import InputError

REJECTS_NAME = "rejects.csv"
DUPLICATES_NAME = "duplicates.csv"
TWINS_NAME = "twins.csv"
REPORT_NAME = "report.html"
STATE = "input_state"
# Nothing else in a folder is taken for a file of ours.
_SHARD = re.compile(rf"({'|'.join(examples.SPLITS)})-\d{{5}}-of-\d{{5}}\.tfrecord\.gz")


def prepare(settings, output_dir, effort=None, *, overwrite=False, progress=None):
    """Makes a data set, or goes on with one that was begun.

    Args:
        settings: Settings.
        output_dir: str or path.
        effort: ExecutionOptions or None.
        overwrite: bool. Replace another data set that is there.
        progress: report.Progress or None.

    Returns:
        DatasetInfo. Where the same data set is there already, what it says.

    Raises:
        InputError: If settings, inputs or the output folder cannot be used, or if
            nothing could be made of the input.
    """
    effort = effort or ExecutionOptions()
    sources.check(settings)
    output = pathlib.Path(output_dir)
    _check_apart(settings, output)
    existing = _existing(output, settings, overwrite)
    if existing:
        return existing
    state = input_state.describe(settings)
    store = staging.Staging(output, _run_key(settings))
    if effort.runner == "beam":
        # Which chunks an earlier run has finished is not known to a pipeline.
        store.remove()
    _make_folder(output, store)
    if effort.runner == "beam":
        keys = beam_runner.convert_all(settings, store, effort.beam_options)
    else:
        keys = _convert(settings, effort, store, progress or report.Progress(None))
    pieces = splits_lib.catalogue(store, keys)
    if not pieces.sources:
        store.remove()
        raise InputError(_nothing(settings, pieces.rejects))
    _assemble(settings, store, pieces, output, state)
    store.remove()
    return examples.read_info(output)


def is_made(settings, output_dir, *, overwrite=False):
    """Whether `prepare` would find its work done.

    Raises:
        InputError: As `prepare` does if another data set is there.
    """
    return bool(_existing(pathlib.Path(output_dir), settings, overwrite))


def input_changes(settings, info):
    """What has changed in the inputs since a data set was made; None if nothing has."""
    return input_state.changes(info.settings.get(STATE), input_state.describe(settings))


def _check_apart(settings, output):
    """Refuses an output folder whose own files would be those that are read."""
    for path in map(pathlib.Path, settings.input):
        if path.resolve() == output.resolve():
            raise InputError(f"{path} is to be read: choose another --output_dir.")
        own = _SHARD.fullmatch(path.name) or path.name == examples.INFO_NAME
        if own and path.resolve().parent == output.resolve():
            raise InputError(
                f"{path} would be replaced by a file of the data set: choose another "
                "--output_dir."
            )


def _run_key(settings):
    """Hash of all that decides what becomes of an item, this program included."""
    digest = hashlib.sha256(settings.key().encode())
    for path in sorted(pathlib.Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _existing(output, settings, overwrite):
    """The info of the same data set, if it is complete."""
    if overwrite or not (output / examples.INFO_NAME).exists():
        return None
    info = examples.read_info(output)
    if info.settings.get("key") == settings.key():
        return info
    raise InputError(
        f"{output} holds another data set; choose another --output_dir, or give "
        "--overwrite to replace it."
    )


def _make_folder(output, store):
    try:
        output.mkdir(parents=True, exist_ok=True)
        store.begin()
    except OSError as error:
        raise InputError(f"Cannot write to {output}: {error.strerror}.") from None


def _convert(settings, effort, store, progress):
    """Converts all items; returns the keys of their chunks in the source's order."""
    keys = []
    position = sources.Position()

    def noted():
        for chunk in staging.chunks(sources.walk(settings, position)):
            keys.append(chunk.key)
            yield chunk

    for done in workers.convert_all(noted(), settings, effort, store):
        progress.update(done.num_items, done.num_rejects, position.share)
    progress.close()
    return keys


def _nothing(settings, rejects):
    where = ", ".join(settings.input)
    if not rejects:
        return f"Found no music files in {where}."
    counts = report.by_reason(rejects)
    reasons = "; ".join(f"{reason}: {count}" for reason, count in counts.items())
    return f"None of the {len(rejects)} files in {where} can be used ({reasons})."


def _assemble(settings, store, pieces, output, state):
    """Writes all that a data set consists of; its info comes last."""
    kept, duplicates = splits_lib.without_duplicates(pieces)
    twins = splits_lib.twins(pieces, kept)
    where = splits_lib.split(pieces.fingerprints[kept], settings.fractions)
    _remove_old(output)
    splits = {}
    for name in examples.SPLITS:
        chosen = kept[where == name]
        wanted = settings.num_shards if name == "train" else 0
        splits[name] = _split_info(
            pieces,
            chosen,
            splits_lib.write_shards(store, pieces, chosen, name, wanted, output)
            if len(chosen)
            else (),
        )
    _write_csv(output / REJECTS_NAME, ("source", "reason"), sorted(pieces.rejects))
    _write_csv(output / DUPLICATES_NAME, ("source", "same_as"), duplicates)
    _write_csv(output / TWINS_NAME, None, twins)
    facts = report.gather(store, pieces, kept, where)
    info = examples.DatasetInfo(
        format_version=examples.FORMAT_VERSION,
        id=_dataset_id(pieces, kept, where),
        steps_per_quarter=settings.steps_per_quarter,
        styles=tuple(sorted({pieces.styles[k] for k in kept})),
        splits=splits,
        rejects=report.by_reason(pieces.rejects),
        num_duplicates=len(duplicates),
        num_near_duplicates=sum(len(group) - 1 for group in twins),
        grid_error=report.grid_error(facts),
        settings={"key": settings.key(), **_public(settings), STATE: state},
        provenance=provenance.describe(),
    )
    report.write(info, facts, output / REPORT_NAME)
    examples.write_info(info, output)


def _public(settings):
    """Settings as a dict; of a table of styles, which may be long, its length only."""
    table = dataclasses.asdict(settings)
    # Names without folders: a data set is passed on, its maker's disk is not.
    names = (os.path.basename(str(p).rstrip("/")) for p in settings.input)
    table["input"] = [midi.readable(name) for name in names]
    table["styles_csv"] = os.path.basename(settings.styles_csv)
    return table


def _remove_old(output):
    """Removes the data set that is to be replaced, its info first."""
    (output / examples.INFO_NAME).unlink(missing_ok=True)
    for path in output.iterdir():
        if _SHARD.fullmatch(path.name):
            path.unlink()


def _split_info(pieces, chosen, shards):
    steps, counts = {}, {}
    for k in sorted(chosen.tolist(), key=lambda k: pieces.styles[k]):
        style = pieces.styles[k]
        steps[style] = steps.get(style, 0) + int(pieces.steps[k])
        counts[style] = counts.get(style, 0) + 1
    return examples.SplitInfo(
        shards=shards,
        num_pieces=len(chosen),
        num_steps=int(pieces.steps[chosen].sum()),
        steps_by_style=steps,
        pieces_by_style=counts,
    )


def _dataset_id(pieces, kept, where):
    digest = hashlib.sha256(f"poph_tf data {examples.FORMAT_VERSION}".encode())
    rows = [
        (name, pieces.ids[k].hex(), pieces.styles[k], pieces.sources[k])
        for name, k in zip(where, kept, strict=True)
    ]
    for row in sorted(rows):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _write_csv(path, header, rows):
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if header:
            writer.writerow(header)
        writer.writerows(rows)
    os.replace(partial, path)
