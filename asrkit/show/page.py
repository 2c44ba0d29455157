"""Write the page: a template, its style and script, and the data as JSON, in one file that loads nothing."""

import base64
import hashlib
import html
import re
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional

import msgspec

from asrkit.pipeline.experiment import Experiment
from asrkit.show.data import Page, collect
from asrkit.storage.files import whole_file

FOLDER = Path(__file__).parent


def show(
    file: Path, experiments: Mapping[str, Experiment], shown_as: Optional[Path] = None, **options: Any
) -> None:
    """Collect and write the page of one experiment, or of two, by label; prints what is in it.

    The `options` are those of collect; `shown_as` is the path that is printed, if another.
    """
    page = collect(experiments, **options)
    for note in page.main["notes"]:
        print(f"show: {note}")
    size = write_page(file, page)
    sampling = page.main["sampling"]
    print(
        f"show: {shown_as or file}: {sampling['shown']} of {sampling['all']} utterances, {size / 1e6:.1f} MB"
    )


def write_page(file: Path, page: Page) -> int:
    """Write the page, whole or not at all; gives its size in bytes."""
    size = 0
    with whole_file(file) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as stream:
        for part in render(page):
            size += len(part.encode("utf-8"))
            stream.write(part)
    return size


def render(page: Page) -> Iterator[str]:
    """The page in parts. Utterances have an element each, so that a browser parses only what is opened.

    The content security policy allows this style and this script by their hashes, and no address.
    """
    style, script = (_read(f"page.{ending}") for ending in ("css", "js"))
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "img-src data:; media-src blob: data:; base-uri 'none'; form-action 'none'"
    )
    values = {"policy": policy, "title": html.escape(page.main["title"]), "style": style, "script": script}
    for part in re.split(r"\{\{ (\w+) \}\}", _read("page.html")):
        if part == "data":
            yield _element("data", page.main)
            for index, detail in enumerate(page.details):
                yield _element(f"detail-{index}", detail)
        else:
            yield values.get(part, part)


def _element(name: str, value: Any) -> str:
    """JSON for the script to parse; without any "<", nothing in it can end the element or begin another.

    Infinite scores and those that are no numbers become null.
    """
    text = msgspec.json.encode(value).decode("utf-8").replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
