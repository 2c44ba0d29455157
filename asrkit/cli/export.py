"""asrkit export: a bundle of a finished experiment, for use without asrkit."""

from pathlib import Path
from typing import Optional

import click

from asrkit.cli.options import FiniteRange
from asrkit.errors import UserError

FOLDER = click.Path(path_type=Path)
CHUNK = 0.32  # seconds


@click.command("export")
@click.argument("bundle", type=FOLDER)
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--int8", is_flag=True, help="Also write model.int8.onnx: matrix products of 8-bit integers.")
@click.option("--fp16", is_flag=True, help="Also write model.fp16.onnx, half as large.")
@click.option("--streaming", is_flag=True, help="Also write model.streaming.onnx, for sherpa-onnx's streams.")
@click.option(
    "--chunk",
    type=FiniteRange(min=0.01),
    help=f"With --streaming: seconds of audio per chunk.  [default: {CHUNK}]",
)
def command(bundle: Path, exp: Path, int8: bool, fp16: bool, streaming: bool, chunk: Optional[float]) -> None:
    """Write a trained model into the folder BUNDLE.

    It holds model.onnx, model.pt, tokens.txt, words.txt, HLG.fst, the feature settings and a model card.
    sherpa-onnx runs it; the model card has the commands to type.
    """
    from asrkit.deploy.export import export
    from asrkit.pipeline.experiment import open_experiment

    if chunk is not None and not streaming:
        todo = "leave --chunk out, or add --streaming"
        raise UserError("--chunk without --streaming", "both, or no --chunk", "the command line", todo)
    seconds = (chunk or CHUNK) if streaming else None
    written = export(open_experiment(exp), bundle, int8, fp16, seconds)
    for name, entry in written.files.items():
        print(f"{bundle / name}  {entry.bytes / 1e6:.2f} MB")
