"""units.merge_stress didn't merge phones with a word-start mark: ▁AH0 and ▁AH1 stayed two units."""

from pathlib import Path

from asrkit.config import UnitsConfig
from asrkit.text.units import build_units

LEXICON = """\
A ▁AH0
A ▁EY1
ABOUT ▁AH0 B AW1 T
OTHER ▁AH1 DH ER0
"""


def test_marked_phones_have_no_stress(tmp_path: Path) -> None:
    (tmp_path / "lexicon").write_text(LEXICON, encoding="utf-8")
    config = UnitsConfig(kind="phones", merge_stress=True)
    units = build_units(config, ["ABOUT A OTHER"], tmp_path, tmp_path / "lexicon")
    assert units.symbols[1:] == ["AW", "B", "DH", "ER", "T", "▁AH", "▁EY"]
    assert units.words(units.encode("OTHER A ABOUT")) == ["OTHER", "A", "ABOUT"]
