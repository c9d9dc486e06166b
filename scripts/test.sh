#!/usr/bin/env bash
# All checks of the project: style, types, tests (the slow ones too). Sets up what it needs.
# Tests in a browser want Chromium: on Debian it is installed for root, else they are skipped and say what to install.
# Tests on real clips run when DAVIS_ROOT names a folder with DAVIS 2016; without it they are skipped.
# Arguments go to pytest: bash scripts/test.sh -k clicks
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup_env.sh dev
if [[ ! -x ${CHROMIUM:-/usr/bin/chromium} && $(id -u) == 0 ]] && command -v apt-get > /dev/null; then
    echo "installing Chromium for the tests in a browser …"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium; } > /dev/null ||
        echo "Chromium could not be installed; tests in a browser are skipped" >&2
fi

ruff check .
ruff format --check .
mypy
# one thread each: workers that share the cores would only wait for one another
OMP_NUM_THREADS=1 python -m pytest -m "not gpu" -n 2 "$@"
if python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
    python -m pytest -m gpu "$@"
fi
