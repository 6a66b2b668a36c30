"""Predicts the class of pictures with a checkpoint: one row per picture, in the order given, nothing left out.

python predict.py runs/cnn-digits/RUN photos/ --out predictions.csv
python predict.py runs/cnn-digits/RUN/checkpoints/best.ckpt a.png b.jpg --top_k 3 --tta 10 --explain why/
python predict.py export runs/cnn-digits/RUN --to onnx

A picture that cannot be read keeps its row, with the cause in the column ``error``; the others go on. The checkpoint
knows its classes, its preprocessing and its temperature, so neither the data nor the run folder is needed.
"""

from __future__ import annotations

import json
import math
import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from models import MODELS
from trainer.arguments import refuse_to_overwrite
from trainer.errors import DISK_FULL, RunFailed, UserError, expand, one_line
from trainer.folder import CHECKPOINTS, RunFolder, no_run, probe_nearest
from trainer.interrupt import Interrupted
from trainer.notice import notice
from trainer.predict_arguments import read_arguments, read_export_arguments
from trainer.process import import_lightning
from trainer.program import leave, run_program

if TYPE_CHECKING:
    from torch import Tensor


class Classifier(NamedTuple):
    """A trained classifier and what its checkpoint says about using it.

    Attributes:
        task: The task in evaluation mode, on its device.
        preprocessing: How a picture is prepared; see `data.preprocess`.
        temperature: Divides the logits.
        precision: Lightning's name of the precision that it computes in.
        mirrors: Whether it was trained on mirror images, so that they are views of the same thing.
    """

    task: Any
    preprocessing: dict[str, Any]
    temperature: float
    precision: str
    mirrors: bool = False


def find_checkpoint(path: str) -> str:
    """The checkpoint that a run folder, or the folder of its checkpoints, stands for: the best, else the last.

    Raises:
        UserError: If it is a folder without one.
    """
    place = expand(path)
    if not place.is_dir():
        return path if "://" in path else str(place)
    run = RunFolder(place.parent if place.name == CHECKPOINTS else place)
    found = next((str(file) for file in (run.best, run.last) if file.is_file()), "")
    if not found:
        raise UserError(no_run(place))
    return found


def load_classifier(path: str, device: str, precision: str | None = None) -> Classifier:
    """The classifier in a checkpoint.

    Args:
        path: The checkpoint, or its run folder.
        device: ``cpu``, ``cuda`` or ``mps``.
        precision: Lightning's name of the precision to compute in; without it that of the validation, unless this CPU
            would only emulate it, which is said.

    Raises:
        UserError: If the file is no checkpoint of a classifier of this project.
    """
    from data.preprocess import preprocessing
    from trainer.device import answering_precision, weight_type
    from trainer.options import load_class
    from trainer.safe_file import load_checkpoint, nonfinite_weights

    path = find_checkpoint(path)
    checkpoint = load_checkpoint(path)
    house, state = checkpoint.get("house", {}), checkpoint["state_dict"]
    name = str(house.get("model"))
    if name not in MODELS:
        raise UserError(f"{path} is no checkpoint of this project: it names no model of {', '.join(MODELS)}")
    task_class: Any = load_class(MODELS[name])
    if not getattr(task_class, "classifies", False) or "preprocessing" not in house:
        raise UserError(
            f"{path} holds the model {name!r} on {house.get('data')}: predict.py needs a classifier, of --model cnn"
        )
    bad = nonfinite_weights(state)
    if bad:
        raise UserError(f"{path} cannot predict: its weights are not finite ({', '.join(bad[:3])})")
    options = dict(checkpoint.get("hyper_parameters", {}))
    if "weights" in options:  # the checkpoint holds them
        options["weights"] = "none"
    try:
        note = ""
        if precision is None:
            precision, note = answering_precision(str(house.get("precision", "32-true")), device)
        task: Any = task_class(**options).to(weight_type(precision))
        task.load_state_dict(state)
        settings = preprocessing(**house["preprocessing"])
        temperature = float(house.get("temperature") or 1.0)
        if not 0 < temperature < math.inf:
            raise ValueError(f"its temperature is {temperature}")
        mirrors = bool(house.get("mirrors"))
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        # of another version, or altered
        reason = str(error).splitlines()
        raise UserError(f"{path} does not fit the model {name!r}: {reason[min(1, len(reason) - 1)].strip()}") from error
    if note:
        notice(note)
    return Classifier(task.eval().to(device), settings, temperature, precision, mirrors)


