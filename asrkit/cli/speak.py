"""asrkit speak: synthesise speech with the voice of an experiment."""

from pathlib import Path
from typing import Optional

import click

from asrkit.cli.options import FiniteRange

FOLDER = click.Path(path_type=Path)


@click.command("speak")
@click.argument("text")
@click.argument("output", type=FOLDER)
@click.option("--exp", type=FOLDER, metavar="DIR", required=True, help="Finished up to stage synthesise.")
@click.option("--speaker", help="A speaker of training.  [default: the first]")
@click.option("--speed", type=FiniteRange(0.25, 4.0), default=1.0, show_default=True)
@click.option(
    "--lines", is_flag=True, help="TEXT is a file: a recording per line in the folder OUTPUT, and a table."
)
def command(text: str, output: Path, exp: Path, speaker: Optional[str], speed: float, lines: bool) -> None:
    """Speak TEXT, words of the recipe's lexicon, to the file OUTPUT.

    With --lines, speakers take turns unless one is named; OUTPUT/synthetic.tsv (path, text, speaker, split)
    is a table that corpora of tables take.
    """
    from asrkit.storage.files import remove, write_text
    from asrkit.synthesis.speaking import open_speaker, texts_of, write_sound

    voice = open_speaker(exp)
    rate = voice.config.sampling_rate
    if not lines:
        write_sound(output, voice.speak(text, speaker, speed), rate)
        return
    texts = texts_of(Path(text))
    table = ["path\ttext\tspeaker\tsplit"]
    names = [speaker] if speaker is not None else voice.voice.speakers
    for each in texts:  # before anything is synthesised, and before an earlier run's output is removed
        voice.refuse_unknown(each)
    for each in names:
        voice.refuse_unknown_speaker(each)
    remove(output / "synthetic.tsv")  # of other texts: its recordings are replaced from here on
    for number, each in enumerate(texts):
        name, file = names[number % len(names)], f"{number:06d}.flac"
        write_sound(output / file, voice.speak(each, name, speed), rate)
        table.append(f"{file}\t{each}\t{name}\ttrain")
    write_text(output / "synthetic.tsv", "\n".join(table) + "\n")
