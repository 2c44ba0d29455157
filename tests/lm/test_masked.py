import importlib.util
import math
from pathlib import Path
from typing import Any, Dict

import pytest
import torch

from asrkit.config import NeuralLmConfig
from asrkit.errors import UserError
from asrkit.lm import neural
from asrkit.lm.masked import MASK_ID
from asrkit.lm.neural import (
    load_neural,
    make_neural_scorer,
    measure_perplexity,
    train_neural,
    write_pretrained,
)
from asrkit.storage.tensors import load_tensors

TEXT = ["A B C", "A B", "D B B E"] * 32
SPELLINGS = {"A": ["a"], "B": ["b", "e"], "C": ["c", "e"], "D": ["b", "x", "e"], "E": ["e"]}


def trained(folder: Path, kind: Any, spellings: Any = None) -> Any:
    config = NeuralLmConfig(kind=kind, layers=2, dim=16, heads=2, epochs=4, learning_rate=0.01)
    train_neural(config, TEXT, ["A B"], folder / "lm", spellings)
    return load_neural(folder / "lm")


@pytest.mark.parametrize("kind", ["lstm", "residual"])
def test_a_prediction_does_not_depend_on_later_tokens(tmp_path: Path, kind: str) -> None:
    model = trained(tmp_path, kind)
    first, second = torch.tensor([[1, 3, 4, 5, 3]]), torch.tensor([[1, 3, 4, 6, 6]])
    assert torch.equal(model(first)[:, :3], model(second)[:, :3])
    assert not torch.allclose(model(first)[:, 3], model(second)[:, 3])


@pytest.mark.parametrize("spellings", [None, SPELLINGS])
def test_residual_scores_are_sums_over_words(tmp_path: Path, spellings: Any) -> None:
    model = trained(tmp_path, "residual", spellings)
    sentences = [["D", "B"], ["A"], [], ["E", "A", "unheard"]]
    scores = make_neural_scorer(tmp_path / "lm")(sentences)
    ((log_probs, known),) = model.score(sentences)
    assert log_probs.shape == known.shape == (4, 4)  # words and the end
    assert known.sum(dim=1).tolist() == [3, 2, 1, 3]  # without the OOV word
    for words, score in zip(sentences, scores):
        ids, total = [1], 0.0
        for token in model.tokeniser.row(words).ids:
            total += float(model(torch.tensor([ids]))[0, -1, token])
            ids.append(token)
        assert score == pytest.approx(total, abs=1e-5)


def test_a_limited_context_leaves_out_what_is_further_away(tmp_path: Path) -> None:
    config = NeuralLmConfig(kind="masked", layers=1, dim=16, heads=2, epochs=2, context=2)
    train_neural(config, TEXT, ["A B"], tmp_path / "lm", SPELLINGS)
    model = load_neural(tmp_path / "lm")
    ((scores, _),) = model.score([["A", "B", "C", "E", "A"], ["A", "B", "C", "E", "E"], ["A", "E"]])
    assert torch.allclose(scores[0, :2], scores[1, :2], atol=1e-6)  # C's first token is the last that B reads
    assert not torch.allclose(scores[0, 3], scores[1, 3])
    row = model.row(["A", "E"])  # shorter than the context: as without
    hidden = model(torch.tensor([[row.ids[0], MASK_ID, *row.ids[2:]]]), torch.tensor([4]))[0, 1]
    expected = model.output(hidden[None]).log_softmax(-1)[0, row.ids[1]]
    assert float(scores[2, 0]) == pytest.approx(float(expected), abs=1e-5)


def test_parts_of_a_row_are_all_of_it_in_order(tmp_path: Path) -> None:
    config = NeuralLmConfig(kind="masked", layers=1, dim=16, heads=2, epochs=1, context=2)
    train_neural(config, TEXT, ["A B"], tmp_path / "lm")
    model = load_neural(tmp_path / "lm")
    row = model.row(["A", "B", "C", "D", "B"] * 7)
    for _ in range(20):
        parts = model._parts(row)
        assert [token for part in parts for token in part.ids] == row.ids
        assert [word for part in parts for word in part.words] == row.words
        assert min(len(part.ids) for part in parts) >= 1 and max(len(part.ids) for part in parts) <= 8


