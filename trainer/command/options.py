"""Typed options: the front's settings checked against the signatures of one model, one data module and the Trainer.

The names are resolved before the parser is built, so every option is an argument of exactly the classes that will run:
an unknown name is found with the nearest known one, and a wrong type is named with its option and its file.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from trainer.command.front import Request
from trainer.command.limits import ALLOWED, check_number, check_trainer
from trainer.command.nested import flatten, nest
from trainer.command.places import whole
from trainer.command.signature import NEEDED, arguments_of
from trainer.command.typed import accept, expected_of, explain, hint_of
from trainer.command.words import ALIASES, nearest
from trainer.contract import offered
from trainer.device import DEVICES
from trainer.errors import UserError

# What the house decides itself: run folder, callbacks and logging are not the user's to replace from the command line.
TRAINER_SKIPPED = {
    "accelerator", "barebones", "callbacks", "default_root_dir", "enable_autolog_hparams", "enable_checkpointing",
    "enable_model_summary", "enable_progress_bar", "fast_dev_run", "logger", "model_registry",
    "num_sanity_val_steps", "plugins", "precision", "profiler", "reload_dataloaders_every_n_epochs",
    "use_distributed_sampler",
}  # fmt: skip

SHORT = {dotted: short for short, dotted in ALIASES.items()}
HIGHEST_SEED = 2**32 - 1  # NumPy's
COUNTS = (("early_stopping", "patience"), ("checkpoint", "every_n_batches"))  # from 1, or None


@dataclass
class Settings:
    """Checked settings of one run.

    Attributes:
        model: Arguments of the task, without the facts that come from the data.
        data: Arguments of the data module.
        trainer: Arguments of Lightning's Trainer.
        seed: Seed of weights, order and augmentation.
        report: How much is drawn at the end: ``full``, ``brief`` (numbers only) or ``none``.
        patience: Epochs without improvement after which training stops, or None.
        save_every: Batches of an epoch after which ``last.ckpt`` is written too, or None.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    trainer: dict[str, Any]
    seed: int
    report: str
    patience: int | None
    save_every: int | None = None


def wanted_facts(task: type, data: type, model_name: str = "", data_name: str = "", usual_data: str = "") -> list[str]:
    """Arguments of the task that come from the data, such as ``class_names``: they are no options.

    Args:
        task: The task's class.
        data: The data module's class.
        model_name: What the user calls the model.
        data_name: What the user calls the data.
        usual_data: Data that the model's recipe names.

    Raises:
        UserError: If the task needs something that this data does not have.
    """
    answered = offered(data, "FACTS")
    arguments = arguments_of(task)
    missing = [name for name, default in arguments.items() if default is NEEDED and name not in answered]
    if missing:
        wrong = f"--model {model_name or task.__name__} cannot learn from --data {data_name or data.__name__}"
        wrong = f"{wrong}, which does not say {', '.join(missing).replace('_', ' ')}"
        if usual_data not in ("", data_name):
            raise UserError(f"{wrong}; its usual data are --data {usual_data}, see --model {model_name} --data.help")
        raise UserError(wrong)
    return [name for name in answered if name in arguments]


