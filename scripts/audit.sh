#!/usr/bin/env bash
# Known vulnerabilities of what the package needs, and a list of all of it (SBOM, CycloneDX).
#
#   bash scripts/audit.sh          the environment of demo.sh and test.sh; both go to the folder audit/
#   bash scripts/audit.sh FOLDER   they go to FOLDER
#
# The list is always written. Status 1: there is a known vulnerability. Where the data on vulnerabilities (of PyPI)
# cannot be reached, that is said, and the status is 0.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="${1:-audit}"

source scripts/setup_env.sh
python="$(command -v python)"
tools=.venv-audit # apart: they must not become part of what they list
[ -x "$tools/bin/python" ] || "${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/python" -m pip install --quiet "pip-audit>=2.7.0" "cyclonedx-bom>=5.0.0"

mkdir -p "$folder"
"$tools/bin/cyclonedx-py" environment "$python" --pyproject pyproject.toml --output-format JSON \
    --output-file "$folder/sbom.json"
echo "SBOM: $folder/sbom.json, $(grep -c '"purl"' "$folder/sbom.json") packages"

site="$("$python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")"
"$tools/bin/pip-audit" --path "$site" --skip-editable --progress-spinner off --format json \
    > "$folder/audit.json" 2> "$folder/audit.log" || true
"$python" - "$folder" << 'END'
import json
import sys
from pathlib import Path

folder = Path(sys.argv[1])
try:
    known = json.loads((folder / "audit.json").read_text())["dependencies"]
except ValueError:  # it ended before it wrote anything
    known = []
audited = [each for each in known if "vulns" in each]
if not audited:
    why = (folder / "audit.log").read_text().strip().splitlines()[-1:]
    why += [each["skip_reason"] for each in known[:1]]
    print(f"vulnerabilities: skipped, PyPI's data on them cannot be reached from here ({why[-1] if why else ''})")
for each in audited:
    for found in each["vulns"]:
        fixed = ", ".join(found["fix_versions"]) or "no release yet"
        print(f"{each['name']} {each['version']}: {found['id']}, mended in {fixed}")
if audited:
    print(f"{len(audited)} packages audited, {sum(len(each['vulns']) for each in audited)} vulnerabilities")
sys.exit(any(each["vulns"] for each in audited))
END
