#!/usr/bin/env python3
"""Real-time factor of decoding with HLG, acoustic model included: process seconds per second of audio."""

from measure import given_experiment, make_parser, print_figure, run_measurement

from asrkit.config import load_config
from asrkit.storage.files import read_json


def measure() -> None:
    """Read what stage decode recorded of the test sets."""
    parser = make_parser(__doc__, exp="a decoded experiment")
    exp = given_experiment(parser.parse_args().exp, "a decoded experiment")
    config = load_config(exp / "recipe.yaml", earlier=True)
    audio = seconds = 0.0
    for split in config.corpus.tests:
        timing = read_json(exp / "decode" / split / "timing_1best.json")
        audio, seconds = audio + timing["audio_seconds"], seconds + timing["seconds"]
        print(f"{split}: {timing['audio_seconds']} s of audio in {timing['seconds']} s; {timing['settings']}")
    print_figure(f"{config.name}_hlg_rtf", seconds / audio, digits=3)


if __name__ == "__main__":
    run_measurement(measure)
