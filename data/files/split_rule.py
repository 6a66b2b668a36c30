"""How pictures are split that come without a split: what may be asked for."""

from dataclasses import dataclass
from typing import Any, ClassVar

MOST_HELD_OUT = 0.9


@dataclass(frozen=True)
class SplitRule:
    """How pictures are split that come without a split.

    Args:
        val_fraction: Share to validate on, in [0, 1); not used with folds.
        test_fraction: Share to test on, in [0, 1).
        seed: Seed of the choice, from 0.
        num_folds: k of k-fold cross-validation, at least 2; 0 for one split.
        fold: Which fold is validated on, in 0..k-1.
    """

    val_fraction: float = 0.2
    test_fraction: float = 0.0
    seed: int = 0
    num_folds: int = 0
    fold: int = 0

    CONDITIONS: ClassVar[Any] = (  # see `trainer.contract.Task`
        (("data.val_fraction",), lambda o: not o["data.num_folds"], "not used by --data.num_folds {0[data.num_folds]}"),
        (("data.fold",), lambda o: o["data.num_folds"], "needs the number of folds, --data.num_folds, at least 2"),
    )

    def __post_init__(self) -> None:
        """Refuse values out of range.

        Raises:
            ValueError: Naming the option, the value given and those allowed.
        """
        for option in ("val_fraction", "test_fraction"):
            if not 0 <= getattr(self, option) < 1:
                raise ValueError(f"{option} must be in [0, 1), got {getattr(self, option)}")
        if self.seed < 0:
            raise ValueError(f"split_seed must be 0 or more, got {self.seed}")
        if self.num_folds == 1 or self.num_folds < 0:
            raise ValueError(f"num_folds must be 0 or at least 2, got {self.num_folds}")
        if self.num_folds:  # a fold of what the test left, see `data.files.partition.assign_splits`
            held_out = self.test_fraction + (1 - self.test_fraction) / self.num_folds
            name = "test_fraction + (1 - test_fraction) / num_folds"
            given = f"{self.test_fraction} + (1 - {self.test_fraction}) / {self.num_folds}"
        else:
            held_out = self.val_fraction + self.test_fraction
            name = "val_fraction + test_fraction" if self.test_fraction else "val_fraction"
            given = f"{self.val_fraction} + {self.test_fraction}" if self.test_fraction else f"{self.val_fraction}"
        if held_out > MOST_HELD_OUT:
            raise ValueError(f"{name} must be at most {MOST_HELD_OUT}, got {given}: hardly a picture would train")
        if self.fold and not self.num_folds:
            raise ValueError(f"fold {self.fold} needs the number of folds, --data.num_folds, at least 2")
        if not 0 <= self.fold < max(self.num_folds, 1):
            raise ValueError(f"fold must be in 0..{self.num_folds - 1}, got {self.fold}")

    @property
    def carves_validation(self) -> bool:
        """Whether validation pictures are taken from those that come without a split."""
        return self.val_fraction > 0 or self.num_folds > 0
