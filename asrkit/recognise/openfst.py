"""Graphs in OpenFst's binary format, which sherpa-onnx and Kaldi's decoders read.

A k2 arc and its OpenFst arc, with lm_scale 0.7 and a word bonus of 2:

    3 -> 5, token 41, word 7, score -1.5     becomes     3 -> 5, input 42, output 7, cost 0.7 * 1.5 - 2

Input labels are token + 1: OpenFst's 0 is epsilon, and blank has a label of its own. k2's arcs with token -1
to the final state become final costs of their sources, and the final state goes.
Format: ConstFst<StdArc>, file version 2 (OpenFst, fst/const-fst.h): a header, 20 bytes per state, 16 per arc.
"""

import struct
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Tuple

import numpy as np

from asrkit.errors import UserError
from asrkit.graph.arcs import FINAL
from asrkit.storage.files import whole_file

MAGIC = 2125659606
VERSION = 2  # unaligned
EXPANDED = 1  # property: the number of states is known
COUNTS = ("arcs", "input_epsilons", "output_epsilons")  # of a state
STATE = np.dtype([(name, "<u4") for name in ("final", "first", *COUNTS)])
ARC_COLUMNS = {"input": "<i4", "output": "<i4", "cost": "<f4", "target": "<i4"}
ARC = np.dtype(list(ARC_COLUMNS.items()))
UNKNOWN_COST = 1000.0  # per byte of text that no spelling covers
ARCS_AT_ONCE = 1 << 20  # bounds the memory of a graph of any size


class Piece(NamedTuple):
    """Columns (arc,) of some arcs, sorted by source; those whose target is FINAL are final costs."""

    source: np.ndarray
    target: np.ndarray
    input: np.ndarray
    output: np.ndarray
    cost: np.ndarray


def write_graph(
    file: Path, arcs: np.ndarray, words: np.ndarray, lm_scale: float = 1.0, word_bonus: float = 0.0
) -> None:
    """Write a k2 graph as an OpenFst ConstFst, whole or not at all.

    `arcs` (arc, [source, target, token, bits of the float32 score]) and `words` (arc,), both int32 and sorted
    by source, as in HLG.safetensors. Scale and bonus are baked into the costs: decoders that read the file
    know neither.
    """

    def pieces() -> Iterator[Piece]:
        for first in range(0, len(arcs), ARCS_AT_ONCE):
            source, target, token, bits = arcs[first : first + ARCS_AT_ONCE].T
            word = words[first : first + ARCS_AT_ONCE]
            score = lm_scale * bits.copy().view(np.float32) + word_bonus * (word > 0)
            yield Piece(source, np.where(token == FINAL, FINAL, target), token + 1, word, -score)

    _write(file, int(arcs[:, 1].max()), pieces)  # k2's final state, the last one, isn't counted


def write_rules(file: Path, spellings: Iterable[Tuple[str, str, float]], are_separated: bool) -> None:
    """Write the FST that turns the text of a decoder of phones into words: sherpa-onnx's rule_fsts.

    `spellings` are (phones as that text has them, word, cost); of one spelling the cheapest word is taken.
    `are_separated`: words are separated by spaces in the text. It is composed byte by byte. Any other text
    between two spaces stays as it is, at a cost above that of any words, so that none becomes empty.

        start -K:c-> . -A:a-> . -E:t-> . -T:0-> end -" ":" "-> start        for "KAET cat"
    """
    rows: List[Tuple[int, int, int, int, float]] = []  # source, target, input, output, cost
    start, end, states = 0, 1, 2
    for spelling, word, cost in spellings:
        read, written = spelling.encode(), word.encode()
        length = max(len(read), len(written))
        path = [start, *range(states, states + length - 1), end]
        states += length - 1
        read, written = read.ljust(length, b"\0"), written.ljust(length, b"\0")
        for place in range(length):
            arc_cost = cost if place == 0 else 0.0
            rows.append((path[place], path[place + 1], read[place], written[place], arc_cost))
    space = ord(" ")
    rows.append((end, start, space if are_separated else 0, space, 0.0))
    rows.append((start, start, space, 0, 0.0))  # before the first word
    other = states
    for byte in (byte for byte in range(1, 256) if byte != space):
        rows.extend(((start, other, byte, byte, UNKNOWN_COST), (other, other, byte, byte, UNKNOWN_COST)))
    rows.append((other, start, space, space, 0.0))
    rows.extend((state, FINAL, 0, 0, 0.0) for state in (start, end, other))
    rows.sort(key=lambda row: row[0])
    source, target, read_labels, written_labels, costs = (np.array(column) for column in zip(*rows))
    _write(file, states + 1, lambda: [Piece(source, target, read_labels, written_labels, costs)])


