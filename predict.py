"""Predicts the class of pictures with a checkpoint: one row per picture, in the order given, nothing left out.

python predict.py runs/RUN/checkpoints/best.ckpt photos/ --out predictions.csv
python predict.py runs/RUN/checkpoints/best.ckpt a.png b.jpg --top_k 3

A picture that cannot be read keeps its row, with the cause in the column ``error``; the others go on. The checkpoint
knows its classes, its preprocessing and its temperature, so neither the data nor the run folder is needed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from models import MODELS
from trainer.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


def read_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line of predict.py; wrong options end with status 2."""
    parser = argparse.ArgumentParser(
        prog="predict.py",
        description="Predicts the class of pictures with a checkpoint of train.py.",
        epilog="exit status: 0 all went well; 1 no picture could be read, or with --strict not all; 2 wrong input",
        allow_abbrev=False,
    )
    parser.add_argument("checkpoint", help="a run folder, or a checkpoint such as runs/RUN/checkpoints/best.ckpt")
    parser.add_argument("paths", nargs="+", help="pictures, or folders that are searched for pictures")
    parser.add_argument("--out", help="file to write, .csv or .jsonl (default: CSV on standard output)")
    parser.add_argument("--top_k", type=int, default=1, help="classes listed for each picture (default: 1)")
    parser.add_argument("--batch_size", type=int, default=64, help="pictures per step (default: 64)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default: auto)")
    parser.add_argument("--strict", action="store_true", help="exit with status 1 when a picture could not be read")
    arguments = parser.parse_args(argv)
    for name in ("top_k", "batch_size"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    if arguments.out and Path(arguments.out).suffix not in (".csv", ".jsonl"):
        raise UserError(f"--out must end in .csv or .jsonl, got {arguments.out}")
    return arguments


def pick_device(name: str) -> str:
    """The device that ``auto`` means here: CUDA where there is one, else the CPU."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if name == "gpu" else name


def find_pictures(paths: Sequence[str]) -> list[Path]:
    """Files in the order given; a folder gives all files below it by name, hidden ones left out.

    Raises:
        UserError: If a path does not exist, or nothing was found.
    """
    found: list[Path] = []
    for text in paths:
        path = Path(text).expanduser()
        if path.is_dir():
            inside = (file for file in path.rglob("*") if file.is_file() or file.is_symlink())
            hidden = lambda file: any(part.startswith((".", "__MACOSX")) for part in file.relative_to(path).parts)  # noqa: B023
            found += sorted(file for file in inside if not hidden(file))
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            raise UserError(f"there is no picture or folder at {path}")
    if not found:
        raise UserError(f"no picture in {', '.join(paths)}")
    return found


class Classifier(NamedTuple):
    """A trained classifier and what its checkpoint says about using it.

    Attributes:
        task: The task in evaluation mode, on its device.
        preprocessing: How a picture is prepared; see `data.preprocess`.
        temperature: Divides the logits.
        precision: Lightning's name of the precision it was validated in.
    """

    task: Any
    preprocessing: dict[str, Any]
    temperature: float
    precision: str


def load_classifier(path: str, device: str) -> Classifier:
    """The classifier in a checkpoint.

    Raises:
        UserError: If the file is no checkpoint of a classifier of this project.
    """
    from trainer.options import load_class
    from trainer.safe_file import load_checkpoint

    if Path(path).is_dir():  # a run folder
        kept = [Path(path) / "checkpoints" / name for name in ("best.ckpt", "last.ckpt")]
        path = next((str(file) for file in kept if file.is_file()), path)
    checkpoint = load_checkpoint(path)
    house = checkpoint.get("house", {})
    name = house.get("model")
    if name not in MODELS:
        raise UserError(f"{path} is no checkpoint of this project: it names no model of {', '.join(MODELS)}")
    if "class_names" not in checkpoint.get("hyper_parameters", {}) or "preprocessing" not in house:
        raise UserError(f"{path} holds the model {name!r}, which does not classify pictures")
    options = dict(checkpoint["hyper_parameters"])
    if "weights" in options:  # the checkpoint holds them
        options["weights"] = "none"
    try:
        task: Any = load_class(MODELS[name])(**options)
        task.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, TypeError, ValueError) as error:  # of another version, or altered
        raise UserError(f"{path} does not fit the model {name!r}: {str(error).splitlines()[0]}") from error
    temperature, precision = float(house.get("temperature") or 1.0), house.get("precision", "32-true")
    return Classifier(task.eval().to(device), house["preprocessing"], temperature, precision)


def predictions(classifier: Classifier, images: Tensor, top_k: int) -> list[list[tuple[str, float]]]:
    """For each picture its most probable classes with their probabilities, computed as in validation.

    Args:
        classifier: From `load_classifier`.
        images: uint8, shape (N, C, H, W).
        top_k: Classes listed, at most their number.
    """
    import torch

    task = classifier.task
    views = task.hparams.get("views", "one")
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(classifier.precision)
    with torch.inference_mode(), torch.autocast(task.device.type, dtype=half, enabled=half is not None):
        logits = task.outputs(images.to(task.device), views)[1].float()  # (N, K)
    probabilities = (logits / classifier.temperature).softmax(1)
    values, classes = probabilities.topk(min(top_k, probabilities.shape[1]), dim=1)
    names = task.hparams["class_names"]
    return [
        [(names[c], p) for c, p in zip(*row, strict=True)]
        for row in zip(classes.tolist(), values.tolist(), strict=True)
    ]


def rows(classifier: Classifier, files: list[Path], arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One row per file, in order: path, label, probability, label_2, probability_2, …, error."""
    import torch

    from data.decode import PictureError
    from data.preprocess import preprocess

    for start in range(0, len(files), arguments.batch_size):
        part = files[start : start + arguments.batch_size]
        pictures: dict[Path, Tensor] = {}
        errors: dict[Path, str] = {}
        for file in part:
            try:
                pictures[file] = preprocess(file, classifier.preprocessing)
            except PictureError as error:
                errors[file] = error.cause
        found: dict[Path, list[tuple[str, float]]] = {}
        if pictures:
            guesses = predictions(classifier, torch.stack(list(pictures.values())), arguments.top_k)
            found = dict(zip(pictures, guesses, strict=True))
        for file in part:
            row: dict[str, Any] = {"path": str(file), "label": "", "probability": ""}
            for rank, (name, probability) in enumerate(found.get(file, []), start=1):
                suffix = "" if rank == 1 else f"_{rank}"
                row |= {f"label{suffix}": name, f"probability{suffix}": round(probability, 6)}
            yield row | {"error": errors.get(file, "")}


def write(output: TextIO, kind: str, table: Iterator[dict[str, Any]], num_classes: int, top_k: int) -> tuple[int, int]:
    """Writes the rows as they come; returns how many there were and how many have an error."""
    count = failed = 0
    columns = ["path", "label", "probability"]
    columns += [f"{name}_{rank}" for rank in range(2, min(top_k, num_classes) + 1) for name in ("label", "probability")]
    writer = csv.DictWriter(output, [*columns, "error"], restval="", lineterminator="\n")
    if kind == ".csv":
        writer.writeheader()
    for row in table:
        if kind == ".csv":
            writer.writerow(row)
        else:
            output.write(json.dumps(row, ensure_ascii=False) + "\n")
        count, failed = count + 1, failed + bool(row["error"])
    return count, failed


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    try:
        arguments = read_arguments(argv)
        files = find_pictures(arguments.paths)
        from trainer.process import import_lightning

        import_lightning()
        from trainer.device import check_device

        device = pick_device(check_device(arguments.device))
        classifier = load_classifier(arguments.checkpoint, device)
        table = rows(classifier, files, arguments)
        sizes = (len(classifier.task.hparams["class_names"]), arguments.top_k)
        if arguments.out:
            try:
                with open(arguments.out, "w", encoding="utf-8", newline="") as output:
                    count, failed = write(output, Path(arguments.out).suffix, table, *sizes)
            except OSError as error:
                raise UserError(f"cannot write {arguments.out}: {error.strerror}") from error
        else:
            count, failed = write(sys.stdout, ".csv", table, *sizes)
    except UserError as error:
        print(f"predict.py: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the rows has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    where = f" to {arguments.out}" if arguments.out else ""
    print(f"{count - failed} of {count} pictures predicted{where}; {failed} could not be read", file=sys.stderr)
    return 1 if failed and (arguments.strict or failed == count) else 0


if __name__ == "__main__":
    sys.exit(main())
