"""Errors as the user reads them; names in them can't steer the terminal."""

import unicodedata

STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, format such as bidi marks, lone surrogates, separators
JOINERS = "\u200c\u200d"  # format characters that scripts need inside words


def escape(text: str, kept: str = "") -> str:
    """Escape the characters that steer a terminal or can't be encoded, as \\x1b, \\u202e and so on.

    Characters in `kept` stay. A byte of a file name that isn't UTF-8 becomes \\xff.
    """
    if text.isprintable():
        return text
    kept += JOINERS
    return "".join(
        _escaped(one) if unicodedata.category(one) in STEERING and one not in kept else one for one in text
    )


def _escaped(character: str) -> str:
    byte = "\udc80" <= character <= "\udcff"  # how Python reads a byte that isn't UTF-8
    return chr(ord(character) - 0xDC00 if byte else ord(character)).encode("unicode_escape").decode("ascii")


class UserError(Exception):
    """A mistake the user can fix, or something that is missing; shown without a traceback.

    `found` is the fault, `expected` what should have been there, `where` the file, option or stage,
    and `todo` what to type or do next. Line breaks followed by four spaces are kept, as in a list of
    examples; any other comes from a name and is escaped.
    """

    def __init__(self, found: str, expected: str = "", where: str = "", todo: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        rows = {"expected": self.expected, "where": self.where, "to do": self.todo}
        labelled = [f"  {label + ':':<10}{_lines(text)}" for label, text in rows.items() if text]
        return "\n".join([_lines(self.found), *labelled])


def _lines(text: str) -> str:
    return "\n    ".join(escape(line) for line in text.split("\n    "))


class AudioProblem(Exception):
    """An audio file can't be used; `kind` names the fault in a few words, `detail` gives specifics."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.detail = detail
