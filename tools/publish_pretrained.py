r"""Puts a trained model into the package, with a card that describes it.

  python -m poph_tf.evaluate --model_dir=runs/x --data_dir=data/x > test.json
  python tools/measure_controls.py --model_dir=runs/x --data_dir=data/x \
      --output=controls.json
  python tools/publish_pretrained.py --model_dir=runs/x --name=x --about=about.json \
      --test=test.json --controls=controls.json --music=music.json

music.json is what `python -m poph_tf.evaluate --compare=PIECES` printed. about.json is
written by hand: description, data, licence, good and bad (lists of what to expect).
Without it the existing card is kept, with new figures.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from poph_tf.cli import commands  # noqa: E402
from poph_tf.cli import flags as own_flags  # noqa: E402
from poph_tf.evaluation import model_cards, results  # noqa: E402
from poph_tf.models import LIGHT_FILE  # noqa: E402

FLAGS = flags.FLAGS
flags.DEFINE_string("model_dir", None, "Directory of poph_tf.train.")
flags.DEFINE_string("name", None, "The model's name.")
flags.DEFINE_string("about", None, "JSON file, written by hand.")
flags.DEFINE_string("test", None, "JSON file that poph_tf.evaluate printed.")
flags.DEFINE_string("controls", None, "JSON file of tools/measure_controls.py.")
flags.DEFINE_string("music", None, "JSON file of poph_tf.evaluate --compare.")
flags.DEFINE_alias("steering", "controls")
flags.DEFINE_string(
    "output_dir", str(ROOT / "poph_tf/pretrained"), "Gets a folder of that name."
)


def main(_: Sequence[str]) -> None:
    """Publishes a model."""
    own_flags.require("model_dir", "name")
    if any(word.startswith("--steering") for word in sys.argv):
        print("warning: --steering is now called --controls.", file=sys.stderr)
    folder = Path(FLAGS.output_dir, FLAGS.name)
    card = results.read(Path(FLAGS.about or folder / "card.json"))
    measured = {
        name: results.read(Path(path))
        for name in ("test", "controls", "music")
        if (path := FLAGS[name].value)
    }
    card["figures"] = card.get("figures", {}) | measured
    model_cards.publish(Path(FLAGS.model_dir), folder, card)
    if not (folder / LIGHT_FILE).exists():
        print(
            f"note: {folder} has no {LIGHT_FILE}. Convert the model for composing "
            f"without TensorFlow: python -m poph_tf.export --format=litert "
            f"--model_dir={folder} --export_dir={folder}"
        )
    print(folder / "card.md")


if __name__ == "__main__":
    commands.run(main)
