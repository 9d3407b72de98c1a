#!/usr/bin/env bash
# The slow proofs beside ./tools/test.sh: long fuzzing of the readers, the quickstart, and
# README's commands as written. Takes about half an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
"$PYTHON" tools/fuzz_readers.py --format=midi --count="${FUZZ_CASES:-50000}"
./tools/quickstart.sh
./tools/test.sh
