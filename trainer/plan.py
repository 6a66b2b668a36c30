"""From a command line to its data and its task; what is wrong is found before the data are read where that can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.command.front import Request
from trainer.command.idle import check_found, check_given
from trainer.command.limits import check_launcher
from trainer.command.options import (
    Settings,
    as_yaml,
    build_parser,
    defaults_of_facts,
    option_defaults,
    parse,
    wanted_facts,
)
from trainer.contract import check_task, load_class, offered
from trainer.errors import UserError, user_mistakes
from trainer.files import probe_nearest
from trainer.fit.resume import find_resume
from trainer.folder import RunFolder
from trainer.run.beginning import tell_beginning


@dataclass
class Plan:
    """What a command line asks for, checked as far as it can be without the data.

    Attributes:
        request: The command line, and the files that it names.
        settings: Options of model, data and Trainer.
        config: The same as YAML, with which the run can be repeated.
        defaults: What options stand at where nobody sets them; see `trainer.command.options.option_defaults`.
        task_class: The class of the model's task.
        data_class: The class of the data module.
        folder: The run to go on with; None for a new one.
        path: The checkpoint to go on from.
        imports_s: Seconds from the start of the process until its classes were loaded.
    """

    request: Request
    settings: Settings
    config: str
    defaults: Mapping[str, Any]
    task_class: Any
    data_class: Any
    folder: RunFolder | None
    path: Path | None
    imports_s: float = 0.0

    @property
    def held(self) -> dict[str, str]:
        """Options that stand back when a run goes on: its checkpoint holds the weights."""
        held = offered(self.task_class, "HELD") if self.path is not None else {}
        return {name: value for name, value in held.items() if name in self.settings.model}


def planned(
    request: Request, reread: Callable[[Path], Request], models: Mapping[str, str], data: Mapping[str, str]
) -> Plan | None:
    """The command line against the classes that it names.

    Args:
        request: The command line.
        reread: Gives it again with the settings of a run that goes on, a file, in the place of the recipe.
        models: Class of each model's task by name.
        data: Class of each data module by name.

    Returns:
        The plan; None when it was only asked to show something.

    Raises:
        UserError: One line that names the option, file or value at fault.
    """
    from lightning.pytorch import seed_everything

    folder, path = None, None
    if request.resume:
        epochs = request.overrides.get("trainer.max_epochs", "")
        wanted_epochs = int(epochs) if epochs.isdecimal() and len(epochs) < 19 else None  # others are refused below
        folder, path = find_resume(request.resume, request.root, request.model, request.data, wanted_epochs)
        request = reread(folder.config)
    with user_mistakes():
        task_class, data_class = load_class(models[request.model]), load_class(data[request.data])
        parser = build_parser(task_class, data_class, request.model, request.data, request.usual_data)
        settings, namespace = parse(request, parser, defaults_of_facts(task_class), task_class)
        for group in ("model", "data", "trainer"):
            if f"{group}.help" in request.switches:
                from trainer.command.help import group_help

                print(group_help(request, parser, namespace, group), end="")
                return None
        config = as_yaml(request, parser, namespace)
        if "print_config" in request.switches:
            print(config, end="")
            return None
        seed_everything(settings.seed, verbose=False)
    check_launcher()
    check_places(request, settings)
    if folder is None:
        try:
            probe_nearest(request.root)
        except UserError as error:
            raise UserError(f"cannot make a run folder in {request.root}: {error}") from error
    plan = Plan(
        request=request,
        settings=settings,
        config=config,
        defaults=option_defaults(parser),
        task_class=task_class,
        data_class=data_class,
        folder=folder,
        path=path,
    )
    if check := offered(task_class, "check"):  # what is wrong without the data is said before they are read
        with user_mistakes("model", settings.model):
            check({**settings.model, **plan.held})
    check_given(task_class, data_class, settings, request.overrides, request.model, request.overlaid)
    if wanted_pictures := offered(task_class, "wanted_pictures"):  # what the data was not told, its network says
        wanted = wanted_pictures(settings.model)
        settings.data |= {name: value for name, value in wanted.items() if settings.data.get(name, "") is None}
    return plan


def check_places(request: Request, settings: Settings) -> None:
    """The folder, or the list, of pictures that a settings file names is there still.

    Raises:
        UserError: Naming the run or the file, and what it misses.
    """
    for key in ("data.path", "data.csv"):
        place = settings.data.get(key.removeprefix("data."))
        if key in request.overrides or key not in request.origin or not place or Path(place).exists():
            continue
        kind = "file" if Path(place).suffix.lower() == ".csv" else "folder"
        if request.resume:
            said = f"the {kind} {place} of that run is missing; --{key} says where it is now"
            raise UserError(f"--resume {request.resume}: {said}")
        raise UserError(f"{request.origin[key]}: {key}: there is no {kind} {place}")


def check_patience(settings: Settings, validates: bool) -> None:
    """Refuses to wait for a better validation where there is none.

    Args:
        settings: What will be used.
        validates: Whether there are samples to validate on, as far as that is known.

    Raises:
        UserError: Naming both options.
    """
    fraction, batches = settings.data.get("val_fraction"), settings.trainer.get("limit_val_batches")
    if settings.patience is None or (validates and batches != 0):
        return
    none = "--data.val_fraction 0 leaves none" if fraction == 0 else "there are none, see --data.val_fraction"
    none = "--trainer.limit_val_batches 0 leaves none" if batches == 0 else none
    raise UserError(f"--early_stopping.patience {settings.patience} needs pictures to validate on, and {none}")


def check_test(task: type, data: Any, settings: Settings, model_name: str, data_name: str) -> None:
    """Refuses, before the training, a test of nothing: data without test pictures, or a share of less than a batch.

    Args:
        task: The task's class; one that reports validation pictures instead has ``judges_validation``, and a
            classifier may do without both.
        data: The data module.
        settings: What will be used.
        model_name: What the user calls the model.
        data_name: What the user calls the data.

    Raises:
        UserError: Naming them and where test pictures go, or the share.
    """
    limit = settings.trainer.get("limit_test_batches")
    splits, either = data.summary()["splits"], offered(task, "judges_validation")
    measured = splits.get("test", 1) or (either and (splits.get("val", 1) or offered(task, "classifies")))
    if not measured:
        what, none = ("test or validation pictures", "neither") if either else ("test pictures", "none")
        raise UserError(
            f"--model {model_name} measures on {what}, and {settings.data.get('path') or data_name} has {none}: "
            "put some into a folder test/, or take some from those for training, as by --data.test_fraction 0.2"
        )
    if isinstance(limit, float) and limit < 1 and 0 < (batches := len(data.test_dataloader())) < 1 / limit:
        raise UserError(f"--trainer.limit_test_batches {limit}: not one of the {batches} batches of the test")


def opened(plan: Plan, checkpoint: Mapping[str, Any] | None = None) -> Any:
    """The data module, read as far as training and test need it.

    Args:
        plan: What the command line asks for.
        checkpoint: That of the run that goes on, or None.
    """
    with user_mistakes("data", plan.settings.data):
        data = plan.data_class(**plan.settings.data)
        data.reads_labels = offered(plan.task_class, "reads_labels")  # before anything is listed
        if draws_views := offered(plan.task_class, "draws_views"):
            data.draws_views = draws_views(plan.settings.model)
        validates = offered(data, "validates")
        check_patience(plan.settings, plan.settings.patience is None or validates is None or validates())
        tell_beginning(data, plan.task_class, plan.settings.model, checkpoint)
        data.prepare_data()
        data.setup("fit")
        check_found(data, plan.request.overrides)
        check_patience(plan.settings, data.summary()["splits"].get("val", 1) > 0)
        check_test(plan.task_class, data, plan.settings, plan.request.model, plan.request.data)
    return data


def built(plan: Plan, data: Any, state: Mapping[str, Any] | None = None) -> Any:
    """The task, told what the data say.

    Args:
        plan: What the command line asks for.
        data: The data module, opened.
        state: The weights to go on with, where there are some: a module with ``make_room`` takes their size, before
            the run says how large it is.
    """
    with user_mistakes("data", plan.settings.data):
        facts = data.facts()
    with user_mistakes("model", plan.settings.model):
        told = {name: facts[name] for name in wanted_facts(plan.task_class, plan.data_class)}
        options = {**plan.settings.model, **told}
        task = plan.task_class(**{**options, **plan.held})
        task.hparams.update({name: options[name] for name in plan.held})
    for name, module in list(task.named_modules()) if state is not None else []:
        if make_room := offered(module, "make_room"):
            make_room(state, f"{name}.")
    check_task(task, plan.request.model)
    return task
