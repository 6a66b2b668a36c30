"""A TensorBoard server of this environment for as long as a ``with`` block lasts, and its JSON answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

START_SECONDS = 60.0
_ADDRESS = re.compile(r"at (http://\S+?:\d+)/")
# The server is on this machine: a proxy set for the network must not be asked.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(RuntimeError):
    """TensorBoard did not start, or did not answer."""


class Client:
    """Asks a TensorBoard server.

    Args:
        address: Such as ``http://localhost:6006``.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def fetch(self, path: str, body: dict[str, Any] | None = None, **query: str | int) -> tuple[str, bytes]:
        """Content type and content of one answer; with a body the request is a POST.

        Raises:
            ServerError: If the answer is an error or does not come; the message names the path.
        """
        target = f"{self.address}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(target, data, {"Content-Type": "application/json"} if data else {})
        try:
            with _OPENER.open(request, timeout=30) as answer:
                return answer.headers.get_content_type(), answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise ServerError(f"{path}: {error}") from error

    def json(self, path: str, body: dict[str, Any] | None = None, **query: str | int) -> Any:
        """A JSON answer.

        Raises:
            ServerError: As ``fetch``, or if the answer is no JSON.
        """
        content = self.fetch(path, body, **query)[1]
        try:
            return json.loads(content)
        except ValueError as error:
            raise ServerError(f"{path}: the answer is no JSON ({error})") from error


@contextmanager
def tensorboard(folder: Path) -> Iterator[Client]:
    """Start TensorBoard over a log folder on a free port; it is ended by its handle, whatever happens.

    The slow loader is asked for: the fast one hides repeated steps.

    Raises:
        ServerError: If no address is printed within a minute; the message ends with what TensorBoard printed last.
    """
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--port", "0", "--load_fast=false"]
    with tempfile.TemporaryDirectory() as place:
        printed = Path(place) / "printed.txt"
        with printed.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield Client(_await_address(process, printed))
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_address(process: subprocess.Popen[bytes], printed: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while True:
        ended = process.poll() is not None
        text = printed.read_text(errors="replace")
        if match := _ADDRESS.search(text):
            return match[1]
        if ended or time.monotonic() > deadline:
            last = text.strip().splitlines()[-1:] or ["nothing was printed"]
            raise ServerError(f"TensorBoard did not start: {last[0]}")
        time.sleep(0.1)
