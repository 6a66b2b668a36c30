"""When what a checkpoint kept of a training is taken up again."""

from types import SimpleNamespace

from lightning.pytorch import LightningModule

from models.resuming import resumes


def test_a_checkpoint_is_gone_on_with_only_while_a_trainer_fits() -> None:
    task = LightningModule()
    assert not resumes(task), "loaded to be used"
    for does, goes_on in (("fit", True), ("test", False), ("validate", False)):
        task._trainer = SimpleNamespace(state=SimpleNamespace(fn=does))  # type: ignore[assignment]
        assert resumes(task) == goes_on
