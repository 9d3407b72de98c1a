"""Composes: python -m poph_tf.generate --output_dir=out

Writes piece-1.mid, .png and .wav and so on, and index.html, which plays and shows them
all. The same --seed, settings and build give the same pieces. Without --model_dir a
model that comes with the package composes (--list_pretrained names them).

--style takes one style of the model or a mixture (bach:0.7,monteverdi:0.3); --key,
--density and --cut steer what is drawn. With music of your own: --primer goes on from
it, --redraw draws some of its bars anew, --fix holds its notes and composes around it.
"""

import os

from absl import flags

from poph_tf.console import commands
from poph_tf.console.quiet import import_tensorflow
from poph_tf.errors import InputError

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "model_dir", None, "Directory that poph_tf.train wrote, or a pretrained model."
)
flags.DEFINE_string("pretrained", None, "A model that comes with the package.")
flags.DEFINE_bool("list_pretrained", False, "Print the models of the package and exit.")
flags.DEFINE_string("output_dir", None, "Where the pieces go.")
flags.DEFINE_integer("num_pieces", 4, "How many pieces.")
flags.DEFINE_integer("num_bars", 32, "New bars of each piece.")
flags.DEFINE_float("temperature", 1.0, "Below 1 safer, above 1 bolder.")
flags.DEFINE_integer("seed", 0, "Seed: another number, other pieces.")
flags.DEFINE_string(
    "style",
    "",
    "A style, a mixture (bach:0.7,monteverdi:0.3), or either from a bar on "
    "('0: bach; 16: monteverdi'); empty: as in the training data.",
)
flags.DEFINE_float("replay_temperature", 0.0, "Of repeated notes; 0: --temperature.")
flags.DEFINE_string("key", "", "Prefer 'Bb major', 'D dorian', ...; auto: its own.")
flags.DEFINE_float("key_strength", 2.0, "How much: logits off for notes outside it.")
flags.DEFINE_integer("min_pitch", 0, "Lowest MIDI pitch to draw.")
flags.DEFINE_integer("max_pitch", 127, "Highest MIDI pitch to draw.")
flags.DEFINE_float("density", 0.0, "Wanted mean of notes at a time; 0: as it comes.")
flags.DEFINE_float(
    "cut",
    0.0,
    "Do not draw notes less probable than this, and draw "
    "those more probable than 1 minus this for certain.",
)
flags.DEFINE_float("conservativity", 1.0, "Above 1 fewer notes (Johnson's exponent).")
flags.DEFINE_float(
    "silent_warmth", 0.1, "Warmer by this at each step of a silence of a bar; 0: not."
)
flags.DEFINE_string("primer", None, "Music file (MIDI, MusicXML, ABC) to go on from.")
flags.DEFINE_integer("from_bar", 0, "First new bar after the primer; 0: at its end.")
flags.DEFINE_bool("keep_primer", True, "Begin the pieces with the primer.")
flags.DEFINE_string("redraw", "", "Bars of the primer to draw anew, such as 9-12.")
flags.DEFINE_integer("redraw_lookahead", 2, "Bars after them that they are to fit.")
flags.DEFINE_string("fix", None, "Music file whose notes are held: composes around it.")
flags.DEFINE_string(
    "fix_as",
    "melody",
    "melody: nothing is drawn above it while it sounds; bass: nothing below; any.",
)
flags.DEFINE_integer("particles", 16, "Drafts weighed by what --fix, --redraw give.")
flags.DEFINE_integer("best_of", 1, "Drafts of each piece, of which one is kept.")
flags.DEFINE_string("best_by", "key", "Fewest notes outside a key; or likelihood.")
flags.DEFINE_string("metre", "", "Such as 3/4; empty: that of given music, or 4/4.")
flags.DEFINE_float("tempo_qpm", 0.0, "Quarter notes a minute; 0: the given, or 120.")
flags.DEFINE_bool("png", None, "Draw piano rolls; not said: if matplotlib is there.")
flags.DEFINE_bool(
    "wav",
    None,
    "Make sound; not said: of pieces up to half an hour, if tinysoundfont is there.",
)
flags.DEFINE_bool("page", True, "Write index.html, which plays and shows all pieces.")
flags.DEFINE_bool("jit_compile", None, "Compile with XLA; not said: if it saves time.")

# The flags that are wishes by the same name (see poph_tf/composing/wishes.py).
WISHES = (
    "num_pieces",
    "num_bars",
    "temperature",
    "replay_temperature",
    "seed",
    "style",
    "from_bar",
    "keep_primer",
    "redraw",
    "redraw_lookahead",
    "fix_as",
    "particles",
    "best_of",
    "best_by",
    "metre",
    "tempo_qpm",
    "key",
    "key_strength",
    "min_pitch",
    "max_pitch",
    "density",
    "cut",
    "conservativity",
    "silent_warmth",
)


def main(argv):
    del argv
    from poph_tf import pretrained

    if FLAGS.list_pretrained:
        print(pretrained.table())
        return 0
    commands.require("output_dir")
    model = pretrained.chosen(FLAGS.model_dir, FLAGS.pretrained)
    import_tensorflow()
    from poph_tf import generation

    music = {name: _read(FLAGS[name].value) for name in ("primer", "fix")}
    wishes = generation.Wishes(**{name: FLAGS[name].value for name in WISHES}, **music)
    for path in _compose(model, wishes):
        print(path)
    return 0


def _read(path):
    if not path:
        return None
    from poph_tf import matrices

    return matrices.from_file(path)


def _compose(model_dir, wishes):
    from poph_tf import generation, models
    from poph_tf.composing import plans
    from poph_tf.composing import wishes as wishes_lib
    from poph_tf.console.progress import Bar
    from poph_tf.showing import publishing

    model = models.load(model_dir)
    wishes_lib.style_schedule(wishes.style, model.config)  # a wrong one fails early
    plan = plans.make(wishes, model.config)
    if os.path.exists(FLAGS.output_dir) and not os.path.isdir(FLAGS.output_dir):
        raise InputError(f"--output_dir must be a folder, got {FLAGS.output_dir!r}.")
    composer = generation.Composer(model, FLAGS.jit_compile)
    pieces = composer.compose(wishes, Bar(plan.num_steps, "steps").update)
    return publishing.write(
        pieces,
        FLAGS.output_dir,
        model.config,
        png=FLAGS.png,
        wav=FLAGS.wav,
        page=FLAGS.page,
    )


def run():
    commands.run(main)


if __name__ == "__main__":
    run()
