"""asrkit align: times of the words of known texts."""

import sys
from pathlib import Path
from typing import Optional

import click

from asrkit.cli.options import FILE
from asrkit.errors import AudioProblem, UserError

FOLDER = click.Path(path_type=Path)


@click.command("align")
@click.argument("audio", type=FOLDER)
@click.argument("text", type=FOLDER)
@click.option("--exp", type=FOLDER, metavar="DIR", help="A finished experiment.")
@click.option("--model", type=FOLDER, metavar="DIR", help="A bundle of asrkit export.")
@click.option("--format", "form", type=click.Choice(["textgrid", "ctm", "json"]), default="textgrid")
@click.option("--output", type=FILE, metavar="FILE", help="[default: stdout]")
def command(
    audio: Path, text: Path, exp: Optional[Path], model: Optional[Path], form: str, output: Optional[Path]
) -> None:
    """Align the words of the file TEXT with the recording AUDIO, by the CTC model's best path.

    The text is in the letter case of the training text. Beside a pause of 80 ms or more a word
    ends and begins with its sound; other times are of frames of the model, mostly 40 ms.
    """
    from asrkit.recognise.forced_alignment import to_textgrid
    from asrkit.recognise.opening import one_of, open_recognizer
    from asrkit.recognise.recording import read_recording
    from asrkit.recognise.transcript import FORMATS, Segment, Transcript
    from asrkit.storage.files import write_text

    try:
        words_to_align = " ".join(text.read_text(encoding="utf-8-sig").split())
        samples, rate = read_recording(audio)
    except (OSError, UnicodeDecodeError) as error:
        found, todo = f"can't read {text}: {error}", "check the name; asrkit align AUDIO TEXT"
        raise UserError(found, "a text in UTF-8", str(text), todo) from None
    except AudioProblem as problem:
        todo = "asrkit align AUDIO TEXT, in this order; to convert: ffmpeg -i IN OUT.flac"
        raise UserError(f"{audio}: {problem}", "a recording", str(audio), todo) from None
    words = open_recognizer(one_of(exp, model), "greedy").align(samples, rate, words_to_align)
    duration = len(samples) / rate
    transcript = Transcript(audio.name, duration, (Segment(0.0, duration, tuple(words), "aligned"),))
    content = to_textgrid(words, duration) if form == "textgrid" else FORMATS[form](transcript)
    if output is None:
        sys.stdout.write(content)
    else:
        write_text(output, content)
