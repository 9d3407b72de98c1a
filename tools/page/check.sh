#!/usr/bin/env bash
# Checks the types of the studio's modules with TypeScript, a development tool only.
# tests/serving/test_studio.py does this too once TypeScript is installed by this script.
set -euo pipefail
cd "$(dirname "$0")/../.."
tsc=build/page/node_modules/.bin/tsc
[ -x "$tsc" ] || npm install --no-audit --no-fund --silent --prefix build/page typescript@5
"$tsc" -p tools/page/jsconfig.json
