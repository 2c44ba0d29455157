"""asrkit export: a bundle of a finished experiment, for use without asrkit."""

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path)


@click.command("export")
@click.argument("bundle", type=FOLDER)
@click.option("--exp", required=True, type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--int8", is_flag=True, help="Also write model.int8.onnx: matrix products of 8-bit integers.")
@click.option("--fp16", is_flag=True, help="Also write model.fp16.onnx, half as large.")
@click.option("--streaming", is_flag=True, help="Also write model.streaming.onnx, for sherpa-onnx's streams.")
@click.option(
    "--chunk",
    type=click.FloatRange(min=0.01),
    default=0.32,
    show_default=True,
    help="Seconds of a stream recognised at once.",
)
def command(bundle: Path, exp: Path, int8: bool, fp16: bool, streaming: bool, chunk: float) -> None:
    """Write a trained model into the folder BUNDLE.

    It holds model.onnx, model.pt, tokens.txt, words.txt, HLG.fst, the feature settings and a model card.
    sherpa-onnx runs it: the card has the lines to type.
    """
    from asrkit.deploy.export import export
    from asrkit.pipeline.experiment import open_experiment

    written = export(open_experiment(exp), bundle, int8, fp16, chunk if streaming else None)
    for name, entry in written.files.items():
        print(f"{bundle / name}  {entry.bytes / 1e6:.2f} MB")
