"""What was recognised, and how it is written: text, JSON, subtitles, CTM."""

import dataclasses
import json
import re
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from asrkit.text.chinese_digits import HAN
from asrkit.text.digits import match_words, write_digits

CUE_SECONDS = 6.0  # a subtitle stays no longer, and is no longer than two lines of 42 characters,
CUE_CHARACTERS = 84  # as broadcasters' guidelines ask


@dataclasses.dataclass(frozen=True)
class Word:
    """A word, where it is in the recording, in seconds, and how sure it is, from 0 to 1."""

    word: str
    start: float
    duration: float
    confidence: float

    @property
    def end(self) -> float:
        """Where it ends, in seconds."""
        return self.start + self.duration

    def moved(self, seconds: float) -> "Word":
        """The same word later."""
        return dataclasses.replace(self, start=self.start + seconds)


@dataclasses.dataclass(frozen=True)
class Segment:
    """Words between two pauses, and how they were found (decode.nbest.OUTCOMES)."""

    start: float
    end: float
    words: Tuple[Word, ...]
    outcome: str = "lattice"
    written: Optional[str] = None  # the text as people write it, with numbers in digits

    @property
    def text(self) -> str:
        """As it is written, else words separated by spaces."""
        return " ".join(word.word for word in self.words) if self.written is None else self.written


def in_digits(segment: Segment, language: str) -> Segment:
    """The segment with numbers in digits; their words share the time and have the lowest confidence."""
    written = write_digits(segment.text, language)
    if written == segment.text:
        return segment
    words = written.split() if language != "zh" else re.findall(f"{HAN}|[^\\s{HAN[1:]}+", written)
    found: List[Word] = []
    for word, (first, end, place, count) in zip(
        words, match_words([each.word for each in segment.words], words)
    ):
        of = segment.words[first:end]
        each = (of[-1].end - of[0].start) / count
        start, confidence = of[0].start + place * each, min(word.confidence for word in of)
        found.append(Word(word, start, each, confidence))
    return dataclasses.replace(segment, words=tuple(found), written=written)


@dataclasses.dataclass(frozen=True)
class Transcript:
    """All segments of a recording of so many seconds."""

    name: str
    duration: float
    segments: Tuple[Segment, ...]

    @property
    def words(self) -> Tuple[Word, ...]:
        """Words of all segments, in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    @property
    def text(self) -> str:
        """Text of all segments separated by spaces."""
        return " ".join(segment.text for segment in self.segments if segment.text)


def to_text(transcript: Transcript) -> str:
    """One line."""
    return transcript.text + "\n"


def word_rows(words: Sequence[Word]) -> List[Dict[str, object]]:
    """Words for JSON; seconds to the millisecond."""
    return [
        {
            "word": word.word,
            "start": round(word.start, 3),
            "end": round(word.end, 3),
            "confidence": round(word.confidence, 3),
        }
        for word in words
    ]


def to_json(transcript: Transcript) -> str:
    """One line: name, duration, text, words and segments; seconds to the millisecond."""
    segments = [
        {
            "start": round(segment.start, 3),
            "end": round(segment.end, 3),
            "text": segment.text,
            "words": word_rows(segment.words),
            "outcome": segment.outcome,
        }
        for segment in transcript.segments
    ]
    content = {
        "audio": transcript.name,
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
        "segments": segments,
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def to_ctm(transcript: Transcript) -> str:
    """A line per word: recording, channel, start, duration, word, confidence (NIST's CTM)."""
    name = "_".join(transcript.name.split()) or "audio"
    return "".join(
        f"{name} 1 {word.start:.2f} {word.duration:.2f} {word.word} {word.confidence:.2f}\n"
        for word in transcript.words
    )


def to_srt(transcript: Transcript) -> str:
    """SubRip subtitles."""
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n\n"
        for number, (start, end, text) in enumerate(_cues(transcript), 1)
    )


def to_vtt(transcript: Transcript) -> str:
    """WebVTT subtitles."""
    escaped = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    cues = (
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{text.translate(escaped)}\n\n"
        for start, end, text in _cues(transcript)
    )
    return "WEBVTT\n\n" + "".join(cues)


FORMATS: Dict[str, Callable[[Transcript], str]] = {
    "text": to_text,
    "json": to_json,
    "srt": to_srt,
    "vtt": to_vtt,
    "ctm": to_ctm,
}


def _clock(seconds: float, mark: str) -> str:
    """Hours, minutes, seconds, milliseconds, such as 00:01:02,500."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def _cues(transcript: Transcript) -> Iterator[Tuple[float, float, str]]:
    """Start, end and text of subtitles; none goes beyond its segment."""
    for segment in transcript.segments:
        words, places, first = segment.words, _places(segment), 0
        for index, word in enumerate(words):
            seconds, characters = word.end - words[first].start, places[index][1] - places[first][0]
            if index > first and (seconds > CUE_SECONDS or characters > CUE_CHARACTERS):
                text = _two_lines(segment.text, places[first:index])
                yield words[first].start, words[index - 1].end, text
                first = index
        if words:
            yield words[first].start, words[-1].end, _two_lines(segment.text, places[first:])


def _places(segment: Segment) -> List[Tuple[int, int]]:
    """Index of the first character of each word in the segment's text, and of the one after its last."""
    places, end = [], 0
    for word in segment.words:
        start = segment.text.index(word.word, end)
        end = start + len(word.word)
        places.append((start, end))
    return places


def _two_lines(text: str, places: Sequence[Tuple[int, int]]) -> str:
    """The words at these places on one line, or on two of about the same length."""
    start, end = places[0][0], places[-1][1]
    if end - start <= CUE_CHARACTERS // 2 or len(places) == 1:
        return text[start:end]
    middle = (start + end) / 2
    cut = min(range(1, len(places)), key=lambda index: abs(places[index - 1][1] - middle))
    return text[start : places[cut - 1][1]] + "\n" + text[places[cut][0] : end]
