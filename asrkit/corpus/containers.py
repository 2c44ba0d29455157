"""The length of an audio file by its own structure: libsndfile trusts headers, whatever follows them.

RIFF/AIFF/CAF/W64   chunks: name, size, content        sizes must add up to the file's size
Ogg                 pages with a sample count          up to a page marked as the last
FLAC                frames with a number and a CRC     numbers must continue from frame to frame
MP3                 frames, perhaps a count of them    all are counted, and the count is put first
"""

import functools
import io
import itertools
import mmap
import os
import re
import struct
import time
from pathlib import Path
from typing import Any, BinaryIO, Dict, NamedTuple, Optional, Tuple, Union

from asrkit.errors import AudioProblem

# Magic -> struct of a chunk header, offset of the first chunk, alignment, whether sizes include the header
CHUNKED = {
    b"RIFF": ("<4sI", 12, 2, False),
    b"RIFX": (">4sI", 12, 2, False),
    b"RF64": ("<4sI", 12, 2, False),
    b"FORM": (">4sI", 12, 2, False),
    b"caff": (">4sq", 8, 1, False),
    b"riff": ("<16sq", 40, 8, True),
}
FileState = Tuple[int, int, int, int]
AUDIO_CHUNKS = (b"data", b"SSND", b"BODY")
PIPED = 0x7FFFF000  # programs that write to a pipe (SoX: this value) put a size from here on
SMALL_REST = 256  # bytes; a tag after the last chunk may have as many
LARGEST_REST = 1 << 16  # bytes of zeros that count as padding
OGG_PAGE = 30  # most seconds of audio in a page, which has at most 255 packets
OGG_BEGIN, OGG_END = 2, 4  # flags of a page
FLAC_SIZES = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{c: 1 << c for c in range(8, 16)}}
MOST_PARTS = 1 << 22  # limit on chunks, pages or frames; a day of audio has fewer
LARGEST_MPEG = 1 << 28  # bytes, read into memory
JUST_NOW = 2_000_000_000  # nanoseconds; the coarsest file systems store times in steps of 2 s
MPEG_TAG = b"ID3\x04\0\0\0\0\0\x16" + bytes(22)  # libsndfile needs it to recognise MPEG in memory
MPEG_KBITS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def file_state(file: Path) -> FileState:
    """Return size, inode and time of the last change of a file, as a key for caching facts about its content.

    If the file changed within the last two seconds, the key also holds the current time, so that it is never
    found in a cache: the file could change again without getting another time.
    """
    status, now = os.stat(file), time.time_ns()
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    return status.st_size, status.st_ino, changed, now if now < changed + JUST_NOW else 0


def check_size(file: Path) -> None:
    """Raise AudioProblem unless the file has the size that its header declares."""
    size = file.stat().st_size
    with open(file, "rb") as stream:
        magic = stream.read(24)
        if magic[:4] in CHUNKED:
            end = _end_of_chunks(stream, magic[:4], size)
        elif magic[:4] == b".snd":
            start, length = struct.unpack(">II", magic[4:12].ljust(8, b"\0"))
            end = None if length >= PIPED else start + length
        elif magic[:7] == b"NIST_1A":
            end = _sphere_size(file)
        else:
            return
        if end is None or size == end:
            return
        if size < end:  # before seeking: a damaged header may declare a length that seek() doesn't accept
            raise AudioProblem("truncated", f"the header declares {end} bytes, the file has {size}")
        stream.seek(end)
        rest = stream.read(LARGEST_REST).strip(b"\0")
    if magic[:7] == b"NIST_1A":  # libsndfile decodes all of it
        return
    if len(rest) > SMALL_REST or size - end > LARGEST_REST:
        raise AudioProblem("longer than the header declares", f"{end} bytes, the file has {size}")


def count_samples(file: Path, container: str, rate: int, declared: int) -> Optional[int]:
    """Count samples from the pages of Ogg or the frames of FLAC; None for other containers.

    `declared`: the number that libsndfile reports. Raises AudioProblem if pages or frames are missing.
    """
    if container == "OGG":
        return _ogg_samples(file, rate, declared)
    return _flac_samples(file) if container == "FLAC" else None


