r"""Adds a trained model to the package, with a model card.

  python -m poph_tf.evaluate --model_dir=runs/x --data_dir=data/x > test.json
  python tools/measure_controls.py --model_dir=runs/x --data_dir=data/x \
      --output=controls.json
  python tools/publish_pretrained.py --model_dir=runs/x --name=x --about=about.json \
      --test=test.json --controls=controls.json --music=music.json

music.json is the output of `python -m poph_tf.evaluate --compare=PIECES`. about.json is
written by hand: description, data, licence, good and bad (lists of what to expect).
Without it, the existing card is kept, with new figures.
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
flags.DEFINE_string("model_dir", None, "Model directory of poph_tf.train.")
flags.DEFINE_string("name", None, "The model's name.")
flags.DEFINE_string("about", None, "JSON file, written by hand.")
flags.DEFINE_string("test", None, "JSON output of poph_tf.evaluate.")
flags.DEFINE_string("controls", None, "JSON output of tools/measure_controls.py.")
flags.DEFINE_string("music", None, "JSON output of poph_tf.evaluate --compare.")
flags.DEFINE_alias("steering", "controls")
flags.DEFINE_string(
    "output_dir", str(ROOT / "poph_tf/pretrained"), "Parent of the model's folder."
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
            f"note: {folder} has no {LIGHT_FILE}. Convert the model to compose "
            f"without TensorFlow: python -m poph_tf.export --format=litert "
            f"--model_dir={folder} --export_dir={folder}"
        )
    print(folder / "card.md")


if __name__ == "__main__":
    commands.run(main)
