"""Former name of `python -m poph_tf.evaluate --compare`; goes with the next release."""

import sys
from pathlib import Path

from absl import flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from poph_tf import evaluate

flags.DEFINE_alias("pieces", "compare")
flags.DEFINE_alias("output_dir", "report_dir")

if __name__ == "__main__":
    print(
        "warning: tools/compare_pieces.py is now python -m poph_tf.evaluate "
        "--compare=PIECES --reference=FOLDER --report_dir=OUTPUT_DIR.",
        file=sys.stderr,
    )
    evaluate.run()
