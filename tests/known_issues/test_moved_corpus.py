"""A corpus that was moved or mounted elsewhere made features and training stale."""

import gzip
import json
import shutil
from pathlib import Path

from tests.known_issues.conftest import Finished


def test_a_corpus_with_the_same_content_elsewhere_is_fresh(yesno: Finished, tmp_path: Path) -> None:
    shutil.copytree(yesno.corpus, tmp_path / "elsewhere")
    yesno.corpus = tmp_path / "elsewhere"
    assert "nothing to do: all 12 stages are fresh" in yesno.run()
    yesno.run("--stage", "features", "--stop-stage", "features")  # reads the audio where it is now
    assert "nothing to do: all 12 stages are fresh" in yesno.run()


def test_manifests_hold_paths_below_the_corpus(yesno: Finished) -> None:
    for folder in ("manifests", "features"):
        rows = gzip.decompress((yesno.exp / folder / "test_cuts.jsonl.gz").read_bytes()).splitlines()
        sources = [json.loads(row)["recording"]["sources"][0]["source"] for row in rows]
        assert len(sources) == 30
        assert all(source.startswith("waves_yesno/") for source in sources)