def heat_name(number: int, file: Path) -> str:
    """Name of a picture's heat: its number and its own name, which is cut where a file system would not take it."""
    stem = os.fsencode(file.stem)
    kept = stem[: 255 - len(f"{number:05d}-.png")]
    while kept != stem and stem[len(kept)] & 0xC0 == 0x80:  # in the midst of a letter of UTF-8
        stem, kept = kept, kept[:-1]
    return f"{number:05d}-{os.fsdecode(kept)}.png"


def check_wishes(classifier: Classifier, arguments: Namespace) -> None:
    """Refuses, before the first picture, what this model cannot do.

    Raises:
        UserError: Naming the option.
    """
    from models.classification.views import most_views

    classes = len(classifier.task.hparams["class_names"])
    if arguments.top_k > classes:
        raise UserError(f"--top_k must be in 1..{classes} for this model, got {arguments.top_k}")
    most = most_views(classifier.mirrors)
    if arguments.tta is not None and arguments.tta > most:
        why = "" if classifier.mirrors else "; it was trained without mirror images"
        raise UserError(f"--tta must be in 1..{most} for this model, got {arguments.tta}{why}")
    if arguments.explain and classifier.task.network.last_spatial() is None:
        raise UserError("--explain: this network has no map of places to explain by; a convolutional one has")


def predictions(
    classifier: Classifier, images: Tensor, top_k: int, tta: int | None = None
) -> list[list[tuple[str, float]]]:
    """For each picture its most probable classes with their probabilities, computed as in validation.

    Args:
        classifier: From `load_classifier`.
        images: uint8, shape (N, C, H, W).
        top_k: Classes listed, at most their number.
        tta: Views averaged; None for those of validation.
    """
    import torch

    from models.classification.views import picture_views
    from trainer.device import computing

    task = classifier.task
    images = images.to(task.device)
    shown = [images] if tta is None else picture_views(images, tta, classifier.mirrors)
    own = task.hparams.get("views", "one") if tta is None else "one"
    with torch.inference_mode(), computing(classifier.precision):
        logits = torch.stack([task.outputs(view, own)[1].float() for view in shown])  # (V, N, K)
    probabilities = (logits / classifier.temperature).softmax(2).mean(0)  # (N, K)
    values, classes = probabilities.topk(top_k, dim=1)
    names = task.hparams["class_names"]
    return [
        [(names[c], p) for c, p in zip(*row, strict=True)]
        for row in zip(classes.tolist(), values.tolist(), strict=True)
    ]


def rows(classifier: Classifier, files: list[Path], arguments: Namespace) -> Iterator[dict[str, Any]]:
    """One row per file, in order: path, label, probability, label_2, probability_2, …, error."""
    import torch

    from data.decode import PictureError
    from data.preprocess import preprocess
    from models.classification.gradcam import save_heats

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
            images = torch.stack(list(pictures.values()))
            guesses = predictions(classifier, images, arguments.top_k, arguments.tta)
            found = dict(zip(pictures, guesses, strict=True))
            if arguments.explain:
                names = {file: heat_name(start + part.index(file) + 1, file) for file in pictures}
                try:
                    save_heats(classifier.task, images, names, [guess[0] for guess in guesses], Path(arguments.explain))
                except OSError as error:
                    raise unwritable(f"cannot write to {arguments.explain}", error) from error
        for file in part:
            row: dict[str, Any] = {"path": str(file), "label": None, "probability": None}
            for rank, (name, probability) in enumerate(found.get(file, []), start=1):
                suffix = "" if rank == 1 else f"_{rank}"
                row |= {f"label{suffix}": name, f"probability{suffix}": round(probability, 6)}
            yield row | {"error": errors.get(file)}


def unwritable(what: str, error: OSError | ValueError) -> UserError | RunFailed:
    """What to raise where a file was not written: a full disk is no fault of the command line."""
    if getattr(error, "errno", None) in DISK_FULL:
        return RunFailed(f"{what}: the disk is full")
    return UserError(f"{what}: {getattr(error, 'strerror', None) or error}")


