#!/usr/bin/env bash
# Builds the manual into build/manual; a broken link or a warning is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
NO_MKDOCS_2_WARNING=1 "$PYTHON" -m mkdocs build --strict --quiet --site-dir build/manual
