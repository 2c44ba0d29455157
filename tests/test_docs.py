"""Settings, commands, methods and files that the documentation names exist."""

import importlib
import re
from pathlib import Path
from typing import List

import click
import msgspec
import pytest

from asrkit.cli.main import asrkit
from asrkit.config import recipe
from asrkit.pipeline.experiment import REPOSITORY

PAGES = [
    *(REPOSITORY / "README.md", REPOSITORY / "benchmarks" / "README.md"),
    *sorted(REPOSITORY.glob("docs/*.md")),
    *sorted(REPOSITORY.glob("recipes/*/README.md")),
]
SECTIONS = {field.name: field.type for field in msgspec.structs.fields(recipe.RecipeConfig)}
SETTING = re.compile(rf"(?<![\w./-])({'|'.join(SECTIONS)})\.([a-z_]+)(?![\w/*]|\.[a-z]|\()")
FILE = re.compile(r"(?<![\w/])((?:asrkit|benchmarks|docs|local|tests|utils)/[\w/.-]*\w\.(?:py|md|sh))")
VERB = re.compile(r"(?:^|`|bin/)asrkit ([a-z-]+)(?= (?:--|[A-Z]|report|info|draw|lg)|`)", re.MULTILINE)
FILE_ENDINGS = {"py", "md", "tsv", "yaml", "json", "jsonl", "txt", "arpa", "svg", "safetensors", "onnx", "pt"}


def names(pattern: "re.Pattern[str]", file: Path) -> List["re.Match[str]"]:
    """Matches of a pattern in a page, each text once."""
    return list({match[0]: match for match in pattern.finditer(file.read_text("utf-8"))}.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_what_a_page_names_exists(page: Path) -> None:
    unknown = []
    for match in names(SETTING, page):
        section, setting = match.groups()
        fields = getattr(SECTIONS[section], "__struct_fields__", None)
        if fields is not None and setting not in {*fields, *FILE_ENDINGS}:
            unknown.append(match[0])
    unknown += [match[1] for match in names(FILE, page) if not (REPOSITORY / match[1]).exists()]
    links = names(re.compile(r"\]\((?!http)([^)#]+)"), page)
    unknown += [match[1] for match in links if not (page.parent / match[1]).exists()]
    verbs = names(VERB, page)
    unknown += [
        f"asrkit {match[1]}" for match in verbs if match[1] not in asrkit.list_commands(click.Context(asrkit))
    ]
    placeholders = {"local/NAME.py", "asrkit/stages/NAME.py"}
    assert sorted(set(unknown) - placeholders) == []


def test_every_decoding_method_has_a_row() -> None:
    methods = importlib.import_module("asrkit.config.methods").METHODS
    page = (REPOSITORY / "docs" / "decoding.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) == sorted(methods)
