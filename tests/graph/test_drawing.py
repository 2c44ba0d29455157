from pathlib import Path

import pytest
from click.testing import CliRunner

k2 = pytest.importorskip("k2", reason="k2 is not installed: no wheel for this torch")
pytestmark = pytest.mark.k2

from asrkit.cli.graph import command  # noqa: E402
from asrkit.errors import UserError  # noqa: E402
from asrkit.graph import drawing  # noqa: E402
from asrkit.graph.drawing import graph_as_dot  # noqa: E402
from asrkit.graph.store import save_graph  # noqa: E402
from tests.graph.test_compile import build, make_units  # noqa: E402


def test_all_arcs_are_drawn_with_unit_and_word_names(tmp_path: Path) -> None:
    graph = build(tmp_path)
    text = graph_as_dot(graph, make_units().symbols)
    assert text.count(" -> ") == graph.fst.num_arcs
    assert 'label="D:RED/0.00"' in text and 'label="end:/-0.46"' in text  # 0.3 and 0.2 in log10
    assert 'label="1:/-0.23' in graph_as_dot(graph)  # without units.txt their numbers


def test_a_graph_too_large_to_draw_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "MOST_ARCS", 3)
    with pytest.raises(UserError, match=r"states and .* arcs") as error:
        graph_as_dot(build(tmp_path))
    assert "asrkit graph info" in error.value.todo


def test_info_prints_sizes_and_what_a_graph_was_made_from(tmp_path: Path) -> None:
    graph = build(tmp_path)
    save_graph(tmp_path / "HLG.safetensors", graph)
    output = CliRunner().invoke(command, ["info", str(tmp_path / "HLG.safetensors")]).output
    assert output.splitlines() == [
        "units: x",
        f"states: {graph.fst.shape[0]}",
        f"arcs: {graph.fst.num_arcs}",
        "words: 7",
    ]


def test_without_graphviz_the_error_suggests_a_dot_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    save_graph(tmp_path / "HLG.safetensors", build(tmp_path))
    result = CliRunner().invoke(command, ["draw", str(tmp_path / "HLG.safetensors")])
    assert isinstance(result.exception, UserError) and "HLG.dot" in result.exception.todo
    output = tmp_path / "drawn.dot"
    CliRunner().invoke(command, ["draw", str(tmp_path / "HLG.safetensors"), "--output", str(output)])
    assert output.read_text().startswith("digraph HLG {")
