"""Stage graph: the decoding graph HLG from units, lexicon and language model."""

import time

from asrkit.pipeline.experiment import Experiment
from asrkit.pipeline.stage import Stage
from asrkit.stages import units

STAGE = Stage(
    name="graph",
    purpose="decoding graph HLG from units, lexicon and language model",
    reads=(*units.STAGE.writes, "lm/lm.arpa"),
    writes=("graph/HLG.safetensors",),
    result=("graph",),
    libraries=("torch", "k2"),
)


def run(experiment: Experiment) -> None:
    """Write graph/HLG.safetensors."""
    from asrkit.graph.compile import make_graph
    from asrkit.graph.store import save_graph

    started = time.monotonic()
    arpa = experiment.folder("lm") / "lm.arpa"
    graph = make_graph(experiment.folder("units"), arpa, experiment.config.graph)
    save_graph(experiment.folder("graph") / "HLG.safetensors", graph)
    print(
        f"graph: HLG of {graph.made_of['states']:,} states and {graph.made_of['arcs']:,} arcs "
        f"in {time.monotonic() - started:.1f} s"
    )
