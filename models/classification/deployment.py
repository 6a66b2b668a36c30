"""A trained classifier as one module, and as a file for other programs; each file is checked against torch.

What leaves the house takes pictures as `data.files.preprocess` makes them (uint8, 0..255) and gives probabilities:
normalisation, further views and temperature are inside, so that a program elsewhere can get none of them wrong.

Source:
    torch.export, torch.onnx.export (dynamo); ONNX opset; safetensors (Hugging Face).
"""
# N pictures, C channels, H height, W width, K classes

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.classification.views import logits_of

SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2", "safetensors": ".safetensors"}
TOLERANCE = 1e-4  # of a probability; float32 kernels that add in another order differ by about 1e-6
PICTURES_COMPARED = 5  # another number than the 2 of the example, so that a fixed batch would show


class Deployed(nn.Module):
    """From pictures to probabilities.

    Args:
        task: A classifier's task.
        views: Views averaged, as in its evaluation.
        temperature: Divides the logits.
    """

    def __init__(self, task: nn.Module, views: str = "one", temperature: float = 1.0) -> None:
        super().__init__()
        self.task, self.views, self.temperature = task, views, temperature

    def forward(self, images: Tensor) -> Tensor:
        """Probabilities (N, K) of pictures, uint8 in 0..255, shape (N, C, H, W)."""
        return (logits_of(self.task, images, self.views) / self.temperature).softmax(1)


def example(preprocessing: Mapping[str, Any], count: int) -> Tensor:
    """Pictures of noise of the size that the network reads: uint8, shape (N, C, H, W)."""
    shape = (count, preprocessing["channels"], *preprocessing["image_size"])
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


Run = Callable[[Tensor], Tensor]


def export_checked(
    model: Deployed, kind: str, path: Path, preprocessing: Mapping[str, Any], facts: Mapping[str, str]
) -> float:
    """Writes the classifier, reads the file back, and compares; the file appears only when it agrees with torch.

    Args:
        model: On the CPU.
        kind: One of `SUFFIXES`.
        path: The file.
        preprocessing: How a picture is prepared; says the size.
        facts: Texts that the file carries, such as the class names as JSON.

    Returns:
        The largest difference of a probability between the file and torch, over `PICTURES_COMPARED` pictures.

    Raises:
        ValueError: If the libraries for it are not installed.
        OSError: If the file cannot be written.
    """
    write = {"onnx": write_onnx, "torch-export": write_torch_export, "safetensors": write_safetensors}[kind]
    images = example(preprocessing, PICTURES_COMPARED)
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        part.touch()  # a folder that cannot be written to costs no export
        with torch.no_grad(), quiet():
            run = write(model.eval(), part, example(preprocessing, 2), facts)
            difference = float((run(images) - model(images)).abs().max())
        if difference <= TOLERANCE:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return difference


def write_torch_export(model: Deployed, path: Path, images: Tensor, facts: Mapping[str, str]) -> Run:
    """A ``.pt2`` file, which ``torch.export.load(FILE).module()`` runs; the number of pictures is free."""
    program = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("pictures", min=1)},))
    content = io.BytesIO()  # torch's own writer of files ends the process where the disk is full
    torch.export.save(program, content, extra_files=dict(facts))
    path.write_bytes(content.getbuffer())
    module = torch.export.load(path).module()
    return lambda pictures: module(pictures)


def write_onnx(model: Deployed, path: Path, images: Tensor, facts: Mapping[str, str]) -> Run:
    """An ``.onnx`` file with input ``images`` and output ``probabilities``; the facts are its metadata."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 (torch.onnx asks for it late)
    except ImportError as error:
        raise ValueError(
            f"ONNX needs the package {error.name}, which is not installed: pip install onnx onnxscript onnxruntime"
        ) from None
    with contextlib.redirect_stdout(io.StringIO()):
        program: Any = torch.onnx.export(
            model, (images,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("pictures", min=1)},),
            input_names=["images"], output_names=["probabilities"], verbose=False,
        )  # fmt: skip
    proto = program.model_proto
    onnx.helper.set_model_props(proto, dict(facts))
    path.write_bytes(proto.SerializeToString())
    onnx.checker.check_model(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda pictures: torch.from_numpy(session.run(None, {"images": pictures.numpy()})[0])


def write_safetensors(model: Deployed, path: Path, images: Tensor, facts: Mapping[str, str]) -> Run:
    """A ``.safetensors`` file of the task's tensors; the facts are its metadata, ``options`` rebuild the task."""
    from safetensors import safe_open
    from safetensors.torch import save

    state = {name: value.contiguous().clone() for name, value in model.task.state_dict().items()}
    path.write_bytes(save(state, metadata=dict(facts)))
    with safe_open(path, framework="pt") as file:
        options = json.loads(file.metadata()["options"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    again: Any = type(model.task)(**options)
    again.load_state_dict(tensors)
    return Deployed(again.eval(), model.views, model.temperature)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' notices about themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
