"""Settings of earlier versions under their current names: finished work stays in use after an update."""

import json
import re
from typing import Any, Dict, Mapping, Optional

import msgspec

from asrkit.config.methods import RENAMED
from asrkit.config.recipe import MOVED_TO_AUGMENT, TRANSFORMS, RecipeConfig, Settings

# Settings that switch a transform of section train off by 0 or by having no value
SWITCHES = ("fraction", "directory", "max_gain", "max_tilt", "max_warp")


def current_settings(flat: Mapping[str, Any]) -> Dict[str, Any]:
    """Flat settings of an earlier version, such as {"train.accumulate": 3}, as the current version has them.

    A removed setting is dropped if it had the value that always holds now; otherwise it keeps its name.
    """
    known = _move_to_model(_move_to_augment(flat))
    if "decode.methods" in known:
        known["decode.methods"] = [RENAMED.get(name, name) for name in known["decode.methods"]]
    named = ((_current_name(key, value), value) for key, value in known.items())
    return {name: value for name, value in named if name is not None}


def current_tree(tree: Mapping[str, Any]) -> Dict[str, Any]:
    """The same for nested settings, as in EXP/recipe.yaml."""
    current: Dict[str, Any] = {}
    entries: Dict[str, Dict[str, Any]] = {}
    for key, value in current_settings(_flatten(tree)).items():
        *sections, name = key.split(".")
        if sections[:1] == ["augment"]:  # an entry of the list, from settings of section train
            entries.setdefault(sections[1], {"kind": sections[1]})[name] = value
            continue
        below = current
        for section in sections:
            below = below.setdefault(section, {})
        below[name] = value
    if entries:
        current["augment"] = [entries[kind] for kind in current["augment"]]
    return current


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Dict[str, Any]:
    flat: Dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat.update(_flatten(value, f"{name}.") if isinstance(value, dict) else {name: value})
    return flat


def _move_to_augment(flat: Mapping[str, Any]) -> Dict[str, Any]:
    """With the augmentation of section train as transforms; those that were switched off are left out."""
    moved: Dict[str, Dict[str, Any]] = {kind: {} for kind in TRANSFORMS}
    current: Dict[str, Any] = {}
    for key, value in flat.items():
        section, _, old = key.partition(".")
        if section == "train" and old in MOVED_TO_AUGMENT:
            kind, _, name = MOVED_TO_AUGMENT[old].partition(".")
            moved[kind][name] = value
        else:
            current[key] = value
    used = [
        kind
        for kind, settings in moved.items()
        if settings and (kind == "spec_augment" or any(settings.get(name) for name in SWITCHES))
    ]
    if "spec_augment" in used:  # all of section train was given
        current["augment"] = used
    for kind in used:
        current.update({f"augment.{kind}.{name}": value for name, value in moved[kind].items()})
    return current


def _move_to_model(flat: Mapping[str, Any]) -> Dict[str, Any]:
    """With a name of the front end for depth and block, and of the encoder for attention and its kernel."""
    current = dict(flat)
    if "model.block" in current:
        depth, block = current.pop("model.depth", None), current.pop("model.block")
        current["model.front"] = depth or {"basic": "resnet", "bottleneck": "resnet-bottleneck"}[block]
    if "model.attention" in current:
        has_attention, kernel = current.pop("model.attention"), current.get("model.convolution_kernel", 15)
        current["model.encoder"] = "conformer" if has_attention and kernel else "attention"
        if not has_attention:
            current["model.encoder"] = "convolution"
        if not kernel:
            del current["model.convolution_kernel"]  # it has no part in these blocks
    return current


def _current_name(key: str, value: Any) -> Optional[str]:
    kind: Any = RecipeConfig
    parts = key.split(".")
    for place, part in enumerate(parts):
        if not (isinstance(kind, type) and issubclass(kind, Settings)):
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
