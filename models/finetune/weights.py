"""Weight files: checked, read without executing anything, and renamed for the network they are meant for.

A weight file comes from somebody else. Three things go wrong with such files, and each is caught here and named:
a pickle runs whatever code it holds (so only tensors and primitives are read, ``weights_only=True``), a copy stops
half way (so the sha256 is compared when one is given), and the names inside differ from the network's (``module.``,
``network.body.``, another last layer).

Source:
    torch.load, section "weights_only".
"""

from __future__ import annotations

import difflib
import hashlib
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# DenseNet's published files call norm1 "norm.1", a name that modules can no longer have.
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def split_reference(reference: str) -> tuple[Path, str]:
    """Splits ``FILE#sha256=HEX`` into the file and the expected digest.

    Args:
        reference: A path, optionally followed by ``#sha256=`` and 8 to 64 hexadecimal digits.

    Returns:
        The path with ``~`` expanded, and the digest in lower case; empty when none was given.

    Raises:
        ValueError: If the digest is no hexadecimal number of 8 to 64 digits.
    """
    path, mark, digest = reference.partition("#sha256=")
    if mark and not re.fullmatch(r"[0-9a-fA-F]{8,64}", digest):
        raise ValueError(
            f"the sha256 of a weights file has 8 to 64 hexadecimal digits, got {digest!r} in {reference!r}"
        )
    return Path(path).expanduser(), digest.lower()


def given_file(reference: str) -> tuple[Path, str]:
    """The user's weights file and its expected digest, see `split_reference`.

    Raises:
        ValueError: If there is no such file; the nearest of ``default`` and ``none`` is named.
    """
    path, digest = split_reference(reference)
    if not path.exists():
        near = difflib.get_close_matches(reference, ["default", "none"], n=1)
        hint = f", did you mean {near[0]!r}? Allowed" if near and not path.suffix else "; allowed"
        raise ValueError(f"no weights {reference!r}{hint}: 'default', 'none' or a file")
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no regular file"
        raise ValueError(f"the weights file {path} is {what}; allowed: 'default', 'none' or a file")
    return path, digest


def check_sha256(path: Path, digest: str, advice: str = "the file is damaged or another one") -> None:
    """Compares a file with the first digits of its sha256.

    Args:
        path: File to read.
        digest: First digits of the expected sha256, lower case; empty: nothing is compared.
        advice: What the message ends with.

    Raises:
        ValueError: If the digest differs.
    """
    if not digest:
        return
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not actual.startswith(digest):
        raise ValueError(
            f"the sha256 of {path} ({path.stat().st_size} bytes) begins with {actual[: len(digest)]}, "
            f"expected {digest}: {advice}"
        )


def read_weights(path: Path, digest: str = "") -> Any:
    """Reads a ``.safetensors`` file or a file of ``torch.save``; tensors and primitives only, nothing is executed.

    Args:
        path: The file.
        digest: First digits of its sha256; empty: not compared.

    Returns:
        What the file holds: a state dict, or a dict around one.

    Raises:
        ValueError: If the file is missing, truncated, of another kind, of another sha256, or holds code.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"the weights file {path} {what}; allowed: 'default', 'none' or a file")
    size = path.stat().st_size
    check_sha256(path, digest)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle's protocol; what matters is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, KeyError) as error:  # KeyError: a text whose first byte is no instruction
        if "GLOBAL" in str(error):
            raise ValueError(
                f"refused to read {path}: it holds Python code or objects beside tensors, and reading them could "
                "execute anything; nothing was executed"
            ) from None
        what = "no weights file, or a truncated one; nothing was executed"
        raise ValueError(f"{path} ({size} bytes) is {what}") from None
    except MemoryError:
        raise
    except Exception as error:  # torch and safetensors raise many types for a damaged file
        raise ValueError(f"{path} ({size} bytes) is no weights file, or a truncated one: {_first(error)}") from None


def _first(error: Exception) -> str:
    """First sentence of an error's message; torch's later ones ask for a bug report."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0]


