"""What the tests of the data room share."""

import socket
from typing import NoReturn

import pytest
from hypothesis import settings

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
