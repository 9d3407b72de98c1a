#!/usr/bin/env bash
# The slow checks in addition to ./tools/test.sh: long fuzzing of the readers, the
# quickstart, the notebooks and the commands of the README and the manual, the wheel, the
# manual's C++ program. Takes some hours on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
"$PYTHON" tools/fuzz_readers.py --format=midi --count="${FUZZ_CASES:-50000}"
"$PYTHON" tools/soak.py --minutes="${SOAK_MINUTES:-60}"
./tools/quickstart.sh
"$PYTHON" tools/run_notebooks.py
"$PYTHON" tools/try_docs.py
EXTRAS="fast archives beam corpus media score serve live" ./tools/try_wheel.sh
POPH_SLOW=1 ./tools/test.sh
