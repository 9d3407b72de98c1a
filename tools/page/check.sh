#!/usr/bin/env bash
# Checks the types of the studio's modules with TypeScript, a tool for development only.
# tests/serving/test_studio.py does it too once this has installed TypeScript.
set -euo pipefail
cd "$(dirname "$0")/../.."
tsc=build/page/node_modules/.bin/tsc
[ -x "$tsc" ] || npm install --no-audit --no-fund --silent --prefix build/page typescript@5
"$tsc" -p tools/page/jsconfig.json