def build_parser(
    task: type, data: type, model_name: str = "", data_name: str = "", usual_data: str = ""
) -> ArgumentParser:
    """A parser whose options are the arguments of this task, this data module and the Trainer."""
    from lightning.pytorch import Trainer

    parser = ArgumentParser(prog="train.py", exit_on_error=False, add_help=False)
    facts = {*wanted_facts(task, data, model_name, data_name, usual_data), *offered(task, "FROM_DATA")}
    parser.add_class_arguments(task, "model", skip=facts)
    parser.add_class_arguments(data, "data")
    parser.add_class_arguments(Trainer, "trainer", skip=TRAINER_SKIPPED)
    parser.add_argument(
        "--trainer.precision",
        type=str,
        default="auto",
        help="auto, 32-true, bf16-mixed, 16-mixed, 64-true, bf16-true or 16-true; auto is "
        "32-true, but for a classifier of pictures where bf16 is fast",
    )
    parser.add_argument("--seed_everything", type=int, default=0, help="seed of weights, order and augmentation")
    parser.add_argument("--report", type=Literal["full", "brief", "none"], default="full", help="what the end draws")
    parser.add_argument(
        "--trainer.accelerator",
        type=Literal[DEVICES],
        default="auto",
        help="where to compute; gpu is another word for cuda",
    )
    parser.add_argument(
        "--early_stopping.patience",
        type=int | None,
        default=None,
        help="stop after so many validations, as a rule one an epoch, without a better metric",
    )
    parser.add_argument(
        "--checkpoint.every_n_batches",
        type=int | None,
        default=None,
        help="write last.ckpt after every so many batches of an epoch too, and not only at its end",
    )
    for group, owner in (("model", task), ("data", data)):
        if f"{group}.name" in option_names(parser):
            raise TypeError(f"{owner.__name__}: an argument must not be called 'name', which is {group}'s own")
    for action in parser._actions:
        if hasattr(action, "_typehint"):
            action._typehint = _whole_numbers_first(action._typehint)
    return parser


def _whole_numbers_first(hint: Any) -> Any:
    """The same union with ``int`` before ``float``, so that 1 (batch) is not read as 1.0 (all of them).

    The order written in a signature is no order: `typing` answers ``Optional[Union[int, float]]`` with an equal union
    made earlier by anyone, and that one may begin with ``float``.
    """
    kinds = get_args(hint)
    if get_origin(hint) not in (Union, UnionType) or not {int, float} <= set(kinds):
        return hint
    return functools.reduce(operator.or_, sorted(kinds, key=lambda kind: kind is not int))


def option_names(parser: ArgumentParser) -> set[str]:
    """The dotted names that the parser knows, without groups and helpers."""
    names = {action.dest for action in parser._actions if not action.dest.endswith(".help")}
    groups = {name.rpartition(".")[0] for name in names}
    return names - groups - {"print_shtab", "help"}


def option_defaults(parser: ArgumentParser) -> dict[str, Any]:
    """What options of model and data stand at by themselves, named as in a checkpoint: ``lr``, ``data.aug``."""
    names = (name for name in option_names(parser) if name.startswith(("model.", "data.")))
    return {name.removeprefix("model."): parser.get_default(name) for name in names}


def defaults_of_facts(task: type) -> dict[str, Any]:
    """Dotted names and defaults of what only some data tell a task: files of older versions hold them as options."""
    arguments = arguments_of(task)
    return {f"model.{name}": arguments[name] for name in offered(task, "FROM_DATA")}


def parse(
    request: Request, parser: ArgumentParser, facts: Mapping[str, Any] | None = None, task: Any = None
) -> tuple[Settings, Namespace]:
    """Checks the request's settings and overrides, in this order of precedence.

    Args:
        request: What the user asked for.
        parser: Of the classes that will run.
        facts: What `defaults_of_facts` gave: settings of a file that say only this are passed over.
        task: The class of the task; it says which of its options may name a place, see `trainer.contract.Task`.

    Raises:
        UserError: One line naming the option and, for a setting, its file; or the device, when it is not there.
    """
    known = option_names(parser)
    facts = facts or {}
    flat = {key: value for key, value in flatten(request.settings).items() if key not in facts or facts[key] != value}
    for key in flat:
        if key not in known:
            raise UserError(f"{request.origin.get(key, 'settings')}: no setting '{key}'{nearest(key, known)}")
    for key in request.overrides:
        if key in ("data.csv", "data.path") and key not in known:
            raise UserError(
                f"--{key} belongs to pictures of your own: --data FOLDER, or --data FILE.csv for a list of them"
            )
        if key not in known and key in SHORT:
            group = key.partition(".")[0]
            raise UserError(f"{_spelled(key)} is no option of --{group} {getattr(request, group)}")
        if key not in known:
            raise UserError(f"no option '--{key}'{nearest(key, known).replace(chr(39), chr(39) + '--', 1)}")
    namespace: Namespace | None = None
    for key, value in flat.items():  # one by one, so that a wrong type is blamed on its own file
        namespace = accept(parser, key, value, f"{request.origin.get(key, 'settings')}: {key}", namespace)
    for key, text in request.overrides.items():
        try:
            namespace = parser.parse_args([f"--{key}={text}"], namespace=namespace)
        except Exception as error:
            raise UserError(explain(_spelled(key), text, error, expected_of(key, hint_of(parser, key)))) from error
    final = parser.parse_args([], namespace=namespace)
    for key in known:
        if isinstance(final[key], str) and final[key]:
            final[key] = whole(final[key], key, _where(key, request), task)
    values = final.as_dict()
    _check(values, known, request)
    return (
        Settings(
            model=values.get("model") or {},
            data=values.get("data") or {},
            trainer=values["trainer"],
            seed=values["seed_everything"],
            report=values["report"],
            patience=values["early_stopping"]["patience"],
            save_every=values["checkpoint"]["every_n_batches"],
        ),
        final,
    )


