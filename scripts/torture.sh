#!/usr/bin/env bash
# Damaged files for as long as you like: every run tries others.
#
#   bash scripts/torture.sh            ten minutes
#   bash scripts/torture.sh MINUTES
#
# Files of every format are damaged, a thousand times each in a round (TORTURE_EXAMPLES), and given to their loaders.
# It ends with the number of rounds, or with the first fault and what makes it again. scripts/test.sh runs a short
# part that is always the same.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes="${1:-10}"
[[ "$minutes" =~ ^[0-9]+$ ]] || { echo "expected a number of minutes, got '$minutes'" >&2; exit 2; }

source scripts/setup_env.sh test
end=$((SECONDS + 60 * minutes)) rounds=0
while :; do
    seed=$((RANDOM * 32768 + RANDOM))
    echo "round $((rounds + 1)), seed $seed"
    TORTURE_EXAMPLES="${TORTURE_EXAMPLES:-1000}" OMP_NUM_THREADS=1 \
        python -m pytest -q -m torture -n 2 --dist worksteal --hypothesis-seed="$seed" tests/torture
    rounds=$((rounds + 1))
    ((SECONDS < end)) || break
done
echo "$rounds rounds without a fault"
