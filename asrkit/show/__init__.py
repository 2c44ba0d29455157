"""One page of a finished experiment: results, curves, confusions, and a browser of its utterances."""
