"""A new setting of a transform or of a step of signal.steps made finished trainings stale."""

from asrkit.pipeline.record import Origin, Record, under_current_names

TODAY = {
    "augment": ["reverberation"],
    "augment.reverberation.directory": None,
    "augment.reverberation.rt60": [0.2, 1.2],
    "augment.reverberation.direct_ratio": [-3.0, 10.0],
    "augment.reverberation.probability": 0.5,
    "signal.steps": [{"kind": "high_pass", "hertz": 80.0, "order": 4}],
}
EARLIER = {
    "augment": ["reverberation"],
    "augment.reverberation.directory": None,
    "augment.reverberation.probability": 0.5,
    "signal.steps": [{"kind": "high_pass", "hertz": 80.0}],
}


def test_settings_that_a_record_lacks_are_compared_by_their_defaults() -> None:
    record = Record("", {}, EARLIER, {}, 1, {}, {}, 0.0, 1.0, 1, 1, [])
    assert under_current_names(record, Origin({}, TODAY, 1)).key == Origin({}, TODAY, 1).key
    changed = Origin({}, {**TODAY, "augment.reverberation.rt60": [0.2, 2.0]}, 1)
    assert under_current_names(record, changed).key != changed.key
