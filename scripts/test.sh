#!/usr/bin/env bash
# All checks of the project: style, types, tests (the slow ones too). Sets up what it needs.
# Tests on real clips run when DAVIS_ROOT names a folder with DAVIS 2016; without it they are skipped.
# Arguments go to pytest: bash scripts/test.sh -k clicks
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup_env.sh dev

ruff check .
ruff format --check .
mypy
# one thread each: workers that share the cores would only wait for one another
OMP_NUM_THREADS=1 python -m pytest -m "not gpu" -n 2 "$@"
if python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
    python -m pytest -m gpu "$@"
fi
