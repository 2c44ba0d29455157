#!/usr/bin/env bash
# Build lmplz, which estimates n-gram language models, from kenlm's own source package into .venv/bin.
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "$0")/.."

PATH=$PWD/.venv/bin:$PATH
if [ -x .venv/bin/lmplz ]; then
    echo "lmplz: .venv/bin/lmplz exists"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lacking() { # lacking THING PACKAGES
    echo "lmplz: $1; asrkit estimates with its own code instead (slower on large texts)" >&2
    echo "  to do: install what is missing (Debian, Ubuntu: apt-get install $2), then make lmplz again" >&2
    exit 1
}

g++ --version >/dev/null 2>&1 || lacking "no C++ compiler" g++
python -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation \
    --dest "$work" -r requirements/kenlm.txt
tar -xzf "$work"/kenlm-*.tar.gz -C "$work"
if ! cmake -S "$work"/kenlm-*/ -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$work/log" 2>&1; then
    if grep -q 'Could NOT find Boost' "$work/log"; then
        lacking "Boost's headers and libraries are missing" \
            "libboost-program-options-dev libboost-system-dev libboost-thread-dev libboost-test-dev"
    fi
    tail -n 30 "$work/log" >&2
    exit 1
fi
echo "lmplz: compiling (about a minute)"
cmake --build "$work/build" --target lmplz build_binary >"$work/log" 2>&1 || {
    tail -n 30 "$work/log" >&2
    exit 1
}
# lmplz last: its presence means that the build is complete
install "$work/build/bin/build_binary" "$work/build/bin/lmplz" .venv/bin
echo "lmplz: .venv/bin/lmplz"
