"""The listing that one reads to see what went wrong."""

from asrkit.score.alignment import align
from asrkit.score.evaluation import evaluate
from asrkit.score.listing import aligned_lines, make_listing
from asrkit.score.normalisation import characters, words
from asrkit.score.transcripts import Transcript

TRANSCRIPTS = [
    Transcript("u1", "anna", ["GO", "TO", "TEN"], ["GO", "TO", "TEN"], outcome="partial"),
    Transcript("u2", "ben", ["STOP", "NOW"], ["STOP", "THE", "NOISE"]),
    Transcript("u3", "anna", ["GO", "ON"], [], rejected="zero samples"),
]


def listing() -> str:
    return make_listing(
        "test",
        "hlg",
        [
            evaluate(TRANSCRIPTS, unit, tokenise, samples=50)
            for unit, tokenise in (("word", words), ("character", characters))
        ],
        {"u9": "empty text"},
    )


def test_tokens_stand_in_columns() -> None:
    pairs = align(["THE", "CAT", "SAT"], ["CAT", "SATURATED", "IT"])
    assert aligned_lines(pairs) == [
        "REF: THE CAT SAT       **",
        "HYP: *** CAT SATURATED IT",
        "ERR: D       S         I",
    ]


def test_wide_signs_take_two_columns() -> None:
    assert aligned_lines([("今天", "今天"), ("好", "")]) == ["REF: 今天 好", "HYP: 今天 **", "ERR:      D"]


def test_long_lines_are_folded() -> None:
    lines = aligned_lines([("word", "word")] * 30, width=60)
    assert len(lines) == 9
    assert max(map(len, lines)) <= 60
    assert sum(line.count("word") for line in lines if line.startswith("REF")) == 30


def test_summary_gives_both_units_first() -> None:
    lines = listing().splitlines()
    assert lines[0].startswith("test hlg WER 4/7 = 57.14 % [")
    assert lines[0].endswith("ins 1 del 2 sub 1")
    assert lines[1].startswith("test hlg CER ")
    assert lines[2] == "3 utterances, 2 with errors"


def test_undecoded_utterances_are_named_with_the_reason() -> None:
    lines = listing().splitlines()
    assert lines[3].startswith("1 not decoded")
    assert lines[4] == "  u3  zero samples"
    assert lines[5].startswith("1 in no count")
    assert lines[6] == "  u9  empty text"


def test_worst_utterances_first_and_none_left_out() -> None:
    text = listing()
    body = text[text.index("Utterances, most errors first") :]
    positions = [
        body.index(name)
        for name in ("u2  ben  2/2", "u3  anna  2/2", "u1  anna  0/3  fell back to partial  GO TO TEN")
    ]
    assert positions == sorted(positions)
    assert "\nREF: GO ON\nHYP: ** **\nERR: D  D\n" in body


def test_speakers_and_confusions_are_counted() -> None:
    lines = listing().splitlines()
    assert lines.index("  ben  2/2 = 100.00 %") < lines.index("  anna  2/5 = 40.00 %")
    assert lines[lines.index("Length of the reference in words") + 1] == "  1-4 4/7 = 57.14 %"
    assert "  1 GO" in lines
    assert any(line.startswith("  1 NOW -> ") for line in lines)
    assert "Signal-to-noise ratio" not in lines


def test_same_transcripts_same_bytes() -> None:
    assert listing() == listing()
