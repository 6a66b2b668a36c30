"""What a process does for itself before the heavy libraries load: a fast start and an allocator that keeps its pages.

Start-up. Lightning imports torchmetrics, and torchmetrics imports scipy.signal, torchvision and matplotlib only to
learn whether they are there: 2 of 6 seconds. `lean_import` lets it do without them for that one import.

Memory. glibc gives each large tensor back to the kernel and faults its pages in again at the next step. Keeping them
does not change any result; it halves the time of a convolution at batch 512.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trainer.errors import UserError

_NOT_NEEDED = {"scipy", "torchvision", "matplotlib", "torchaudio", "transformers", "librosa", "onnxruntime"}
# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def keep_pages() -> bool:
    """Tells glibc's allocator to keep freed memory instead of returning it to the kernel.

    Returns:
        True if the allocator took all three settings, False where it is not glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library, such as musl
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 256 << 20))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)


@contextmanager
def _hidden_from_torchmetrics(names: set[str]) -> Iterator[None]:
    import lightning_utilities.core.imports as gate

    original, package_available = gate.RequirementCache._check_requirement, gate.package_available

    def check(self: Any) -> None:
        original(self)
        if self.requirement.split(">")[0].split("=")[0] in names:
            self.available = False

    def available(name: str) -> bool:
        return name not in names and package_available(name)

    replaced: tuple[tuple[Any, str, Any], ...] = (
        (gate.RequirementCache, "_check_requirement", check),
        (gate, "package_available", available),
    )
    kept = [getattr(owner, name) for owner, name, _ in replaced]
    for owner, name, function in replaced:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for (owner, name, _), function in zip(replaced, kept, strict=True):
            setattr(owner, name, function)


def lean_import() -> None:
    """Imports torchmetrics without the optional libraries that only some of its metrics need.

    What it then remembers as missing is forgotten again, so that a later metric finds the library.
    """
    if "torchmetrics" in sys.modules:
        return
    try:
        with _hidden_from_torchmetrics(_NOT_NEEDED):
            import torchmetrics.utilities.imports as known
    except AttributeError:  # another version of lightning-utilities: the ordinary, slower import
        return
    for flag in vars(known).values():
        if isinstance(getattr(flag, "available", None), bool):
            vars(flag).pop("available", None)


def import_lightning() -> None:
    """Imports torch and Lightning, quickly, and explains the one way in which that goes wrong on a healthy machine.

    Raises:
        UserError: If torch and torchvision do not belong together.
    """
    keep_pages()
    try:
        lean_import()
        import lightning.pytorch  # noqa: F401
    except RuntimeError as error:
        raise mismatched_pair(error) from error


def mismatched_pair(error: Exception) -> Exception:
    """The plain account of an import error of torchvision; any other error unchanged."""
    if "torchvision::nms" not in str(error):
        return error
    return UserError(
        "torch and torchvision are not a matched pair (operator torchvision::nms does not exist); "
        "reinstall both together: pip install --force-reinstall torchvision"
    )
