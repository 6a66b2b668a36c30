"""Trains a model, tests it once, and sets the number it reached beside the number mathematics says it must be.

python train.py --model cnn                           embedded digits, on a CPU, in seconds
python train.py --model cnn --data mnist              or fashion-mnist, kmnist, faces, olivetti
python train.py --model cnn --data ~/photos           a folder of your own pictures
python train.py -c runs/cnn-digits/RUN/config.yaml    replay a run: the same weights
python train.py --resume runs/cnn-digits/RUN          go on where it stopped, exactly
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data import DATA, OWN_FORM
from models import MODELS, SUMMARIES
from trainer.command.front import Request, read
from trainer.contract import offered
from trainer.errors import RunFailed
from trainer.notice import notice
from trainer.program import leave, run_program

if TYPE_CHECKING:
    from trainer.plan import Plan

RECIPES = Path(__file__).parent / "models"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status: 0, 1 (failed), 2 (wrong input), 130 or 143 (stopped)."""
    started = time.perf_counter()
    words = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        request = read(words, MODELS, DATA, RECIPES, forms=OWN_FORM)
        if "help" in request.switches:
            from trainer.command.help import screen

            print(screen(SUMMARIES, DATA), end="")
            return 0
        return run(request, words, started)

    return run_program("train.py", work, interrupted=": nothing had begun")


def run(request: Request, words: Sequence[str], started: float) -> int:
    """Names → classes → fit → test → report."""
    from trainer.process import import_lightning

    import_lightning()
    from trainer.device import precision_of
    from trainer.fit.resume import check_compatible, check_unfinished, logged_step, stages
    from trainer.plan import built, opened, planned
    from trainer.run.record import house_record
    from trainer.safe_file import load_checkpoint

    plan = planned(request, lambda replay: read(words, MODELS, DATA, RECIPES, replay, OWN_FORM), MODELS, DATA)
    if plan is None:
        return 0
    plan.imports_s = time.perf_counter() - started
    settings = plan.settings
    checkpoint = None if plan.path is None else load_checkpoint(plan.path)
    data = opened(plan, checkpoint)
    task = built(plan, data, checkpoint and checkpoint["state_dict"])
    settings.trainer["precision"] = precision_of(task, settings.trainer["precision"])
    if checkpoint is not None:  # the commands that made the run, one after the other
        earlier = checkpoint.get("house", {}).get("command")
        plan.request.command = "; ".join([*filter(None, [earlier]), plan.request.command])
    house = house_record(plan.request, settings, data, task)
    if checkpoint is not None and plan.folder is not None:
        check_compatible(checkpoint, dict(task.hparams), house, plan.defaults)
        check_unfinished(checkpoint, settings.trainer, plan.folder)
        extend(plan, stages(checkpoint, settings.trainer), house)
    step = None if checkpoint is None else logged_step(checkpoint)
    del checkpoint  # Lightning reads it once more; a second copy of weights and optimiser would stay for the whole run
    train_and_test(plan, data, task, step, house, started)
    if failure := offered(task, "failure"):
        raise RunFailed(failure)
    return 0


def extend(plan: Plan, lengths: list[str], house: dict[str, Any]) -> None:
    """Records that a run goes on beyond its length: one of that length from the start may end elsewhere."""
    if len(lengths) > 1:
        house["stages"] = lengths
        plan.request.stages = ", ".join(lengths)
        said = f"this run was begun for {lengths[0]} and went on to {', '.join(lengths[1:])}"
        notice(f"note: {said}: one that is {lengths[-1]} long from the start may end elsewhere")
        plan.config = f"# {said.capitalize()}; a replay is {lengths[-1]} long from the start.\n{plan.config}"


def train_and_test(
    plan: Plan, data: Any, task: Any, resume_step: int | None, house: dict[str, Any], started: float
) -> None:
    """Fit, test and report in the run's folder, which is locked meanwhile; ``resume_step`` is the log's, or None."""
    from trainer.build import fit, make_trainer, test
    from trainer.files import write_atomically
    from trainer.folder import RunFolder
    from trainer.run.announcement import announce, layout
    from trainer.run.artefacts import save_lists
    from trainer.run.choice import validation_chooses
    from trainer.run.crash import accounted
    from trainer.run.lock import locked
    from trainer.run.logger import chosen
    from trainer.run.parts import Run
    from trainer.run.report import conclude
    from trainer.run.way_on import resumable

    request, settings = plan.request, plan.settings
    folder = plan.folder or RunFolder.create(request.root, request.model, request.data, settings.seed)
    with locked(folder), resumable(folder), accounted(folder, plan.folder is None) as progress:
        splits = data.summary()["splits"]
        has_validation, chooses = bool(splits.get("val", 1)), validation_chooses(splits, settings.patience)
        monitor = task.monitor if has_validation else task.monitor.replace("val/", "train/")
        progress.trainer = trainer = make_trainer(
            folder,
            settings.trainer,
            seed=settings.seed,
            monitor=task.monitor if chooses else None,
            mode=task.mode,
            layout=layout(monitor, offered(task, "overview"), request.model),
            hparams=chosen(request, settings),
            house=house,
            early_stopping_patience=settings.patience,
            save_every=settings.save_every,
            resume_step=resume_step,
            histograms=settings.report == "full",
        )
        write_atomically(folder.config, plan.config)
        save_lists(folder, data)
        run = Run(request, settings, folder, data, task, trainer)
        announce(run)
        fit_started = time.perf_counter()
        fit(trainer, task, data, plan.path)
        fit_s = time.perf_counter() - fit_started
        metrics = test(trainer, task, data, "best" if chooses else "last", validate=has_validation)
        times = {"time/imports_s": plan.imports_s, "time/fit_s": fit_s}
        conclude(run, {**metrics, **times}, started)


if __name__ == "__main__":
    leave(main())
