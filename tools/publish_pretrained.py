"""Puts a trained model into the package, with a card that says what it is:

  python -m poph_tf.evaluate --model_dir=runs/x --data_dir=data/x > test.json
  python tools/measure_steering.py --model_dir=runs/x --data_dir=data/x \\
      --output=steering.json
  python tools/publish_pretrained.py --model_dir=runs/x --name=x --about=about.json \\
      --test=test.json --steering=steering.json

about.json is written by hand: description, data, licence, good and bad (lists of what
to expect). Without it the card that is there already is kept, with new figures.
"""

import json
import os
import pathlib
import sys

from absl import flags

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from poph_tf.cli import commands
from poph_tf.cli import flags as own_flags  # noqa: E402
from poph_tf.errors import InputError  # noqa: E402
from poph_tf.evaluation import model_cards  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("model_dir", None, "Directory that poph_tf.train wrote.")
flags.DEFINE_string("name", None, "What the model is to be called.")
flags.DEFINE_string("about", None, "JSON file, written by hand.")
flags.DEFINE_string("test", None, "JSON file that poph_tf.evaluate printed.")
flags.DEFINE_string("steering", None, "JSON file of tools/measure_steering.py.")
flags.DEFINE_string(
    "output_dir", str(ROOT / "poph_tf" / "pretrained"), "Gets a folder of that name."
)


def main(argv):
    del argv
    own_flags.require("model_dir", "name")
    folder = os.path.join(FLAGS.output_dir, FLAGS.name)
    card = _read(FLAGS.about or os.path.join(folder, "card.json"))
    card["figures"] = card.get("figures", {}) | {
        name: _read(FLAGS[name].value)
        for name in ("test", "steering")
        if FLAGS[name].value
    }
    model_cards.publish(FLAGS.model_dir, folder, card)
    print(os.path.join(folder, "card.md"))
    return 0


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be a JSON file: {error}.") from error


if __name__ == "__main__":
    commands.run(main)
