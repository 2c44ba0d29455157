"""`asrkit export-kaldi --exp EXP CORPUS` overwrote the lists of the user's own data directories."""

from pathlib import Path

import pytest

from asrkit.cli.export_kaldi import export
from asrkit.errors import UserError
from asrkit.stages import manifests
from tests.corpus.sound import SmallCorpus, noise, write_audio


def test_other_data_is_kept_and_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    made = corpus.experiment()
    manifests.run(made)
    target = tmp_path / "data"
    (target / "test").mkdir(parents=True)
    (target / "test" / "wav.scp").write_text("a sph2pipe a.sph |\n")
    with pytest.raises(UserError, match="data/test holds other data"):
        export(made, target)
    assert [str(file.relative_to(target)) for file in target.rglob("*")] == ["test", "test/wav.scp"]
    (target / "test" / "wav.scp").unlink()
    for _ in range(2):
        export(made, target)
    assert (target / "test" / "text").read_text() == "test-00 WORD TEST\n"


def test_the_note_names_what_kaldi_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus = SmallCorpus(tmp_path)
    corpus.add_splits({"train": 2, "dev": 1, "test": 1})
    write_audio(corpus.directory / "float.wav", noise(1, 1), subtype="FLOAT")
    corpus.add("float", "test", audio="float.wav")
    made = corpus.experiment()
    manifests.run(made)
    capsys.readouterr()
    export(made, tmp_path / "data")
    assert "note: 1 utterances are in WAV FLOAT files; Kaldi's own programs read 16-bit WAV" in (
        capsys.readouterr().out
    )
