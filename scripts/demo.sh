#!/usr/bin/env bash
# The whole workflow on one clip: clicks -> masks -> fine-tuned network -> masks of every frame -> scores -> a page.
#
#   bash scripts/demo.sh                                        a rendered clip
#   bash scripts/demo.sh --davis-root ROOT [--clip NAME]        a clip of DAVIS 2016, clicks simulated
#   bash scripts/demo.sh --clip FOLDER_OR_VIDEO --clicks FILE   your own, without scores
#
# Options: -o, --out DIR (demo-out), --seed N (0)
set -euo pipefail

usage() { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit "$1"; }
absolute() { case "$1" in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }

davis="" clip="" clicks="" out="" seed=0
while [ $# -gt 0 ]; do
    case "$1" in -h | --help) usage 0 ;; esac
    [ $# -ge 2 ] || usage 2
    case "$1" in
        --davis-root) davis="$(absolute "$2")" ;;
        --clip) clip="$2" ;;
        --clicks) clicks="$(absolute "$2")" ;;
        -o | --out) out="$(absolute "$2")" ;;
        --seed) seed="$2" ;;
        *) usage 2 ;;
    esac
    shift 2
done
if [ -z "$davis" ] && [ -n "$clip" ]; then
    [ -n "$clicks" ] || { echo "demo.sh: --clip needs --clicks FILE, or --davis-root ROOT with masks" >&2; exit 2; }
    clip="$(absolute "$clip")"
fi

cd "$(dirname "$0")/.."
out="${out:-$PWD/demo-out}"
source scripts/setup_env.sh
say() { printf '\n$ dextr-vos %s\n' "$*"; dextr-vos "$@"; }

if [ -n "$davis" ]; then
    [ -d "$davis/JPEGImages/480p" ] || { echo "demo.sh: $davis has no JPEGImages/480p" >&2; exit 2; }
    name="${clip:-$(ls "$davis/JPEGImages/480p" | head -n 1)}"
    work="$out/work/$name"
    say annotate "$davis/JPEGImages/480p/$name" --simulate "$davis/Annotations/480p/$name" --frames first \
        --seed "$seed" --out "$work"
elif [ -n "$clip" ]; then
    name="$(basename "$clip")"
    [ -d "$clip" ] || name="${name%.*}"
    work="$out/work/$name"
    say annotate "$clip" --clicks "$clicks" --out "$work"
else
    name=turntable
    davis="$out/davis"
    work="$out/work/$name"
    say synthesize --out "$davis" --name "$name" --seed "$seed"
    say annotate "$davis/JPEGImages/480p/$name" --clicks "$davis/$name-clicks.json" --out "$work"
fi
say propagate "$work" --seed "$seed"
scores=()
if [ -n "$davis" ]; then
    say evaluate --davis-root "$davis" --results "$out/work" --clips "$name" --json "$out/$name-scores.json"
    scores=(--scores "$out/$name-scores.json")
fi
say export "$work" --out "$out/$name" ${scores[@]+"${scores[@]}"}

cat <<END

Done. Open these:
  $out/$name/page.html      everything on one page
  $out/$name/overlay.mp4    the masks over the clip
  $out/$name/sheet.jpg      sixteen frames at a glance
The masks are in $work/propagation/masks. To use dextr-vos in this shell: source .venv/bin/activate
END