def _end_of_chunks(stream: BinaryIO, magic: bytes, size: int) -> Optional[int]:
    """The offset after the last chunk; None if there is no audio chunk or it has no length."""
    form, offset, alignment, counted = CHUNKED[magic]
    header = struct.calcsize(form)
    long_size: Optional[int] = None  # RF64 has the size of its data in a chunk ds64
    audio_seen = False
    for _ in range(MOST_PARTS):
        if offset + header > size:
            break
        stream.seek(offset)
        name, length = struct.unpack(form, stream.read(header))
        audio = name[:4] in AUDIO_CHUNKS
        if magic == b"RF64" and name == b"ds64":
            long_size = struct.unpack("<8xQ", stream.read(16).ljust(16, b"\0"))[0]
        if audio and magic == b"RF64" and length == 0xFFFFFFFF and long_size is not None:
            length = long_size
        elif audio and (length < 0 or (PIPED <= length <= 0xFFFFFFFF and header == 8)):
            return None
        end = offset + length + (0 if counted else header)
        if (
            end <= offset or not _is_name(name[:4]) or name[:4] in CHUNKED
        ):  # not a chunk: another file follows
            break
        if end > size and not audio:  # not a chunk: a tag
            break
        audio_seen = audio_seen or audio
        if end >= size:
            offset = end
            break
        stream.seek(end)
        padded = not _is_name(stream.read(4))  # some programs omit the padding
        offset = end + (-end % alignment if padded else 0)
    return offset if audio_seen else None


def _is_name(name: bytes) -> bool:
    return name.isascii() and name.decode("ascii").isprintable()


def _sphere_size(file: Path) -> Optional[int]:
    """Bytes that a NIST SPHERE header declares, if any; raises AudioProblem for compressed audio."""
    with open(file, "rb") as stream:
        head = stream.read(1024).decode("latin1")
    found = re.findall(r"^(\S+)[ \t]+\S+[ \t]+(.*)$", head.partition("\nend_head")[0], re.MULTILINE)
    fields = {name: value.strip() for name, value in found}  # "sample_count -i 160000"
    coding = fields.get("sample_coding", "pcm")
    if "," in coding:
        raise AudioProblem("compressed SPHERE", f"found sample_coding {coding}, expected pcm or ulaw")
    try:
        counts = fields["sample_count"], fields.get("channel_count", "1"), fields["sample_n_bytes"]
        frames, channels, width = map(int, counts)
        start = int(head.split("\n")[1])
        return None if min(start, frames, channels, width) < 0 else start + frames * channels * width
    except (KeyError, ValueError, IndexError):
        return None


def _ogg_samples(file: Path, rate: int, declared: int) -> int:
    """Samples of an Ogg file (RFC 3533); raises AudioProblem unless it is one whole stream."""
    size = file.stat().st_size
    offset, first, granule, ended, clock = 0, 0, 0, False, rate
    numbers: Dict[int, int] = {}  # serial number of a stream -> number of its latest page
    with open(file, "rb") as stream:
        for _ in range(MOST_PARTS):
            stream.seek(offset)
            head = stream.read(27 + 255)
            if head[:4] != b"OggS" or len(head) < 27:
                break
            flags, position, segments = head[5], struct.unpack("<q", head[6:14])[0], head[26]
            if flags & OGG_BEGIN and granule:
                raise AudioProblem(
                    "several Ogg streams", f"one ends after {granule} samples at byte {offset}"
                )
            serial, number = struct.unpack("<II", head[14:22])
            if first and number != (numbers.get(serial, number - 1) + 1) % (1 << 32):
                raise AudioProblem("truncated", f"page {number} follows page {numbers[serial]}")
            numbers[serial] = number
            start = 27 + segments
            if flags & OGG_BEGIN and head[start : start + 8] == b"OpusHead":
                clock = 48000
            first = first or max(0, position)
            granule, ended = max(granule, position), bool(flags & OGG_END)
            offset += start + sum(head[27:start])
    if offset > size or size - offset > SMALL_REST or not ended:
        found = f"the file has {size} bytes, the last page ends at {offset}"
        raise AudioProblem("truncated", found + ("" if ended else " and isn't marked as last"))
    held, in_first = granule * rate // clock, first * rate // clock
    # In the recording of a live stream, positions count from the start of the stream, not of the file
    before = held - declared
    return declared if 0 < before <= in_first <= before + OGG_PAGE * rate else held


