"""A deep belief network: restricted Boltzmann machines, each learning the hidden units of the one below.

The module holds the machines of all layers and the state of their training. A layer sees the probabilities of the one
below, and the first the grey values of the pixels, drawn anew as 0 and 1: what it learns is a model of binary units.

Letters: N pictures, C chains, V visible units, L layers.

Source: Hinton, Osindero and Teh (2006), A fast learning algorithm for deep belief nets.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.energy.machine import RBM, Algorithm, Ascent, climb, coin
from theory.dbn import Machine, upside_down


class DBN(nn.Module):
    """A stack of machines.

    Args:
        visible: V.
        sizes: Hidden units of each layer, from the pixels up.
        algorithm: How each machine is trained.
        sweeps: Gibbs sweeps a step.
        chains: Persistent chains.
    """

    def __init__(self, visible: int, sizes: Sequence[int], algorithm: Algorithm, sweeps: int, chains: int) -> None:
        super().__init__()
        pairs = list(pairwise([visible, *sizes]))
        self.machines = nn.ModuleList(RBM(below, above) for below, above in pairs)
        self.ascents = nn.ModuleList(Ascent(*pair, algorithm, sweeps, chains) for pair in pairs)

    def machine(self, layer: int) -> RBM:
        """The machine of a layer, from 0."""
        machine = self.machines[layer]
        assert isinstance(machine, RBM)
        return machine

    def terms(self) -> list[Machine]:
        """Parameters of all layers, for ``theory.dbn``."""
        return [Machine(*self.machine(layer).terms()) for layer in range(len(self.machines))]

    @torch.no_grad()
    def up(self, v: Tensor, layer: int) -> Tensor:
        """Drawn states of the units that the machine of ``layer`` sees, shape (N, units); grey pixels are drawn too."""
        v = coin(v)
        for below in range(layer):
            v = coin(self.machine(below).hidden_given_visible(v))
        return v

    @torch.no_grad()
    def begin(self, layer: int, v: Tensor) -> None:
        """Sets a machine up before its first step.

        A machine that is as large as the one below turned upside down begins as just that, which leaves the bound
        exact; any other begins with the means of what it sees. Persistent chains start at the first pictures.

        Args:
            layer: From 0.
            v: Training pictures, whose first ones stand for all, shape (N, V).
        """
        seen, machine, ascent = self.up(v, layer), self.machine(layer), self.ascents[layer]
        assert isinstance(ascent, Ascent)
        below = self.machine(layer - 1) if layer else None
        if below is not None and machine.weight.shape == below.weight.T.shape:
            for parameter, term in zip(machine.parameters(), upside_down(Machine(*below.terms())), strict=True):
                parameter.copy_(term)
        else:
            machine.start_from(seen.mean(0), len(seen))
        ascent.start_from(seen.mean(0))
        chosen = torch.arange(len(ascent.chains), device=seen.device) % len(seen)
        ascent.chains.copy_(coin(machine.hidden_given_visible(seen[chosen])))

    @torch.no_grad()
    def climb(self, layer: int, v: Tensor) -> None:
        """Writes the gradient of one layer; v: a batch of pictures, shape (N, V)."""
        ascent = self.ascents[layer]
        assert isinstance(ascent, Ascent)
        climb(self.machine(layer), ascent.gradient(self.machine(layer), self.up(v, layer)))

    @torch.no_grad()
    def dream(self, start: Tensor, sweeps: int) -> Tensor:
        """Pictures: Gibbs sampling in the top machine, then one pass down.

        Args:
            start: Pictures from which the chains start, shape (C, V).
            sweeps: In the top machine.

        Returns:
            Probabilities of the pixels, shape (C, V).
        """
        top = len(self.machines) - 1
        first = coin(self.machine(top).hidden_given_visible(self.up(start, top)))  # (C, units of the top layer)
        _, _, h = self.machine(top).gibbs(first, sweeps)
        for layer in range(top, 0, -1):
            h = coin(self.machine(layer).visible_given_hidden(h))
        return self.machine(0).visible_given_hidden(h)


class SigmoidNet(nn.Module):
    """Logistic layers and a linear one on top: what a deep belief network becomes when it is to name pictures.

    Args:
        visible: V.
        sizes: Hidden units of each layer.
        num_classes: Classes.
        dropout: Share of the hidden units left out in training.
        input_dropout: Share of the pixels left out in training.
    """

    def __init__(
        self, visible: int, sizes: Sequence[int], num_classes: int, dropout: float = 0.0, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = [visible, *sizes]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.head = nn.Linear(widths[-1], num_classes)
        self.drop, self.input_drop = nn.Dropout(dropout), nn.Dropout(input_dropout)
        for layer in [*self.layers, self.head]:
            assert isinstance(layer, nn.Linear)
            # A logistic unit passes a quarter of its slope at 0, hence the gain of 4 (Glorot and Bengio 2010).
            nn.init.xavier_uniform_(layer.weight, gain=1.0 if layer is self.head else 4.0)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.head.weight)  # all classes alike before the first step, whatever lies below

    def forward(self, v: Tensor) -> Tensor:
        """Logits, shape (N, classes), of pictures (N, V)."""
        x = self.input_drop(v)
        for layer in self.layers:
            x = self.drop(torch.sigmoid(layer(x)))
        logits: Tensor = self.head(x)
        return logits

    @torch.no_grad()
    def take_over(self, stack: DBN) -> None:
        """Begins with the weights and hidden biases of the machines."""
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            machine = stack.machine(number)
            layer.weight.copy_(machine.weight.T)
            layer.bias.copy_(machine.hidden_bias)
