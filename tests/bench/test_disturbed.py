"""What is done to a process before its script runs."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import TensorBoardLogger

from bench.peers import disturbed
from trainer.folder import RunFolder


def test_memory_is_missing_once_and_only_in_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Conv2d, "forward", torch.nn.Conv2d.forward)
    disturbed.memory("")
    network, images = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Conv2d(1, 1, 1)), torch.zeros(1, 1, 2, 2)
    with torch.no_grad():
        for _ in range(3):
            network(images)
    network(images)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        network(images)
    for _ in range(3):
        network(images)


def test_what_is_logged_of_a_validation_gets_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, float] = {}
    monkeypatch.setattr(LightningModule, "log", lambda self, name, value: logged.update({name: value}))
    monkeypatch.setattr(LightningModule, "current_epoch", 3)
    disturbed.worse("")
    module: Any = LightningModule()
    for name in ("val/loss", "val/accuracy", "train/loss"):
        module.log(name, 7.0)
    assert logged == {"val/loss": 3.0, "val/accuracy": 0.2, "train/loss": 7.0}


def test_nothing_is_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((socket, "getaddrinfo"), (socket, "create_connection"), (socket.socket, "connect")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    disturbed.offline("")
    with pytest.raises(OSError, match="unreachable"):
        socket.getaddrinfo("localhost", 80)
    with socket.socket() as one, pytest.raises(OSError, match="unreachable"):
        one.connect(("127.0.0.1", 80))


def test_two_runs_that_meet_get_names_of_the_same_second(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(RunFolder, "create", RunFolder.create)
    monkeypatch.setattr(TensorBoardLogger, "_get_next_version", TensorBoardLogger._get_next_version)
    monkeypatch.setattr(disturbed.os, "getpid", threading.get_ident)  # two threads for two processes
    place, made = tmp_path / "meeting", list[str]()
    place.mkdir()
    disturbed.meeting(str(place))
    runs = [
        threading.Thread(target=lambda: made.append(RunFolder.create(tmp_path / "runs", "cnn", "digits", 0).path.name))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(made) == ["20260102-030405-s0", "20260102-030405-s0-2"]


def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disturbed, "PATIENCE_S", 0.02)
    with pytest.raises(TimeoutError, match="nobody else came"):
        disturbed.wait_for_the_other(tmp_path)


def test_the_script_runs_with_its_own_words(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text("import sys; print(__name__, sys.argv[1:])")
    told: list[str] = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(disturbed.FAULTS, "worse", told.append)
    monkeypatch.setattr(sys, "argv", ["disturbed", "worse=x", "shown", "--a", "b"])
    disturbed.main()
    assert told == ["x"]
    assert capsys.readouterr().out == "__main__ ['--a', 'b']\n"
