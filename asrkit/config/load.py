"""Read recipe.yaml, override it by --config files and --set key=value, and check the result."""

import difflib
import math
import re
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple, Type, get_args

import msgspec
import yaml

from asrkit.config.checks import conflicts
from asrkit.config.earlier import current_tree
from asrkit.config.recipe import (
    DEFAULT_AUGMENT,
    TRANSFORMS,
    RecipeConfig,
    Settings,
    SignalConfig,
    SignalStep,
    kind_of,
)
from asrkit.errors import UserError

MERGE = "tag:yaml.org,2002:merge"  # <<, which may come several times
MOST_ALIASES = 20  # per file: aliases of aliases multiply, 20 of them to about 1,500 copies


class _Loader(yaml.SafeLoader):
    """Reads 2e-3 as a number, which is text in YAML 1.1; refuses aliases that multiply, and repeated keys."""

    aliases = 0

    def compose_node(self, parent: Optional[yaml.Node], index: int) -> Optional[yaml.Node]:
        """Compose the next node; raises YAMLError for too many aliases, or one inside its own anchor."""
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        self.aliases += is_alias
        if is_alias and (self.aliases > MOST_ALIASES or node.end_mark is None):
            raise yaml.YAMLError(f"more than {MOST_ALIASES} aliases (*NAME), or one inside its own anchor")
        return node

    def compose_mapping_node(self, anchor: Optional[str]) -> yaml.MappingNode:
        """Compose a mapping; raises YAMLError for a key given twice, of which YAML would keep the last."""
        node = super().compose_mapping_node(anchor)
        seen: Set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if key.value in seen:
                    found = f"{key.value} is given twice in the same section"
                    raise yaml.MarkedYAMLError(problem=found, problem_mark=key.start_mark)
                seen.add(key.value)
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
    tree = current_tree(read_yaml(recipe_file)) if earlier else read_yaml(recipe_file, loader=_SettingsLoader)
    default: Dict[str, Any] = {"augment": msgspec.to_builtins(list(DEFAULT_AUGMENT))}
    tree = _merge(default, tree)
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
        expected = "a value of the type and range that asrkit/config/recipe.py gives"
        todo = f"correct {key}" + (", a list: [A, B]" if found.startswith("Expected `array`") else "")
        raise UserError(f"{key}: {found}", expected, where, todo) from None
    for key, value in flatten(config).items():
        if any(isinstance(each, float) and not math.isfinite(each) for each in _numbers(value)):
            todo = "write a finite number; for no limit, a large one such as 1e9"
            raise UserError(f"{key} is {value}", "finite numbers", where, todo)
    # The settings of a finished experiment are not checked: they may come from several runs
    for found, expected, todo in () if earlier else conflicts(config):
        raise UserError(found, expected, where, todo)
    return config


def _numbers(value: Any) -> List[Any]:
    """All values inside nested lists and mappings, as one flat list."""
    parts = list(value.values()) if isinstance(value, dict) else value
    return [each for part in parts for each in _numbers(part)] if isinstance(parts, list) else [value]


def parse_steps(texts: Sequence[str], where: str) -> Tuple[SignalStep, ...]:
    """Entries of signal.steps, each written in YAML as "{kind: high_pass, hertz: 80}". Raises UserError."""
    try:
        return msgspec.convert({"steps": [yaml.load(text, _Loader) for text in texts]}, SignalConfig).steps
    except (yaml.YAMLError, ValueError) as error:
        expected = "{kind: high_pass, hertz: 80} or another entry of signal.steps"
        raise UserError(f"{where}: {' '.join(str(error).split())}", expected, where) from None


def flatten(settings: msgspec.Struct, prefix: str = "") -> Dict[str, Any]:
    """Settings as {"model.dropout": 0.1, ...}, in order, tuples as lists as in JSON.

    Of transforms: {"augment": ["noise", ...], "augment.noise.snr": [10, 30], ...}.
    """
    flat: Dict[str, Any] = {}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        key = f"{prefix}{name}"
        if isinstance(value, msgspec.Struct):
            flat.update(flatten(value, key + "."))
        elif key == "augment":  # at most one of each kind
            flat[key] = [kind_of(each) for each in value]
            for each in value:
                flat.update(flatten(each, f"{key}.{kind_of(each)}."))
        else:
            flat[key] = msgspec.to_builtins(list(value)) if isinstance(value, tuple) else value
    return flat


def transforms_of(flat: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The entries of `augment` in flattened settings, without kinds and settings that asrkit hasn't."""
    return [
        {
            "kind": kind,
            **{
                name: flat[f"augment.{kind}.{name}"]
                for name in TRANSFORMS[kind].__struct_fields__
                if f"augment.{kind}.{name}" in flat
            },
        }
        for kind in flat["augment"]
        if kind in TRANSFORMS
    ]


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
    *sections, name = key.strip().split(".")
    tree = {name: value}
    for section in reversed(sections):
        tree = {section: tree}
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
        nested = fields[key]
        if _is_section(nested) and isinstance(value, dict):
            _refuse_unknown_keys(value, nested, f"{name}.", where)
        types = _entry_types(nested)
        for entry in value if types and isinstance(value, list) else []:
            own = str(entry.get("kind")) if isinstance(entry, dict) else str(entry)
            if not isinstance(entry, dict) or own not in types:
                near = difflib.get_close_matches(own, list(types), n=1)
                expected = f"{{kind: ...}} with one of {', '.join(types)}"
                todo = f"did you mean {{kind: {(near or ['spec_augment'])[0]}}}?"
                raise UserError(f"{name} has an entry of unknown kind {own}", expected, where, todo)
            settings = {field: each for field, each in entry.items() if field != "kind"}
            _refuse_unknown_keys(settings, types[own], f"{name}.{own}.", where)
