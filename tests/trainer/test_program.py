"""The end of a process: all that others wait for is done, and the exit status tells what happened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TORN = """
class Torn:
    def __del__(self):
        print("torn apart")
keep = Torn()
"""


def ended(code: str, *options: str, **given: object) -> subprocess.CompletedProcess[str]:
    """What became of a process that leaves after some statements."""
    command = [sys.executable, *options, "-c", f"import sys\nfrom trainer.program import leave\n{code}"]
    given["env"] = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, check=False, timeout=60, **given)  # type: ignore[call-overload,no-any-return]


def said(code: str, *options: str) -> tuple[int, str]:
    done = ended(code, *options, stdout=subprocess.PIPE)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize("status", [0, 2, 143])
def test_output_and_what_was_registered_for_the_end_are_not_lost(status: int) -> None:
    code = f'import atexit\natexit.register(print, "registered", end="!")\nprint("said")\nleave({status})'
    assert said(TORN + code) == (status, "said\nregistered!")  # and nothing is torn apart


@pytest.mark.parametrize(
    "watching",
    [
        "import cProfile\ncProfile.Profile().enable()",
        "def trace(*_): pass\nsys.settrace(trace)",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.3), print('done'))).start()",
    ],
)
def test_who_waits_for_the_interpreters_own_end_has_it(watching: str) -> None:
    unwatched = 'import os\nos._exit = lambda status: print("cut short")\n'
    assert said(f"{unwatched}leave(3)") == (0, "cut short\n")
    assert said(f"{unwatched}{watching}\nleave(3)") == (3, "done\n" if "Thread" in watching else "")


def test_a_reader_that_left_before_the_last_line_is_told_by_the_status() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = ended('print("unread")\nleave(0)', stdout=writes)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_too_full_for_the_last_line_is_no_success() -> None:
    with Path("/dev/full").open("w") as full:
        done = ended('sys.argv[0] = "train.py"\nprint("unwritten")\nleave(0)', stdout=full)
    assert done.returncode == 1
    assert done.stderr == "train.py: the last of the output could not be written: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_output_that_was_closed_from_the_start_is_output_that_nobody_reads(closed: str) -> None:
    code = """
from trainer.program import leave, run_program
import sys
def work():
    sys.stdout.isatty()
    print("told", file=sys.stderr)
    return 5
leave(run_program("train.py", work))
"""
    command = ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == 5
    assert done.stderr == (b"" if "2>" in closed else b"told\n")
