"""Predicts a folder of pictures as timm's own script does, with a network from a random start.

python -m bench.peers.timm_predict --predict FOLDER --out predictions.csv

Source:
    R. Wightman, PyTorch Image Models, the script inference.py: its data set, its loader, the names of its files.
"""

from __future__ import annotations

import argparse
import csv

import torch


def main() -> None:
    """One row a file."""
    parser = argparse.ArgumentParser(description="timm's inference script, in short.")
    parser.add_argument("--predict", metavar="FOLDER", required=True)
    parser.add_argument("--out", metavar="FILE", required=True)
    options = parser.parse_args()

    from timm import create_model
    from timm.data import create_dataset, create_loader

    torch.manual_seed(0)
    model = create_model("test_resnet", num_classes=2).eval()
    data = create_dataset("", root=options.predict)
    loader = create_loader(
        data, input_size=(3, 64, 64), batch_size=16, use_prefetcher=False, num_workers=0, device=torch.device("cpu")
    )
    with torch.inference_mode():
        found = [label for images, _ in loader for label in model(images).argmax(1).tolist()]
    with open(options.out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows(zip(data.filenames(basename=True), found, strict=True))


if __name__ == "__main__":
    main()