def predict(words: Sequence[str]) -> int:
    """``predict.py CHECKPOINT PATHS``; returns the exit status."""
    arguments = read_arguments(words)
    from data.answers import write
    from data.find import find_pictures

    try:
        files = find_pictures(arguments.paths)
    except ValueError as error:
        raise UserError(str(error)) from None
    if arguments.explain:
        try:
            probe_nearest(arguments.explain)
        except UserError as error:
            raise UserError(f"--explain {arguments.explain}: {error}") from error
    import_lightning()
    from data.modes import frames_left_out
    from trainer.device import torch_device

    classifier = load_classifier(arguments.checkpoint, torch_device(arguments.device))
    check_wishes(classifier, arguments)
    table = rows(classifier, files, arguments)
    sizes = (len(classifier.task.hparams["class_names"]), arguments.top_k)
    if arguments.out:
        try:
            with open(arguments.out, "w", encoding="utf-8", errors="surrogateescape", newline="") as output:
                count, failed = write(output, Path(arguments.out).suffix, table, *sizes)
        except OSError as error:
            raise unwritable(f"cannot write {arguments.out}", error) from error
        except Interrupted as stop:
            raise RunFailed(f"{stop}: {arguments.out} holds the rows so far", stop.exit_code) from stop
    else:
        count, failed = write(sys.stdout, ".csv", table, *sizes)
    where = f" to {arguments.out}" if arguments.out else ""
    if several := [file for file in files if frames_left_out(file, classifier.preprocessing["channels"])]:
        more = f" and {len(several) - 1} more have" if len(several) > 1 else " has"
        notice(f"warning: {several[0]}{more} several frames, of which the first alone was read")
    print(
        f"{count - failed} of {count} picture{'s' * (count != 1)} predicted{where}; {failed} could not be read",
        file=sys.stderr,
    )
    return 1 if failed and (arguments.strict or failed == count) else 0


def export(words: Sequence[str]) -> int:
    """``predict.py export CHECKPOINT --to FORMAT``; returns the exit status."""
    arguments = read_export_arguments(words)
    import_lightning()
    from models.classification.deployment import PICTURES_COMPARED, SUFFIXES, TOLERANCE, Deployed, export_checked

    source = Path(find_checkpoint(arguments.checkpoint))
    out = Path(arguments.out or source.parent.parent / f"model{SUFFIXES[arguments.to]}")
    if out.suffix != SUFFIXES[arguments.to]:
        raise UserError(f"--out must end in {SUFFIXES[arguments.to]} for {arguments.to}, got {out}")
    if not out.parent.is_dir():
        raise UserError(f"cannot export to {out}: there is no folder {out.parent}")
    refuse_to_overwrite("--out", str(out), arguments.overwrite)
    classifier = load_classifier(str(source), "cpu", "32-true")
    task = classifier.task
    model = Deployed(task, task.hparams.get("views", "one"), classifier.temperature)
    facts: dict[str, Any] = {
        "class_names": list(task.hparams["class_names"]),
        "preprocessing": classifier.preprocessing,
    }
    facts |= {"options": dict(task.hparams), "views": model.views, "temperature": model.temperature}
    try:
        difference = export_checked(
            model, arguments.to, out, classifier.preprocessing, {k: json.dumps(v) for k, v in facts.items()}
        )
    except (ValueError, OSError) as error:
        raise unwritable(f"cannot export to {out}", error) from error
    except Exception as error:  # each exporter has types of its own
        raise RunFailed(f"cannot export to {out}: {one_line(error)}") from error
    compared = f"its probabilities of {PICTURES_COMPARED} pictures differ from torch's by at most {difference:.1e}"
    if not difference <= TOLERANCE:
        raise RunFailed(f"{out} is not written: {compared}, more than {TOLERANCE:g}")
    print(f"{out} ({out.stat().st_size / 2**20:.1f} MiB): {compared}")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    return run_program("predict.py", lambda: export(words[1:]) if words[:1] == ["export"] else predict(words))


if __name__ == "__main__":
    leave(main())
