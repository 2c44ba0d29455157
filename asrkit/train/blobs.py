"""Many short byte strings in one array, and one of them found by its key."""

from array import array
from typing import Iterable, Iterator, Mapping, Tuple

import numpy as np


class Blobs:
    """Byte strings by number: 8 bytes more than their content, and shared by forked processes."""

    def __init__(self, blobs: Iterable[bytes]) -> None:
        joined, ends = bytearray(), array("q", [0])
        for blob in blobs:
            joined += blob
            ends.append(len(joined))
        self._joined = np.frombuffer(bytes(joined), dtype=np.uint8)
        self._ends = np.frombuffer(ends, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> bytes:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self._joined[self._ends[index] : self._ends[index + 1]].tobytes()


class TextsByKey(Mapping[str, str]):
    """Texts by unique key, found by bisection in the sorted keys."""

    def __init__(self, items: Iterable[Tuple[str, str]]) -> None:
        keys = []

        def texts() -> Iterator[bytes]:
            for key, text in items:
                keys.append(key.encode())
                yield text.encode()

        self._texts = Blobs(texts())
        unsorted = np.array(keys, dtype=bytes)
        self._order = np.argsort(unsorted)
        self._keys = unsorted[self._order]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return (key.decode() for key in self._keys)

    def __getitem__(self, key: str) -> str:
        encoded = key.encode()
        place = int(np.searchsorted(self._keys, np.array(encoded, dtype=bytes)))
        if place == len(self) or self._keys[place] != encoded:
            raise KeyError(key)
        return self._texts[int(self._order[place])].decode()