def _flac_samples(file: Path) -> int:
    """Samples in consecutive FLAC frames (RFC 9639); raises AudioProblem for a second stream."""
    held, fixed = 0, b""
    with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = _id3_end(content)
        usual = int.from_bytes(content[begin + 10 : begin + 12], "big")  # samples per frame
        for found in itertools.islice(re.finditer(rb"\xff[\xf8\xf9]", content), MOST_PARTS):
            head = content[found.start() : found.start() + 16]
            frame = _flac_frame(head, usual)
            if frame is not None and frame[0] == held:
                held, fixed = frame[1], fixed or head[3:4]
            elif frame is not None and frame[0] == 0 and head[3:4] == fixed:
                raise AudioProblem("several FLAC streams", f"one ends after {held} samples")
    return held


def _flac_frame(head: bytes, usual: int) -> Optional[Tuple[int, int]]:
    """Index of a frame's first sample, and of the sample after its last; None without a frame header."""
    if len(head) < 6:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    ones = 8 - (head[4] ^ 0xFF).bit_length()  # leading ones: length of the number in bytes, as in UTF-8
    offset = 4 + max(1, ones)
    number = head[4] & (0x7F >> ones)
    for byte in head[5:offset]:
        number = number << 6 | byte & 0x3F
    sizes = {6: 1, 7: 2}.get(size_code, 0)
    block = FLAC_SIZES.get(size_code) or int.from_bytes(head[offset : offset + sizes], "big") + 1
    offset += sizes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    check_sum = 0  # CRC-8, polynomial 7; the header followed by its CRC gives 0
    for byte in head[: offset + 1]:
        check_sum ^= byte
        for _ in range(8):
            check_sum = (check_sum << 1 ^ (7 if check_sum & 128 else 0)) & 255
    if check_sum or offset >= len(head):
        return None
    first = number if head[1] & 1 else number * usual
    return first, first + block


class MpegFrame(NamedTuple):
    """An MPEG audio frame header (ISO 11172-3, 13818-3)."""

    kind: int  # version, layer and rate, which all frames of a file share
    layer: int
    length: int  # bytes
    samples: int
    counted: int  # offset of "Xing" or "Info" and the frame count in a first frame


class MpegStart(NamedTuple):
    """What libsndfile needs to decode an MPEG file up to its end."""

    head: bytes  # replaces the first bytes of the file; contains a frame with the frame count
    offset: int  # number of bytes that it replaces
    samples: Optional[int]  # number of samples, for layers whose frames can't hold the frame count


def with_frame_count(file: Path, declared: int) -> Optional[MpegStart]:
    """Return what libsndfile needs to decode an MPEG file up to its end; None if it needs nothing.

    `declared`: the number of samples that libsndfile reports. If the file has no frame count, libsndfile
    estimates it from the size of the file, tags included, and of the first frame. Raises AudioProblem if the
    file has no frames, ends inside a frame, or has fewer frames than it declares.
    """
    return _mpeg_start(file, file_state(file), declared)


@functools.lru_cache(maxsize=16)  # consecutive segments are often of the same recording
def _mpeg_start(file: Path, state: FileState, declared: int) -> Optional[MpegStart]:
    if state[0] > LARGEST_MPEG:
        raise AudioProblem("too long", f"MPEG audio of more than {LARGEST_MPEG} bytes")
    content = file.read_bytes()
    offset, first, count, missing = _mpeg_frames(content)
    if first is None:
        raise AudioProblem("not readable audio", "no frame of MPEG audio found")
    counted = False
    if content[offset + first.counted : offset + first.counted + 4] in (b"Xing", b"Info"):
        start = offset + first.counted + 4
        flags, expected = struct.unpack(">II", content[start : start + 8].ljust(8, b"\0"))
        offset, count, counted = offset + first.length, count - 1, bool(flags & 1)
        if counted and count < expected - 1:  # some encoders count this frame too
            raise AudioProblem("truncated", f"the header declares {expected} frames, the file has {count}")
        if counted and count == expected:
            return None
    if missing:
        raise AudioProblem("truncated", f"{missing} bytes of frame {count + 1} are missing")
    samples = count * first.samples
    if not counted and declared == samples:
        return None
    if first.layer == 3:
        return MpegStart(MPEG_TAG + _counting_frame(content[offset : offset + 4], count), offset, None)
    if declared < samples:  # libsndfile stops there
        raise AudioProblem("longer than is decoded", f"{samples} samples, only {declared} can be decoded")
    return MpegStart(b"", 0, samples)


