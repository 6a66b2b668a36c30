"""The second peer of fine-tuning: timm's own data sets, loaders, optimiser, schedule and loss around our backbone.

python -m bench.peers.timm_recipe --data PATH --backbone efficientnet_lite0 --epochs 10 --lr 3e-4 --seed 0

What timm's training script does with ``--opt adamw --sched cosine --warmup-epochs 1 --batch-size 32
--weight-decay 0.05 --epochs 10`` and its defaults for the rest: random resized crops, mirror images, colour jitter 0.4,
labels smoothed by 0.1, the last batch dropped. It has no defaults for fine-tuning, so number of epochs, rate and batch
are ours, usual ones, and nothing was tuned.

Source:
    R. Wightman, PyTorch Image Models, the script train.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.peers.finetuning import accuracy, follow, parser, preprocessing_of, train_epoch

BATCH, WEIGHT_DECAY, SMOOTHING, WARMUP = 32, 0.05, 0.1, 1


def loaders(data: Path, preprocessing: dict[str, Any], workers: int) -> tuple[Any, Any, int]:
    """Loaders by timm of train/ and val/; and the number of classes."""
    from timm.data import create_dataset, create_loader

    size = (3, *preprocessing["image_size"])
    common: dict[str, Any] = {
        "input_size": size, "batch_size": BATCH, "mean": tuple(preprocessing["mean"]),
        "std": tuple(preprocessing["std"]), "num_workers": workers, "persistent_workers": workers > 0,
        "use_prefetcher": False, "device": torch.device("cpu"),
    }  # fmt: skip
    train, val = (create_dataset("", str(data / part)) for part in ("train", "val"))
    training = create_loader(train, is_training=True, interpolation="random", **common)
    validation = create_loader(
        val,
        is_training=False,
        interpolation=preprocessing["interpolation"],
        crop_pct=preprocessing["crop_fraction"],
        **common,
    )
    return training, validation, len(train.reader.class_to_idx)


def main() -> None:
    """Trains as timm's script does."""
    options = parser("timm's training script, in short, on any backbone.", 10)
    options.add_argument("--lr", type=float, default=3e-4, help="peak learning rate")
    arguments = options.parse_args()

    from timm.loss import LabelSmoothingCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2

    from models.finetune.backbones import build_backbone

    torch.manual_seed(arguments.seed)
    preprocessing = preprocessing_of(arguments.backbone)
    training, validation, classes = loaders(Path(arguments.data).expanduser(), preprocessing, arguments.workers)
    network = build_backbone(arguments.backbone, classes)
    optimiser = create_optimizer_v2(network, "adamw", arguments.lr, WEIGHT_DECAY)
    schedule, _ = create_scheduler_v2(optimiser, "cosine", arguments.epochs, warmup_epochs=WARMUP)
    loss_of = LabelSmoothingCrossEntropy(SMOOTHING)

    def epoch(number: int) -> float:
        loss = train_epoch(network, training, optimiser, loss_of)
        schedule.step(number + 1)
        return loss

    follow(arguments, epoch, lambda: accuracy(network, validation))


if __name__ == "__main__":
    main()
