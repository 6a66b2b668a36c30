"""The processes in which claims run: one that dies, several at once, and signals that end them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from claims import catalogue, runner
from tests.one_claim import REGISTERED, SMALL


def test_a_process_that_dies_takes_only_its_own_claim_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    marker = "import os, claims.runner as r; run = r.run_claim\n"
    body = "r.run_claim = lambda claim: os._exit(9) if claim.id == '001-13' else run(claim)\n"
    (tmp_path / "sitecustomize.py").write_text(marker + body)  # read by every process that starts
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(catalogue.__file__).parents[1]}")
    found = {one.id: one for one in runner.run_all([REGISTERED[id] for id in (SMALL, "001-13", "000-32")], 2)}
    assert found["001-13"].error == "its process ended: killed, out of memory, or crashed in a library"
    assert found["000-32"].state == found[SMALL].state == "passed"


def test_a_claim_that_runs_alone_can_be_stopped_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = f"r.run_claim = lambda claim: pathlib.Path({str(tmp_path / 'runs')!r}).touch() or time.sleep(60)\n"
    (tmp_path / "sitecustomize.py").write_text(f"import pathlib, time, claims.runner as r\n{body}")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{Path(catalogue.__file__).parents[1]}")
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    stopped = []

    def stop() -> None:
        while not (tmp_path / "runs").exists():
            time.sleep(0.05)
        stopped.append(time.monotonic())
        signal.pthread_kill(main_thread, signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
    try:
        with pytest.raises(KeyboardInterrupt):
            runner.run_alone(REGISTERED[SMALL])
    finally:
        signal.signal(signal.SIGINT, handler)
    assert time.monotonic() - stopped[0] < 30, "the check would have slept for a minute"


def test_several_processes_give_the_same_in_order(tmp_path: Path) -> None:
    found = []
    for jobs in ("1", "2"):
        file = tmp_path / f"{jobs}.json"
        command = [sys.executable, "-m", "claims", "000-28", "000-32", "--jobs", jobs, "--json", str(file)]
        subprocess.run(command, check=True, capture_output=True, cwd=Path(catalogue.__file__).parents[1], timeout=300)
        found.append([(one["id"], one["numbers"]) for one in json.loads(file.read_text("utf-8"))])
    assert found[0] == found[1]
    assert [id for id, _ in found[0]] == ["000-28", "000-32"]


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_can_be_stopped(sent: signal.Signals, status: int, tmp_path: Path) -> None:
    # The check marks that it runs, then waits for the signal.
    code = (
        "import pathlib, signal, sys, time\n"
        "from claims import __main__ as program, catalogue\n"
        "from claims.registry import Claim, equals\n"
        "def slow():\n"
        f"    pathlib.Path({str(tmp_path / 'runs')!r}).touch()\n"
        "    time.sleep(600)\n"
        "    yield equals('', 1, 1)\n"
        "one = Claim('000-28', 'said', 'right', 'correct', '', slow)\n"
        "catalogue.load = lambda ids=None: ({'000-28': one}, {})\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell's background job ignores
        "signal.signal(signal.SIGTERM, program._terminated)\n"
        "sys.exit(program.main(['000-28', '--jobs', '1']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(catalogue.__file__).parents[1])}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not (tmp_path / "runs").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(sent)
    _, err = process.communicate(timeout=300)
    assert process.returncode == status
    assert "Traceback" not in err