class Spliced(io.RawIOBase):
    """A read-only file whose first `offset` bytes are replaced by `head`; it is not held in memory."""

    def __init__(self, file: Path, head: bytes, offset: int) -> None:
        self.head, self.shift, self.place = head, offset - len(head), 0
        self.handle = os.open(file, os.O_RDONLY)
        self.size = os.fstat(self.handle).st_size - self.shift

    def readinto(self, buffer: Any) -> int:
        if self.place < len(self.head):
            content = self.head[self.place : self.place + len(buffer)]
        else:
            content = os.pread(self.handle, len(buffer), self.place + self.shift)
        buffer[: len(content)] = content
        self.place += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence]
        self.place = max(0, start + offset)
        return self.place

    def tell(self) -> int:
        return self.place

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            os.close(self.handle)
        super().close()


def _mpeg_frames(content: bytes) -> Tuple[int, Optional[MpegFrame], int, int]:
    """Offset and header of the first frame, frame count, and missing bytes of a truncated last frame."""
    offset, count, in_step = _id3_end(content), 0, False
    begin, first = offset, None
    for _ in range(MOST_PARTS):
        if not 0 <= offset <= len(content) - 4:
            break
        frame = _mpeg_frame(content, offset)
        known = frame is not None and (first is None or frame.kind == first.kind)
        if frame is not None and known and offset + frame.length > len(content) and in_step:
            return begin, first, count, offset + frame.length - len(content)
        if frame is not None and known and (in_step or _follows(content, offset + frame.length, frame.kind)):
            begin, first = (begin, first) if first is not None else (offset, frame)
            offset, count, in_step = offset + frame.length, count + 1, True
        else:
            offset, in_step = content.find(b"\xff", offset + 1), False
    return begin, first, count, 0


def _follows(content: bytes, offset: int, kind: int) -> bool:
    frame = _mpeg_frame(content, offset)
    return offset == len(content) or (frame is not None and frame.kind == kind)


def _mpeg_frame(content: bytes, offset: int) -> Optional[MpegFrame]:
    word = int.from_bytes(content[offset : offset + 4], "big")
    version, layer, rate = word >> 19 & 3, 4 - (word >> 17 & 3), word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or rate == 3 or word >> 12 & 15 in (0, 15):
        return None
    full = version == 3
    kbits = MPEG_KBITS[full, layer if full else min(layer, 2)][word >> 12 & 15]
    hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 384 if layer == 1 else 1152 if full or layer == 2 else 576
    unit = 4 if layer == 1 else 1
    length = (samples // 8 * kbits * 1000 // hertz // unit + (word >> 9 & 1)) * unit
    mono = word >> 6 & 3 == 3
    counted = 4 + (17 if mono else 32) if full else 4 + (9 if mono else 17)
    return MpegFrame(word & 0xFFFE0C00, layer, length, samples, counted)


def _counting_frame(head: bytes, count: int) -> bytes:
    """A silent frame with the frame count, as encoders put it first."""
    word = int.from_bytes(head, "big") & 0xFFFF0DFF | 1 << 16 | 14 << 12  # highest bit rate, no CRC
    frame = _mpeg_frame(word.to_bytes(4, "big"), 0)
    assert frame is not None  # the header was parsed before
    counted = word.to_bytes(4, "big").ljust(frame.counted, b"\0") + b"Info" + struct.pack(">II", 1, count)
    return counted.ljust(frame.length, b"\0")


def _id3_end(content: Union[bytes, mmap.mmap]) -> int:
    offset = 0
    while content[offset : offset + 3] == b"ID3" and len(content) >= offset + 10:
        size = 0
        for byte in content[offset + 6 : offset + 10]:
            size = size << 7 | byte & 127
        offset += 10 + size
    return offset
