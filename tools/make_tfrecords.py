"""Turns a collection of music files into a data set to train on.

    python tools/make_tfrecords.py --input=songs --output_dir=data/songs
    python tools/make_tfrecords.py --input=lmd_full.tar.gz --output_dir=data/lakh \
        --num_workers=16 --styles_csv=genres.csv
    python tools/make_tfrecords.py --input=performances --output_dir=data/live \
        --align=auto --sustain

The input may be folders, .zip and .tar(.gz/.bz2/.xz) archives (which are not unpacked),
single files and TFRecords of NoteSequences, separated by commas. MIDI, MusicXML and ABC
files are read. A file's style is the name of its top folder, unless --style_depth or
--styles_csv says otherwise.

The output is a folder of TFRecord shards for training, validation and test with
dataset_info.json, report.html (look at it before you train), rejects.csv (which files
could not be used, and why), duplicates.csv and twins.csv. A run that was stopped goes
on where it was when it is started again.
"""

import pathlib
import sys

from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from poph_tf.console import commands
from poph_tf.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_list("input", [], "Folders, archives and files, separated by commas.")
flags.DEFINE_string("output_dir", None, "Folder for the data set.")
flags.DEFINE_integer("num_workers", None, "Processes; as many as there are cores.")
flags.DEFINE_enum(
    "runner",
    "local",
    ["local", "beam"],
    "local: processes on this machine; beam: an Apache Beam pipeline (extra `beam`).",
)
flags.DEFINE_string(
    "beam_options", "", "Options of the pipeline, such as '--runner=FlinkRunner ...'."
)
flags.DEFINE_float("train_fraction", 0.8, "Share of the pieces to train on.")
flags.DEFINE_float("valid_fraction", 0.1, "Share of the pieces for validation.")
flags.DEFINE_float("test_fraction", 0.1, "Share of the pieces for the test.")
flags.DEFINE_integer("steps_per_quarter", 4, "Grid: 4 makes a step a sixteenth note.")
flags.DEFINE_integer("style_depth", 1, "Which folder names the style; 1 is the top.")
flags.DEFINE_string("styles_csv", None, "Table path,style that says files' styles.")
flags.DEFINE_bool("sustain", False, "Let the sustain pedal lengthen notes.")
flags.DEFINE_bool("drums", False, "Keep drums (as pitches).")
flags.DEFINE_enum(
    "align",
    "off",
    ["off", "auto"],
    "auto: move each piece onto the grid, and find its bars where its file says none; "
    "for performances and files that do not begin on the grid.",
)
flags.DEFINE_list("programs", [], "Keep only these General MIDI programs, 0..127.")
flags.DEFINE_list("channels", [], "Keep only these MIDI channels, 1..16.")
flags.DEFINE_list("metres", [], "Keep only pieces in these metres, such as 4/4,3/4.")
flags.DEFINE_integer("min_steps", 1, "Leave out shorter pieces.")
flags.DEFINE_integer("max_steps", 40_000, "Leave out longer pieces.")
flags.DEFINE_float("min_polyphony", 0.0, "Least mean number of notes that sound.")
flags.DEFINE_float("max_silence", 1.0, "Largest share of silent steps.")
flags.DEFINE_integer("max_bytes", 5_000_000, "Leave out larger files.")
flags.DEFINE_integer("max_events", 1_000_000, "Leave out files with more events.")
flags.DEFINE_integer("max_notes", 200_000, "Leave out pieces with more notes.")
flags.DEFINE_float("seconds_per_file", 120.0, "Give up a file that takes longer.")
flags.DEFINE_integer("worker_memory_mb", 4096, "Memory limit of a worker; 0 for none.")
flags.DEFINE_integer("num_shards", 0, "Training shards; 0 for as many as suit.")
flags.DEFINE_enum(
    "parser",
    "fast",
    ["fast", "note_seq"],
    "Reader of MIDI files; both give the same notes, but for pedals of several "
    "channels under --sustain; note_seq takes far longer.",
)
flags.DEFINE_bool("overwrite", False, "Replace another data set in --output_dir.")


def main(argv):
    del argv
    from poph_tf.preparation import job, report

    if not FLAGS.input:
        raise InputError("--input must name a folder, archive or file; see --help.")
    if not FLAGS.output_dir:
        raise InputError("--output_dir must name a folder for the data set.")
    settings = _settings()
    was_there = job.is_made(settings, FLAGS.output_dir, overwrite=FLAGS.overwrite)
    info = job.prepare(
        settings,
        FLAGS.output_dir,
        _effort(),
        overwrite=FLAGS.overwrite,
        progress=report.Progress(),
    )
    print(report.table(info))
    for warning in report.warnings(info):
        print(f"note: {warning}")
    changes = job.input_changes(settings, info)
    if changes:
        print(
            f"note: the input has changed since this data set was made ({changes}); "
            "--overwrite makes it anew"
        )
    before = "was there already" if was_there else "made"
    print(f"\nData set {before}: {FLAGS.output_dir}; see {job.REPORT_NAME} there.")


def _settings():
    from poph_tf.preparation import settings, sources

    same = {
        name: getattr(FLAGS, name)
        for name in settings.Settings.__dataclass_fields__
        if name in FLAGS
    }
    same |= {
        "inputs": tuple(FLAGS.input),
        "fractions": (FLAGS.train_fraction, FLAGS.valid_fraction, FLAGS.test_fraction),
        "styles": sources.read_styles(FLAGS.styles_csv) if FLAGS.styles_csv else (),
        "programs": settings.whole_numbers("programs", FLAGS.programs),
        "channels": settings.whole_numbers("channels", FLAGS.channels),
        "metres": tuple(FLAGS.metres),
    }
    return settings.Settings(**same)


def _effort():
    import os

    from poph_tf.preparation import settings

    return settings.Effort(
        num_workers=os.cpu_count() if FLAGS.num_workers is None else FLAGS.num_workers,
        seconds_per_file=FLAGS.seconds_per_file,
        worker_memory_mb=FLAGS.worker_memory_mb,
        runner=FLAGS.runner,
        beam_options=FLAGS.beam_options,
    )


if __name__ == "__main__":
    commands.run(main)
