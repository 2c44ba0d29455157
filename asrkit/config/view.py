"""The settings that a stage may read: those that it declares."""

from typing import Any, Sequence, Tuple, cast

import msgspec

from asrkit.config.recipe import RecipeConfig, kind_of


def declared_settings(config: RecipeConfig, keys: Sequence[str], reader: str) -> RecipeConfig:
    """A view of `config` that raises LookupError for a setting outside `keys` (settings or whole sections).

    It ensures that a stage's declaration, which decides freshness, is what its code reads.
    """
    return cast(RecipeConfig, _View(config, "", keys, reader))


class _View:
    def __init__(self, settings: msgspec.Struct, prefix: str, keys: Sequence[str], reader: str) -> None:
        self._settings, self._prefix, self._keys, self._reader = settings, prefix, keys, reader

    def __reduce__(self) -> Tuple[Any, ...]:
        return _View, (self._settings, self._prefix, self._keys, self._reader)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._settings, name)
        key = f"{self._prefix}{name}"
        if any(key == wanted or key.startswith(f"{wanted}.") for wanted in self._keys):
            return value
        below = [wanted for wanted in self._keys if wanted.startswith(f"{key}.")]
        if not below:
            raise LookupError(f"{self._reader} reads the setting {key}, which it doesn't declare")
        if isinstance(value, tuple):  # transforms, each by its kind
            return tuple(_View(each, f"{key}.{kind_of(each)}.", below, self._reader) for each in value)
        names = {f"{key}.{field}" for field in value.__struct_fields__}
        return value if names <= set(below) else _View(value, f"{key}.", below, self._reader)
