#!/usr/bin/env bash
# yesno: 60 recordings of one man who says "yes" and "no" in Hebrew, eight words each.
# run.sh --help lists the options, run.sh --status what is done.
# shellcheck source=SCRIPTDIR/../../utils/recipe.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../utils/recipe.sh" || {
  echo "error: $0 isn't in recipes/NAME of its project; copy its folder there, or make a link to run.sh" >&2
  exit 1
}

stage 0 download  "fetch waves_yesno, 1 MB of archive"
stage 1 manifests "first half of the files for training, second half for test; words from the file names"
stage 2 features  "log-Mel features at 8 kHz, as recorded, at three speeds for training"
stage 3 units     "phones of the two words, from lexicon.txt"
stage 4 lm        "unigrams of the training text"
stage 5 graph     "HLG over two words"
stage 6 train     "a small residual and self-attention network with CTC loss"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy and 1best"
stage 9 score     "errors in the 240 words of the test half"
stage 10 show     "a page of results and curves, with a browser of utterances"
stage 11 export   "ONNX, TorchScript and OpenFst, for use without asrkit"

run_stages "$@"
