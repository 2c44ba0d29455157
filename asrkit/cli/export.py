"""asrkit export: a bundle of a finished experiment, for use without asrkit."""

from pathlib import Path
from typing import Optional

import click

from asrkit.cli.options import FiniteRange, refuse_alone
from asrkit.config.recipe import STREAM_CHUNK

FOLDER = click.Path(path_type=Path)


@click.command("export")
@click.argument("bundle", type=FOLDER)
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--int8", is_flag=True, help="Also write model.int8.onnx: matrix products of 8-bit integers.")
@click.option("--fp16", is_flag=True, help="Also write model.fp16.onnx, half as large.")
@click.option("--streaming", is_flag=True, help="Also write model.streaming.onnx, for sherpa-onnx's streams.")
@click.option(
    "--chunk",
    type=FiniteRange(min=0.01),
    help=f"With --streaming: seconds of audio per chunk.  [default: {STREAM_CHUNK}]",
)
def command(bundle: Path, exp: Path, int8: bool, fp16: bool, streaming: bool, chunk: Optional[float]) -> None:
    """Write a trained model into the folder BUNDLE.

    It holds model.onnx, model.pt, tokens.txt, words.txt, HLG.fst, the feature settings and a model card.
    sherpa-onnx runs it; the model card has the commands to type.
    """
    from asrkit.deploy.export import export
    from asrkit.pipeline.experiment import open_experiment

    refuse_alone("--chunk", chunk, "--streaming", streaming)
    seconds = (chunk or STREAM_CHUNK) if streaming else None
    written = export(open_experiment(exp), bundle, int8, fp16, seconds)
    for name, entry in written.files.items():
        print(f"{bundle / name}  {entry.bytes / 1e6:.2f} MB")
