#!/usr/bin/env bash
# From nothing to music by a network trained on this machine: makes .venv, installs,
# fetches Bach's chorales, trains a PopH 2 for a few minutes, evaluates it, composes four
# pieces with it and four with the package's model, and exports it. If it is interrupted,
# run it again to continue.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
OUT=quickstart
STEPS="${QUICKSTART_STEPS:-350}"

step() { printf '\n== %s\n' "$1"; }

step "1/8 Environment"
make_environment corpus,fast,media
mkdir -p "$OUT"

step "2/8 Bach's chorales, from the music21 package, as MIDI"
"$PYTHON" tools/fetch_corpus.py --corpus=bach --output_dir="$OUT/midi"

step "3/8 MIDI to records"
[ -e "$OUT/records/dataset_info.json" ] ||
  "$PYTHON" tools/make_tfrecords.py --input="$OUT/midi" --output_dir="$OUT/records"

step "4/8 Training a PopH 2, $STEPS steps (a few minutes on two cores)"
"$PYTHON" -m poph_tf.train --data_dir="$OUT/records" --model_dir="$OUT/model" \
  --preset=poph2 --set=dropout=0.2 --optimizer=muon --learning_rate=0.02 \
  --schedule=cosine --warmup_steps=20 --clip_norm=1 --train=ema_decay=0.98 \
  --batch_size=4 --window_steps=128 --max_steps="$STEPS" --max_minutes=9 \
  --validate_every=100 --train=max_valid_pieces=16 --preview_bars=0

step "5/8 Evaluation on the test split"
"$PYTHON" -m poph_tf.evaluate --model_dir="$OUT/model" --data_dir="$OUT/records" |
  tee "$OUT/evaluation.json"

step "6/8 Composing four pieces"
"$PYTHON" -m poph_tf.generate --model_dir="$OUT/model" --output_dir="$OUT/pieces" \
  --num_pieces=4 --num_bars=32 --density=3.5 --seed=1

step "7/8 The same from the model that comes with the package"
"$PYTHON" -m poph_tf.generate --output_dir="$OUT/pretrained-pieces" --style=bach \
  --num_pieces=4 --num_bars=32 --seed=1

step "8/8 Export for TF Serving"
newest() { find "$OUT/serving/poph" -maxdepth 1 -name '[0-9]*' 2>/dev/null | sort -V | tail -1; }
# Exports again if training has continued since.
if [ ! -e "$(newest)/saved_model.pb" ] || [ "$OUT/model/model.keras" -nt "$(newest)" ]; then
  "$PYTHON" -m poph_tf.export --model_dir="$OUT/model" --export_dir="$OUT/serving/poph"
fi

cat <<EOF

Done. Open $OUT/pieces/index.html in a browser to hear and see the pieces, or
$OUT/pieces/piece-1.mid in any player; pictures (.png) and sound (.wav) are beside it.
$OUT/pretrained-pieces/index.html has the pieces of the package's model.
  model       $OUT/model          evaluation  $OUT/evaluation.json
  records     $OUT/records        SavedModel  $(newest)

What to try next:
  source .venv/bin/activate
  python -m poph_tf.generate --model_dir=$OUT/model --output_dir=out --seed=7
  python -m poph_tf.generate --model_dir=$OUT/model --output_dir=out \\
    --primer=$OUT/midi/bach/$(ls "$OUT/midi/bach" | head -1) --num_bars=8
  python tools/make_tfrecords.py --input=YOUR_MIDI_FOLDER --output_dir=data/mine
EOF