def _check(values: dict[str, Any], known: set[str], request: Request) -> None:
    """Refuses values of the right type that are out of range.

    Args:
        values: All settings by group.
        known: Dotted names of all options.
        request: What the user asked for.

    Raises:
        UserError: Naming the option as it was given, the value and those allowed.
    """
    for key, value in flatten(values).items():
        check_number(_where(key, request), value)
    own = ("trainer", "early_stopping", "checkpoint", "seed_everything")
    where = {key.partition(".")[2]: _where(key, request) for key in known if key.partition(".")[0] in own}
    trainer = values["trainer"]
    processes, batch = check_trainer(trainer, where), (values.get("data") or {}).get("batch_size")
    if isinstance(batch, int) and batch % processes:
        said = f"{processes} processes cannot share {batch} samples a step equally"
        raise UserError(f"{where['devices']}: {said}; --batch_size {-(-batch // processes) * processes} can be shared")
    if not trainer.get("max_steps", -1) > 0 and (trainer["max_epochs"] or 0) < 1:
        given = trainer["max_epochs"]
        why = f"; {request.alone}" if given is None and request.alone else ""
        raise UserError(f"{where['max_epochs']}: expected {ALLOWED['trainer.max_epochs']}, got {given}{why}")
    for group, name in COUNTS:
        count = values[group][name]
        if count is not None and count < 1:
            raise UserError(f"{where[name]}: expected {ALLOWED[f'{group}.{name}']}, got {count}")
    if not 0 <= values["seed_everything"] <= HIGHEST_SEED:
        given = values["seed_everything"]
        raise UserError(f"{where['']}: expected a whole number from 0 to {HIGHEST_SEED}, got {given}")


def _where(key: str, request: Request) -> str:
    """An option as it was given: on the command line, or in a file."""
    given = key in request.overrides or key not in request.origin
    return _spelled(key) if given else f"{request.origin[key]}: {key}"


def _spelled(key: str) -> str:
    """An option as users know it: ``--lr (--model.lr)``, ``--model.width``."""
    return f"--{SHORT[key]} (--{key})" if key in SHORT else f"--{key}"


def as_yaml(request: Request, parser: ArgumentParser, final: Namespace) -> str:
    """All settings as YAML that `trainer.command.front.read` takes back: the names, and every value used."""
    import yaml

    emptied = {key: None for key, value in final.items() if value is None and parser.get_default(key) is not None}
    flat = flatten(yaml.safe_load(parser.dump(final)))  # which leaves out whatever is None
    values = nest({**{key: value for key, value in flat.items() if value is not None}, **emptied})
    settings: dict[str, Any] = {
        "model": {"name": request.model, **(values.pop("model", None) or {})},
        "data": {"name": request.data, **(values.pop("data", None) or {})},
        **{name: value for name, value in values.items() if value != {}},
    }
    text: str = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return text
