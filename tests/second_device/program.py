"""``python -m tests.second_device.program LIBRARY train|predict WORDS``: runs it with this device as ``cuda``.

The project and Lightning are told that CUDA is there; what they would do on ``cuda`` they do on the second device.
Files hold tensors of the CPU, as those of a device without storages of its own must.
"""

from __future__ import annotations

import importlib.util
import runpy
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

NAME = "second_device"


def installed(library: Path) -> Any:
    """The compiled device, known to torch under `NAME`. Args: library, what `torch.utils.cpp_extension.load` built."""
    found = importlib.util.spec_from_file_location("second_device", library)
    assert found is not None
    assert found.loader is not None
    device = importlib.util.module_from_spec(found)
    found.loader.exec_module(device)
    torch.utils.rename_privateuse1_backend(NAME)
    device.install()
    generator = device.common_generator()
    module: Any = types.ModuleType(f"torch.{NAME}")
    module.is_available = module.is_initialized = lambda: True
    module.device_count, module.current_device = (lambda: 1), (lambda: 0)
    module._is_in_bad_fork, module._lazy_init = (lambda: False), (lambda: None)
    module.manual_seed = module.manual_seed_all = generator.manual_seed
    module.get_rng_state = lambda device=None: generator.get_state()
    module.set_rng_state = lambda state, device=None: generator.set_state(state)
    module.set_device = module.synchronize = lambda device=None: None
    module.get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    torch._register_device_module(NAME, module)
    torch.utils.generate_methods_for_privateuse1_backend()
    return module


def here(place: Any) -> Any:
    """``cuda`` as the second device; anything else as it is."""
    cuda = isinstance(place, str | torch.device) and str(place).startswith("cuda")
    return torch.device(NAME, 0) if cuda else place


def moved(method: Any) -> Any:
    """A method ``to`` that takes ``cuda`` for the second device."""

    def to(self: Any, *given: Any, **words: Any) -> Any:
        return method(self, *map(here, given), **{name: here(value) for name, value in words.items()})

    return to


def copied(method: Any) -> Any:
    """``copy.deepcopy`` of a tensor of the second device, whose storage Python cannot copy."""

    def deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
        if self.device.type != NAME:
            return method(self, memo)  # type: ignore[no-any-return]
        if id(self) not in memo:
            new = self.detach().clone().requires_grad_(self.requires_grad)
            memo[id(self)] = nn.Parameter(new, self.requires_grad) if isinstance(self, nn.Parameter) else new
        return memo[id(self)]  # type: ignore[no-any-return]

    return deepcopy


class Autocast(torch.amp.autocast_mode.autocast):
    """Autocast of ``cuda`` is that of the second device."""

    def __init__(self, device_type: str, *given: Any, **words: Any) -> None:
        super().__init__(NAME if device_type == "cuda" else device_type, *given, **words)


def pretend(module: Any) -> None:
    """Puts the second device where torch, Lightning and the project ask for CUDA."""
    from lightning.fabric.accelerators import cuda
    from lightning.pytorch.accelerators.cuda import CUDAAccelerator

    answers: dict[str, Any] = {
        "is_available": True, "device_count": 1, "current_device": 0, "empty_cache": None, "set_device": None,
        "synchronize": None, "mem_get_info": (2**36, 2**36), "get_device_name": "second device",
        "is_bf16_supported": True, "max_memory_allocated": 0, "reset_peak_memory_stats": None,
    }  # fmt: skip
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *given, answer=answer, **words: answer)
    for name in ("manual_seed_all", "get_rng_state", "set_rng_state"):
        setattr(torch.cuda, name, getattr(module, name))
    torch.cuda.get_rng_state_all = lambda: [module.get_rng_state()]
    torch.cuda.set_rng_state_all = lambda states: module.set_rng_state(states[0])
    answers = {"parse_devices": [0], "get_parallel_devices": [torch.device(NAME, 0)], "auto_device_count": 1,
               "is_available": True}  # fmt: skip
    for accelerator in (CUDAAccelerator, cuda.CUDAAccelerator):
        for name, answer in answers.items():
            setattr(accelerator, name, staticmethod(lambda *given, answer=answer: answer))
        for name in ("setup", "setup_device", "teardown"):
            setattr(accelerator, name, lambda *given: None)
    cuda._clear_cuda_memory = lambda: None
    setattr(torch, "autocast", Autocast)  # noqa: B010
    setattr(torch.amp, "autocast", Autocast)  # noqa: B010
    for kind in (Tensor, nn.Module):
        kind.to = moved(kind.to)  # type: ignore[method-assign, attr-defined]
    for kind in (Tensor, nn.Parameter):
        kind.__deepcopy__ = copied(kind.__deepcopy__)  # type: ignore[method-assign, attr-defined]
    save = torch.save
    torch.save = lambda what, *given, **words: save(on_cpu(what), *given, **words)


def on_cpu(what: Any) -> Any:
    """All tensors in containers as those of the CPU."""
    return pytree.tree_map_only(Tensor, lambda tensor: tensor.cpu() if tensor.device.type == NAME else tensor, what)


if __name__ == "__main__":
    library, program = sys.argv[1:3]
    pretend(installed(Path(library)))
    sys.argv[:3] = [f"{program}.py"]
    runpy.run_path(f"{program}.py", run_name="__main__")
