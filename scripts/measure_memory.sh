#!/usr/bin/env bash
# Most memory that propagation takes on a long and on a large clip: bash scripts/measure_memory.sh [OUT]
#
# Renders 40 frames of 1920×1080, plays them to and fro until there are 5,000 (hard links, so they take no room), and
# 24 frames of 3840×2160; propagates two true masks of each. LONG and LARGE set other numbers of frames. The network's
# input is made small for the long clip, and few steps are taken, which changes the time and not what is kept.
set -euo pipefail

out=${1:-memory} long=${LONG:-5000} large=${LARGE:-24}

# measured CLIP KEYFRAMES RUN [SETTING …]: propagates, and tells the most memory the process had
measured() {
    python - "$@" << 'PYTHON'
import resource, subprocess, sys
clip, keyframes, run, *settings = sys.argv[1:]
command = ["dextr-vos", "propagate", clip, "--keyframes", keyframes, "--out", run, *settings]
subprocess.run(command, check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
print(f"{clip}: at most {peak:.2f} GB of memory")
PYTHON
}

# keyframes NAME FRAME …: true masks of some frames of a rendered clip
keyframes() {
    local name=$1
    shift
    mkdir -p "$out/keyframes/$name"
    for frame in "$@"; do cp "$out/Annotations/480p/$name/$frame.png" "$out/keyframes/$name/"; done
}

if [[ ! -d $out/Annotations/480p/large ]]; then
    dextr-vos synthesize --out "$out" --name wide --length 40 --size 1920x1080
    dextr-vos synthesize --out "$out" --name large --length "$large" --size 3840x2160
fi
frames=$out/JPEGImages/480p truth=$out/Annotations/480p
if [[ ! -d $frames/long ]]; then
    mkdir -p "$frames/long" "$truth/long"
    for ((i = 0; i < long; i++)); do
        place=$((i % 78))
        from=$(printf %05d $((place < 40 ? place : 78 - place))) to=$(printf %05d "$i")
        ln "$frames/wide/$from.jpg" "$frames/long/$to.jpg"
        ln "$truth/wide/$from.png" "$truth/long/$to.png"
    done
fi
keyframes long 00000 "$(printf %05d $((long / 10)))"
keyframes large 00000 "$(printf %05d $((large - 1)))"
measured "$frames/large" "$out/keyframes/large" "$out/runs/large" max_steps=5
measured "$frames/long" "$out/keyframes/long" "$out/runs/long" longest_side=160 max_steps=5
