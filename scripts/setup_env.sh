# Sourced by demo.sh, test.sh and docs.sh: makes a virtual environment if there is none and installs the package
# into it, again whenever pyproject.toml has changed. `dextr-vos` and `python` are then found there first.
# Usage: source scripts/setup_env.sh [extra]
# Variables: VENV (.venv), the environment's folder; CONSTRAINTS, a file of pip constraints; PYTHON (python3)

extra="${1:-}"
venv="${VENV:-.venv}"
if [ ! -x "$venv/bin/python" ]; then
    echo "making the virtual environment $venv …"
    "${PYTHON:-python3}" -m venv "$venv"
fi
export PATH="$PWD/$venv/bin:$PATH"
stamp="$venv/installed${extra:+-$extra}"
if [ ! "$stamp" -nt pyproject.toml ]; then
    echo "installing (the first time PyTorch is downloaded, several GB; README.md says how to avoid that) …"
    python -m pip install --quiet ${CONSTRAINTS:+--constraint "$CONSTRAINTS"} --editable ".${extra:+[$extra]}"
    touch "$stamp"
fi
