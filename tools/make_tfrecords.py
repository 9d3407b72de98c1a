"""Converts a collection of music files to a data set for training.

    python tools/make_tfrecords.py --input=songs --output_dir=data/songs
    python tools/make_tfrecords.py --input=lmd_full.tar.gz --output_dir=data/lakh \
        --num_workers=16 --styles_csv=genres.csv
    python tools/make_tfrecords.py --input=performances --output_dir=data/live \
        --align=auto --sustain

The input may be folders, .zip, .7z and .tar(.gz/.bz2/.xz) archives (which are not
unpacked), .parquet files, single files and TFRecords of NoteSequences, separated by
commas. MIDI, MusicXML, MEI, Humdrum and ABC files are read. A file's style is the name
of its top folder, unless --style_depth or --styles_csv says otherwise.

The output is a folder of TFRecord shards for training, validation and test with
dataset_info.json, report.html (look at it before you train), rejects.csv (which files
could not be used, and why), repairs.csv, duplicates.csv and near_duplicates.csv. An
interrupted run continues when you start it again.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf import cores
from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.config import DataConfig, ExecutionOptions

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "Folder for the data set.")
own_flags.define(DataConfig)
own_flags.define(ExecutionOptions, skip=["num_workers"])
flags.DEFINE_integer("num_workers", cores.available(), "Worker processes.")
own_flags.define_force()
flags.DEFINE_bool("overwrite", False, "Replace another data set in --output_dir.")


def main(_: Sequence[str]) -> None:
    """Makes a data set and prints a summary."""
    from poph_tf.cli.progress import Progress
    from poph_tf.data.preparation import pipeline, report

    own_flags.require("input", "output_dir")
    settings = DataConfig(**own_flags.values(DataConfig))
    options = ExecutionOptions(**own_flags.values(ExecutionOptions))
    output, overwrite = FLAGS.output_dir, FLAGS.overwrite
    was_there = pipeline.is_made(settings, output, overwrite=overwrite)
    info = pipeline.prepare(
        settings,
        output,
        options,
        overwrite=overwrite,
        force=FLAGS.force,
        progress=Progress(None, "files"),
    )
    print(report.table(info))
    for warning in report.warnings(info):
        print(f"note: {warning}")
    changes = pipeline.input_changes(settings, info)
    if changes:
        print(
            f"note: the input has changed since this data set was made ({changes}); "
            "--overwrite makes it again"
        )
    before = "was there already" if was_there else "made"
    names = (
        f"{pipeline.REPORT_NAME}, {pipeline.REJECTS_NAME} and {pipeline.REPAIRS_NAME}"
    )
    print(f"\nData set {before}: {output}; see {names} there.")


if __name__ == "__main__":
    commands.run(main)
