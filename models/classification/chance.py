"""What is reached without a look at the picture: the reference of a classifier, also where its classes are not equal.

    always the commonest class     accuracy max_k p_k
    always the classes' shares     cross-entropy H(p) = -sum_k p_k ln p_k, the least of any opinion that never changes

p_k are the shares among the judged pictures themselves: nothing that is said of all pictures alike does better on them,
whatever it was chosen by. With equal classes these are 1/K and ln K. The balanced accuracy, the mean recall over the
classes, of one and the same answer is 1/K however large the shares are.

Source:
    Cover, Thomas (2006), Elements of information theory, theorem 2.6.3 (Gibbs' inequality). Brodersen et al. (2010),
    The balanced accuracy and its posterior distribution.
"""
# N pictures, K classes

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

MORE_THAN_EQUAL = 0.02  # of all pictures, that the commonest class has beyond its equal share
TIMES_THE_RAREST = 1.5  # as many pictures as the rarest class


class Chance(NamedTuple):
    """The best that is the same for all pictures.

    Attributes:
        accuracy: Of the commonest class as the only answer, in 0..1.
        loss: Of the shares of the classes as probabilities, in nats.
        commonest: Number of that class; None where all classes are about equally frequent.
    """

    accuracy: float
    loss: float
    commonest: int | None


def chance(labels: Tensor | None, num_classes: int) -> Chance:
    """What is reached without a look at the pictures.

    Counts that differ by one picture, as those of a split may, or by little beside all of them, pass as equal, unless
    there is but one class.

    Args:
        labels: Right classes of the judged pictures, shape (N,); None or empty where they are not known.
        num_classes: K.
    """
    equal = Chance(1 / num_classes, math.log(num_classes), None)
    if labels is None or not len(labels):
        return equal
    counts = torch.bincount(labels.cpu(), minlength=num_classes)  # (K,)
    most, least = int(counts.max()), int(counts.min())
    more = most / len(labels) - 1 / num_classes
    alone = num_classes > 1 and most == len(labels)  # one picture, say
    if not alone and (most - least <= 1 or (more <= MORE_THAN_EQUAL and most < TIMES_THE_RAREST * least)):
        return equal
    shares = counts[counts > 0].double() / len(labels)
    return Chance(most / len(labels), abs(float((shares * shares.log()).sum())), int(counts.argmax()))
