#!/usr/bin/env bash
# demo: sentences of a small grammar, spoken by six synthetic voices. Needs no network.
# run.sh --help lists the options, run.sh --status what is done.
# shellcheck source=SCRIPTDIR/../../utils/recipe.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../utils/recipe.sh" || {
  echo "error: $0 isn't in recipes/NAME of its project; copy its folder there, or make a link to run.sh" >&2
  exit 1
}

stage 0 download  "draw sentences from grammar.yaml, synthesise them with py-nanotts"
stage 1 manifests "five voices for training, dev and test; the sixth is a second test set"
stage 2 features  "log-Mel features at 16 kHz, at three speeds for training"
stage 3 units     "BPE units of the training text"
stage 4 lm        "3-grams of the training text"
stage 5 graph     "HLG over the words of the training text"
stage 6 train     "a residual and self-attention network with CTC loss"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy and 1best; scales chosen on dev"
stage 9 score     "word errors on the seen voices and on the unseen one"
if [[ -n ${VOICE:-} ]]; then # six minutes more: VOICE=1 recipes/demo/run.sh, see docs/speak.md
  stage 9.2 align      "durations of units, by forced alignment with the model"
  stage 9.4 synthesise "a residual network that speaks; the recogniser's errors on what it says"
fi
stage 10 show     "a page of results and curves, with a browser of utterances"
stage 11 export   "ONNX, TorchScript and OpenFst, for use without asrkit"

run_stages "$@"
