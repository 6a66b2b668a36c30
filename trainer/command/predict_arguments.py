"""The command lines of ``predict.py``: to predict, to ``evaluate`` and to ``export``."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from trainer.command.arguments import Arguments, at_least, refuse_to_overwrite
from trainer.errors import UserError, expand

FORMATS = ("onnx", "torch-export", "safetensors")
STATUSES = (
    "exit status: 0 all went well; 1 {}; 2 wrong input; 129, 130 or 143 stopped by SIGHUP, SIGINT or SIGTERM; "
    "141 whoever read the output went away"
)
CHECKPOINT = "a run folder, or a checkpoint such as runs/cnn-digits/RUN/checkpoints/best.ckpt"


def read_arguments(argv: Sequence[str]) -> Namespace:
    """The command line of ``predict.py CHECKPOINT PATHS``."""
    parser = Arguments(
        "predict.py",
        "Predicts the class of pictures with a checkpoint of train.py. 'predict.py evaluate' judges the classifier on "
        "labelled pictures, 'predict.py export' makes a file of it for other programs; each has its own --help.",
        STATUSES.format("no picture could be read, or with --strict not all"),
    )
    parser.add_argument("checkpoint", help=CHECKPOINT)
    parser.add_argument("paths", nargs="+", help="pictures, or folders that are searched for pictures")
    parser.add_argument("--out", metavar="FILE", help="file to write, .csv or .jsonl (default: CSV on standard output)")
    parser.add_argument("--overwrite", action="store_true", help="replace what --out and --explain name")
    parser.add_argument(
        "--top_k", metavar="K", type=at_least(1), default=1, help="classes listed for each picture (default: 1)"
    )
    parser.add_argument("--explain", metavar="FOLDER", help="write each picture with its Grad-CAM heat there, as PNG")
    add_answering(parser)
    parser.add_argument("--strict", action="store_true", help="exit with status 1 when a picture could not be read")
    arguments = parser.read(argv)
    arguments.explain = at_home(arguments.explain)
    check_out(arguments)
    refuse_to_overwrite("--explain", arguments.explain, arguments.overwrite)
    if arguments.explain and Path(arguments.explain).is_file():
        raise UserError(f"--explain {arguments.explain} is a file: name a folder")
    return arguments


def read_evaluate_arguments(argv: Sequence[str]) -> Namespace:
    """The command line of ``predict.py evaluate CHECKPOINT PICTURES``."""
    parser = Arguments(
        "predict.py evaluate",
        "Judges a classifier on labelled pictures, without training: accuracy and its interval beside chance, loss, "
        "the classes found and confused, calibration. Each picture is answered as predict.py answers it; one that "
        "cannot be read is left out of the figures.",
        STATUSES.format("no picture could be read, or the disk is full"),
    )
    parser.add_argument("checkpoint", help=CHECKPOINT)
    parser.add_argument(
        "pictures", help="a folder of class folders, as in FOLDER/cat/a.jpg, or a CSV file with path,label[,split]"
    )
    parser.add_argument(
        "--folder", metavar="DIR", help="where the paths of the CSV file begin (default: the folder it lies in)"
    )
    parser.add_argument(
        "--split", metavar="NAME", help="train, val or test, where the folder or the CSV file has several of these"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="file to write, .csv or .jsonl: path, truth, label, probability, loss, error"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    add_answering(parser)
    arguments = parser.read(argv)
    check_out(arguments)
    return arguments


def add_answering(parser: Arguments) -> None:
    """The options that say how pictures are answered."""
    parser.add_argument(
        "--tta", metavar="N", type=at_least(1), help="views of each picture averaged (default: as in validation)"
    )
    parser.add_argument(
        "--batch_size", metavar="N", type=at_least(1), default=64, help="pictures per step (default: 64)"
    )
    parser.add_argument("--device", metavar="D", default="auto", help="cpu, cuda, mps or auto (default: auto)")


def check_out(arguments: Namespace) -> None:
    """Expands ``~`` in ``--out``, and refuses what cannot be written or must not be replaced.

    Raises:
        UserError: Naming the option.
    """
    arguments.out = at_home(arguments.out)
    if arguments.out and Path(arguments.out).suffix not in (".csv", ".jsonl"):
        raise UserError(f"--out must end in .csv or .jsonl, got {arguments.out}")
    refuse_to_overwrite("--out", arguments.out, arguments.overwrite)
    if arguments.out and Path(arguments.out).is_dir():
        raise UserError(f"--out {arguments.out} is a folder: name a file in it")
    if arguments.out and not arguments.overwrite and (part := part_of(arguments.out)).exists():
        raise UserError(f"{part} holds the rows of a run that was stopped: move it away, or --overwrite")


def read_export_arguments(argv: Sequence[str]) -> Namespace:
    """The command line of ``predict.py export CHECKPOINT``."""
    parser = Arguments(
        "predict.py export",
        "Writes a classifier for other programs: uint8 pictures in, probabilities out, class names and preprocessing "
        "inside. The file is read back and compared with torch.",
        STATUSES.format("the file disagrees with torch, or the disk is full"),
    )
    parser.add_argument("checkpoint", help=CHECKPOINT)
    parser.add_argument(
        "--to",
        choices=FORMATS,
        required=True,
        help="onnx (needs pip install '.[export]'); torch-export, which torch alone runs; safetensors: the weights",
    )
    parser.add_argument("--out", metavar="FILE", help="file to write (default: model.SUFFIX in the run folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    arguments = parser.read(argv)
    arguments.out = at_home(arguments.out)
    return arguments


def at_home(path: str | None) -> str | None:
    """A path with its ``~`` expanded, if there is a path."""
    return None if path is None else str(expand(path))


def part_of(out: str) -> Path:
    """Where the rows of a file are written until all are there: beside it, or beside what a link means.

    A pipe, which nobody can rename, is written to itself.
    """
    if os.path.exists(out) and not os.path.isfile(out):
        return Path(out)
    return Path(os.path.realpath(out) + ".part")
