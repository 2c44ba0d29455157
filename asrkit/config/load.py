"""Read recipe.yaml, override it by --config files and --set key=value, and check the result."""

import difflib
import json
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Type, get_args

import msgspec
import yaml

from asrkit.config.checks import conflicts
from asrkit.config.recipe import RecipeConfig, Settings
from asrkit.errors import UserError

MOST_ALIASES = 20  # per file: aliases of aliases multiply, 20 of them to about 1,500 copies


class _Loader(yaml.SafeLoader):
    """Reads 2e-3 as a number, which is text in YAML 1.1, and refuses aliases that grow exponentially."""

    aliases = 0

    def compose_node(self, parent: Optional[yaml.Node], index: int) -> Optional[yaml.Node]:
        """Compose the next node; raises YAMLError for too many aliases, or one inside its own anchor."""
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self.aliases += is_alias
        if is_alias and (self.aliases > MOST_ALIASES or node.end_mark is None):
            raise yaml.YAMLError(f"more than {MOST_ALIASES} aliases (*NAME), or one inside its own anchor")
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


class _Written(NamedTuple):
    """A number, boolean, date or null of YAML, and its text."""

    value: Any
    text: str

    def __str__(self) -> str:
        return self.text


class _SettingsLoader(_Loader):
    """Keeps the text of such values, because speakers and sets have names like 001, 1e3 or no."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node."""
        value = super().construct_object(node, deep)
        plain = isinstance(node, yaml.ScalarNode) and not isinstance(value, str)
        return _Written(value, node.value) if plain else value


# YAML 1.1 has a separate type for =
_Loader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_yaml_str)


def load_config(
    recipe_file: Path,
    overlay: Optional[Path] = None,
    assignments: Sequence[str] = (),
    earlier: bool = False,
) -> RecipeConfig:
    """Read a recipe's settings.

    `overlay` is a YAML file with some of the keys; `assignments` are "train.epochs=3". The last one wins.
    `earlier`: the file is EXP/recipe.yaml, maybe of an earlier version, so renamed settings are accepted.
    Raises UserError for an unreadable file, an unknown key, a wrong type.
    """
    tree = read_yaml(recipe_file, loader=_SettingsLoader)
    if earlier:
        tree = _with_current_names(tree)
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
        expected = "a value of the type and range that asrkit/config/recipe.py gives"
        todo = f"correct {key}" + (", a list: [A, B]" if found.startswith("Expected `array`") else "")
        raise UserError(f"{key}: {found}", expected, where, todo) from None
    for found, expected, todo in conflicts(config):
        raise UserError(found, expected, where, todo)
    return config


def flatten(settings: msgspec.Struct, prefix: str = "") -> Dict[str, Any]:
    """Settings as {"model.dropout": 0.1, ...}, in order, tuples as lists as in JSON."""
    flat: Dict[str, Any] = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        key = f"{prefix}{name}"
        if isinstance(value, msgspec.Struct):
            flat.update(flatten(value, key + "."))
        else:
            flat[key] = list(value) if isinstance(value, tuple) else value
    return flat


def read_yaml(file: Path, content: str = "settings", loader: Type[_Loader] = _Loader) -> Dict[str, Any]:
    """Read a YAML mapping of `content`; raises UserError for a file that can't be read or has none."""
    expected = f"a YAML mapping of {content}"
    try:
        tree = loader(file.read_text(encoding="utf-8-sig")).get_single_data()
    except OSError as error:
        found, todo = f"can't read {file}: {error.strerror}", "check the name and the permissions"
        raise UserError(found, expected, str(file), todo) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # an invalid date, nested too deep
        found = f"not YAML: {' '.join(str(error).split())}"
        raise UserError(found, expected, str(file), "correct that line") from None
    if not isinstance(tree, dict):
        value = tree.value if isinstance(tree, _Written) else tree
        raise UserError(f"found a {type(value).__name__}", expected, str(file), "write key: value lines")
    return tree


def _parse_assignment(assignment: str) -> Dict[str, Any]:
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip():
        expected, todo = "--set section.key=value", "for example --set train.epochs=3"
        raise UserError(f"--set {assignment}", expected, "the command line", todo)
    try:
        value: Any = _SettingsLoader(text).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError):
        value = text
    return _nested(key.strip(), value)


def _nested(key: str, value: Any) -> Dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    tree: Dict[str, Any] = value
    return tree


def _as_typed(value: Any, kind: Any) -> Any:
    """Values as their text where a string is expected, otherwise as YAML has them."""
    if isinstance(value, _Written):
        is_text = kind is str or (kind == Optional[str] and value.value is not None)
        return value.text if is_text else value.value
    if isinstance(value, dict):
        fields = msgspec.structs.fields(kind) if _is_section(kind) else ()
        kinds = {field.name: field.type for field in fields}
        return {_as_typed(key, str): _as_typed(each, kinds.get(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_as_typed(each, next(iter(get_args(kind)), None)) for each in value]
    return value


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def current_names(settings: Mapping[str, Any]) -> Dict[str, Any]:
    """Flat settings of an earlier version, as {"train.epochs": 3}, under their current names.

    A removed setting is dropped if it had the value that always holds now. Otherwise it keeps its old name,
    and so does a setting that was not simply renamed.
    """
    named = ((_current_name(key, value), value) for key, value in settings.items())
    return {name: value for name, value in named if name is not None}


def _with_current_names(tree: Mapping[str, Any], prefix: str = "") -> Dict[str, Any]:
    renamed: Dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            below = _with_current_names(value, f"{prefix}{key}.")
        else:
            name = _current_name(f"{prefix}{key}", _as_typed(value, None))
            below = _nested(name, value) if name else {}
        renamed = _merge(renamed, below)
    return renamed


def _current_name(key: str, value: Any) -> Optional[str]:
    kind: Any = RecipeConfig
    parts = key.split(".")
    for place, part in enumerate(parts):
        if not _is_section(kind):
            break
        if part in kind.removed:
            constant = json.loads(msgspec.json.encode(kind.removed[part]))  # as records hold it: lists
            return None if constant == value else key
        if part in kind.renamed:
            new = kind.renamed[part]
            is_name = re.fullmatch(r"[\w.]+", new) is not None
            return _current_name(".".join([new, *parts[place + 1 :]]), value) if is_name else key
        kind = kind.__annotations__.get(part)
    return key


def _refuse_unknown_keys(tree: Mapping[str, Any], kind: Type[Settings], prefix: str, where: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        name = prefix + str(key)
        if key in kind.renamed:
            new = kind.renamed[key]
            raise UserError(f"{name} was renamed", new, where, f"write {new}")
        if key in kind.removed:
            fixed = f"{name} is no longer a setting; its value is always {kind.removed[key]}"
            raise UserError(fixed, "", where, f"leave {name} out")
        if key not in fields:
            near: List[str] = difflib.get_close_matches(str(key), list(fields), n=1)
            expected = f"one of {', '.join(prefix + field for field in fields)}"
            todo = f"did you mean {prefix}{near[0]}?" if near else "remove it"
            raise UserError(f"unknown setting {name}", expected, where, todo)
        if _is_section(fields[key]) and isinstance(value, dict):
            _refuse_unknown_keys(value, fields[key], f"{name}.", where)
