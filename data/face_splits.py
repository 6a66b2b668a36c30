"""Many splits of the Olivetti faces at once, so that one command gives a mean and a deviation instead of one number.

A batch is the whole set: all pictures, the person on each, and for each split what every picture is for. A model can
then train all splits as one tensor programme. Split s has the seed split_seed + s and is exactly the split that
``data.olivetti`` gives for that seed.

Letters: N pictures, H height, W width, S splits.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from data.batches.loader import WholeSetLoader
from data.olivetti import OF_PROTOCOL, Olivetti
from data.ranges import check_within
from data.run import run_device
from data.split import identification_split, verification_split

TRAIN, VAL, TEST, UNUSED = 0, 1, 2, 3


class SplitBatch(NamedTuple):
    """All pictures (uint8, (N, 1, H, W)), the person of each (int64, (N,)), and the role of each in every split.

    Roles are 0 train, 1 validation, 2 test, 3 unused: int64, shape (S, N).
    """

    images: Tensor
    people: Tensor
    roles: Tensor


def split_roles(
    people: Tensor,
    protocol: Literal["identification", "verification"],
    seeds: range,
    per_person_train: int = 5,
    people_counts: tuple[int, int, int] = (20, 10, 10),
) -> Tensor:
    """What each picture is for in each split.

    Args:
        people: Person of each picture, int64, shape (N,).
        protocol: ``identification`` (known people, new pictures) or ``verification`` (new people).
        seeds: Seed of each split, S of them.
        per_person_train: Training pictures a person of identification; the others are for the test.
        people_counts: People to train on, to validate on and to test on in verification.

    Returns:
        Roles 0 train, 1 validation, 2 test, 3 unused; int64, shape (S, N).

    Raises:
        ValueError: If there are not enough pictures or people.
    """
    roles = torch.full((len(seeds), len(people)), UNUSED)
    for row, seed in zip(roles, seeds, strict=True):
        if protocol == "identification":
            train, test = identification_split(people, per_person_train, seed)
        else:
            train, val, test = verification_split(people, *people_counts, seed=seed)
            row[val] = VAL
        row[train], row[test] = TRAIN, TEST
    return roles


class FaceSplits(LightningDataModule):
    """The Olivetti faces with many splits at once.

    Args:
        root: Folder of the data sets, which holds scikit_learn_data/olivetti_py3.pkz or att_faces/s1, s2, ...; or such
            a folder of people itself. Without it $DATA_ROOT, else ~/.cache/deep-learning-mathematics.
        form: Which form to read: sklearn (64×64), att (the original files, 92×112), or auto, the first that is found.
        protocol: identification (known people, new pictures) or verification (new people).
        num_splits: Number of splits, at least 2 for a deviation, at most 10,000.
        split_seed: Seed of the first split; the others follow.
        per_person_train: Training pictures a person of identification, the others are for the test; 3 to 9.
        train_people: People to train on in verification, at least 4.
        val_people: People of verification on whom the threshold is chosen.
        test_people: People to test on in verification.
        steps: Training steps an epoch, at most 100,000.
    """

    FACTS = ("people", "image_size", "num_splits", "protocol", "olivetti_halves")
    CONDITIONS = OF_PROTOCOL
    name = "face-splits"

    def __init__(
        self,
        root: str | None = None,
        form: Literal["auto", "sklearn", "att"] = "auto",
        protocol: Literal["identification", "verification"] = "identification",
        num_splits: int = 20,
        split_seed: int = 0,
        per_person_train: int = 5,
        train_people: int = 20,
        val_people: int = 10,
        test_people: int = 10,
        steps: int = 10,
    ) -> None:
        super().__init__()
        check_within(locals(), {"num_splits": (1, 10_000), "split_seed": (0, math.inf), "steps": (1, 100_000)})
        if per_person_train < 3:
            raise ValueError(f"per_person_train must be at least 3, as training holds one out; got {per_person_train}")
        if protocol == "verification" and (train_people < 4 or min(val_people, test_people) < 2):
            raise ValueError(
                "verification needs train_people of at least 4, val_people and test_people of at least 2, "
                f"got {train_people}, {val_people}, {test_people}"
            )
        self.faces = Olivetti(root=root, form=form, protocol=protocol)
        self.protocol: Literal["identification", "verification"] = protocol
        self.seeds = range(split_seed, split_seed + num_splits)
        self.per_person_train, self.steps = per_person_train, steps
        self.people_counts = (train_people, val_people, test_people)
        self._batch: SplitBatch | None = None

    def prepare_data(self) -> None:
        """Download the set when it is missing; see ``data.olivetti``."""
        self.faces.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read the pictures and make the splits; a second call does nothing.

        Raises:
            FileNotFoundError: If the pictures are missing.
            ValueError: If a file is damaged, or there are not enough pictures or people.
        """
        if self._batch is not None:
            return
        images, people, _ = self.faces.pictures()
        counts = torch.bincount(people)
        if self.protocol == "verification" and len(counts.unique()) > 1:
            raise ValueError(f"verification needs equally many pictures of every person, got {counts.tolist()}")
        roles = split_roles(people, self.protocol, self.seeds, self.per_person_train, self.people_counts)
        self._batch = SplitBatch(images, people, roles)

    def batch(self) -> SplitBatch:
        """The whole set with the roles of all splits, on the CPU until a trainer has asked for it."""
        self.setup()
        assert self._batch is not None
        return self._batch

    def facts(self) -> dict[str, Any]:
        """What a model must know: names of the people, size of the pictures, number of splits and protocol.

        They are told by names of their own: a batch holds all splits at once, which only ``--model face`` can take.
        olivetti_halves says whether these are 40 people of 10 original pictures, 5 of each for training: what a
        figure is published for. scikit-learn's form is cut to the face, which is easier.
        """
        images, people, _ = self.batch()
        original = torch.bincount(people).tolist() == [10] * 40 and tuple(images.shape[2:]) == (112, 92)
        return {
            "people": list(self.faces.pictures()[2]),
            "image_size": list(images.shape[2:]),
            "num_splits": len(self.seeds),
            "protocol": self.protocol,
            "olivetti_halves": original and self.protocol == "identification" and self.per_person_train == 5,
        }

    def summary(self) -> dict[str, Any]:
        """What the set is, in words and counts; the splits' sizes are those of one split."""
        images, people, roles = self.batch()
        sizes = {name: int((roles[0] == role).sum()) for name, role in (("train", TRAIN), ("val", VAL), ("test", TEST))}
        if self.protocol == "identification":
            del sizes["val"]  # validation holds pictures out of the training ones, in turn
        return {
            "name": "olivetti",
            "source": f"{self.faces.source}; {self.protocol}, {len(self.seeds)} splits from seed {self.seeds[0]}",
            "splits": sizes,
            "classes": len(people.unique()),
            "shape": "×".join(str(size) for size in images.shape[1:]),
            "protocol": self.protocol,
            "num_splits": len(self.seeds),
            "split_seed": self.seeds[0],
        }

    def _loader(self, steps: int) -> WholeSetLoader:
        self._batch = SplitBatch(*(tensor.to(run_device(self)) for tensor in self.batch()))
        return WholeSetLoader(self._batch, steps)

    def train_dataloader(self) -> WholeSetLoader:
        """The set, ``steps`` times an epoch."""
        return self._loader(self.steps)

    def val_dataloader(self) -> WholeSetLoader:
        """The set, once."""
        return self._loader(1)

    def test_dataloader(self) -> WholeSetLoader:
        """The set, once."""
        return self._loader(1)
