"""Lightning's own command line, as its guide writes it: the peer of what is mistyped.

python -m bench.peers.lightning_command fit --model bench.peers.lightning_example.Classifier --trainer.max_epochs 1
"""

from __future__ import annotations

import lightning as L
import torch
from lightning.pytorch.cli import LightningCLI
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class Digits(L.LightningDataModule):
    """scikit-learn's digits."""

    def __init__(self, batch_size: int = 32) -> None:
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader[tuple[torch.Tensor, ...]]:
        """Shuffled."""
        digits = load_digits()
        images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
        return DataLoader(TensorDataset(images, torch.tensor(digits.target)), self.batch_size, shuffle=True)


def main() -> None:
    """The command line: any model, these data."""
    LightningCLI(L.LightningModule, Digits, subclass_mode_model=True)


if __name__ == "__main__":
    main()
