"""Pretrained networks as features and a linear head: forward(x) = head(features(x)).

    network = build_backbone("efficientnet_lite0", num_classes=2)
    features = network.features(x)  # (N, D)
    logits = network.head(features)  # (N, K)

Whatever its family, a network is cut at its last layer: everything before it makes D numbers from a picture, and one
linear layer, new for the user's classes, makes K logits from them. The cut is what transfer learning rests on: the
features were learnt on 1.3 million pictures, the head needs only a few.

Source:
    Yosinski, Clune, Bengio, Lipson (2014), How transferable are features in deep neural networks?
    Tan, Le (2019), EfficientNet; the "Lite" variants by R. Liu (2020) leave out squeeze-and-excitation and use ReLU6.
"""
# N batch, C channels, H height, W width, D features, K classes

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from models.finetune.architectures import LITE0, Architecture, build_architecture
from models.finetune.channels import adapt_channels, channel_values, first_convolution
from models.finetune.opinion import Opinion
from models.finetune.pretrained import hub_file, lite0_state
from models.finetune.stages import split_stages
from models.finetune.weights import given_file, in_order, read_weights, rename, state_dict_of, with_metadata
from theory.finite import not_finite

logger = logging.getLogger(__name__)


class Backbone(nn.Module):
    """A network that ends in features, and a linear head on them.

    Args:
        architecture: The network and where its parts are; its last layer is taken off.
        num_classes: K.
        in_channels: C of the pictures; the first convolution must have as many.

    Attributes:
        body: Everything before the head.
        opinion: What the classifier of the weights thinks, of P classes; None without one, then P = 0.
        head: The linear layer D + 2 P → K.
        preprocessing: What the weights expect, primitives only: ``image_size`` [H, W] in pixels, ``mean`` and ``std``
            per channel in 0..1, ``interpolation`` (``bilinear`` or ``bicubic``), ``crop_fraction`` (the picture's
            shorter side is resized to image size / crop fraction before the centre is cut out).
        notes: What the user should know about the weights, one sentence each.
    """

    def __init__(self, architecture: Architecture, num_classes: int, in_channels: int = 3) -> None:
        super().__init__()
        self.name = architecture.name
        self.in_channels = in_channels
        self.num_features = architecture.num_features
        self.body = architecture.network
        if architecture.head_name:
            self.body.set_submodule(architecture.head_name, nn.Identity())
        self.opinion: Opinion | None = None
        self.head = nn.Linear(architecture.num_features, num_classes)
        self.register_load_state_dict_pre_hook(Backbone.make_room)
        self.preprocessing: dict[str, Any] = architecture.preprocessing | {
            key: channel_values(architecture.preprocessing[key], in_channels) for key in ("mean", "std")
        }
        self.notes: list[str] = []
        self._last_map = architecture.last_map
        self._fixed_size = tuple(architecture.preprocessing["image_size"]) if architecture.fixed_size else None

    def features(self, x: Tensor) -> Tensor:
        """What the head sees.

        Args:
            x: Normalised pictures, shape (N, C, H, W).

        Returns:
            Features and, if there is a classifier, its opinion; shape (N, D + 2 P).

        Raises:
            ValueError: If the network reads pictures of one size only, and these have another.
        """
        self.check_size(x.shape[-2:])
        return self.described(self.body(x))

    def described(self, features: Tensor) -> Tensor:
        """What the head sees of the body's output, any shape of N · D numbers; shape (N, D + 2 P)."""
        features = features.flatten(1)  # (N, D)
        if self.opinion is None:
            return features
        return torch.cat([features, self.opinion(features)], 1).to(self.head.weight.dtype)

    def parts(self) -> list[slice]:
        """Columns of `features` that a head may be fitted on: the body's features, the opinion."""
        own = slice(0, self.num_features)
        return [own] if self.opinion is None else [own, slice(own.stop, own.stop + self.opinion.width)]

    def listen_to(self, weight: Tensor, bias: Tensor | None) -> None:
        """Lets a new head hear the classifier of the weights, V of shape (P, D) and c of shape (P,)."""
        self.opinion = Opinion(weight, bias)
        self.head = nn.Linear(self.parts()[-1].stop, self.head.out_features)

    def make_room(self, state: dict[str, Tensor], prefix: str, *_: object) -> None:
        """Before a state with an opinion is loaded: makes one of its size, and a head as wide."""
        weight = state.get(f"{prefix}opinion.weight")
        if weight is not None and self.opinion is None:
            device = self.head.weight.device
            self.listen_to(torch.zeros_like(weight), None)
            self.to(device)

    def check_size(self, image_size: Sequence[int]) -> None:
        """Refuses pictures of a size [H, W] that the network cannot read.

        Raises:
            ValueError: If the network reads pictures of one size only, and these have another.
        """
        if self._fixed_size is not None and tuple(image_size) != self._fixed_size:
            height, width = self._fixed_size
            raise ValueError(
                f"{self.name} reads pictures of {height}×{width} only, got {image_size[0]}×{image_size[1]}: "
                "give that size, or choose a convolutional backbone"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, K) of normalised pictures (N, C, H, W)."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def stages(self) -> list[tuple[str, nn.Module]]:
        """Stages from the picture to the logits; every parameter is in exactly one, and the last one is the head.

        Returns:
            Name and module of each stage. The modules hold parameters and layers and are not to be called.
        """
        return [*split_stages(self.body), ("head", self.head)]

    def last_spatial(self) -> nn.Module | None:
        """The module whose output map (N, C', H', W') explains a decision (Grad-CAM), or None where there is no map."""
        if not self._last_map or self._last_map not in dict(self.body.named_modules()):
            return None
        module = self.body.get_submodule(self._last_map)
        shapes: list[torch.Size] = []
        hook = module.register_forward_hook(lambda _module, _inputs, output: shapes.append(output.shape))
        modes = {part: part.training for part in self.modules()}
        like = next(self.parameters())
        try:
            with torch.no_grad():
                self.eval().features(like.new_zeros(1, self.in_channels, *self.preprocessing["image_size"]))
        finally:
            hook.remove()
            for part, training in modes.items():
                part.training = training
        is_map = bool(shapes) and len(shapes[0]) == 4 and shapes[0][1] >= shapes[0][3]  # channels first
        return module if is_map else None


