# shellcheck shell=bash
# Sourced by recipes/*/run.sh, which declares its stages with `stage`, then runs them: run_stages "$@".
set -euo pipefail
unset CDPATH # otherwise cd prints, and may go elsewhere

recipe=${BASH_SOURCE[1]}
if [[ -L $recipe ]]; then
  recipe=$(readlink -f -- "$recipe")
fi
recipe_dir=$(cd -- "$(dirname -- "$recipe")" && pwd)
repository=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
lines=()
# shellcheck source=SCRIPTDIR/cluster.sh
. "$repository/utils/cluster.sh"

# stage NUMBER NAME "what it does for this corpus"      a stage of asrkit
# stage NUMBER NAME "what it does" --reads PATTERN... --writes PATTERN... -- COMMAND...      the recipe's own
stage() {
  local IFS=$'\x1f'
  lines+=(--line "$*")
}

# run_stages [OPTION...]; run.sh --help lists the options
run_stages() {
  local asrkit=$repository/.venv/bin/asrkit
  if [[ -n ${VIRTUAL_ENV:-} && -x $VIRTUAL_ENV/bin/asrkit ]]; then
    asrkit=$VIRTUAL_ENV/bin/asrkit
  fi
  if [[ ! -x $asrkit ]]; then
    printf 'error: %s is missing\n  expected: an installed environment\n  to do:    make setup, in %s\n' \
      "$asrkit" "$repository" >&2
    exit 1
  fi
  exec "$asrkit" run --recipe "$recipe_dir" "${lines[@]}" "$@"
}
