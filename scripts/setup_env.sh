# Sourced by demo.sh and test.sh: makes the virtual environment .venv where there is none and installs the
# package into it. `dextr-vos` and `python` are then found first.
# Usage: source scripts/setup_env.sh [extra]

extra="${1:-}"
if [ ! -x .venv/bin/python ]; then
    echo "making the virtual environment .venv …"
    "${PYTHON:-python3}" -m venv .venv
fi
export PATH="$PWD/.venv/bin:$PATH"
stamp=".venv/installed${extra:+-$extra}"
if [ ! "$stamp" -nt setup.py ]; then
    echo "installing (the first time PyTorch is downloaded, several GB) …"
    python -m pip install --quiet --editable ".${extra:+[$extra]}"
    touch "$stamp"
fi
