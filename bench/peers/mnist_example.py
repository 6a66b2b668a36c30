"""MNIST as the PyTorch example trains it, written anew from its documented settings: the peer of ``bench mnist``.

    network   convolution 1→32 and 32→64, both 3×3 without padding, ReLU; maximum over 2×2; dropout 0.25;
              linear 9216→128, ReLU, dropout 0.5; linear 128→10, log-softmax: 1,199,882 parameters
    training  negative log-likelihood, Adadelta, learning rate 1.0 × 0.7 an epoch, batches of 64, 14 epochs, seed 1
    data      torchvision's MNIST through a DataLoader in its own process, normalised by 0.1307 and 0.3081; in the
              order of the file: the example shuffles on CUDA only (--shuffle does it here)
    test      10,000 pictures in batches of 1,000 after each epoch; the loss is printed every 10 batches

Source: github.com/pytorch/examples, folder mnist.
"""

from __future__ import annotations

import argparse
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

MEAN, STD = 0.1307, 0.3081


class Net(nn.Module):
    """The example's network; pictures of shape (N, 1, 28, 28) to log-probabilities of shape (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3)
        self.second = nn.Conv2d(32, 64, 3)
        self.hidden = nn.Linear(9216, 128)
        self.last = nn.Linear(128, 10)
        self.drop_maps = nn.Dropout(0.25)
        self.drop_hidden = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities of the ten digits."""
        maps = F.relu(self.second(F.relu(self.first(x))))  # (N, 64, 24, 24)
        pooled = self.drop_maps(F.max_pool2d(maps, 2)).flatten(1)  # (N, 9216)
        hidden = self.drop_hidden(F.relu(self.hidden(pooled)))  # (N, 128)
        return F.log_softmax(self.last(hidden), dim=1)


def train_epoch(net: Net, loader: DataLoader[tuple[Tensor, Tensor]], optimiser: torch.optim.Optimizer) -> None:
    """One pass over the training pictures."""
    net.train()
    for batch, (images, labels) in enumerate(loader):
        optimiser.zero_grad()
        loss = F.nll_loss(net(images), labels)
        loss.backward()
        optimiser.step()
        if batch % 10 == 0:
            print(f"batch {batch} of {len(loader)}  loss {loss.item():.6f}")


@torch.no_grad()
def accuracy(net: Net, loader: DataLoader[tuple[Tensor, Tensor]]) -> float:
    """Share of the pictures classified rightly, in 0..1; the mean loss is computed too, as the example does."""
    net.eval()
    right, loss, count = 0, 0.0, 0
    for images, labels in loader:
        outputs = net(images)
        loss += F.nll_loss(outputs, labels, reduction="sum").item()
        right += int((outputs.argmax(1) == labels).sum())
        count += len(labels)
    print(f"test loss {loss / count:.4f}")
    return right / count


def main() -> None:
    """Trains until the epochs are over or the accuracy is reached; prints one line an epoch."""
    parser = argparse.ArgumentParser(description="MNIST as the PyTorch example trains it")
    parser.add_argument("--root", required=True, help="folder that holds MNIST/raw")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument(
        "--until", type=float, default=101.0, help="stop after the epoch that reaches this test accuracy, in %%"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shuffle", action="store_true")
    options = parser.parse_args()

    from torchvision import datasets, transforms

    started = time.perf_counter()
    torch.manual_seed(options.seed)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    train_set = datasets.MNIST(options.root, train=True, transform=transform)
    test_set = datasets.MNIST(options.root, train=False, transform=transform)
    train_loader = DataLoader(train_set, batch_size=64, shuffle=options.shuffle)
    test_loader = DataLoader(test_set, batch_size=1000)
    net = Net()
    optimiser = torch.optim.Adadelta(net.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=1, gamma=0.7)
    for epoch in range(1, options.epochs + 1):
        train_epoch(net, train_loader, optimiser)
        percent = 100 * accuracy(net, test_loader)
        schedule.step()
        print(f"epoch {epoch}  test accuracy {percent:.2f} %  {time.perf_counter() - started:.1f} s", flush=True)
        if percent >= options.until:
            break


if __name__ == "__main__":
    main()
