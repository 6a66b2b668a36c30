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

from data import DATA
from models import MODELS, SUMMARIES
from trainer.errors import RunFailed
from trainer.front import Request, read
from trainer.program import run_program

RECIPES = Path(__file__).parent / "models"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status: 0, 1 (failed), 2 (wrong input), 130 or 143 (stopped)."""
    started = time.perf_counter()
    words = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        request = read(words, MODELS, DATA, RECIPES)
        if "help" in request.switches:
            from trainer.help import screen

            print(screen(SUMMARIES, DATA), end="")
            return 0
        return run(request, words, started)

    return run_program("train.py", work, interrupted=": nothing had begun")


def run(request: Request, words: Sequence[str], started: float) -> int:
    """Names → classes → fit → test → report."""
    from trainer.process import import_lightning

    import_lightning()
    from lightning.pytorch import seed_everything

    from trainer.build import fit, make_trainer, test
    from trainer.crash import accounted
    from trainer.device import precision_of
    from trainer.folder import RunFolder, write_atomically
    from trainer.idle import check_given
    from trainer.interrupt import resumable
    from trainer.lock import locked
    from trainer.options import as_yaml, build_parser, check_test, defaults_of_facts, load_class, parse, wanted_facts
    from trainer.report import announce, conclude, house_record, layout, user_mistakes
    from trainer.resume import check_compatible, check_unfinished, find_resume, logged_step
    from trainer.safe_file import load_checkpoint

    folder, path = None, None
    if request.resume:
        epochs = request.overrides.get("trainer.max_epochs", "")
        wanted_epochs = int(epochs) if epochs.isdecimal() and len(epochs) < 19 else None  # others are refused below
        folder, path = find_resume(request.resume, request.root, request.model, request.data, wanted_epochs)
        request = read(words, MODELS, DATA, RECIPES, replay=folder.config)

    with user_mistakes():
        task_class, data_class = load_class(MODELS[request.model]), load_class(DATA[request.data])
        parser = build_parser(task_class, data_class, request.model, request.data, request.usual_data)
        settings, namespace = parse(request, parser, defaults_of_facts(task_class))
        for group in ("model", "data", "trainer"):
            if f"{group}.help" in request.switches:
                from trainer.help import group_help

                print(group_help(request, parser, namespace, group), end="")
                return 0
        config = as_yaml(request, parser, namespace)
        if "print_config" in request.switches:
            print(config, end="")
            return 0
        seed_everything(settings.seed, verbose=False)
        held = {"weights": "none"} if path is not None and "weights" in settings.model else {}  # by the checkpoint
    if hasattr(task_class, "check"):
        with user_mistakes("model", settings.model):
            task_class.check({**settings.model, **held})  # what is wrong without the data is said before it is read
    check_given(task_class, data_class, settings, request.overrides, request.model)
    if hasattr(task_class, "wanted_pictures"):  # what the data was not told, its network says
        wanted = task_class.wanted_pictures(settings.model)
        settings.data |= {name: value for name, value in wanted.items() if settings.data.get(name, "") is None}
    with user_mistakes("data", settings.data):
        data = data_class(**settings.data)
        data.prepare_data()
        data.setup("fit")
        facts = data.facts()
        check_test(task_class, data, settings, request.model, request.data)
    with user_mistakes("model", settings.model):
        options = {**settings.model, **{name: facts[name] for name in wanted_facts(task_class, data_class)}}
        task = task_class(**{**options, **held})
        task.hparams.update({name: options[name] for name in held})
    settings.trainer["precision"] = precision_of(task, settings.trainer["precision"])

    checkpoint = None if path is None else load_checkpoint(path)
    if checkpoint is not None:  # the commands that made the run, one after the other
        request.command = "; ".join([*filter(None, [checkpoint.get("house", {}).get("command")]), request.command])
    house = house_record(request, settings, data, task)
    if checkpoint is not None and folder is not None:
        check_compatible(checkpoint, dict(task.hparams), house)
        check_unfinished(checkpoint, settings.trainer["max_epochs"], folder)
    fresh = folder is None
    folder = folder or RunFolder.create(request.root, request.model, request.data, settings.seed)
    with locked(folder), resumable(folder), accounted(folder, fresh) as progress:
        splits = data.summary()["splits"]
        has_validation = bool(splits.get("val", 1))
        # Without a test set the validation pictures are what is reported: they choose nothing, unless asked to.
        chooses = has_validation and (bool(splits.get("test", 1)) or settings.patience is not None)
        progress.trainer = trainer = make_trainer(
            folder,
            settings.trainer,
            seed=settings.seed,
            monitor=task.monitor if chooses else None,
            mode=task.mode,
            layout=layout(task.monitor if has_validation else task.monitor.replace("val/", "train/")),
            hparams={"model": request.model, "data": request.data, **settings.model, **settings.data},
            house=house,
            early_stopping_patience=settings.patience,
            resume_step=logged_step(checkpoint) if checkpoint else None,
        )
        write_atomically(folder.config, config)
        announce(request, folder, data, task, trainer, settings)
        fit_started = time.perf_counter()
        fit(trainer, task, data, path)
        fit_s = time.perf_counter() - fit_started
        metrics = test(trainer, task, data, "best" if chooses else "last", validate=has_validation)
        conclude(request, folder, data, task, trainer, settings, {**metrics, "time/fit_s": fit_s}, started)
    failure = getattr(task, "failure", "")
    if failure:
        raise RunFailed(failure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
