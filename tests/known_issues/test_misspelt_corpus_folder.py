"""A misspelt --corpus-dir was remembered: the next run without the option looked there, too."""

from pathlib import Path

from tests.pipeline.toy import Toy


def test_only_a_folder_that_is_there_is_remembered(toy: Toy, tmp_path: Path) -> None:
    toy.run("--corpus-dir", str(tmp_path / "speech"))  # made by stage download
    assert toy.states() == {}
    toy.run("--corpus-dir", str(tmp_path / "speach"), "--stage", "collect", status=1)
    assert not (tmp_path / "speach").exists()
    assert toy.states() == {}
