#!/usr/bin/env bash
# Mini LibriSpeech: 5 hours of LibriSpeech to train on, tested on the whole of test-clean.
# run.sh --help lists the options, run.sh --status what is done.
# shellcheck source=SCRIPTDIR/../../utils/recipe.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../utils/recipe.sh" || {
  echo "error: $0 isn't in recipes/NAME of its project; copy its folder there, or make a link to run.sh" >&2
  exit 1
}

stage 0 download  "fetch train-clean-5, dev-clean-2, test-clean and a small 3-gram: 0.8 GB of archives"
stage 1 manifests "these three sets; counts checked"
stage 2 features  "log-Mel features at 16 kHz, at three speeds for training"
stage 3 units     "250 BPE units of the training text; words of it and of the language model"
stage 4 lm        "the small 3-gram of OpenSLR 11"
stage 5 graph     "HLG over its words"
stage 6 train     "a residual and self-attention network with CTC loss"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy and 1best; scales chosen on dev"
stage 9 score     "errors in the 52,576 words of test-clean"
stage 10 show     "a page of results and curves, with a browser of utterances"
stage 11 export   "ONNX, TorchScript and OpenFst, for use without asrkit"

run_stages "$@"
