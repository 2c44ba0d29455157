"""What a user is told when something can't be done."""

from typing import List


class UserError(Exception):
    """A mistake or a lack that the user can mend; shown without a traceback.

    `found` says what was met, `expected` what should have been there, `where` the
    file, option or stage, and `todo` what to type or do next.
    """

    def __init__(self, found: str, *, expected: str = "", where: str = "", todo: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.where = where
        self.todo = todo

    def __str__(self) -> str:
        lines: List[str] = [self.found]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.where:
            lines.append(f"  where:    {self.where}")
        if self.todo:
            lines.append(f"  to do:    {self.todo}")
        return "\n".join(lines)


class AudioProblem(Exception):
    """An audio file can't be used; `kind` is the fault in a few words, `detail` the particulars."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.detail = detail
