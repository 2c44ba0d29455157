"""Rules that replace parts of a text, and the packages that they need."""

import re
from types import ModuleType
from typing import Callable, Sequence, Tuple, Union

from asrkit.errors import UserError

Rule = Tuple[str, Union[str, Callable[["re.Match[str]"], str]]]  # pattern, and what replaces it


def apply_rules(rules: Sequence[Rule], text: str, flags: int = 0) -> str:
    """Apply each rule to the whole text, in this order."""
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text, flags=flags)
    return text


def import_package(package: str) -> ModuleType:
    """Import a package of the extra [use]; raises UserError if it is missing."""
    try:
        return __import__(package)
    except ImportError:
        raise UserError(
            f"the package {package} is missing",
            expected="the extra [use]",
            where="numbers in digits",
            todo="pip install -e '.[use]'",
        ) from None
