"""The one screen that ``--help`` prints, and the longer option lists of one model, one data set or the Trainer."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace

    from trainer.command.front import Request

SCREEN = """\
usage: python train.py --model NAME [--data NAME|PATH] [options]

Trains a model, tests it once, and sets the number it reached beside the number that mathematics says it must be.

models
{models}
data (--data; each model has its own default)
  {data}
  or a path: a folder of pictures with one folder per class, to fine-tune on

options
  --epochs N       passes over the training data          (= --trainer.max_epochs)
  --batch_size N   samples per step                       (= --data.batch_size)
  --lr X           peak learning rate                     (= --model.lr)
  --seed N         weights, order and augmentation        (= --seed_everything)
  --device D       cpu, cuda, mps or auto                 (= --trainer.accelerator)
  -c FILE          settings from a YAML file, e.g. a run's config.yaml to replay it; several are merged
  --early_stopping.patience N
                   stop after N validations, as a rule one an epoch, without a better figure (default: never)
  --checkpoint.every_n_batches N
                   save after every N batches too, for epochs that are long (default: at the end of each epoch)
  --resume RUN     go on exactly where a run stopped; 'auto' takes the newest unfinished one of this model and data
  --root FOLDER    where runs are kept (default: runs)
  --report HOW     what is drawn at the end: full, brief or none
  --print_config   print the settings as YAML and stop
  --model.help, --data.help, --trainer.help     every option of the chosen model, data and Trainer; for your own
                   pictures behind --model cnn --data folder

examples
  python train.py --model cnn                                                   # embedded digits, no download
  python train.py --model cnn --data ~/photos                                   # your own pictures, in seconds
  python train.py --model cnn --data ~/photos --model.tune all --epochs 10      # the whole network
  python train.py --model cnn --data mnist --model.widths '[24,48]'
  python predict.py runs/cnn-folder/RUN photos/ --out predictions.csv
  tensorboard --logdir runs
"""


def screen(models: dict[str, str], data: dict[str, str]) -> str:
    """The help screen. Args: one-line summaries of the models by name, and the data by name."""
    width = max(map(len, models))
    lines = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in models.items())
    names = textwrap.wrap(", ".join(name for name in data if name != "folder"), 100, break_on_hyphens=False)
    return SCREEN.format(models=lines, data="\n  ".join(names))


def group_help(request: Request, parser: ArgumentParser, final: Namespace, group: str) -> str:
    """Every option of one group: its type, the value in force and where it is from, its default, what it means."""
    lines, chosen = [], final.as_dict()
    for action in parser._actions:
        own, _, name = action.dest.partition(".")
        mine = own == group or (group == "trainer" and own in ("early_stopping", "checkpoint"))
        if mine and name and name.rpartition(".")[2] != "help":
            kind = _type_name(getattr(action, "_typehint", None) or action.type or "text")
            value, default = chosen.get(own, {}).get(name), action.default
            facts = [] if default in (None, "") else [f"default {default}"]
            if value != default:
                file = request.origin.get(action.dest, "")
                by = "the command line" if action.dest in request.overrides else Path(file).name
                facts.insert(0, f"{value} by {by}")
            lines.append(f"--{action.dest}  ({', '.join([kind, *facts])})")
            text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", str(action.help or "")).replace("``", "").strip()
            lines += textwrap.wrap(text, 110, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def _type_name(hint: Any) -> str:
    """``int``, ``float | None``, ``cd|pcd``."""
    if get_origin(hint) is Union:
        return " | ".join(_type_name(kind) for kind in get_args(hint)).replace("NoneType", "None")
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>|typing\.", r"\1", str(hint))
    return re.sub(r"Literal\[([^\]]*)\]", lambda choice: choice[1].replace("'", "").replace(", ", "|"), text)
