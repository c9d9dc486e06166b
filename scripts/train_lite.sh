#!/usr/bin/env bash
# Trains the two networks of the lite model: bash scripts/train_lite.sh DATA MOBILE_SAM [OUT]
#
# DATA: the folder with training-images, training-clips and davis2016-train, see configs/datasets/. MOBILE_SAM: the file
# mobile_sam.pt. OUT: runs by default. Stopped at any moment, the same command resumes. The files to ship, with their
# checksums: OUT/lite-dextr/last-fp16.safetensors and OUT/lite-parent-alike/last-fp16.safetensors. See docs/models.md.
set -euo pipefail

data=$(realpath "${1:?"give the folder of the data, see docs/models.md"}")
mobile_sam=$(realpath "${2:?"give MobileSAM's checkpoint mobile_sam.pt, see docs/models.md"}")
out=$(realpath -m "${3:-runs}")
cd "$(dirname "$0")/.."
source scripts/setup_env.sh

dextr-vos train-dextr --config configs/lite-dextr.yaml "data_root=$data" "start=$mobile_sam" "out=$out/lite-dextr"
dextr-vos train-parent --config configs/lite-parent.yaml "data_root=$data" "start=$out/lite-dextr/last.safetensors" \
    "out=$out/lite-parent"
# on with objects that look alike; what is shipped lies halfway
dextr-vos train-parent --config configs/lite-parent.yaml "data_root=$data" "start=$out/lite-parent/last.safetensors" \
    "out=$out/lite-parent-alike" sequence.twin=0.35 'sizes_hw=[[336,672],[448,448],[224,448],[336,560]]' rate=0.0003 \
    loop.steps=320 loop.batch=4 alpha=0.5
