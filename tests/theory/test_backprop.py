"""Back-propagation written out against autograd."""

import torch

from theory.backprop import forward, gradients, loss, random_layers, residuals


def test_gradients_are_those_of_autograd() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = random_layers((4, 7, 3, 2), generator)
    x, y = (torch.randn(9, size, generator=generator, dtype=torch.float64) for size in (4, 2))
    tensors = [tensor.requires_grad_() for layer in layers for tensor in layer]
    due = torch.autograd.grad(loss(layers, x, y), tensors)
    found = [tensor for layer in gradients(layers, x, y) for tensor in layer]
    for a, b in zip(found, due, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_residuals_are_derivatives_of_pre_activations() -> None:
    generator = torch.Generator().manual_seed(0)
    layers = random_layers((2, 3, 1), generator)
    x, y = torch.randn(5, 2, generator=generator, dtype=torch.float64), torch.zeros(5, 1, dtype=torch.float64)
    outputs = forward(layers, x)
    assert [tuple(z.shape) for z in outputs] == [(5, 3), (5, 1)]
    z = outputs[0].detach().requires_grad_()
    value = (z.tanh() @ layers[1][0].T + layers[1][1] - y).square().sum() / 10
    (due,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(residuals(layers, x, y)[0], due)
