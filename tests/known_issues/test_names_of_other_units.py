"""asrkit graph draw raised an IndexError for words.txt as --units, or drew words as the names of units."""

from pathlib import Path

import pytest
from click.testing import CliRunner

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.cli.graph import command  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.graph.store import save_graph  # noqa: E402
from tests.graph.test_compile import build  # noqa: E402


@pytest.mark.parametrize(
    ("shown", "found"), [(slice(None), "words, not units"), (slice(3), "3 units, but the graph has unit 6")]
)
def test_a_file_of_other_names_is_refused(tmp_path: Path, shown: slice, found: str) -> None:
    graph = build(tmp_path)
    save_graph(tmp_path / "HLG.safetensors", graph)
    lines = [f"{word} {number}\n" for number, word in enumerate(graph.words[shown])]
    (tmp_path / "names.txt").write_text("".join(lines))
    words = ["draw", str(tmp_path / "HLG.safetensors"), "--units", str(tmp_path / "names.txt")]
    with pytest.raises(UserError, match=found) as error:
        CliRunner().invoke(command, [*words, "--output", f"{tmp_path}/x.dot"], catch_exceptions=False)
    assert error.value.where == "--units" and "units/units.txt" in error.value.todo
