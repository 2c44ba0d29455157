"""asrkit: staged recipes that take a speech corpus from audio to word error rate."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Recognizer, imported at its first use: torch takes a second."""
    if name == "Recognizer":
        from asrkit.recognise.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module asrkit has no {name}")
