"""Subtitles with --digits zh had spaces between all characters, because words were joined with spaces."""

from typing import List

from asrkit.recognise.transcript import Segment, Transcript, Word, to_srt, to_vtt


def segment(words: List[str], written: str) -> Segment:
    each = (Word(word, index * 0.1, 0.1, 0.9) for index, word in enumerate(words))
    return Segment(0.0, len(words) * 0.1, tuple(each), written=written)


def texts(words: List[str], written: str) -> List[List[str]]:
    blocks = to_srt(Transcript("a", 9.0, (segment(words, written),))).strip().split("\n\n")
    return [block.split("\n")[2:] for block in blocks]


def test_subtitles_are_parts_of_the_written_text() -> None:
    words = ["今", "天", "是", "2022", "年", "3", "月"]
    assert texts(words, "今天是2022年3月") == [["今天是2022年3月"]]
    assert "今天是2022年3月" in to_vtt(Transcript("a", 9.0, (segment(words, "今天是2022年3月"),)))


def test_long_texts_have_two_lines_or_several_cues() -> None:
    han = [chr(0x4E00 + index) for index in range(50)]
    assert texts(han, "".join(han)) == [["".join(han[:25]), "".join(han[25:])]]
    assert [len("".join(lines)) for lines in texts(han * 2, "".join(han * 2))] == [60, 40]  # 6 s each


def test_words_keep_their_spaces() -> None:
    assert texts(["at", "6:30", "a.m."], "at  6:30 a.m.") == [["at  6:30 a.m."]]
    words = ["word"] * 12
    assert texts(words, " ".join(words)) == [[" ".join(words[:6]), " ".join(words[6:])]]
