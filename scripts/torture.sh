#!/usr/bin/env bash
# The whole campaign: kills at every file operation of the page and the commands, disks that are full, read-only or
# broken there, damaged files for every loader, hostile requests, silent connections, many clients, minutes of use.
#
#   bash scripts/torture.sh            ten minutes
#   bash scripts/torture.sh MINUTES    with more time more of it: 120 for all kills and a million damaged files
#   bash scripts/torture.sh MINUTES --parts "soak,kills and disks" --inputs 1000000 --seed N
#                                      only some parts; damaged files after which that part ends (fewer are a fault)
#
# It ends with figures, which are kept in the folder torture/ with the files that were faults, and with status 1
# where there was a fault; the seed that it prints makes the same again (MINUTES --seed N). Where atheris installs
# (Linux), what the loaders execute decides which damaged files are changed further. scripts/test.sh runs a short
# part that is always the same.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes="${1:-10}"
[[ "$minutes" =~ ^[0-9]+$ ]] || { echo "expected a number of minutes, got '$minutes'" >&2; exit 2; }
shift || true

source scripts/setup_env.sh test
python -c "import atheris" 2> /dev/null || python -m pip install --quiet atheris 2> /dev/null ||
    echo "atheris does not install here; files are damaged without looking at coverage" >&2
export OMP_NUM_THREADS=1 PYTHONPATH="tests:.${PYTHONPATH:+:$PYTHONPATH}"
exec python tests/torture/campaign.py --minutes "$minutes" "$@"