def build_backbone(
    name: str,
    num_classes: int,
    in_channels: int = 3,
    weights: str = "default",
    opinion: bool = False,
    class_names: Sequence[str] | None = None,
    head_start: bool = True,
) -> Backbone:
    """A network by name, with pretrained weights and a head for the classes at hand.

    Args:
        name: ``efficientnet_lite0`` (whose weights need no download), any torchvision classification model such as
            ``resnet18``, or any timm model as ``timm/NAME``.
        num_classes: K, at least 1.
        in_channels: C, at least 1; the first convolution is adapted, see `models.finetune.channels.adapt_channels`.
        weights: ``default`` (pretrained: from the package, from ``TORCH_HOME``, else downloaded), ``none`` (random),
            or a file (``.pth``, ``.safetensors``, a checkpoint of ours), also as ``FILE#sha256=HEX``.
        opinion: Whether the head also sees what the classifier of the weights thinks (see `models.finetune.opinion`).
        class_names: Names of the classes, when they are known.
        head_start: Whether the head is fitted anew before training. If not, one for as many classes goes on as it is,
            and has no opinion of itself.

    Returns:
        The network. Its head keeps the weights' own when that has the same shape, and is random otherwise; that of a
        checkpoint of ours is kept only if its classes have the same names.

    Raises:
        ValueError: If the name, the weights or a number is not usable; the message says what is.
    """
    for label, number in (("num_classes", num_classes), ("in_channels", in_channels)):
        if number < 1:
            raise ValueError(f"{label} must be at least 1, got {number}")
    from_timm, known = weights == "default" and name.startswith("timm/"), None
    architecture = build_architecture(name, pretrained_timm=from_timm)
    network, head_name = architecture.network, architecture.head_name
    if weights == "none":
        state: dict[str, Tensor] = {}
    elif from_timm:
        state = network.state_dict()
    elif weights == "default" and name == LITE0:
        state = lite0_state(network.state_dict())
    elif weights == "default":
        path = hub_file(architecture.url, name)
        state = rename(state_dict_of(read_weights(path), path), network.state_dict(), head_name)
    else:
        state, known = _state_of_file(weights, architecture)
    head, judge = (
        {part: state.pop(f"{layer}.{part}") for part in ("weight", "bias") if f"{layer}.{part}" in state}
        for layer in (head_name, "opinion")
    )
    if state and weights != "default":
        _check_stem(network, state, in_channels, weights)
    if in_channels != 3:
        _adapt_stem(network, state, in_channels)
    notes = _load(network, state, architecture, weights) if state else []

    backbone = Backbone(architecture, num_classes, in_channels)
    comparable = known is not None and class_names is not None
    same = comparable and known == list(class_names or [])
    other_classes = comparable and not same
    fits = "weight" in head and head["weight"].shape == backbone.head.weight.shape and not other_classes
    judge = judge or ({} if same or (fits and not head_start) else head)  # a head that goes on is no opinion of itself
    if opinion and "weight" in judge and judge["weight"].flatten(1).shape[1] == backbone.num_features:
        backbone.listen_to(judge["weight"], judge.get("bias"))
    if "weight" in head and head["weight"].shape == backbone.head.weight.shape and not other_classes:
        backbone.head.load_state_dict(head, strict=False)
    elif weights not in ("default", "none"):
        notes.append(_why_new(weights, backbone, head, other_classes))
    backbone.notes = notes
    for note in notes:
        logger.warning(note)
    return backbone


