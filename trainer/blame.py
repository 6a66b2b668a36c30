"""Whether a ``ValueError`` refuses what the user gave, or is a slip in the code of a model.

Classes refuse a value by ``raise``, and so do libraries. What Python itself finds wrong with an operation in a line of
the project, such as ``a, b, c = image_size`` with two numbers, refuses nothing: its message means something only
beside that line, so its traceback is kept.
"""

from __future__ import annotations

import dis
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

_LIBRARIES = {Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib")}
_RAISE = dis.opmap["RAISE_VARARGS"]


def is_slip(error: BaseException) -> bool:
    """Whether an operation in the project's own code went wrong, and no ``raise`` says what is."""
    last = _last(error)
    return last is not None and _is_own(last) and last.tb_frame.f_code.co_code[last.tb_lasti] != _RAISE


def place_of(error: BaseException) -> str:
    """The line of the project that called the library by which an error was raised; empty where none did."""
    last = _last(error)
    if last is None or _is_own(last):
        return ""
    own = [summary for summary in traceback.extract_tb(error.__traceback__) if _is_own_file(summary.filename)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _last(error: BaseException) -> TracebackType | None:
    found = error.__traceback__
    while found is not None and found.tb_next is not None:
        found = found.tb_next
    return found


def _is_own(found: TracebackType) -> bool:
    return _is_own_file(found.tb_frame.f_code.co_filename)


def _is_own_file(name: str) -> bool:
    path = Path(name)
    library = {"site-packages", "dist-packages"} & set(path.parts) or _LIBRARIES & set(path.resolve().parents)
    return path.is_file() and not library
