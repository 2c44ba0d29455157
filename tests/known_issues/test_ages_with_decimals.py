"""Ages such as 34.0, as in a table with empty cells, were a group of speakers each; "nan" was one, too."""

import pytest

from asrkit.corpus.utterance import groups_of


@pytest.mark.parametrize(
    ("age", "groups"),
    [
        ("34.0", ("age over 15",)),
        (12.0, ("age up to 15",)),
        (15, ("age up to 15",)),
        ("nan", ()),
        ("", ()),
        ("twenties", ("age twenties",)),
        ("\u00b2", ("age \u00b2",)),
    ],
)
def test_they_are_told_apart_at_fifteen(age: object, groups: "tuple[str, ...]") -> None:
    assert groups_of({"age": age}) == groups
