#!/usr/bin/env bash
# Propagates keyframes of DAVIS 2016 clips and scores the masks: bash scripts/propagate_davis.sh [options]
#
#   --davis-root DIR   default $DAVIS_ROOT; the clips of ImageSets/2016/val.txt
#   --clips a,b        only these
#   --count N          keyframes a clip, evenly spaced, the first frame always among them (default 1)
#   --choose HOW       even: all at once (default); suggest: the first frame, then one correction after another,
#                      each on the frame that dextr-vos suggest names
#   --from WHAT        truth: true masks (default); clicks: masks of four simulated clicks a frame
#   -o, --out DIR      default davis-N-WHAT; finished runs are not repeated
#   -- …               further options of dextr-vos propagate, for instance --budget 60 or --seed 1
set -euo pipefail

davis=${DAVIS_ROOT:-} clips= count=1 choose=even from=truth out=
while (($#)); do
    case $1 in
        --davis-root) davis=$2 ;;
        --clips) clips=$2 ;;
        --count) count=$2 ;;
        --choose) choose=$2 ;;
        --from) from=$2 ;;
        -o | --out) out=$2 ;;
        --) shift; break ;;
        *) echo "propagate_davis.sh: unknown option $1; see the first lines of the script" >&2; exit 2 ;;
    esac
    shift 2
done
[[ -d $davis ]] || { echo "propagate_davis.sh: give --davis-root, the folder with JPEGImages/480p" >&2; exit 2; }
[[ $choose == even || $choose == suggest ]] || { echo "propagate_davis.sh: --choose even or suggest" >&2; exit 2; }
[[ $from == truth || $from == clicks ]] || { echo "propagate_davis.sh: --from truth or clicks" >&2; exit 2; }
out=${out:-davis-$count-$from}
clips=${clips:-$(paste -sd, "$davis/ImageSets/2016/val.txt")}

# annotate FRAME …: their masks become keyframes of the clip
annotate() {
    if [[ $from == clicks ]]; then
        dextr-vos annotate "$frames" --simulate "$truth" --frames "$(IFS=,; echo "$*")" --out "$keyframes"
    else
        for name in "$@"; do cp "$truth/$name.png" "$keyframes/"; done
    fi
}

# propagate [OPTION …]: the clip's keyframes to masks of all its frames
propagate() {
    local start=$SECONDS
    dextr-vos propagate "$frames" --keyframes "$keyframes" --out "$run" "$@"
    echo "$clip: $((SECONDS - start)) s for ${#names[@]} frames" | tee -a "$out/seconds.txt"
}

for clip in ${clips//,/ }; do
    frames=$davis/JPEGImages/480p/$clip truth=$davis/Annotations/480p/$clip
    mapfile -t names < <(cd "$truth" && ls ./*.png | sort)
    keyframes=$out/keyframes/$clip run=$out/results/$clip
    mkdir -p "$keyframes"
    if [[ $choose == suggest ]]; then
        annotate "$(basename "${names[0]}" .png)"
        propagate "$@"
        for ((i = 1; i < count; i++)); do
            annotate "$(dextr-vos suggest "$run" 2> "$out/suggest.log")"
            propagate "$@"
        done
    else
        chosen=()
        for ((i = 0; i < count; i++)); do
            # the last of several is the clip's last frame
            place=$((count > 1 ? (i * (${#names[@]} - 1) + (count - 1) / 2) / (count - 1) : 0))
            chosen+=("$(basename "${names[$place]}" .png)")
        done
        annotate "${chosen[@]}"
        propagate "$@"
    fi
done
dextr-vos evaluate --davis-root "$davis" --results "$out/results" --clips "$clips" --json "$out/scores.json"
