"""What a task or its data may offer: each name is explained, and no other is asked for."""

import pytest

from trainer.contract import OPTIONAL, Data, Task, offered


def test_every_name_is_explained() -> None:
    explained = f"{Task.__doc__}{Data.__doc__}"
    assert not [name for name in OPTIONAL if f"``{name}``" not in explained and f"``{name}(" not in explained]


def test_what_is_not_offered_has_its_default_and_what_is_unknown_is_refused() -> None:
    class Own:
        classifies = True

    assert offered(Own, "classifies") is True
    assert offered(Own(), "failure") == ""
    assert offered(Own(), "top_losses") is None
    with pytest.raises(KeyError, match="clasifies"):
        offered(Own(), "clasifies")
