#!/usr/bin/env python3
"""Largest difference in log-probabilities between an utterance alone and in a batch with longer ones."""

from pathlib import Path

from measure import make_parser, print_figure, run_measurement

from asrkit.config import load_config
from asrkit.pipeline.experiment import REPOSITORY
from asrkit.pipeline.machine import prepare_processor

FRAMES = (9, 57, 128, 301, 602, 1203)


def measure() -> None:
    """Noise of several lengths, through a trained model or one with random weights."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", type=Path, help="EXP/average/model.safetensors; default: random")
    parser.add_argument("--recipe", default="an4", help="whose model is made with random weights")
    options = parser.parse_args()
    prepare_processor()
    import torch

    from asrkit.model.acoustic import AcousticModel, load_model

    torch.manual_seed(1)
    config = load_config(REPOSITORY / "recipes" / options.recipe / "recipe.yaml")
    model = AcousticModel(config.model, config.features.bins, units=32)
    if options.model:
        model, _ = load_model(options.model)
    features = [torch.randn(frames, model.bins) for frames in FRAMES]
    largest = 0.0
    with torch.no_grad():
        for _ in range(0 if options.model else 5):  # running means and variances other than 0 and 1
            model.train()(2 * torch.randn(8, 400, model.bins) + 1, torch.full((8,), 400))
        model.eval()
        batch = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)
        together, frames = model(batch, torch.tensor(FRAMES))
        for row, count, one in zip(together, frames.tolist(), features):
            alone, _ = model(one[None], torch.tensor([len(one)]))
            largest = max(largest, float((alone[0] - row[:count]).abs().max()))
    print(f"{len(FRAMES)} utterances of {FRAMES[0]} to {FRAMES[-1]} frames")
    print_figure("batch_difference", largest, digits=2)


if __name__ == "__main__":
    run_measurement(measure)
