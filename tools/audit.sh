#!/usr/bin/env bash
# Checks the packages in .venv for known vulnerabilities (pip-audit queries the registry's
# database, which not every mirror has), and our own code for patterns that are often
# unsafe (bandit; what pyproject.toml skips was reviewed).
set -euo pipefail
cd "$(dirname "$0")/.."
source tools/environment.sh
make_environment dev
"$PYTHON" -m venv build/audit
audit="$PWD/build/audit/bin"
"$audit/python" -m pip install --quiet --disable-pip-version-check pip-audit 'bandit[toml]'
"$audit/bandit" --quiet --recursive poph_tf tools --severity-level medium -c pyproject.toml
"$audit/pip-audit" --progress-spinner off --skip-editable --path \
  "$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
