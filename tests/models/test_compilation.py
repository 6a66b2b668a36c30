"""A compiled network trains, is explained and predicts; the compiler itself is replaced, for it takes a minute."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import predict
import train
from models.finetune.compilation import compile_if_possible
from tests.models.small_folder import BACKBONE, metrics, words
from tests.runs import only_run
from trainer.errors import RunFailed


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each call that went through a compiled graph, whose inside autograd cannot see."""
    sizes: list[int] = []
    hidden = torch._dynamo.lookup_backend("aot_eager")

    def backend(graph: Any, inputs: list[Tensor]) -> Any:
        compiled: Any = hidden(graph, inputs)

        def run(*values: Any) -> Any:
            sizes.append(1)
            return compiled(*values)

        return run

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    return sizes


@pytest.mark.parametrize("network", ["ours", "backbone"])
def test_a_compiled_run_draws_every_figure_and_ends_like_a_plain_one(
    network: str, calls: list[int], pictures: Path, tmp_path: Path
) -> None:
    if network == "ours":
        given = ["--model", "cnn", "--model.widths", "[4]", "--epochs", "1", "--device", "cpu",
                 "--trainer.limit_train_batches", "3", "--data.aug", "none"]  # fmt: skip
    else:
        given = words(pictures, tmp_path, epochs=1)
        for option in ("--root", "--report"):
            place = given.index(option)
            del given[place : place + 2]
        given[given.index(BACKBONE)] = "squeezenet1_1"
    assert train.main([*given, "--report", "none", "--root", str(tmp_path / "plain")]) == 0
    assert not calls
    assert train.main([*given, "--model.compile", "true", "--root", str(tmp_path / "compiled")]) == 0
    assert len(calls) >= 3
    assert (only_run(tmp_path / "compiled") / "figures/grad_cam.png").is_file()
    assert not (only_run(tmp_path / "compiled") / "crash.txt").exists()
    ours, theirs = metrics(tmp_path / "compiled"), metrics(tmp_path / "plain")
    assert ours["best/val_loss"] == pytest.approx(theirs["best/val_loss"], rel=1e-5)
    if network == "backbone":
        before = len(calls)
        out = str(tmp_path / "out.csv")
        assert predict.main([str(only_run(tmp_path / "compiled")), str(pictures / "val"), "--out", out]) == 0
        assert len(calls) == before


class Watching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 2)
        self.seen: list[torch.dtype] = []

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x.flatten(1))
        self.seen.append(y.dtype)
        return y


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_trial_runs_in_the_precision_of_the_run(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Watching()
    monkeypatch.setattr(Watching, "__deepcopy__", lambda self, memo: self, raising=False)
    monkeypatch.setattr(nn.Module, "compile", lambda self: None)
    context = nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype)
    assert compile_if_possible(network, 3, [2, 2], context)
    assert network.seen == [dtype]


def test_a_signal_while_it_compiles_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(self: nn.Module) -> None:
        try:
            raise RunFailed("stopped by SIGTERM", 143)
        except RunFailed as error:
            raise RuntimeError("backend raised") from error

    monkeypatch.setattr(nn.Module, "compile", told)
    with pytest.raises(RunFailed, match="stopped by SIGTERM"):
        compile_if_possible(nn.Conv2d(1, 1, 1), 1, [4, 4], nullcontext())
