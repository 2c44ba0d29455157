#!/usr/bin/env bash
# LibriSpeech: 960 hours of English audio books by 2338 speakers, with four official dev and test sets.
# run.sh --help lists the options, run.sh --status what is done.
# shellcheck source=SCRIPTDIR/../../utils/recipe.sh
. "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../../utils/recipe.sh" || {
  echo "error: $0 isn't in recipes/NAME of its project; copy its folder there, or make a link to run.sh" >&2
  exit 1
}

stage 0 download  "fetch the chosen sets, the language models of OpenSLR 11 and MUSAN: 73 GB of archives"
stage 1 manifests "train from the chosen sets, dev from dev-clean and dev-other, two tests; counts checked"
stage 2 features  "log-Mel features at 16 kHz, at three speeds for training"
stage 3 units     "500 BPE units of the training text; words of it and of the language model"
stage 4 lm        "the pruned 3-gram for the graph and the 4-gram for rescoring, given or estimated"
stage 5 graph     "HLG over the words of the language model"
stage 6 train     "a residual and self-attention network with CTC loss, of 28 or 80 million parameters"
stage 7 average   "average checkpoints, chosen on dev"
stage 8 decode    "greedy, 1best, n-best lists rescored by the 4-gram; scales chosen on dev"
stage 9 score     "errors in test-clean and test-other"
stage 10 show     "a page of results and curves, with a browser of utterances"
stage 11 export   "ONNX, TorchScript and OpenFst, for use without asrkit"

run_stages "$@"
