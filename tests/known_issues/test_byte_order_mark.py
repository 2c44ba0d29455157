"""A byte-order mark, as Windows writes it, cost lm.text its first word."""

import gzip
from pathlib import Path

import pytest

from asrkit.config import CorpusConfig, load_config
from asrkit.corpus.kaldi import read_data_directory
from asrkit.corpus.transcripts import read_table
from asrkit.errors import UserError
from asrkit.lm.arpa import ngram_counts, read_arpa, read_vocabulary
from asrkit.text import extra_text
from asrkit.text.extra_text import read_extra_text
from asrkit.text.lexicon import read_lexicon

BOM = b"\xef\xbb\xbf"
ANY = CorpusConfig(module="any")


@pytest.mark.parametrize("name", ["more.txt", "more.txt.gz"])
def test_extra_text(tmp_path: Path, name: str) -> None:
    content = BOM + b"stone the cat\r\nthe sea\r\n"
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert list(read_extra_text(tmp_path / name, ANY)) == ["stone the cat", "the sea"]


def test_grammar_lexicon_model_recipe_and_tables(tmp_path: Path) -> None:
    files = {
        "g.yaml": "kinds: {a: {weight: 1, sentences: [say it]}}\n",
        "lexicon.txt": "A EY\n",
        "a.arpa": "\\data\\\nngram 1=2\n\n\\1-grams:\n-1\t<unk>\n-1\tA\n\n\\end\\\n",
        "recipe.yaml": "name: x\ncorpus: {module: tsv}\n",
        "t.tsv": "path\ttext\tspeaker\na.wav\tA\ts\n",
        "wav.scp": "u1 a.wav\n",
        "text": "u1 A\n",
        "utt2spk": "u1 s\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(BOM + content.encode())
    assert next(read_extra_text(tmp_path / "g.yaml", ANY)) == "say it"
    assert read_lexicon(tmp_path / "lexicon.txt", ANY)[0].word == "A"
    assert read_arpa(tmp_path / "a.arpa").vocabulary == ["<unk>", "A"]
    assert (ngram_counts(tmp_path / "a.arpa"), read_vocabulary(tmp_path / "a.arpa")) == ([2], ["A"])
    assert load_config(tmp_path / "recipe.yaml", tmp_path / "recipe.yaml").name == "x"
    assert next(read_table(tmp_path / "t.tsv", ["path"]))[1]["path"] == "a.wav"
    (one,) = read_data_directory(tmp_path, "train", tmp_path, False)
    assert (one.id, one.text, one.speaker) == ("u1", "A", "s")


def test_a_line_without_end_and_a_broken_archive_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra_text, "LONGEST_LINE", 1000)
    whole = gzip.compress(b"a " * 1000)
    for content in (whole, whole[:-9], whole[:10] + b"\xff" * 9, b"\x1f\x8b\x08"):
        (tmp_path / "more.txt.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"can't read .*more\.txt\.gz"):
            list(read_extra_text(tmp_path / "more.txt.gz", ANY))
