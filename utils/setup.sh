#!/usr/bin/env bash
# Create .venv: a supported Python, all packages pinned, k2 by hash, kenlm compiled, asrkit in editable mode.
# Does nothing if .venv is up to date with requirements/ and pyproject.toml.
#   PYTHON=/path/to/python3.11 make setup    uses that Python instead of the first suitable one
#   make setup TORCH=2.13.0 [K2=FILE-OR-URL] a newer torch, Python 3.9 to 3.13, and the k2 wheel built for it;
#                                            kept by later runs; TORCH=1.13.1 returns to the default
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$0")/.."

venv=.venv
stamp=$venv/.setup
choice=$venv/.torch # what an earlier run was asked for
if [ -z "${TORCH:-}" ] && [ -f "$choice" ]; then
    TORCH=$(sed -n 1p "$choice") K2=${K2:-$(sed -n 2p "$choice")}
fi
pinned=1.13.1
export TORCH=${TORCH:-$pinned} K2=${K2:-}
wanted=$({ pwd; echo "$TORCH $K2"; cat requirements/*.txt pyproject.toml utils/setup.sh utils/find_python.sh; } | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

say() { echo "setup: $*"; }

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    say "found $(uname -s) $(uname -m); k2 1.23.4 has wheels for Linux on x86_64 only" >&2
    say "to do: elsewhere, build k2 from source into an environment of your own, then pip install -e ." >&2
    exit 1
fi

version=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
if [ -z "$version" ] || { [ "$TORCH" = "$pinned" ] && [ ! -f "requirements/locked-$version.txt" ]; }; then
    python=$(utils/find_python.sh)
    say "$venv with $("$python" -V) ($python)"
    "$python" -m venv --clear "$venv"
    version=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
fi
rm -f "$stamp"
PATH=$PWD/$venv/bin:$PATH
export PIP_DISABLE_PIP_VERSION_CHECK=1
pip() { python -m pip "$@"; }
install() { pip install --quiet --progress-bar off "$@"; }

say "packages (torch is large: some minutes, 4 GB on disk)"
install -r requirements/pip.txt
if [ "$TORCH" = "$pinned" ]; then
    install --only-binary :all: -r requirements/environment.txt -c "requirements/locked-$version.txt"
    say "k2"
    install --no-deps --require-hashes -r requirements/k2.txt
else
    # Without the versions that fit torch 1.13.1 alone, and pyctcdecode, which needs numpy 1
    grep -Ev '^(torch|lhotse|numpy|pyctcdecode)\b' requirements/environment.txt >"$venv/environment.txt"
    install --prefer-binary "torch==$TORCH" lhotse numpy -r "$venv/environment.txt"
    if [ -n "$K2" ]; then
        say "k2: $K2"
        install --no-deps "$K2"
    fi
fi

if [ "$version" != 3.13 ] && ! python -c 'import kenlm' 2>/dev/null; then
    if ! c++ --version >/dev/null 2>&1 || ! g++ --version >/dev/null 2>&1; then
        say "no C++ compiler: kenlm can't be compiled" >&2
        say "to do: install g++ (Debian, Ubuntu: apt-get install g++), then make setup again" >&2
        exit 1
    fi
    if ! python -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
        say "Python.h is missing: kenlm can't be compiled" >&2
        say "to do: install Python's headers (Debian, Ubuntu: apt-get install python$version-dev)," \
            "then make setup again" >&2
        exit 1
    fi
    say "kenlm, compiled here (about a minute)"
fi
if [ "$version" = 3.13 ]; then
    say "no kenlm, which doesn't compile on Python 3.13: methods that query it are refused"
else
    install --no-deps --no-build-isolation -r requirements/kenlm.txt
fi
say "asrkit"
install --no-deps --no-build-isolation --editable .

pip check
printf '%s\n' "$TORCH" "$K2" >"$choice"
if [ "$TORCH" != "$pinned" ] && [ -z "$K2" ]; then
    python -c 'import torch, lhotse'
    echo "$wanted" >"$stamp"
    say "done, without k2: .venv/bin/asrkit doctor prints the command that installs it"
    exit 0
fi
python -c 'import k2, lhotse' # the parts that most often conflict
echo "$wanted" >"$stamp"
say "done; asrkit doctor checks it"
