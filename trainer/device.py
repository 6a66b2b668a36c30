"""Which device, and which precision it is fast in.

bfloat16 is emulated on a CPU without AVX512-BF16 or AMX, and then some hundred times slower than float32.
"""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from trainer.errors import UserError

_FAST_BF16 = frozenset({"avx512_bf16", "amx_bf16"})
_CUDA_NAMES = ("cuda", "gpu")
_DEVICES = ("auto", "cpu", "cuda", "gpu", "mps")


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction sets of the first processor on Linux; empty elsewhere."""
    if platform.system() != "Linux" or not cpuinfo.is_file():
        return frozenset()
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):
            return frozenset(value.split())
    return frozenset()


def check_device(device: str) -> str:
    """Refuse a device that is not there.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` (or ``gpu``) or ``mps``.

    Returns:
        The value for ``Trainer(accelerator=...)``.

    Raises:
        UserError: If PyTorch sees no such device.
    """
    if device not in _DEVICES:
        raise UserError(f"--device must be one of {', '.join(_DEVICES)}, got {device!r}")
    if device in _CUDA_NAMES and not torch.cuda.is_available():
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU only"
        raise UserError(
            f"--device {device}: PyTorch {torch.__version__} ({build}) sees no CUDA device; use --device cpu or auto"
        )
    if device == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: PyTorch sees no Apple GPU; use --device cpu or auto")
    return "cuda" if device in _CUDA_NAMES else device


def resolve_precision(precision: str, accelerator: str = "auto") -> tuple[str, str]:
    """Turn ``auto`` into the fastest precision that is safe on the device.

    Args:
        precision: Lightning's name, or ``auto``.
        accelerator: Lightning's name, or ``auto``.

    Returns:
        Lightning's name of the precision, and one line that says why.
    """
    if precision != "auto":
        return precision, f"precision {precision}: as asked"
    if accelerator in _CUDA_NAMES or (accelerator == "auto" and torch.cuda.is_available()):
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", "precision bf16-mixed: the GPU computes bfloat16 in hardware"
        return "16-mixed", "precision 16-mixed: the GPU has no bfloat16"
    if accelerator in ("auto", "cpu"):
        fast = sorted(_FAST_BF16 & cpu_flags())
        if fast:
            return "bf16-mixed", f"precision bf16-mixed: the CPU has {', '.join(fast)}"
        return "32-true", "precision 32-true: the CPU has neither AVX512-BF16 nor AMX, bfloat16 would be emulated"
    return "32-true", f"precision 32-true: the safe choice on {accelerator}"


def torch_device(name: str) -> str:
    """The device that a name of the command line means here: ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        UserError: If PyTorch sees no such device.
    """
    checked = check_device(name)
    if checked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return checked
