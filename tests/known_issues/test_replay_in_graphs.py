"""With train.ctc k2 or lf-mmi, graphs of replayed transcripts had the new recipe's pronunciations: words that
its lexicon lacks became the unknown word or, without one, ended the training with an IndexError."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, List, Sequence, Tuple

import pytest
import torch

pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.config import CorpusConfig, RecipeConfig, TrainConfig  # noqa: E402
from asrkit.signal.normalisation import Normalisation  # noqa: E402
from asrkit.text.lexicon import Pronunciation  # noqa: E402
from asrkit.text.units import Units  # noqa: E402
from asrkit.train import session  # noqa: E402
from asrkit.train.criterion import Numerators, count_pairs  # noqa: E402
from asrkit.train.examples import Example, join  # noqa: E402
from tests.train.tiny import MODEL  # noqa: E402

SYMBOLS = ["<blk>", "a", "b", "c", "spn"]
THEIRS = Units(
    SYMBOLS,
    [
        Pronunciation("AB", ("a", "b")),
        Pronunciation("CA", ("c", "a")),
        Pronunciation("CA", ("c", "b"), 0.5),
        Pronunciation("<OOV>", ("spn",)),
    ],
    unknown_word="<OOV>",
)
TEXTS = ["AB CA", "CA XYZ", "AB"]
OTHER = [Pronunciation("AB", ("b", "a")), Pronunciation("<OOV>", ("spn",))]
CONFIG = TrainConfig(ctc="k2", init_from="EXP", replay=0.3)


def load(
    folder: Path, monkeypatch: pytest.MonkeyPatch, units: Units
) -> Tuple[Sequence[Example], Sequence[Pronunciation]]:
    place = SimpleNamespace(storage_path="0.i16", num_frames=100)
    cuts: List[Any] = []
    for number, text in enumerate(TEXTS):
        features = SimpleNamespace(**vars(place), storage_key=f"{number}")
        spoken = [SimpleNamespace(text=text)]
        cuts.append(SimpleNamespace(id=f"u{number}", duration=1.0, features=features, supervisions=spoken))
    config = RecipeConfig(name="base", corpus=CorpusConfig(module="small"))
    source = SimpleNamespace(config=config, directory=folder, folder=lambda stage: folder / stage)
    monkeypatch.setattr(session, "open_experiment", lambda place: source)
    monkeypatch.setattr(session, "load_units", lambda place: THEIRS)
    monkeypatch.setattr(session, "load_cuts", lambda experiment, split: cuts)
    experiment: Any = SimpleNamespace(config=SimpleNamespace(train=CONFIG), named=lambda name: folder / name)
    model: Any = SimpleNamespace(config=MODEL, normalisation=Normalisation(torch.zeros(20), torch.ones(20)))
    return session.load_replayed(experiment, units, model)


@pytest.mark.parametrize("unknown_word", ["<OOV>", None])
def test_replayed_words_have_the_pronunciations_of_their_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unknown_word: str
) -> None:
    own = Units(SYMBOLS, OTHER, unknown_word=unknown_word)
    replayed, words = load(tmp_path, monkeypatch, own)
    assert [each.target for each in replayed] == [THEIRS.encode(text) for text in TEXTS]
    torch.manual_seed(0)
    log_probs, frames = torch.randn(3, 12, len(SYMBOLS)).log_softmax(-1), torch.tensor([12, 12, 12])
    units = own.with_words(words)
    found = Numerators(CONFIG, units)(log_probs, frames, [each.text for each in replayed])
    assert found.tolist() == Numerators(CONFIG, THEIRS)(log_probs, frames, TEXTS).tolist()
    counts = count_pairs(CONFIG, units, (each.text for each in replayed))
    assert counts.tolist() == count_pairs(CONFIG, THEIRS, TEXTS).tolist()


def test_words_of_the_new_recipe_keep_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Units(SYMBOLS, OTHER)
    replayed, words = load(tmp_path, monkeypatch, own)
    example = Example("own", None, own.encode("AB"), "AB", 1.0)
    pair = join([example, replayed[2]])  # AB in both lexicons
    log_probs, frames = torch.randn(1, 12, len(SYMBOLS)).log_softmax(-1), torch.tensor([12])
    found = Numerators(CONFIG, own.with_words(words))(log_probs, frames, [pair.text])
    both = Units(SYMBOLS, [Pronunciation("X", ("b", "a")), Pronunciation("Y", ("a", "b"))])
    assert found.tolist() == Numerators(CONFIG, both)(log_probs, frames, ["X Y"]).tolist()
