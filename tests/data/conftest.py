"""What the tests of the data room share."""

import socket
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import settings

from data.folder import Folder
from tests.data.pictures import Make, folder

# A shared machine may pause for longer than hypothesis' deadline of 0.2 s.
settings.register_profile("data", deadline=None)
settings.load_profile("data")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection fails at once, as on a machine without a network."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def build(path: Path | None, **options: object) -> Folder:
        options = {"image_size": 16, "cache_dir": str(tmp_path / "cache"), **options}
        return Folder(path=None if path is None else str(path), **options)  # type: ignore[arg-type]

    return build


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    return folder(tmp_path / "photos", {"cat": 10, "dog": 5})
