"""Read recipe.yaml, lay further files and --set key=value over it, and check the result."""

import difflib
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Type, get_args

import msgspec
import yaml

from asrkit.config.checks import conflicts
from asrkit.config.recipe import (
    DEFAULT_AUGMENT,
    MOVED_TO_AUGMENT,
    Augmentation,
    RecipeConfig,
    Settings,
    kind_of,
)
from asrkit.errors import UserError


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 2e-3 for text, since it has no point; here it is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _Written(NamedTuple):
    """A number, truth value, date or null of YAML, and how it was written."""

    value: Any
    text: str

    def __str__(self) -> str:
        return self.text


class _SettingsLoader(_Loader):
    """Keeps how such values are written, for speakers and sets are called 001, 1e3 or no."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The object of a node."""
        value = super().construct_object(node, deep)
        plain = isinstance(node, yaml.ScalarNode) and not isinstance(value, str)
        return _Written(value, node.value) if plain else value


# YAML 1.1 has a type of its own for =
_Loader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


def load_config(
    recipe_file: Path, overlay: Optional[Path] = None, assignments: Sequence[str] = ()
) -> RecipeConfig:
    """Read a recipe's settings.

    `overlay` is a YAML file with some of the keys; `assignments` are "train.epochs=3".
    The last one wins. Raises UserError for an unreadable file, an unknown key, a wrong type.
    """
    default: Dict[str, Any] = {"augment": msgspec.to_builtins(list(DEFAULT_AUGMENT))}
    tree = _merge(default, read_yaml(recipe_file, loader=_SettingsLoader))
    where = str(recipe_file)
    if overlay is not None:
        tree = _merge(tree, read_yaml(overlay, loader=_SettingsLoader))
        where += f", then {overlay}"
    for assignment in assignments:
        tree = _merge(tree, _parse_assignment(assignment))
        where += f", then --set {assignment}"
    _refuse_unknown_keys(tree, RecipeConfig, "", where)
    try:
        config = msgspec.convert(_as_typed(tree, RecipeConfig), RecipeConfig)
    except msgspec.ValidationError as error:
        found, _, place = str(error).partition(" - at `$.")
        key = place.rstrip("`") or "the top level"
        entry = re.match(r"augment\[(\d+)\]", key)
        if entry:  # is named by its kind, as --set names it
            key = f"augment.{tree['augment'][int(entry[1])]['kind']}{key[entry.end() :]}"
        raise UserError(
            f"{key}: {found}",
            expected="a value of the type and range that asrkit/config/recipe.py gives",
            where=where,
            todo=f"correct {key}" + (", a list: [A, B]" if found.startswith("Expected `array`") else ""),
        ) from None
    for found, expected, todo in conflicts(config):
        raise UserError(found, expected=expected, where=where, todo=todo)
    return config


def flatten(settings: msgspec.Struct, prefix: str = "") -> Dict[str, Any]:
    """Settings as {"model.dropout": 0.1, ...}, in their order, lists as lists: as JSON gives them back.

    Of transforms: {"augment": ["noise", ...], "augment.noise.snr": [10, 30], ...}.
    """
    flat: Dict[str, Any] = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        key = f"{prefix}{name}"
        if isinstance(value, msgspec.Struct):
            flat.update(flatten(value, key + "."))
        elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
            flat[key] = [kind_of(each) for each in value]
            for each in value:
                flat.update(flatten(each, f"{key}.{kind_of(each)}."))
        else:
            flat[key] = list(value) if isinstance(value, tuple) else value
    return flat


