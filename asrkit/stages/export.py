"""Stage export: the model as a bundle of ONNX, TorchScript and OpenFst, for use without asrkit."""

from asrkit.pipeline.experiment import Experiment, open_experiment
from asrkit.pipeline.stage import Stage

STAGE = Stage(
    name="export",
    purpose="the model in ONNX, TorchScript and OpenFst, for use without asrkit",
    reads=(
        *("average/model.safetensors", "graph/HLG.safetensors?", "decode/scales.json", "results.json"),
        *("units/units.txt", "units/words.txt", "units/lexicon.txt", "units/bpe.model?"),
        "stages/decode.json",  # beams
    ),
    writes=("export",),
    libraries=("torch",),
    version=2,  # 2: bpe.vocab is also written without a transducer
)


def run(experiment: Experiment) -> None:
    """Write export/, as asrkit export does without int8 and fp16."""
    from asrkit.deploy.export import write_files
    from asrkit.pipeline.finished import refuse_changed_model

    trained = open_experiment(experiment.directory)
    refuse_changed_model(trained, with_results=True)
    bundle = write_files(trained, experiment.folder("export"))
    size = sum(entry.bytes for entry in bundle.files.values())
    print(f"export: {len(bundle.files)} files, {size / 1e6:.1f} MB")
    print(f"export: to use it, asrkit transcribe --model {experiment.directory / 'export'} AUDIO")
