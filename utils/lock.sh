#!/usr/bin/env bash
# Write requirements/locked-3.X.txt and locked-use-3.X.txt: the exact version of every package, for one Python. Run
# it after a change of environment.txt or use.txt, once per supported Python:  utils/lock.sh /path/to/python3.11
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$0")/.."

python=${1:?give a Python 3.9, 3.10 or 3.11}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install -q -r requirements/pip.txt
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

lock() { # lock FILE LOCKED [BELOW]: BELOW is a locked file whose versions stay, and aren't listed again
    "$work/venv/bin/pip" install -q --dry-run --ignore-installed --only-binary :all: --report "$work/report.json" \
        -r "requirements/$1" ${3:+-c "$3"}
    "$work/venv/bin/python" - "$1" "$2" "${3:-/dev/null}" "$work/report.json" <<'PY'
import json
import sys

source, locked, below, report = sys.argv[1:]
with open(report, encoding="utf-8") as file:
    packages = [item["metadata"] for item in json.load(file)["install"]]
with open(below, encoding="utf-8") as file:
    listed = set(file.read().split("\n"))
version = f"{sys.version_info[0]}.{sys.version_info[1]}"
with open(locked, "w", encoding="utf-8") as file:
    print(f"# Made by utils/lock.sh for Python {version} from {source}: don't edit.", file=file)
    for package in sorted(packages, key=lambda package: package["name"].lower()):
        line = f"{package['name']}=={package['version']}"
        if line not in listed:
            print(line, file=file)
PY
}

lock environment.txt "requirements/locked-$version.txt"
lock use.txt "requirements/locked-use-$version.txt" "requirements/locked-$version.txt"
