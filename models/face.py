"""Whose face is this, and are these two the same person? A network trained through a closed form.

python train.py --model face --data olivetti                                    identification, 20 splits
python train.py --model face --data olivetti --data.protocol verification       people never seen in training

The idea stands in ``models.faces.net``. One run trains the networks of all splits together and tests them beside
closed forms on the same splits: a mean and a deviation, not one lucky number. Nothing of a split's test pictures is
seen before the test; validation holds out training pictures in turn, or uses validation people.

Letters: S splits, N pictures, V views, C cells, B directions, K people of k pictures, M queries.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import functional as F

from dashboard.style import counted
from models.faces.baselines import baseline_features, by_person, identification_errors, verification_cosines
from models.faces.front import view_grid
from models.faces.net import FaceNet, hold_out_people, hold_out_pictures, pair_loss, take
from models.faces.results import NETWORK, ONE_VIEW, UNTRAINED, Identification, Verification
from models.limits import HIGHEST_RATE, MOST_COPIES, check_within
from theory.verification import equal_error_rate, pair_scores

Batch = tuple[Tensor, Tensor, Tensor]  # pictures (N, 1, H, W), people (N,), roles (S, N): 0 train, 1 validation, 2 test


class FaceTask(LightningModule):
    """Recognises faces from few pictures a person.

    Args:
        people: Their names.
        image_size: [height, width] of the pictures in pixels.
        num_splits: Splits trained at once.
        protocol: ``identification`` (known people) or ``verification`` (new people).
        olivetti_halves: Whether the pictures are the Olivetti faces and half of each person's are for training, as in
            the published figure, at its size of 92×112 pixels.
        cells: Edges of the cells in which gradients are counted, in pixels; about a tenth of the picture's width.
        shrinkage: Share of the identity in the covariance to begin with, between 0 and 1.
        sharpness: Scale of the cosines, and how hard the best view is chosen; 10 to 50.
        shift: Shift of the views as a share of the picture's width, 0 to 0.5; larger where faces are not centred.
        scale: Change of size of the views, 0 to 0.5.
        train_views: Views of each held-out picture in a training step.
        lr: Learning rate of Adam.
        pull: Weight of the squared distance from the closed form in the loss.
    """

    FROM_DATA = ("olivetti_halves",)
    monitor, mode = "val/loss", "min"

    def __init__(
        self,
        people: list[str],
        image_size: list[int],
        num_splits: int,
        protocol: Literal["identification", "verification"],
        olivetti_halves: bool = False,
        cells: list[int] = [6, 8, 10],  # noqa: B006 (jsonargparse shows it in --model.help; it is never changed)
        shrinkage: float = 0.1,
        sharpness: float = 20.0,
        shift: float = 0.03,
        scale: float = 0.05,
        train_views: int = 4,
        lr: float = 0.1,
        pull: float = 0.001,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_within(
            self.hparams, {"train_views": (1, MOST_COPIES), "lr": (0, HIGHEST_RATE), "pull": (0, HIGHEST_RATE)}
        )
        self.verify = protocol == "verification"
        self.views = view_grid(shift, scale)
        self.network = self.new_network()
        self.looked_at: tuple[Tensor, Tensor] | None = None  # pictures and their descriptions
        self.result: Identification | Verification | None = None

    def new_network(self) -> FaceNet:
        """The closed form: the network before any training."""
        options = self.hparams
        return FaceNet(
            options["image_size"], options["num_splits"], options["cells"], options["shrinkage"], options["sharpness"],
            self.verify,
        )  # fmt: skip

    @property
    def overview(self) -> dict[str, dict[str, float | None]]:
        """Theory beside the curves of TensorBoard's overview; see `trainer.contract.Task`."""
        chance = 0.5 if self.verify else 1 / len(self.hparams["people"])
        return {"accuracy": {"train/accuracy": None, "val/accuracy": None, "theory/chance_accuracy": chance}}

    def look(self, images: Tensor) -> Tensor:
        """Descriptions of all views, shape (V, N, C, B); computed once, since the front is fixed."""
        if self.looked_at is None or self.looked_at[0] is not images:
            with torch.no_grad():
                self.looked_at = (images, self.network.front.views(images, self.views))
        return self.looked_at[1]

    def exact(self) -> AbstractContextManager[None]:
        """Switches autocast off: a Cholesky factor needs all digits of float32."""
        return torch.autocast(self.device.type, enabled=False)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of held-out pictures, summed over the splits, which do not influence each other."""
        images, people, roles = batch
        pictures = pictures_of(roles, people, 0)  # (S, K, k)
        order = torch.rand(pictures.shape[:2] if self.verify else pictures.shape).argsort(-1)
        others = 1 + torch.randperm(len(self.views) - 1)[: self.hparams["train_views"] - 1]
        views = torch.cat([torch.zeros(1, dtype=torch.int64), others])
        loss, accuracy = self.held_out(self.look(images), pictures, order.to(pictures.device), views)
        objective = loss + self.hparams["pull"] * self.network.distance_from_closed_form()  # (S,)
        self.log_dict({"train/loss": objective.detach().mean(), "train/accuracy": accuracy.mean()})
        return objective.sum()

    def held_out(self, looks: Tensor, pictures: Tensor, order: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of each split on pictures (or people) held out of the training ones.

        Args:
            looks: Descriptions, shape (V, N, C, B).
            pictures: Training pictures, shape (S, K, k).
            order: What is held out first, shape (S, K, k), or (S, K) for verification.
            views: Views of the held-out pictures, the unchanged one first.

        Returns:
            Loss in nats and accuracy, each of shape (S,).
        """
        num_people, per_person = pictures.shape[1:]
        if self.verify:
            held = max(2, num_people // 4)
            known, asked = hold_out_people(pictures, order, held)
            labels = torch.arange(held, device=known.device).repeat_interleave(per_person)
            num_people -= held
        else:
            known, asked = hold_out_pictures(pictures, order)
            labels = torch.arange(num_people, device=known.device)
        support, queries = take(looks[:1], known)[:, 0], take(looks[views.to(looks.device)], asked)
        with self.exact():
            logits = self.network(support, queries, num_people, compare=self.verify)  # (S, M, K or M)
            if self.verify:
                return self.compare(logits, labels)
            loss = F.cross_entropy(logits.transpose(1, 2), labels.expand(len(logits), -1), reduction="none").mean(1)
        return loss, (logits.detach().argmax(2) == labels).float().mean(1)

    def compare(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of pairs, and 1 - EER, each of shape (S,). Args: logits (S, M, M), labels (M,)."""
        assert self.network.threshold is not None
        rates = [equal_error_rate(*pair_scores(split, labels)).rate for split in logits.detach()]
        return pair_loss(logits, labels, self.network.threshold), 1 - logits.new_tensor(rates)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Every training picture held out once, or the validation people with what was learnt from the others."""
        images, people, roles = batch
        looks, pictures = self.look(images), pictures_of(roles, people, 0)
        views = torch.arange(min(len(self.views), self.hparams["train_views"]))
        if self.verify:
            asked = pictures_of(roles, people, 1)
            labels = torch.arange(asked.shape[1], device=asked.device).repeat_interleave(asked.shape[2])
            support, queries = take(looks[:1], pictures.flatten(1))[:, 0], take(looks[: len(views)], asked.flatten(1))
            with self.exact():
                logits = self.network(support, queries, pictures.shape[1], compare=True)
                outcomes = [self.compare(logits, labels)]
        else:
            count = pictures.shape[2]
            places = torch.arange(count, device=pictures.device).expand_as(pictures)
            outcomes = [self.held_out(looks, pictures, (places + fold) % count, views) for fold in range(count)]
        loss, accuracy = (torch.stack(values).mean() for values in zip(*outcomes, strict=True))
        self.log_dict({"val/loss": loss, "val/accuracy": accuracy}, batch_size=1)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """All methods on the test pictures of all splits."""
        images, people, roles = batch
        looks, features = self.look(images), {name: x.cpu() for name, x in baseline_features(images).items()}
        closed_form = self.new_network().to(self.device)
        methods = {NETWORK: (self.network, looks), UNTRAINED: (closed_form, looks), ONE_VIEW: (closed_form, looks[:1])}
        errors: dict[str, list[float]] = {name: [] for name in methods}
        verification = Verification()
        for split in range(len(roles)):
            train, val, test = ((roles[split] == role).nonzero()[:, 0] for role in (0, 1, 2))
            if not self.verify:
                for name, (network, seen) in methods.items():
                    logits = self.answer(network, seen, people, train, test, split)
                    names = people[train].unique()[logits.argmax(1)]
                    errors[name].append(float((names != people[test]).double().mean()))
                for name, error in identification_errors(features, people.cpu(), train.cpu(), test.cpu()).items():
                    errors.setdefault(name, []).append(error)
                continue
            for name, (network, seen) in methods.items():
                scores = [self.answer(network, seen, people, train, asked, split).cpu() for asked in (val, test)]
                verification.add(name, (scores[0], people[val].cpu()), (scores[1], people[test].cpu()))
            for name, cosines in verification_cosines(features, people.cpu(), train.cpu()).items():
                parts = [(cosines[part][:, part], people.cpu()[part]) for part in (val.cpu(), test.cpu())]
                verification.add(name, *parts)
        known = Identification(errors, int((roles[0] == 2).sum()), self.hparams["olivetti_halves"])
        self.result = verification if self.verify else known
        self.log_dict({k: v for k, v in self.result.metrics().items() if k.startswith("test/")}, batch_size=1)

    def answer(
        self, network: FaceNet, looks: Tensor, people: Tensor, train: Tensor, asked: Tensor, split: int
    ) -> Tensor:
        """Logits of one split after learning from ``train``: (M, K), or (M, M) for verification."""
        known = by_person(train, people)
        with self.exact():
            support, queries = take(looks[:1], known.flatten()[None])[:, 0], take(looks, asked[None])
            logits: Tensor = network(support, queries, len(known), slice(split, split + 1), self.verify)[0]
        return logits

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, whose step does not depend on how many splits are summed."""
        return torch.optim.Adam(self.network.parameters(), lr=self.hparams["lr"])

    def describe(self) -> str:
        """Sizes, for the first lines of a run."""
        front, splits = self.network.front, self.hparams["num_splits"]
        count = sum(parameter.numel() for parameter in self.network.parameters()) // splits
        parts = ((count, "trained parameter"), (front.num_cells, "cell"), (len(self.views), "view"))
        return f"{counted(splits, 'network')} of " + ", ".join(counted(*part) for part in parts)

    def findings(self) -> list[tuple[str, str]]:
        """The result and what stands beside it."""
        assert self.result is not None
        return self.result.findings()

    def final_metrics(self) -> dict[str, float]:
        """Figures of the closed forms and gaps."""
        assert self.result is not None
        return self.result.metrics()

    def figures(self) -> Iterator[tuple[str, Any]]:
        """Figures of the result; see ``models.faces.results``."""
        assert self.result is not None
        yield from self.result.figures()

    def show(self, writer: Any, step: int) -> list[str]:
        """What was learnt, as histograms over the cells of all splits."""
        writer.add_histogram("weights/log_gain", self.network.log_gain.detach(), step)
        return []


def pictures_of(roles: Tensor, people: Tensor, role: int) -> Tensor:
    """Pictures with a role, by person. Args: roles (S, N), people (N,). Returns: indices, shape (S, K, k)."""
    return torch.stack([by_person((row == role).nonzero()[:, 0], people) for row in roles])
