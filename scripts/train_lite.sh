#!/usr/bin/env bash
# Trains the two networks that ship inside the package: bash scripts/train_lite.sh PHOTOGRAPHS [OUT]
#
# PHOTOGRAPHS: the folder of the data sets in configs/datasets/. OUT: runs by default. Stopped at any moment, the same
# command goes on. The files to ship, with their checksums: OUT/lite-dextr-fine/last-fp16.safetensors and
# OUT/lite-parent/last-fp16.safetensors. See docs/models.md.
set -euo pipefail

photographs=$(realpath "${1:?"give the folder of the photographs, see docs/models.md"}")
out=$(realpath -m "${2:-runs}")
cd "$(dirname "$0")/.."
source scripts/setup_env.sh

train() { # COMMAND NAME [key=value …]
    dextr-vos "$1" --config "configs/$2.yaml" "data_root=$photographs" "out=$out/$2" "${@:3}"
}

train train-dextr lite-dextr
train train-dextr lite-dextr-fine "start=$out/lite-dextr/last-fp16.safetensors"
train train-parent lite-parent "start=$out/lite-dextr-fine/last-fp16.safetensors"
