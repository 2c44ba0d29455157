"""Stage download refused a corpus.listing in a folder or named cuts.json, which stage manifests reads."""

from pathlib import Path

import pytest

from asrkit.config import CorpusConfig, RecipeConfig
from asrkit.corpus.utterance import corpus_module_file, load_corpus_module
from asrkit.errors import UserError
from asrkit.pipeline.experiment import REPOSITORY


@pytest.mark.parametrize(("name", "listing"), [("tsv", "lists/all.tsv"), ("cut_set", "cuts.json")])
def test_download_looks_for_the_listing(tmp_path: Path, name: str, listing: str) -> None:
    module = load_corpus_module(name, REPOSITORY / "local")
    config = RecipeConfig(name="small", corpus=CorpusConfig(module=name, listing=listing))
    with pytest.raises(UserError, match="no such corpus in") as caught:
        module.download(tmp_path, config)
    assert caught.value.expected == listing
    (tmp_path / listing).parent.mkdir(exist_ok=True)
    (tmp_path / listing).write_text("")
    module.download(tmp_path, config)


def test_a_module_name_that_is_not_a_python_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "my-corpus.py").write_text("")
    with pytest.raises(UserError, match="the corpus module 'my-corpus'") as caught:
        corpus_module_file("my-corpus", tmp_path)
    assert caught.value.expected.startswith("a Python name: letters, digits and _")
    assert caught.value.todo.startswith("rename ")
