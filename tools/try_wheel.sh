#!/usr/bin/env bash
# Builds the sdist and, from it, the wheel into dist/; checks both; then installs the wheel
# with its core dependencies into an empty environment of each Python that is there (3.11,
# 3.12, 3.13), away from this checkout, and composes with the pretrained model.
#   ./tools/try_wheel.sh                      all Pythons that are found
#   PYTHONS="python3.12" ./tools/try_wheel.sh one of them
#   EXTRAS="score serve" ./tools/try_wheel.sh each of these extras, installed alone,
#                                             does once what it is for
set -euo pipefail
cd "$(dirname "$0")/.."
MAX_MEGABYTES=25
read -r -a pythons <<<"${PYTHONS:-python3.11 python3.12 python3.13}"
read -r -a extras <<<"${EXTRAS:-}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# The executables of an environment: Scripts on Windows.
bin_of() { [ -d "$1/Scripts" ] && echo "$1/Scripts" || echo "$1/bin"; }

build() {
  local python="$1" bin
  "$python" -m venv "$work/build"
  bin="$(bin_of "$work/build")"
  "$bin/python" -m pip install --quiet --disable-pip-version-check build twine
  rm -rf dist
  "$bin/python" -m build --outdir dist . >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; exit 1; }
  rm -rf build ./*.egg-info
  "$bin/python" -m twine check --strict dist/*
  for file in dist/*; do
    if [ "$(wc -c <"$file")" -gt $((MAX_MEGABYTES * 1024 * 1024)) ]; then
      echo "error: $file is larger than $MAX_MEGABYTES MB." >&2
      exit 1
    fi
  done
}

# try_install PYTHON [EXTRA]
try_install() {
  local python="$1" extra="${2:-}" place="$work/env" bin wheel
  wheel="$(ls "$PWD"/dist/poph_tf-*.whl)"
  rm -rf "$place" "$work"/{out,data,midi}
  "$python" -m venv "$place"
  bin="$(bin_of "$place")"
  "$bin/python" -m pip install --quiet --disable-pip-version-check \
    "$wheel${extra:+[$extra]}"
  # From another folder: what is imported is what was installed.
  (cd "$work" && "$bin/poph-generate" --output_dir=out --num_pieces=1 --num_bars=2 \
    --seed=1 >compose.log 2>&1) || { tail -20 "$work/compose.log" >&2; exit 1; }
  "$bin/python" - "$work/out/piece-1.mid" <<'PY'
import sys, mido
notes = sum(m.type == "note_on" and m.velocity > 0 for m in mido.MidiFile(sys.argv[1]))
assert notes > 4, f"{notes} notes"
print(f"composed {notes} notes", end=" ")
PY
  if [ -n "$extra" ]; then
    (cd "$work" && "$bin/python" tools/try_extra.py "$extra" out/piece-1.mid \
      >extra.log 2>&1) || { tail -20 "$work/extra.log" >&2; exit 1; }
  fi
  echo "on $("$bin/python" --version)${extra:+ with [$extra]}"
}

found=()
for python in "${pythons[@]}"; do
  if "$python" -c pass 2>/dev/null; then found+=("$python"); else echo "No $python here."; fi
done
[ "${#found[@]}" -gt 0 ] || { echo "error: none of ${pythons[*]} is here." >&2; exit 2; }
build "${found[0]}"
# Away from the package: what is imported is what was installed.
cp -r tools "$work/tools"
if [ "${#extras[@]}" -eq 0 ]; then
  for python in "${found[@]}"; do try_install "$python"; done
else
  for extra in "${extras[@]}"; do try_install "${found[0]}" "$extra"; done
fi
