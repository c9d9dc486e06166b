#!/usr/bin/env bash
# Build the documentation site in site/: pages of the documents and of the Python API. A broken link is an error.
#
#   bash scripts/docs.sh           build site/index.html
#   bash scripts/docs.sh serve     serve it on this machine and build again after each change
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup_env.sh docs
if [ $# -eq 0 ]; then
    set -- build
fi
NO_MKDOCS_2_WARNING=true python -m mkdocs "$@"
