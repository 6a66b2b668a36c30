"""Which device, and which precision it is fast in.

bfloat16 is emulated on a CPU without AVX512-BF16 or AMX, and then some hundred times slower than float32.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from trainer.contract import offered
from trainer.errors import UserError

_FAST_BF16 = frozenset({"avx512_bf16", "amx_bf16"})
_FAST_FP16 = frozenset({"avx512_fp16", "amx_fp16"})
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true", "bf16-true", "16-true")
_SHORT_NAMES = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed", "64": "64-true"}
PRECISION_NAMES = frozenset({*PRECISIONS, *_SHORT_NAMES})
_DTYPES = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16, "64": torch.float64}
_CUDA_NAMES = ("cuda", "gpu")
DEVICES = ("auto", "cpu", "cuda", "gpu", "mps")


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
    """The device to compute on; one that is not there is refused.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` (or ``gpu``) or ``mps``.

    Returns:
        The value for ``Trainer(accelerator=...)``: ``auto`` is CUDA where there is one, else the CPU. Apple's GPUs,
        which lack the double precision of many figures, are taken only by name.

    Raises:
        UserError: If PyTorch sees no such device.
    """
    if device not in DEVICES:
        raise UserError(f"--device must be one of {', '.join(DEVICES)}, got {device!r}")
    if device in _CUDA_NAMES and not torch.cuda.is_available():
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU only"
        raise UserError(
            f"--device {device}: PyTorch {torch.__version__} ({build}) sees no CUDA device; use --device cpu or auto"
        )
    if device == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: PyTorch sees no Apple GPU; use --device cpu or auto")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if device in _CUDA_NAMES else device


def full_float32() -> None:
    """Lets CUDA's convolutions compute float32 in float32; by default they round to the 10 bits of TF32."""
    torch.backends.cudnn.allow_tf32 = False


def precision_name(name: str) -> str:
    """Lightning's full name of a precision: ``bf16`` is ``bf16-mixed``, ``32`` is ``32-true``.

    Raises:
        UserError: If there is no such precision.
    """
    full = _SHORT_NAMES.get(name, name)
    if full not in PRECISIONS:
        raise UserError(f"--trainer.precision: expected auto, {', '.join(PRECISIONS)}, got {name!r}")
    return full


def precision_of(task: Any, wanted: str) -> str:
    """What ``auto`` means for a task: mixed precision only where the task says that its result does not suffer.

    A number that is set beside an exact one needs the digits of float32; accuracy does not.

    Args:
        task: One whose figures are those of a classifier has ``tolerates_mixed_precision``; one that draws pictures in
            float32 whatever its weights are has ``only_single``.
        wanted: Lightning's name, short or full, or ``auto``.

    Raises:
        UserError: If float16 is asked for and the task writes gradients by hand, which Lightning's scaler would divide,
            or a type for all that the task does not compute in.
    """
    if wanted == "auto":
        return "auto" if offered(task, "tolerates_mixed_precision") else "32-true"
    full = precision_name(wanted)
    if full == "16-mixed" and not task.automatic_optimization:
        raise UserError(
            f"--trainer.precision {wanted}: this model writes gradients by hand; take bf16-mixed or 32-true"
        )
    refused = {"64-true"} if offered(task, "only_single") else set()
    if not offered(task, "tolerates_mixed_precision"):
        refused |= {"bf16-true", "16-true"}
    if full in refused:
        usual = " or ".join(name for name in ("32-true", "64-true") if name not in refused)
        raise UserError(f"--trainer.precision {wanted}: this model does not compute in it; take {usual}")
    return wanted


def resolve_precision(precision: str, accelerator: str = "auto") -> str:
    """Turn ``auto`` into the fastest precision that is safe on the device, and a short name into the full one.

    Args:
        precision: Lightning's name, short or full, or ``auto``.
        accelerator: Lightning's name, or ``auto``.

    Returns:
        Lightning's full name of the precision: bfloat16 where the hardware computes in it, float16 on older GPUs.

    Raises:
        UserError: If there is no such precision, or not on the device: Lightning would take another on a CPU.
    """
    if precision != "auto":
        full = precision_name(precision)
        if full == "16-mixed" and accelerator == "cpu":
            raise UserError(f"--trainer.precision {precision} needs a GPU; a CPU mixes bfloat16: take bf16-mixed")
        return full
    if accelerator in _CUDA_NAMES or (accelerator == "auto" and torch.cuda.is_available()):
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if accelerator in ("auto", "cpu") and _FAST_BF16 & cpu_flags() else "32-true"


def answering_precision(trained: str, device: str) -> tuple[str, str]:
    """The precision to answer in: that of the validation (float32 after mixed precision, see `trainer.fit.precision`).

    A CPU that would have to emulate it answers in float32 too.

    Args:
        trained: As the checkpoint says it, short or full.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        Lightning's full name, and one line when it is another one than in validation.

    Raises:
        UserError: If there is no such precision.
    """
    full = precision_name(trained)
    kind, _, how = full.partition("-")
    if how == "mixed":
        return "32-true", ""
    fast = {"bf16": _FAST_BF16, "16": _FAST_FP16}.get(kind)
    if device != "cpu" or fast is None or fast & cpu_flags():
        return full, ""
    return "32-true", f"note: validated in {full}, which this CPU would only emulate: it answers in 32-true"


def weight_type(precision: str) -> torch.dtype:
    """Type of the weights: of a mixed precision they stay float32."""
    kind, _, how = precision.partition("-")
    return torch.float32 if how == "mixed" else _DTYPES[kind]


@contextmanager
def computing(precision: str) -> Iterator[None]:
    """Compute as Lightning does in this precision, with weights of `weight_type`, whatever the program around has set.

    Args:
        precision: Lightning's full name; a mixed one is for training alone, and computes in float32 here.
    """
    full_float32()
    usual = torch.get_default_dtype()
    torch.set_default_dtype(weight_type(precision))
    try:
        with ExitStack() as exact:
            for kind in ("cpu", "cuda", "mps"):
                if torch.is_autocast_enabled(kind):
                    exact.enter_context(torch.autocast(kind, enabled=False))
            yield
    finally:
        torch.set_default_dtype(usual)
