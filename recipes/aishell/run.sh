#!/usr/bin/env bash
# AISHELL-1: 179 hours of read Mandarin by 400 speakers.
# run.sh --help lists the options, run.sh --status what is done.
# shellcheck source=SCRIPTDIR/../../utils/recipe.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../utils/recipe.sh" || {
  echo "error: $0 isn't in recipes/NAME of its project; copy its folder there, or make a link to run.sh" >&2
  exit 1
}

stage 0 download  "fetch data_aishell, 15 GB of archive, and unpack the 400 archives in it"
stage 1 manifests "the official train, dev and test; recordings without a transcript are listed and left out"
stage 2 features  "log-Mel features at 16 kHz, at three speeds for training"
stage 3 units     "the characters of the training text"
stage 4 lm        "4-grams of the training text, over characters"
stage 5 graph     "HLG over these characters"
stage 6 train     "a residual and self-attention network with CTC loss, of 29 or 80 million parameters"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy and 1best; scales chosen on dev"
stage 9 score     "errors in the 104,765 characters of the official test"
stage 10 show     "a page of results and curves, with a browser of utterances"
stage 11 export   "ONNX, TorchScript and OpenFst, for use without asrkit"

run_stages "$@"
