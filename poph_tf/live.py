"""Plays with you through MIDI ports, or answers files that you save in a folder.

  python -m poph_tf.live --list
  python -m poph_tf.live --input=Keystation --output=Synth
  python -m poph_tf.live --virtual --clock=midi --mode=accompany
  python -m poph_tf.live --watch=DIR --task=harmonize

By default you take turns: after --call_bars of yours it continues with as many. With
--mode=accompany you play a melody and it plays the other tracks with you. The tempo is
--tempo_qpm after a count-in, or that of the input's MIDI clock (--clock=midi). Ctrl-C
stops it and ends all notes.

For programs without MIDI ports: with --watch, a tune.mid saved in the folder gets its
answer, tune.harmonize.mid, beside it.
"""

import json
import pathlib
from collections.abc import Sequence

from absl import flags

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags
from poph_tf.config import GenerationConfig, LiveConfig
from poph_tf.errors import InputError
from poph_tf.models import pretrained

FLAGS = flags.FLAGS

flags.DEFINE_string("model_dir", None, "Folder of poph_tf.train, or pretrained model.")
flags.DEFINE_string("pretrained", None, "Name of a model that comes with the package.")
flags.DEFINE_bool("list", False, "List the MIDI ports of this machine and exit.")
flags.DEFINE_string("input", None, "MIDI port to listen to, or part of its name.")
flags.DEFINE_string("output", None, "MIDI port to play to, or part of its name.")
flags.DEFINE_bool("virtual", False, "Create ports for other programs to connect to.")
own_flags.define(LiveConfig)
_MEASURE = "Measure latency with this many calls, in memory or --virtual; print JSON."
flags.DEFINE_integer("measure_latency", 0, _MEASURE, lower_bound=0, upper_bound=1000)
flags.DEFINE_string("watch", None, "Folder whose files are answered, instead of ports.")
own_flags.define(GenerationConfig, skip=("num_pieces", "music", "primer", "fix"))


def main(_: Sequence[str]) -> int:
    """Checks the flags, then plays until it is stopped."""
    if FLAGS.list:
        from poph_tf.playing import ports

        print(ports.listing())
        return 0
    both = bool(FLAGS.input) and bool(FLAGS.output)
    ways = (bool(FLAGS.watch), FLAGS.virtual, both)
    if sum(ways) != 1 and not (FLAGS.measure_latency and not any(ways)):
        raise InputError(
            "Give --input and --output (--list names the ports), or --virtual, or "
            "--watch."
        )
    model_dir = pretrained.chosen(FLAGS.model_dir, FLAGS.pretrained)
    try:
        _watch(model_dir) if FLAGS.watch else _play(model_dir)
    except KeyboardInterrupt:  # the usual way to stop
        print()
    return 0


def _watch(model_dir: pathlib.Path) -> None:
    folder = pathlib.Path(FLAGS.watch)
    if not folder.is_dir():
        raise InputError(f"watch must be a folder, got {FLAGS.watch!r}.")
    options = own_flags.values(GenerationConfig, given_only=True)
    options.setdefault("task", "harmonize")
    from poph_tf.generation.composer import Composer
    from poph_tf.playing import watching

    watching.run(folder, Composer(model_dir), options)


def _play(model_dir: pathlib.Path) -> None:
    config = LiveConfig(**own_flags.values(LiveConfig))
    settings = GenerationConfig(**own_flags.values(GenerationConfig))
    from poph_tf.generation import light_engine
    from poph_tf.generation.stepper import Stepper
    from poph_tf.playing import latency, ports
    from poph_tf.playing.session import Session, request_of

    if not light_engine.is_there(model_dir):
        raise InputError(
            f"{model_dir} holds no step.tflite, which live play needs: python -m "
            f"poph_tf.export --format=litert makes it."
        )
    engine = light_engine.LightEngine(model_dir)
    request = request_of(settings, engine)
    session = Session(config, request, engine)
    if rounds := FLAGS.measure_latency:
        drawn = latency.drawing_ms(Stepper(engine, request), session.bar_steps)
        found = latency.measure(session, config, rounds, virtual=FLAGS.virtual)
        print(json.dumps({"model": model_dir.name, "draw_step_ms": drawn, **found}))
        return
    with ports.opened(FLAGS.input, FLAGS.output, FLAGS.virtual) as opened:
        source, target, still_there = opened
        print(f"Plays from {source.name} to {target.name}; Ctrl-C ends.", flush=True)
        ports.play(session, source, target, still_there)


def run() -> None:
    """The entry point of the installed command."""
    commands.run(main)


if __name__ == "__main__":
    run()
