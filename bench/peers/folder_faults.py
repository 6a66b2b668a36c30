"""Faulty folders of pictures, read by folder loaders: torchvision's ImageFolder, timm's, and ours.

python -m bench.peers.folder_faults --tool torchvision

Each tool opens both parts of a folder as a training script does and reads every picture. What happens is scored:

    0  silently wrong: no error, but labels, pictures or their number are not what the folder says
    1  an error that names neither the file nor the class nor the folder at fault
    2  an error that names it
    3  right, and where something was left out it was said

This probes loaders, not the scripts around them. One line of JSON is printed: a score and what was seen, by case.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.peers import folder_cases, split_cases
from bench.peers.folder_cases import Case, Read, WrongError, sound
from bench.peers.split_cases import LIST

MOST = 1000  # pictures read of a folder that holds fifteen


def open_torchvision(root: Path, part: str) -> tuple[Any, dict[str, int]]:
    """As in PyTorch's tutorials."""
    from torchvision.datasets import ImageFolder

    data = ImageFolder(str(root / part))
    return data, data.class_to_idx


def open_timm(root: Path, part: str) -> tuple[Any, dict[str, int]]:
    """As timm's training script does."""
    from timm.data import create_dataset

    data = create_dataset("", root=str(root), split={"train": "train", "val": "validation"}[part])
    return data, data.reader.class_to_idx


def open_ours(root: Path, part: str) -> tuple[Any, dict[str, int]]:
    """What ``train.py --data FOLDER`` trains on, decoded as it decodes."""
    from data.files.decode import read_picture
    from data.folder import Folder

    table = root / LIST
    path, csv = (None, str(table)) if table.is_file() else (str(root), None)
    data = Folder(path, csv=csv, cache_dir=str(root.parent / "cache"), num_workers=1)
    data.setup()
    pairs = zip(data.paths(part), data.labels(part).tolist(), strict=True)
    pictures = [(Image.fromarray(read_picture(path).pixels), label) for path, label in pairs]
    return pictures, {name: label for label, name in enumerate(data.facts()["class_names"])}


TOOLS = {"ours": open_ours, "torchvision": open_torchvision, "timm": open_timm}


def read(tool: str, root: Path) -> Iterator[tuple[str, Read]]:
    """Both parts, every picture once."""
    for part in ("train", "val"):
        data, labels = TOOLS[tool](root, part)
        size = len(data)
        if size > MOST:
            raise WrongError(f"{size} pictures")
        pictures = [(np.asarray(image.convert("RGB")), int(label)) for image, label in (data[i] for i in range(size))]
        yield part, Read(sorted(labels, key=labels.__getitem__), pictures)


def probe(tool: str, case: Case) -> tuple[int, str]:
    """Score and what was seen."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            root = Path(folder, "pictures")
            sound(root)
            case.provoke(root)
            try:
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    parts = dict(read(tool, root))
            except WrongError as wrong:
                return 0, str(wrong)
            except Exception as error:
                text = str(error).replace(folder, "")
                clear = any(name in text for name in case.names)
                first = (text.strip().splitlines() or [""])[0]
                return 1 + clear, f"{type(error).__name__}: {first}"[:90]
        words = said.getvalue() + " ".join(str(warning.message) for warning in caught)
    finally:
        logging.getLogger().removeHandler(handler)
    try:
        case.expect(parts)
    except WrongError as wrong:
        return 0, str(wrong)
    if case.told and not any(name in words for name in case.names):
        return 0, "left out without a word"
    return 3, "right"


def cases(tool: str) -> dict[str, list[Case]]:
    """The faults that a tool can meet."""
    every = {**folder_cases.cases(), **split_cases.cases()}
    return {name: forms for name, forms in every.items() if not forms[0].tools or tool in forms[0].tools}


def main() -> None:
    """Probe one tool."""
    parser = argparse.ArgumentParser(description="Faulty folders, read by a folder loader.")
    parser.add_argument("--tool", required=True, choices=TOOLS)
    tool = parser.parse_args().tool
    print(json.dumps({name: min(probe(tool, case) for case in forms) for name, forms in cases(tool).items()}))


if __name__ == "__main__":
    main()
