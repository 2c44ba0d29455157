#!/usr/bin/env bash
# an4: 1078 utterances of names, addresses and spelled words by 84 speakers, read from SPHERE files.
# run.sh --help lists the options, run.sh --status what is done.
# shellcheck source=SCRIPTDIR/../../utils/recipe.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../utils/recipe.sh" || {
  echo "error: $0 isn't in recipes/NAME of its project; copy its folder there, or make a link to run.sh" >&2
  exit 1
}

stage 0 download  "fetch an4_sphere, 64 MB of archive"
stage 1 manifests "the official test list; dev: 103 utterances of held-out training speakers"
stage 2 features  "log-Mel features at 16 kHz, at five speeds for training"
stage 3 units     "phones, by the pronunciations of lexicon.txt"
stage 4 lm        "3-gram and 5-gram models, interpolated with those of grammar.yaml"
stage 5 graph     "HLG over their words"
stage 6 train     "a residual and self-attention network with CTC loss"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy, 1best with 3-grams, lattices rescored by 5-grams; scales chosen on dev"
stage 9 score     "errors in the 773 words of the official test"
if [[ -n ${VOICE:-} ]]; then # ten minutes more: VOICE=1 recipes/an4/run.sh, see docs/speak.md
  stage 9.2 align      "durations of units, by forced alignment with the model"
  stage 9.4 synthesise "a residual network that speaks; the recogniser's errors on what it says"
fi
stage 10 show     "a page of results and curves, with a browser of utterances"
stage 11 export   "ONNX, TorchScript and OpenFst, for use without asrkit"

run_stages "$@"