def transforms_of(flat: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The entries of `augment` in flattened settings, without kinds and settings that asrkit hasn't."""
    known = _entry_types(Tuple[Augmentation, ...])
    return [
        {
            "kind": kind,
            **{
                name: flat[f"augment.{kind}.{name}"]
                for name in known[kind].__struct_fields__
                if f"augment.{kind}.{name}" in flat
            },
        }
        for kind in flat["augment"]
        if kind in known
    ]


def move_to_augment(flat: Mapping[str, Any]) -> Dict[str, Any]:
    """Flat settings of an earlier version, with its augmentation of section train as transforms.

    A transform that was switched off, by 0 or without a directory, is left out. SpecAugment never was.
    """
    moved: Dict[str, Dict[str, Any]] = {kind: {} for kind in _entry_types(Tuple[Augmentation, ...])}
    current: Dict[str, Any] = {}
    for key, value in flat.items():
        section, _, old = key.partition(".")
        if section == "train" and old in MOVED_TO_AUGMENT:
            kind, _, name = MOVED_TO_AUGMENT[old].partition(".")
            moved[kind][name] = value
        else:
            current[key] = value
    switches = ("fraction", "directory", "max_gain", "max_tilt", "max_warp")
    used = [
        kind
        for kind, settings in moved.items()
        if settings and (kind == "spec_augment" or any(settings.get(name) for name in switches))
    ]
    if "spec_augment" in used:  # all of section train was given
        current["augment"] = used
    for kind in used:
        current.update({f"augment.{kind}.{name}": value for name, value in moved[kind].items()})
    return current


def read_yaml(file: Path, content: str = "settings", loader: Type[_Loader] = _Loader) -> Dict[str, Any]:
    """Read a YAML mapping of `content`; raises UserError for a file that can't be read or holds none."""
    expected = f"a YAML mapping of {content}"
    try:
        tree = loader(file.read_text(encoding="utf-8-sig")).get_single_data()
    except OSError as error:
        raise UserError(
            f"can't read {file}: {error.strerror}",
            expected=expected,
            where=str(file),
            todo="check the name and the permissions",
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, nested too deep
        raise UserError(
            f"not YAML: {' '.join(str(error).split())}",
            expected=expected,
            where=str(file),
            todo="correct that line",
        ) from None
    if not isinstance(tree, dict):
        found = tree.value if isinstance(tree, _Written) else tree
        raise UserError(
            f"found a {type(found).__name__}",
            expected=expected,
            where=str(file),
            todo="write key: value lines",
        )
    return tree


def _parse_assignment(assignment: str) -> Dict[str, Any]:
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"--set {assignment}",
            expected="--set section.key=value",
            where="the command line",
            todo="for example --set train.epochs=3",
        )
    try:
        value: Any = _SettingsLoader(text).get_single_data()
    except yaml.YAMLError:
        value = text
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    tree: Dict[str, Any] = value
    return tree


def _as_typed(value: Any, kind: Any) -> Any:
    """Values as they are written where text is wanted, and else as YAML has them."""
    if isinstance(value, _Written):
        is_text = kind is str or (kind == Optional[str] and value.value is not None)
        return value.text if is_text else value.value
    if isinstance(value, dict):
        fields = msgspec.structs.fields(kind) if _is_section(kind) else ()
        kinds = {field.name: field.type for field in fields}
        return {_as_typed(key, str): _as_typed(each, kinds.get(key)) for key, each in value.items()}
    if isinstance(value, list):
        types = _entry_types(kind)
        element = next(iter(get_args(kind)), None)
        return [
            _as_typed(each, types.get(str(each.get("kind"))) if isinstance(each, dict) else element)
            for each in value
        ]
    return value


def _entry_types(kind: Any) -> Dict[str, Type[Settings]]:
    """Settings that the entries of a list may have, by their `kind`; empty for a list of plain values."""
    entries = get_args(next(iter(get_args(kind)), None))
    return {kind_of(each): each for each in entries if _is_section(each)}


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[key] = _merge(old, value)
        elif isinstance(value, dict) and isinstance(old, list) and all(isinstance(e, dict) for e in old):
            merged[key] = _merge_entries(old, value)
        else:
            merged[key] = value
    return merged


def _merge_entries(entries: List[Dict[str, Any]], changes: Mapping[str, Any]) -> List[Any]:
    """{noise: {snr: [0, 20]}} changes the entry of that kind, or adds one; {noise: null} removes it."""
    merged: List[Any] = [entry for entry in entries if entry.get("kind") not in changes]
    for kind, change in changes.items():
        same = [entry for entry in entries if entry.get("kind") == kind] or [{"kind": kind}]
        if isinstance(change, dict):
            merged += [_merge(entry, change) for entry in same]
        elif not (isinstance(change, _Written) and change.value is None):
            merged.append(f"{kind}={change}")
    return merged


def _refuse_unknown_keys(
    tree: Mapping[str, Any], kind: Type[Settings], prefix: str, where: str
) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        name = prefix + str(key)
        if key in kind.renamed:
            new = kind.renamed[key]
            raise UserError(f"{name} was renamed", expected=new, where=where, todo=f"write {new}")
        if key in kind.removed:
            fixed = f"{name} is no setting any more; {kind.removed[key]} always holds"
            raise UserError(fixed, where=where, todo=f"leave {name} out")
        if key not in fields:
            near: List[str] = difflib.get_close_matches(str(key), list(fields), n=1)
            raise UserError(
                f"unknown setting {prefix}{key}",
                expected=f"one of {', '.join(prefix + name for name in fields)}",
                where=where,
                todo=f"did you mean {prefix}{near[0]}?" if near else "remove it",
            )
        nested = fields[key]
        if _is_section(nested) and isinstance(value, dict):
            _refuse_unknown_keys(value, nested, f"{prefix}{key}.", where)
        types = _entry_types(nested)
        for entry in value if types and isinstance(value, list) else []:
            own = str(entry.get("kind")) if isinstance(entry, dict) else str(entry)
            if not isinstance(entry, dict) or own not in types:
                near = difflib.get_close_matches(own, list(types), n=1)
                raise UserError(
                    f"{name} has an entry of unknown kind {own}",
                    expected=f"{{kind: ...}} with one of {', '.join(types)}",
                    where=where,
                    todo=f"did you mean {{kind: {(near or ['spec_augment'])[0]}}}?",
                )
            settings = {field: each for field, each in entry.items() if field != "kind"}
            _refuse_unknown_keys(settings, types[own], f"{name}.{own}.", where)
