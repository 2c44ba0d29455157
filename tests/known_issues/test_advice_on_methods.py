"""For transcribe --method foo the advice, even for a bundle, was to decode with foo, which run.sh refuses."""

import pytest

from asrkit.errors import UserError
from asrkit.recognise.opening import choose_method


def refusal(method: str, is_experiment: bool = True) -> UserError:
    with pytest.raises(UserError) as error:
        choose_method(method, ("greedy", "1best", "nbest-oracle"), "--method", is_experiment)
    assert error.value.expected == "one of greedy, 1best"
    return error.value


def test_only_a_method_that_exists_is_advised() -> None:
    assert refusal("foo").todo == "choose one of these"
    assert refusal("nbest-oracle").todo == "choose one of these"  # it reads the references
    assert (
        "--set decode.methods=[greedy,1best,nbest-oracle,nbest-rescoring]" in refusal("nbest-rescoring").todo
    )
    assert refusal("nbest-rescoring", is_experiment=False).todo == "choose one of these"
