"""A refused value is the user's; a slip in a model of one's own is shown with its line."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import train
from models.cnn import CNNTask
from tests.runs import only_run
from tests.test_failures import CNN
from trainer.blame import is_slip, place_of


def of(action: Callable[[], Any]) -> ValueError:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (any)
        action()
    return caught.value


def unpacked() -> None:
    a, b, c = [8, 8]  # noqa: F841


def refused() -> None:
    raise ValueError("lr must be above 0")


def refused_from_another() -> None:
    try:
        int("x")
    except ValueError as error:
        raise ValueError("x is no number") from error


def refused_by_a_library() -> None:
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=-1)


@pytest.mark.parametrize(
    ("action", "slip"),
    [(unpacked, True), (lambda: int("x"), True), (refused, False), (refused_from_another, False),
     (refused_by_a_library, False)],
)  # fmt: skip
def test_only_an_operation_of_the_project_is_a_slip(action: Callable[[], Any], slip: bool) -> None:
    assert is_slip(of(action)) is slip


def test_the_place_is_the_projects_where_a_library_refuses() -> None:
    assert place_of(of(refused)) == ""
    line = refused_by_a_library.__code__.co_firstlineno + 1
    assert place_of(of(refused_by_a_library)) == f" ({__file__}, line {line})"


def slip_in(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, with its signature, after a slip."""

    @functools.wraps(method)
    def slipping(self: CNNTask, *words: Any, **options: Any) -> Any:
        _, _, _ = [8, 8]
        return method(self, *words, **options)

    return slipping


def test_a_slip_while_a_model_is_built_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CNNTask, "__init__", slip_in(CNNTask.__init__))
    with pytest.raises(ValueError, match="not enough values to unpack") as caught:
        train.main([*CNN, "--root", str(tmp_path / "runs")])
    assert caught.traceback[-1].name == "slipping"


def test_a_slip_before_the_first_batch_is_in_the_run_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(CNNTask, "configure_optimizers", slip_in(CNNTask.configure_optimizers))
    assert train.main([*CNN, "--root", str(tmp_path)]) == 1
    run = only_run(tmp_path)
    said = "ValueError: not enough values to unpack (expected 3, got 2)"
    assert capsys.readouterr().err.startswith(f"train.py: {said}; the traceback is in {run}/crash.txt; ")
    assert "_, _, _ = [8, 8]" in (run / "crash.txt").read_text()
