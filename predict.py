"""Predicts the class of pictures with a checkpoint: one row per picture, in the order given, nothing left out.

With labels it says how right the answers are: ``evaluate`` judges a finished classifier, without training.

python predict.py runs/cnn-digits/RUN photos/ --out predictions.csv
python predict.py runs/cnn-digits/RUN/checkpoints/best.ckpt a.png b.jpg --top_k 3 --tta 10 --explain why/
python predict.py evaluate runs/cnn-digits/RUN labelled/ --out answers.csv
python predict.py evaluate runs/cnn-folder/RUN runs/cnn-folder/OTHER/split.csv --folder photos/ --split val
python predict.py export runs/cnn-digits/RUN --to onnx

A picture that cannot be read keeps its row, with the cause in the column ``error``; the others go on. The checkpoint
knows its classes, its preprocessing and its temperature, so neither the data nor the run folder is needed.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifier import Classifier, load
from trainer.command.arguments import refuse_to_overwrite
from trainer.command.predict_arguments import part_of, read_arguments, read_evaluate_arguments, read_export_arguments
from trainer.errors import DISK_FULL, RunFailed, UserError, one_line
from trainer.files import probe_nearest
from trainer.folder import find_checkpoint, run_of
from trainer.interrupt import Interrupted
from trainer.notice import notice
from trainer.process import import_lightning
from trainer.program import leave, run_program

if TYPE_CHECKING:
    from torch import Tensor


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
    from models.classification.gradcam import explains

    classes = len(classifier.class_names)
    if arguments.top_k > classes:
        raise UserError(f"--top_k must be in 1..{classes} for this model, got {arguments.top_k}")
    check_views(classifier, arguments.tta)
    if arguments.explain and not explains(classifier.task):
        raise UserError("--explain: this network has no map of places to explain by; a convolutional one has")


def check_views(classifier: Classifier, tta: int | None) -> None:
    """Refuses more views than there are.

    Raises:
        UserError: Naming the option.
    """
    from models.classification.views import most_views

    most = most_views(classifier.mirrors)
    if tta is not None and tta > most:
        why = "" if classifier.mirrors else "; it was trained without mirror images"
        raise UserError(f"--tta must be in 1..{most} for this model, got {tta}{why}")


def likeliest(
    classifier: Classifier, images: Tensor, top_k: int, tta: int | None = None
) -> list[list[tuple[str, float]]]:
    """For each prepared picture its ``top_k`` most probable classes with their probabilities."""
    values, classes = classifier.probabilities(images, tta).topk(top_k, dim=1)
    names = classifier.class_names
    return [
        [(names[c], p) for c, p in zip(*row, strict=True)]
        for row in zip(classes.tolist(), values.tolist(), strict=True)
    ]


def rows(classifier: Classifier, files: list[Path], arguments: Namespace) -> Iterator[dict[str, Any]]:
    """One row per file, in order: path, label, probability, label_2, probability_2, …, error."""
    import torch

    from data.files.ahead import ahead
    from data.files.decode import PictureError
    from data.files.preprocess import preprocess
    from models.classification.gradcam import save_heats

    def prepared(file: Path) -> Tensor | str:
        try:
            return preprocess(file, classifier.preprocessing)
        except PictureError as error:
            return error.cause

    for number, batch in enumerate(ahead(prepared, files, arguments.batch_size)):
        start = number * arguments.batch_size
        part = files[start : start + len(batch)]
        pictures = {file: made for file, made in zip(part, batch, strict=True) if isinstance(made, torch.Tensor)}
        errors = {file: made for file, made in zip(part, batch, strict=True) if isinstance(made, str)}
        found: dict[Path, list[tuple[str, float]]] = {}
        if pictures:
            images = torch.stack(list(pictures.values()))
            guesses = likeliest(classifier, images, arguments.top_k, arguments.tta)
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


def write_rows(out: str | None, table: Iterator[dict[str, Any]], columns: Sequence[str]) -> tuple[int, int]:
    """Writes the rows to a file, or as CSV to stdout; returns how many there were and how many have an error.

    What the file held before stays until the last row is written.
    """
    from data.files.answers import write

    if not out:
        return write(sys.stdout, ".csv", table, columns)
    part = part_of(out)
    try:
        with open(part, "w", encoding="utf-8", errors="surrogateescape", newline="") as output:
            counts = write(output, Path(out).suffix, table, columns)
            if part != Path(out):
                output.flush()
                os.fsync(output.fileno())
        if part != Path(out):
            part.replace(os.path.realpath(out))
        return counts
    except OSError as error:
        raise unwritable(f"cannot write {out}", error) from error
    except Interrupted as stop:
        kept = f"; {out} is as it was" if part != Path(out) and os.path.lexists(out) else ""
        raise RunFailed(f"{stop}: {part} holds the rows so far{kept}", stop.exit_code) from stop


def tell_frames(classifier: Classifier, files: Sequence[Path]) -> None:
    """Says which files have frames that were not looked at."""
    from data.files.modes import frames_left_out

    if several := [file for file in files if frames_left_out(file, classifier.preprocessing["channels"])]:
        more = f" and {len(several) - 1} more have" if len(several) > 1 else " has"
        notice(f"warning: {several[0]}{more} several frames, of which the first alone was read")


def predict(words: Sequence[str]) -> int:
    """``predict.py CHECKPOINT PATHS``; returns the exit status."""
    arguments = read_arguments(words)
    from data.files.answers import columns_of
    from data.files.find import find_pictures
    from data.files.progress import with_progress

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
    from trainer.device import check_device

    classifier = load(arguments.checkpoint, check_device(arguments.device))
    check_wishes(classifier, arguments)
    table = rows(classifier, files, arguments)
    if arguments.out or not sys.stdout.isatty():  # else the rows tell how far it is
        table = iter(with_progress(table, len(files), "predicting"))
    count, failed = write_rows(arguments.out, table, columns_of(len(classifier.class_names), arguments.top_k))
    where = f" to {arguments.out}" if arguments.out else ""
    tell_frames(classifier, files)
    print(
        f"{count - failed} of {count} picture{'s' * (count != 1)} predicted{where}; {failed} could not be read",
        file=sys.stderr,
    )
    return 1 if failed and (arguments.strict or failed == count) else 0


def evaluate(words: Sequence[str]) -> int:
    """``predict.py evaluate CHECKPOINT PICTURES``; returns the exit status."""
    arguments = read_evaluate_arguments(words)
    from data.files.labelled import check_known, list_labelled, prepared
    from data.files.layout import LayoutError
    from data.files.progress import with_progress

    try:
        listing = list_labelled(arguments.pictures, arguments.split, arguments.folder)
        import_lightning()
        from data.files.report import why_bad
        from models.classification.judged import COLUMNS, Judged
        from trainer.device import check_device

        source = find_checkpoint(arguments.checkpoint)
        classifier = load(source, check_device(arguments.device))
        check_known(listing, arguments.pictures, classifier.class_names)
    except LayoutError as error:
        raise UserError(str(error)) from None
    check_views(classifier, arguments.tta)
    said = [f"note: {text}" for text in listing.notes] + [f"warning: {text}" for text in listing.warnings]
    for line in [*said, *([f"warning: {why_bad(listing.bad)}"] if listing.bad else [])]:
        notice(line)
    judged = Judged(classifier.class_names)
    batches = prepared(listing.entries, classifier.preprocessing, arguments.batch_size)
    answered = judged.rows(batches, lambda images: classifier.log_probabilities(images, arguments.tta))
    table = iter(with_progress(answered, len(listing.entries), "evaluating"))
    if arguments.out:
        write_rows(arguments.out, table, COLUMNS)
    else:
        deque(table, maxlen=0)
    tell_frames(classifier, [Path(entry.path) for entry in listing.entries])
    if judged.bad:
        several = "pictures are" if len(judged.bad) > 1 else "picture is"
        notice(f"warning: {len(judged.bad)} {several} left out of the figures, {why_bad(judged.bad)}")
    if judged.labels:
        seen = seen_before(classifier, source, judged.digests)
        findings = judged.findings(classifier.temperature) + seen
        width = max(len(name) for name, _ in findings)
        print("\n".join(f"{name:<{width}}  {text}" for name, text in findings), flush=True)
    where = f", answers in {arguments.out}" if arguments.out else ""
    count, failed = len(listing.entries), len(judged.bad)
    notice(f"{count - failed} of {count} picture{'s' * (count != 1)} evaluated{where}; {failed} could not be read")
    return 0 if judged.labels else 1


def seen_before(classifier: Classifier, checkpoint: str, digests: Sequence[str]) -> list[tuple[str, str]]:
    """How many judged files the classifier has learnt from; nothing where no list and no earlier run tells."""
    from data.files.lineage import NOTHING, read_record, seen_text, with_run

    before = NOTHING if classifier.lineage is None else read_record(classifier.lineage)
    lineage = with_run(before, run_of(Path(checkpoint)).files, classifier.pictures)
    tells = lineage.complete or classifier.lineage is not None
    return [("seen before", seen_text(lineage, digests))] if tells else []


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
    classifier = load(str(source), "cpu", "32-true")
    task = classifier.task
    model = Deployed(task, task.hparams.get("views", "one"), classifier.temperature)
    facts: dict[str, Any] = {
        "class_names": classifier.class_names,
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
    work = {"evaluate": evaluate, "export": export}.get(words[0] if words else "")
    return run_program("predict.py", lambda: work(words[1:]) if work else predict(words))


if __name__ == "__main__":
    leave(main())
