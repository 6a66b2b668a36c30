"""A precision that a model does not compute in is refused before anything is made."""

from types import SimpleNamespace

import pytest

from models import MODELS
from trainer.contract import load_class
from trainer.device import precision_of
from trainer.errors import UserError


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("wanted", ["bf16-true", "16-true"])
def test_half_the_digits_are_for_classifiers(model: str, wanted: str) -> None:
    task = load_class(MODELS[model])
    if model == "cnn":
        assert precision_of(task, wanted) == wanted
        return
    with pytest.raises(
        UserError, match=f"--trainer.precision {wanted}: this model does not compute in it; take 32-true"
    ):
        precision_of(task, wanted)


@pytest.mark.parametrize(("model", "fits"), [("rbm", False), ("dbn", False), ("mlp", True), ("cnn", True)])
def test_double_precision_is_not_for_machines_that_draw(model: str, fits: bool) -> None:
    task = load_class(MODELS[model])
    if fits:
        assert precision_of(task, "64-true") == "64-true"
        assert precision_of(task, "64") == "64"
        return
    with pytest.raises(UserError, match="64: this model does not compute in it; take 32-true"):
        precision_of(task, "64")


def test_auto_is_single_where_a_result_would_suffer() -> None:
    assert precision_of(SimpleNamespace(), "auto") == "32-true"
    assert precision_of(SimpleNamespace(tolerates_mixed_precision=True), "auto") == "auto"
