#!/usr/bin/env bash
# Run all checks of the project: style, types, tests (the slow ones too). Sets up what it needs.
#
#   bash scripts/test.sh             everything
#   bash scripts/test.sh -k clicks   arguments go to pytest
#   bash scripts/test.sh --oldest    the fast tests with the oldest releases that pyproject.toml allows
#
# Tests in a browser need Chromium: on Debian it is installed for root, elsewhere they are skipped and say what to
# install. Tests on real clips run if DAVIS_ROOT names a folder with DAVIS 2016, and are skipped otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --oldest ]; then
    shift
    VENV=.venv-oldest CONSTRAINTS="$(mktemp)"
    trap 'rm -f "$CONSTRAINTS"' EXIT
    "${PYTHON:-python3}" scripts/oldest_requirements.py > "$CONSTRAINTS"
    source scripts/setup_env.sh test
    # old releases of others warn about one another; warnings are errors in the ordinary run alone
    OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile -W default "$@"
    exit
fi

has_chromium() {
    local program
    for program in ${CHROMIUM:-/usr/bin/chromium-headless-shell /usr/bin/chromium}; do
        [ -x "$program" ] && return
    done
    return 1
}
install_chromium() {
    # the headless shell starts faster; not every release has it as a package of its own
    get() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1"; }
    { apt-get update -qq && { get chromium-headless-shell 2> /dev/null || get chromium; }; } > /dev/null ||
        echo "Chromium could not be installed; tests in a browser are skipped" >&2
}
chromium_pid=
if ! has_chromium && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing Chromium for the tests in a browser …"
    install_chromium & # beside pip
    chromium_pid=$!
fi
unset PYTHONDONTWRITEBYTECODE # set in some containers: each of hundreds of processes would compile the package again
source scripts/setup_env.sh dev
[ -z "$chromium_pid" ] || wait "$chromium_pid"

ruff check .
ruff format --check .
# types are checked while the tests run; the result is shown after them
types="$(mktemp)"
trap 'rm -f "$types"' EXIT
mypy > "$types" 2>&1 &
mypy_pid=$!
status=0
# one thread each: workers that share the cores would only wait for one another. A file's tests stay together, in their
# order, so that every machine runs the same and each server of a file starts once. Many failures have one cause (a full
# disk, a missing library) and each may take its whole time limit: the first thirty tell it. Files come in the order of
# tests/conftest.py, long ones first: pytest-xdist would begin with those of many tests and end with the longest.
OMP_NUM_THREADS=1 python -m pytest -m "not gpu" -n 2 --dist loadfile --no-loadscope-reorder --maxfail 30 "$@" ||
    status=$?
wait "$mypy_pid" || status=$?
cat "$types"
[ "$status" = 0 ] || exit "$status"
if python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
    python -m pytest -m gpu "$@"
fi
