#!/usr/bin/env bash
# Write requirements/locked-3.X.txt: the exact version of every package, for one Python. Run it after a change
# of requirements/environment.txt, once per supported Python:  utils/lock.sh /path/to/python3.11
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$0")/.."

python=${1:?give a Python 3.9, 3.10 or 3.11}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install -q -r requirements/pip.txt
"$work/venv/bin/pip" install -q --dry-run --ignore-installed --only-binary :all: --report "$work/report.json" \
    -r requirements/environment.txt
"$work/venv/bin/python" - "$work/report.json" <<'PY'
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    packages = [item["metadata"] for item in json.load(file)["install"]]
version = f"{sys.version_info[0]}.{sys.version_info[1]}"
with open(f"requirements/locked-{version}.txt", "w", encoding="utf-8") as file:
    print(f"# Made by utils/lock.sh for Python {version} from environment.txt: do not edit.", file=file)
    for package in sorted(packages, key=lambda package: package["name"].lower()):
        print(f"{package['name']}=={package['version']}", file=file)
PY
