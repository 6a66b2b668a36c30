"""Pictures of invented people, and small data, tasks and trainers on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor

from data.face_splits import FaceSplits
from models.face import FaceTask
from trainer.fit.step_seed import StepSeed

PEOPLE, EACH, SIZE = 8, 6, 24


def smooth(generator: torch.Generator, size: int = SIZE) -> Tensor:
    """A smooth random picture with values around 0, shape (size, size)."""
    coarse = torch.randn(1, 1, 7, 7, generator=generator)
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)[0, 0]


def make_faces(noise: float = 0.35, half: bool = False) -> Tensor:
    """Pictures of eight people, uint8, (48, 1, 24, 24); with ``half`` only the left half belongs to the person."""
    generator = torch.Generator().manual_seed(0)
    pictures = []
    for _ in range(PEOPLE):
        person = smooth(generator)
        for _ in range(EACH):
            picture = person + noise * smooth(generator)
            if half:
                picture[:, SIZE // 2 :] = smooth(generator)[:, SIZE // 2 :]
            pictures.append(picture)
    return (torch.stack(pictures).mul(40).add(128).clamp(0, 255)).to(torch.uint8).unsqueeze(1)


def write_faces(folder: Path, pictures: Tensor) -> Path:
    for number, picture in enumerate(pictures[:, 0].numpy()):
        place = folder / f"s{number // EACH + 1}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number % EACH + 1}.pgm")
    return folder


def make_data(root: Path, protocol: Any = "identification", **options: Any) -> FaceSplits:
    people = {"train_people": 4, "val_people": 2, "test_people": 2} if protocol == "verification" else {}
    sizes: dict[str, Any] = {"num_splits": 3, "per_person_train": 4, "steps": 4, **people, **options}
    return FaceSplits(root=str(root), protocol=protocol, **sizes)


def make_task(data: FaceSplits, **options: Any) -> FaceTask:
    data.setup()
    facts = data.facts()
    wanted = {name: facts[name] for name in ("people", "image_size", "num_splits", "protocol")}
    return FaceTask(**wanted, **{"cells": [6, 8], "train_views": 2, **options})


def make_trainer(**options: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
        "enable_checkpointing": False, "num_sanity_val_steps": 0, "max_epochs": 2, "log_every_n_steps": 1,
    }  # fmt: skip
    callbacks = [StepSeed(7), *options.pop("callbacks", [])]
    return Trainer(**{**defaults, **options}, callbacks=callbacks)
