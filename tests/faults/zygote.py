"""Real processes for fault tests, without paying for the import of torch in each.

One process imports the trainer and then forks a child for each case. A child has its own process id, exit status,
standard streams, limits and user: it can be interrupted, killed and starved like any other.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from trainer.process import import_lightning


class Child:
    """A running case.

    Args:
        connection: To the zygote, which sends the process id and later the exit status.
        stdout: Read end of the child's standard output.
        stderr: Read end of its standard error.
    """

    def __init__(self, connection: socket.socket, stdout: int, stderr: int) -> None:
        self._connection = connection
        self.stdout = os.fdopen(stdout)
        self.stderr = os.fdopen(stderr)
        self.pid = int(_receive(connection)["pid"])

    def wait_for(self, text: str, stream: str = "stdout") -> str:
        """Read lines until one contains ``text``; fail when the stream ends first."""
        lines = []
        for line in getattr(self, stream):
            lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"no {text!r} on {stream}: {lines} {self.stderr.read() if stream == 'stdout' else ''}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def finish(self) -> tuple[int, str, str]:
        """Wait for the end: exit status (negative for a signal), rest of stdout and stderr."""
        out, err = self.stdout.read(), self.stderr.read()
        self.stdout.close()
        self.stderr.close()
        status = int(_receive(self._connection)["status"])
        return os.waitstatus_to_exitcode(status), out, err


class Zygote:
    """Starts children of ``tests.faults.run_small``."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.settimeout(120)
        command = [sys.executable, "-m", "tests.faults.zygote", str(theirs.fileno())]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)
        theirs.close()

    def start(self, *arguments: Any, file_limit: int | None = None, nobody: bool = False) -> Child:
        """Run the small training with command-line arguments.

        Args:
            arguments: See ``tests.faults.run_small``.
            file_limit: Largest size of any file, in bytes.
            nobody: Run as an ordinary user even if the tests run as root, whom modes do not stop.
        """
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        request = {"arguments": [str(item) for item in arguments], "file_limit": file_limit, "nobody": nobody}
        socket.send_fds(self._connection, [json.dumps(request).encode()], [out_write, err_write])
        os.close(out_write)
        os.close(err_write)
        return Child(self._connection, out_read, err_read)

    def run(self, *arguments: Any, **keywords: Any) -> tuple[int, str, str]:
        """Run to the end: exit status, stdout, stderr."""
        return self.start(*arguments, **keywords).finish()

    def close(self) -> None:
        """End the zygote."""
        self._connection.close()
        self._process.wait(timeout=30)


def _receive(connection: socket.socket) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(connection.recv(65536))
    return answer


def _serve(connection: socket.socket) -> None:
    import_lightning()
    import tests.faults.run_small  # the expensive import, once

    while True:
        message, streams, _, _ = socket.recv_fds(connection, 65536, 2)
        if not message:
            os._exit(0)  # sooner than the interpreter takes the libraries down
        request = json.loads(message)
        pid = os.fork()
        if pid == 0:
            _become(request, streams)
            _exit(tests.faults.run_small.main, request["arguments"])
        for stream in streams:
            os.close(stream)
        connection.send(json.dumps({"pid": pid}).encode())
        connection.send(json.dumps({"status": os.waitpid(pid, 0)[1]}).encode())


def _become(request: dict[str, Any], streams: Sequence[int]) -> None:
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    for stream in streams:
        os.close(stream)
    if request["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"], request["file_limit"]))
    if request["nobody"] and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def _exit(main: Any, arguments: list[str]) -> None:
    status = 1
    try:
        status = main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as parent:
        _serve(parent)
