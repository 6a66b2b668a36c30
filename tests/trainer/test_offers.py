"""What a task or its data may offer: each name is explained, and no other is asked for."""

import re

import pytest
import torch

from data.batches.loader import TensorLoader
from trainer.contract import OPTIONAL, Data, Loader, Task, offered


def test_every_name_is_explained() -> None:
    explained = f"{Task.__doc__}{Data.__doc__}"
    assert not [name for name in OPTIONAL if f"``{name}``" not in explained and f"``{name}(" not in explained]


def test_loaders_of_the_house_have_what_is_listed() -> None:
    listed = re.findall(r"``(\w+)(?:\([\w, ]*\))?``", str(Loader.__doc__).partition("It may offer")[2])
    loader = TensorLoader(torch.zeros(4, 1, 2, 2), torch.zeros(4), 2)
    assert {"images", "labels", "augment", "views", "from_the_start", "last_numbers"} <= set(listed)
    assert not [name for name in {*listed} - {"count"} if not hasattr(loader, name)]


def test_what_is_not_offered_has_its_default_and_what_is_unknown_is_refused() -> None:
    class Own:
        classifies = True

    assert offered(Own, "classifies") is True
    assert offered(Own(), "failure") == ""
    assert offered(Own(), "top_losses") is None
    with pytest.raises(KeyError, match="clasifies"):
        offered(Own(), "clasifies")
