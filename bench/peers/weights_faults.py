"""Pretrained weights that are not on this machine, and no network: torchvision, timm and our front door.

python -m bench.peers.weights_faults --tool timm

Each asks for ResNet-18 with empty caches, offline (`bench.peers.disturbed`). An error is due that names the file which
is missing, so that it can be brought: 2; another error is 1, and going on with other weights 0.
"""

from __future__ import annotations

import sys

from bench.child import python
from bench.peers.picture_faults import pictures
from bench.peers.tool import Judge, Tool, Verdict, main, refused

NETWORK = "resnet18"
NAMES = ("resnet18-", "resnet18.")  # torchvision's file, and timm's repository


def offline(tool: Tool) -> Verdict:
    """No weights, no network."""
    tool.variables |= {"TORCH_HOME": str(tool.root / "torch"), "HF_HOME": str(tool.root / "hub"), "HF_HUB_OFFLINE": "1"}
    disturbed = ("-m", "bench.peers.disturbed", "offline")
    if tool.name != "ours":
        return refused(tool.call(*python(*disturbed, "bench.peers.weights_faults", tool.name)), *NAMES)
    words = ("--model", "cnn", "--model.backbone", NETWORK, "--data", str(pictures(tool)), "--device", "cpu")
    cache = ("--data.cache_dir", str(tool.root / "cache"))
    return refused(tool.call(*python(*disturbed, "train", *words, *cache, "--root", str(tool.root))), *NAMES)


def load(tool: str) -> None:
    """The network with its weights, as in each guide."""
    if tool == "torchvision":
        from torchvision.models import ResNet18_Weights, resnet18

        resnet18(weights=ResNet18_Weights.DEFAULT)
    else:
        import timm

        timm.create_model(NETWORK, pretrained=True)


CASES: dict[str, Judge] = {"T18 weights to fetch, no network": offline}

if __name__ == "__main__":
    if sys.argv[1:] in (["torchvision"], ["timm"]):
        load(sys.argv[1])
    else:
        main(CASES, ("ours", "torchvision", "timm"), "Weights that are not there.")