def state_dict_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The state dict in a file's content, whether bare or wrapped as training scripts do.

    Args:
        content: What `read_weights` returned.
        path: The file, for the message.

    Returns:
        Tensors by name; the ``_metadata`` that torch keeps beside them is kept.

    Raises:
        ValueError: If there is none.
    """
    if isinstance(content, Mapping):
        for key in ("state_dict", "model_ema", "state_dict_ema", "model", "model_state_dict"):
            if isinstance(content.get(key), Mapping):
                return state_dict_of(content[key], path)
        if content and all(isinstance(name, str) for name in content):
            tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
            if tensors:
                return StateDict(tensors, _metadata_of(content))
    raise ValueError(f"{path} holds no state dict (tensors by name), but {type(content).__name__}")


class StateDict(dict[str, Tensor]):
    """Tensors by name, with the versions of the modules that saved them, which `load_state_dict` reads."""

    def __init__(self, tensors: Mapping[str, Tensor], metadata: Any = None) -> None:
        super().__init__(tensors)
        if metadata is not None:
            self._metadata = metadata


def _metadata_of(state: Mapping[str, Tensor]) -> Any:
    """What torch keeps beside the tensors, or None."""
    return getattr(state, "_metadata", None)


def rename(state: Mapping[str, Tensor], names: Iterable[str], head_name: str) -> dict[str, Tensor]:
    """Gives a state dict the names of the network it is meant for.

    Two spellings are understood, each behind any prefix (``module.``, ``_orig_mod.``, ``network.``): the network's own
    (``layer1.0.conv1.weight``, ``fc.weight``) and that of our checkpoints (``body.layer1.0.conv1.weight``,
    ``head.weight``; ``opinion.weight`` keeps its name). The spelling and prefix under which most names are found win.

    Args:
        state: Tensors by foreign name.
        names: Names of the network's tensors.
        head_name: Name of the network's last layer, such as ``fc``.

    Returns:
        The tensors under that prefix by the network's names, extra ones included; empty when no name fits.
    """
    state = StateDict({OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in state.items()}, _metadata_of(state))
    wanted = list(names)
    body = [name for name in wanted if not name.startswith(f"{head_name}.")]
    probes = {body[0], body[len(body) // 2], body[-1], max(body, key=len)}
    best: dict[str, Tensor] = {}
    best_score, best_prefix = 0, ""
    prefixes = {name.removesuffix(probe) for name in state for probe in probes if name.endswith(probe)}
    for prefix in sorted(prefixes, key=len):
        if prefix and not prefix.endswith("."):
            continue
        found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        if prefix.endswith("body."):
            outer = prefix.removesuffix("body.")
            for part in ("weight", "bias"):
                for layer, ours in (("head", head_name), ("opinion", "opinion")):
                    if f"{outer}{layer}.{part}" in state:
                        found[f"{ours}.{part}"] = state[f"{outer}{layer}.{part}"]
        score = len(found.keys() & set(wanted))
        if score > best_score:
            best, best_score, best_prefix = found, score, prefix
    return StateDict(best, _metadata_of(state) if best_prefix == "" else None)


def with_metadata(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Adds the modules' versions of today where a file has none (safetensors) and today's names are used throughout.

    Some networks read old files by these versions, and MNASNet refuses a state without any.

    Args:
        state: Tensors by the network's names.
        network: The network.

    Returns:
        The state for `torch.nn.Module.load_state_dict`.
    """
    own = network.state_dict()
    if _metadata_of(state) is None and sum(name in state for name in own) >= len(own) - 2:
        return StateDict(state, _metadata_of(own))
    return state


def in_order(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Pairs two state dicts of one network written with other names, tensor by tensor in order.

    Args:
        state: Tensors by foreign name.
        wanted: The network's own state dict.

    Returns:
        The foreign tensors by the network's names, or None unless the numbers of tensors agree and every pair has one
        shape; the first axis of the last two tensors (the head) may differ.
    """
    if len(state) != len(wanted):
        return None
    pairs = list(zip(wanted.items(), state.values(), strict=True))
    if any(own.shape != other.shape for (_, own), other in pairs[:-2]):
        return None
    return {name: other for (name, _), other in pairs}
