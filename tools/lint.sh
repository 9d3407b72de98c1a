#!/usr/bin/env bash
# Linter, formatter and type checker.
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
