import numpy as np

from asrkit.decode.nbest import NBest, choose_weights

REFERENCES = {"a": ["ONE", "TWO"], "b": ["THREE"]}


def nbest(*rows: "tuple[str, list[float]]") -> NBest:
    return NBest([text.split() for text, _ in rows], np.array([scores for _, scores in rows]), "lattice")


def test_the_point_with_the_fewest_errors_wins() -> None:
    # The longer one needs a bonus of more than 0.6 beside scale 0.1; the LM is against it from 0.5 on.
    lists = {
        "a": nbest(("ONE", [0.0, 0.0, 1.0]), ("ONE TWO", [-0.6, -1.0, 2.0])),
        "b": nbest(("THREE", [-5.0, -5.0, 1.0])),
    }
    chosen, tried = choose_weights(REFERENCES, lists, {"lm_scale": [0.1, 0.5, 0.9], "word_bonus": [0.0, 1.0]})
    assert chosen == {"lm_scale": 0.1, "word_bonus": 1.0}
    assert [point["errors"] for point in tried] == [1, 0, 1, 1, 1, 1]
    assert tried[1] == {"lm_scale": 0.1, "word_bonus": 1.0, "errors": 0}


def test_of_equal_points_the_middle_one_wins() -> None:
    lists = {"b": nbest(("THREE", [-1.0, -1.0, 1.0]))}
    grid = {"lm_scale": [0.9, 0.1, 0.5], "word_bonus": [3.0, -1.0, 1.0]}
    chosen, _ = choose_weights(REFERENCES, lists, grid)
    assert chosen == {"lm_scale": 0.5, "word_bonus": 1.0}
