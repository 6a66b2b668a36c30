"""An exported classifier as another program would use it: its file and its facts, and nothing of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.classification.deployment import SUFFIXES
from models.cnn import CNNTask

LIBRARIES = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "torch-export": (), "safetensors": ("safetensors",)}


def exported_file(kind: str, folder: Path) -> Path:
    """Where to export to; the test is skipped where the libraries for it are not installed."""
    for name in LIBRARIES[kind]:
        pytest.importorskip(name)
    return folder / f"model{SUFFIXES[kind]}"


def exported_answers(kind: str, file: Path, images: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """Probabilities (N, K) of prepared pictures (N, C, H, W), and what the file says of itself."""
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        facts = session.get_modelmeta().custom_metadata_map
        probabilities = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    elif kind == "torch-export":
        facts = {"class_names": "", "preprocessing": ""}
        probabilities = torch.export.load(file, extra_files=facts).module()(images)
    else:
        from safetensors import safe_open

        with safe_open(file, framework="pt") as content:
            facts = content.metadata()
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (no mapping)
        again = CNNTask(**json.loads(facts["options"]))
        again.load_state_dict(tensors)
        with torch.no_grad():
            logits = again.eval().outputs(images, json.loads(facts["views"]))[1]
        probabilities = (logits / json.loads(facts["temperature"])).softmax(1)
    return probabilities, {name: json.loads(text) for name, text in facts.items()}