@pytest.mark.parametrize("spellings", [None, SPELLINGS])
def test_pseudo_log_likelihood_masks_a_token_and_the_rest_of_its_word(tmp_path: Path, spellings: Any) -> None:
    model = trained(tmp_path, "masked", spellings)
    sentences = [["D", "B", "A"], ["A", "B"], [], ["A", "B"], ["E"] * 9]
    scores = make_neural_scorer(tmp_path / "lm")(sentences)
    for words, score in zip(sentences, scores):  # alone, one copy at a time
        row, total = model.row(words), 0.0
        for place, word in enumerate(row.words):
            if word >= 0:
                copy = [
                    MASK_ID if at >= place and row.words[at] == word else token
                    for at, token in enumerate(row.ids)
                ]
                hidden = model(torch.tensor([copy]), torch.tensor([len(copy)]))[0, place]
                total += float(model.output(hidden[None]).log_softmax(-1)[0, row.ids[place]])
        assert score == pytest.approx(total, abs=1e-4)
    assert scores[2] == 0 and scores[1] == scores[3]


def test_training_learns_what_both_sides_say(tmp_path: Path) -> None:
    config = NeuralLmConfig(kind="masked", layers=2, heads=1, dim=32, epochs=30, dropout=0.0)
    text = ["A B C", "D B E"] * 64  # the first word is known from the last one only
    assert train_neural(config, text, ["A B C", "D B E"], tmp_path / "lm") < 1.1


@pytest.mark.parametrize("kind", ["lstm", "residual", "masked"])
def test_an_interrupted_training_resumes_to_the_same_bytes(
    tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = NeuralLmConfig(kind=kind, layers=1, dim=16, heads=2, epochs=4)
    train_neural(config, TEXT, ["A B"], tmp_path / "whole")
    save = neural.TrainingState.save

    def interrupted(state: neural.TrainingState, epoch: int, perplexity: float) -> None:
        save(state, epoch, perplexity)
        if epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(neural.TrainingState, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_neural(config, TEXT, ["A B"], tmp_path / "lm")
    capsys.readouterr()
    train_neural(config, TEXT, ["A B"], tmp_path / "lm")
    assert "resumes after epoch 2" in capsys.readouterr().out
    assert (tmp_path / "lm").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lm", "whole"]


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    if importlib.util.find_spec("transformers") is None:  # no part of make extras: large, and pinned by torch
        pytest.skip("transformers isn't installed: extra [bert]")
    import transformers

    folder = tmp_path / "bert"
    folder.mkdir()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "go", "home", "ho", "##use", "##me"]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    transformers.BertForMaskedLM(config).save_pretrained(folder, safe_serialization=True)
    return folder


def test_a_hugging_face_folder_scores_words_by_their_pieces(bert: Path, tmp_path: Path) -> None:
    import transformers

    perplexity = write_pretrained(bert, ["GO HOUSE", "GO"], tmp_path / "lm")
    sentences = [["GO", "HOUSE"], ["GO"], [], ["QUX", "HOUSE", "HOUSE"]]
    scores = make_neural_scorer(tmp_path / "lm")(sentences)
    model = transformers.BertForMaskedLM.from_pretrained(bert).eval()

    def log_prob(ids: Any, place: int, token: int) -> float:
        return float(model(torch.tensor([ids])).logits[0, place].log_softmax(-1)[token])

    # [CLS] go ho ##use [SEP]; lower case, as dev is in capitals
    expected = (
        log_prob([2, 4, 7, 8, 3], 1, 5) + log_prob([2, 5, 4, 4, 3], 2, 7) + log_prob([2, 5, 7, 4, 3], 3, 8)
    )
    alone = log_prob([2, 4, 3], 1, 5)
    assert scores[:3] == pytest.approx([expected, alone, 0.0], abs=1e-4)
    assert perplexity == pytest.approx(math.exp(-(expected + alone) / 3), rel=1e-4)
    assert measure_perplexity(load_neural(tmp_path / "lm"), ["QUX"]) == 1  # an OOV word isn't counted


def test_pickled_weights_are_refused_with_the_command_that_converts_them(bert: Path, tmp_path: Path) -> None:
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"no model\.safetensors") as error:
        write_pretrained(bert, ["GO"], tmp_path / "lm")
    assert "safe_serialization=True" in error.value.todo and str(bert) in error.value.todo
    (bert / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        write_pretrained(bert, ["GO"], tmp_path / "lm")


def test_files_say_what_they_are_of(tmp_path: Path) -> None:
    trained(tmp_path, "masked", SPELLINGS)
    about: Dict[str, Any] = load_tensors(tmp_path / "lm")[1]
    assert about["neural"]["kind"] == "masked" and about["spellings"] == SPELLINGS
