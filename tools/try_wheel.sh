#!/usr/bin/env bash
# Builds the sdist and, from it, the wheel into dist/; checks both; then installs the wheel
# with its core dependencies into an empty environment for each Python found (3.11, 3.12,
# 3.13), outside this checkout, and composes with the pretrained model.
#   ./tools/try_wheel.sh                      all Pythons found
#   PYTHONS="python3.12" ./tools/try_wheel.sh one of them
#   EXTRAS="score serve" ./tools/try_wheel.sh also tries each of these extras, with only
#                                             the core installed beside it
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

# try_core PYTHON: leaves the environment in $work/env
try_core() {
  local bin
  rm -rf "$work"/{env,out}
  "$1" -m venv "$work/env"
  bin="$(bin_of "$work/env")"
  "$bin/python" -m pip install --quiet --disable-pip-version-check dist/poph_tf-*.whl
  # From another folder, so that the installed package is imported.
  (cd "$work" && "$bin/poph-generate" --output_dir=out --num_pieces=1 --num_bars=2 \
    --seed=1 >compose.log 2>&1) || { tail -20 "$work/compose.log" >&2; exit 1; }
  "$bin/python" - "$work/out/piece-1.mid" <<'PY'
import sys, mido
notes = sum(m.type == "note_on" and m.velocity > 0 for m in mido.MidiFile(sys.argv[1]))
assert notes > 4, f"{notes} notes"
print(f"composed {notes} notes", end=" ")
PY
  echo "on $("$bin/python" --version)"
}

# try_extra EXTRA: in an environment that adds the extra's packages to $work/env
try_extra() {
  local python wheel core
  rm -rf "$work"/{extra,trial}
  python="$(bin_of "$work/env")/python"
  "$python" -m venv "$work/extra"
  core="$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  python="$(bin_of "$work/extra")/python"
  "$python" - "$core" <<'PY'
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "core.pth").write_text(sys.argv[1])
PY
  wheel="$(ls "$PWD"/dist/poph_tf-*.whl)"
  "$python" -m pip install --quiet --disable-pip-version-check "$wheel[$1]"
  mkdir "$work/trial"
  (cd "$work/trial" && "$python" ../tools/try_extra.py "$1" ../out/piece-1.mid \
    >log 2>&1) || { tail -20 "$work/trial/log" >&2; exit 1; }
  echo "[$1] works"
}

found=()
for python in "${pythons[@]}"; do
  if "$python" -c pass 2>/dev/null; then found+=("$python"); else echo "No $python here."; fi
done
[ "${#found[@]}" -gt 0 ] || { echo "error: none of ${pythons[*]} is here." >&2; exit 2; }
build "${found[0]}"
# Outside the checkout, so that the installed package is imported.
cp -r tools "$work/tools"
for python in "${found[@]}"; do
  try_core "$python"
  for extra in "${extras[@]}"; do try_extra "$extra"; done
done