def _why_new(weights: str, backbone: Backbone, head: dict[str, Tensor], other_classes: bool) -> str:
    """Says why the head of a user's file does not go on, in numbers of classes."""
    wanted, given = backbone.head.out_features, len(head["weight"]) if "weight" in head else 0
    what, new = f"is for {given:,} classes", f"a new one for {wanted:,} classes"
    if not given:
        what = "is missing"
    elif other_classes:
        what = "is for other classes"
    elif given == wanted and head["weight"].ndim != 2:
        what = "is no linear layer"
    elif given == wanted and backbone.opinion is None:
        what = "sees more than the features"  # an opinion that this network is to do without
    elif given == wanted:
        new += ", which hears it,"
    return f"the head of {weights} {what}: {new} is trained from the start"


def _check_stem(network: nn.Module, state: dict[str, Tensor], in_channels: int, weights: str) -> None:
    """Refuses a file whose first convolution reads pictures of neither colour nor the number of channels at hand."""
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d) or (module.in_channels, module.groups) != (3, 1):
            continue
        weight = state.get(f"{name}.weight")
        if weight is not None and weight.ndim == 4 and weight.shape[1] not in (3, in_channels):
            raise ValueError(
                f"{weights} are weights for pictures of {weight.shape[1]} channels; here pictures have {in_channels} "
                "(--data.channels), and only weights for 3 are adapted"
            )


def _adapt_stem(network: nn.Module, state: dict[str, Tensor], in_channels: int) -> None:
    """Gives the first convolution, and its weight in the state if there is one, another number of input channels."""
    name, stem = first_convolution(network)
    weight = state.get(f"{name}.weight", stem.weight.detach())  # (O, 3 or C, h, w)
    if weight.shape[1] == 3:
        weight = adapt_channels(weight, in_channels)
    stem.in_channels = in_channels
    stem.weight = nn.Parameter(adapt_channels(stem.weight.detach(), in_channels))
    if state:
        state[f"{name}.weight"] = weight


def _state_of_file(weights: str, architecture: Architecture) -> tuple[dict[str, Tensor], list[str] | None]:
    """Tensors of the user's file under the network's names, and its class names where it is a checkpoint of ours."""
    path, digest = given_file(weights)
    content = read_weights(path, digest)
    foreign = state_dict_of(content, path)
    wanted = architecture.network.state_dict()
    state = rename(foreign, wanted, architecture.head_name)
    if not state and architecture.name == LITE0:
        state = in_order(foreign, wanted) or {}
    if len(state.keys() & wanted.keys()) < len(wanted) / 2:
        raise ValueError(
            f"{path} holds other weights than those of {architecture.name}: {len(state.keys() & wanted.keys())} of "
            f"{len(wanted)} tensors found, the file's first is {next(iter(foreign))!r}"
        )
    if bad := not_finite(state):
        raise ValueError(f"{path}: its weights are not finite ({', '.join(bad[:3])})")
    options = content.get("hyper_parameters") if isinstance(content, dict) else None
    return state, options.get("class_names") if isinstance(options, dict) else None


def _load(network: nn.Module, state: dict[str, Tensor], architecture: Architecture, weights: str) -> list[str]:
    """Gives the state (without head) to the network, strictly; returns what the user should know."""
    head = {f"{architecture.head_name}.weight", f"{architecture.head_name}.bias"}
    source = "the pretrained weights" if weights == "default" else weights
    try:
        result = network.load_state_dict(with_metadata(state, network), strict=False)
    except RuntimeError as error:
        wrong = str(error).strip().splitlines()[1:] or [str(error)]
        raise ValueError(f"{source} do not fit {architecture.name}: {wrong[0].strip()}") from None
    missing = [name for name in result.missing_keys if name not in head and not name.endswith("num_batches_tracked")]
    if missing:
        raise ValueError(
            f"{source} do not fit {architecture.name}: {len(missing)} tensors are missing, the first is {missing[0]!r}"
        )
    extra = [name for name in result.unexpected_keys if not name.lower().startswith("aux")]
    return [f"{len(extra)} tensors of {source} were not used, the first is {extra[0]!r}"] if extra else []
