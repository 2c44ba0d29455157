"""The jinja2 template of RESULTS.md; in Python, so that a change of it makes stage score stale."""

RESULTS = """\
# Results of {{ name }}

Generated from results.json and cost.json; changes made by hand are lost.

| {{ columns | join(" | ") }} |
|{{ " --- |" * columns | length }}
{% for row in rows %}
| {{ row | join(" | ") }} |
{% endfor %}

{% if partial %}
**Partial**: of the corpus {{ partial }} were there; published results are of the whole corpus.

{% endif %}
WER counts words, CER characters without spaces, UER units of the lexicon (units/units.txt).
Text normalisation before WER and CER are counted (score.normalise): {{ normalise }}.
The interval is a {{ confidence }} bootstrap by utterance, and, of five speakers or more, also one by speaker.
Utterances that could not be decoded count with all their words deleted. Fallbacks are utterances whose
lattice was empty. RTF is seconds of decoding a second of audio.
{% if notes %}

{% for note in notes %}
- {{ note }}
{% endfor %}
{% endif %}

## Cost

| | |
| --- | --- |
{% for fact, value in facts %}
| {{ fact }} | {{ value }} |
{% endfor %}
{% if stages %}

| stage | time | peak memory |
| --- | --- | --- |
{% for stage, time, memory in stages %}
| {{ stage }} | {{ time }} | {{ memory }} |
{% endfor %}
{% endif %}
"""