def _write(file: Path, states: int, pieces: Callable[[], Iterable[Piece]]) -> None:
    """Write pieces of arcs, which are asked for twice: to count the arcs of each state, and to write them."""
    table = np.zeros(states, dtype=STATE)
    final = np.full(states, np.inf, dtype=np.float32)
    counts: Dict[str, np.ndarray] = {name: np.zeros(states, dtype=np.int64) for name in COUNTS}
    for piece in pieces():
        ends = piece.target == FINAL
        np.minimum.at(final, piece.source[ends], piece.cost[ends].astype(np.float32))
        for name, which in (
            ("arcs", ~ends),
            ("input_epsilons", ~ends & (piece.input == 0)),
            ("output_epsilons", ~ends & (piece.output == 0)),
        ):
            counts[name] += np.bincount(piece.source[which], minlength=states)
    table["final"], table["first"] = final.view("<u4"), np.cumsum(counts["arcs"]) - counts["arcs"]
    for name, count in counts.items():
        table[name] = count
    with whole_file(file) as partial, partial.open("wb") as stream:
        stream.write(_header(states, int(counts["arcs"].sum())))
        stream.write(table.tobytes())
        for piece in pieces():
            kept = piece.target != FINAL
            rows = np.empty(int(kept.sum()), dtype=ARC)
            for name in ARC_COLUMNS:
                rows[name] = getattr(piece, name)[kept]
            stream.write(rows.tobytes())


def _header(states: int, arcs: int) -> bytes:
    """OpenFst's FstHeader: magic, kind of FST and arc, version, flags, properties, start, states, arcs."""
    names = b"".join(struct.pack("<i", len(name)) + name for name in (b"const", b"standard"))
    return struct.pack("<i", MAGIC) + names + struct.pack("<iiQqqq", VERSION, 0, EXPANDED, 0, states, arcs)


def read_graph(file: Path) -> Tuple[np.ndarray, np.ndarray]:
    """What write_graph wrote: arcs (arc, [source, target, token, bits of the score]) and words (arc,), int32.

    Scale and bonus stay in the scores. Raises UserError for any other file: k2 takes arcs as they are.
    """
    content = np.memmap(file, dtype=np.uint8, mode="r") if file.stat().st_size else np.empty(0, np.uint8)
    fixed = len(_header(0, 0))
    states, count = -1, -1
    if len(content) >= fixed:
        states, count = struct.unpack("<qq", content[fixed - 16 : fixed].tobytes())
    arcs_at = fixed + states * STATE.itemsize
    if content[:fixed].tobytes() != _header(states, count) or len(content) != arcs_at + count * ARC.itemsize:
        raise _unreadable(file, "its header is of another kind of FST, or of another length")
    table = content[fixed:arcs_at].view(STATE)
    rows = content[arcs_at:].view(ARC)
    ends = np.cumsum(table["arcs"].astype(np.int64))
    final = table["final"].view("<f4")
    if states < 1 or ends[-1] != count or np.any(table["first"] != ends - table["arcs"]):
        raise _unreadable(file, "its states don't have its arcs")
    is_final = np.isfinite(final)
    total = count + int(is_final.sum())
    if max(total, states + 1) > np.iinfo(np.int32).max:
        raise _unreadable(file, f"{total:,} arcs are more than k2 can number")
    source = np.repeat(np.arange(states, dtype=np.int32), table["arcs"].astype(np.int64))
    arcs, words = np.empty((total, 4), dtype=np.int32), np.empty(total, dtype=np.int32)
    # Each final cost becomes an arc after the other arcs of its state
    place = np.arange(count) + np.cumsum(np.concatenate([[0], is_final[:-1]]))[source]
    last = ends[is_final] + np.arange(int(is_final.sum()))
    for rows_at, columns in (
        (place, (source, rows["target"], rows["input"] - 1, (-rows["cost"]).view(np.int32))),
        (last, (np.flatnonzero(is_final), states, FINAL, (-final[is_final]).view(np.int32))),
    ):
        for column, values in enumerate(columns):
            arcs[rows_at, column] = values
    words[place], words[last] = rows["output"], FINAL
    return arcs, words


def _unreadable(file: Path, reason: str) -> UserError:
    return UserError(
        f"{file.name} is no graph: {reason}",
        expected="an OpenFst ConstFst with standard arcs, as asrkit export writes it",
        where=str(file),
        todo="export the bundle again",
    )
