from asrkit.decode.choose import choose_scale

REFERENCES = {"a": ["ONE", "TWO"], "b": ["THREE"]}


def test_the_scale_with_the_fewest_errors_wins() -> None:
    shards = [
        {"transcripts": [{"id": "a", "words": {"0.5": ["ONE", "TWO"], "1.0": ["ONE"]}}]},
        {"transcripts": [{"id": "b", "words": {"0.5": ["THREE"], "1.0": ["THREE"]}}]},
    ]
    assert choose_scale(REFERENCES, shards, (0.5, 1.0)) == (0.5, {"0.5": 0, "1.0": 1})


def test_of_equal_scales_the_middle_one_wins() -> None:
    words = {str(scale): ["THREE"] for scale in (0.1, 0.5, 0.9)}
    chosen, _ = choose_scale(REFERENCES, [{"transcripts": [{"id": "b", "words": words}]}], (0.9, 0.1, 0.5))
    assert chosen == 0.5
