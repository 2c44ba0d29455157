#!/usr/bin/env bash
# Print the path of a Python that can create virtual environments: 3.11, else 3.10 or 3.9, which k2 has wheels
# for beside torch 1.13.1; for a newer TORCH also 3.12, else 3.13.
set -euo pipefail

versions="3.11 3.10 3.9"
[ "${TORCH:-1.13.1}" = 1.13.1 ] || versions="3.12 $versions 3.13" # kenlm 0.3.0 doesn't compile on 3.13

fits() { # fits PYTHON VERSION: runs, is that version, and has venv and ensurepip (separate packages on Debian)
    "$1" - "$2" >/dev/null 2>&1 <<'PY'
import ensurepip, sys, venv
sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])
PY
}

if [ -n "${PYTHON:-}" ]; then
    for version in $versions; do
        if fits "$PYTHON" "$version"; then
            command -v "$PYTHON"
            exit 0
        fi
    done
    echo "setup: PYTHON=$PYTHON is $("$PYTHON" -V 2>&1 | head -n 1)" >&2
    echo "  expected: Python ${versions// / or } with its venv and ensurepip modules" >&2
    exit 1
fi

pyenv=${PYENV_ROOT:-${HOME:-}/.pyenv}
for version in $versions; do
    # A name on PATH may be an inactive pyenv shim, so try each.
    while read -r candidate; do
        if [ -x "$candidate" ] && fits "$candidate" "$version"; then
            echo "$candidate"
            exit 0
        fi
    done < <(
        type -aP "python$version" python3 python || true
        ls -d "$pyenv/versions/$version".*/bin/python "${HOME:-}/.local/share/uv/python/cpython-$version".*/bin/python \
            /opt/python*/bin/"python$version" 2>/dev/null || true
    )
done

{
    echo "setup: no Python found that fits torch ${TORCH:-1.13.1} and its k2"
    echo "  found:    $(python3 -V 2>&1 | head -n 1)"
    echo "  expected: Python ${versions// / or } with its venv and ensurepip modules"
    echo "  to do:    Debian 12: apt-get install python3.11-venv"
    echo "            elsewhere without root: pyenv install 3.11, or: uv python install 3.11"
    echo "            then make setup again, or PYTHON=/path/to/python3.11 make setup"
} >&2
exit 1
