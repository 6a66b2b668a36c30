"""The one screen that ``--help`` prints, and the longer option lists of one model, one data set or the Trainer."""

from __future__ import annotations

import textwrap

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
                   stop after N epochs without a better validation figure (default: never)
  --resume RUN     go on exactly where a run stopped; 'auto' takes the newest unfinished one of this model and data
  --root FOLDER    where runs are kept (default: runs)
  --report HOW     what is drawn at the end: full, brief or none
  --print_config   print the settings as YAML and stop
  --model.help, --data.help, --trainer.help     every option of the chosen model, data and Trainer

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
