"""A formula typed by a user, such as ``exp(-x**2) * sin(3*pi*y)``, as a function of torch tensors.

The text is parsed into Python's syntax tree and only what stands in the tables below is evaluated: numbers, the
variables, the constants, arithmetic and the named functions. Nothing is ever handed to ``eval``. Every step is a torch
operation, so autograd gives the derivatives.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

MOST_CHARACTERS = 400  # also bounds the depth of the tree, and with it the recursion

CONSTANTS = {"pi": torch.pi, "e": torch.e}

FUNCTIONS: dict[str, tuple[int, Callable[..., Tensor]]] = {
    "sin": (1, torch.sin), "cos": (1, torch.cos), "tan": (1, torch.tan),
    "asin": (1, torch.asin), "acos": (1, torch.acos), "atan": (1, torch.atan),
    "sinh": (1, torch.sinh), "cosh": (1, torch.cosh), "tanh": (1, torch.tanh),
    "exp": (1, torch.exp), "log": (1, torch.log), "sqrt": (1, torch.sqrt), "abs": (1, torch.abs),
    "sign": (1, torch.sign), "floor": (1, torch.floor), "relu": (1, torch.relu), "sigmoid": (1, torch.sigmoid),
    "step": (1, lambda z: (z >= 0).to(z.dtype)),
    "min": (2, torch.minimum), "max": (2, torch.maximum), "atan2": (2, torch.atan2),
}  # fmt: skip

BINARY: dict[type[ast.operator], Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: torch.remainder,
    ast.Pow: torch.pow,
}


@dataclass(frozen=True)
class Expression:
    """A formula in given variables, evaluated on tensors.

    Args:
        text: The formula; ``^`` may stand for ``**``. At most 400 characters.
        variables: Names that it may use.

    Raises:
        ValueError: If the text is no formula, or uses a name, function or construct that is not in the tables.

    Example:
        >>> Expression("x^2 + 1", ("x",))(torch.tensor([2.0]))
        tensor([5.])
    """

    text: str
    variables: tuple[str, ...] = ("x",)
    body: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", _parse(self.text))
        _check(self.body, self.text, self.variables)

    def __call__(self, *values: Tensor) -> Tensor:
        """The formula's values.

        Args:
            values: One floating point tensor for each variable, of shapes that broadcast.

        Returns:
            Tensor of the broadcast shape, NaN or infinite where the formula is undefined.
        """
        assert len(values) == len(self.variables), f"{len(values)} values for {self.variables}"
        shape = torch.broadcast_shapes(*(value.shape for value in values))
        return _evaluate(self.body, dict(zip(self.variables, values, strict=True))).expand(shape)


def _parse(text: str) -> ast.expr:
    if not text.strip():
        raise ValueError("an empty formula; write one such as sin(2*pi*x)")
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"a formula of {len(text)} characters; at most {MOST_CHARACTERS} are allowed")
    try:
        # In Python ^ binds more loosely than +; whoever writes x^2 + 1 means a power.
        return ast.parse(text.strip().replace("^", "**"), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is no formula; write it as in 2*x + sin(pi*x)**2, products with *") from None


def _check(node: ast.expr, text: str, variables: Sequence[str]) -> None:
    """Refuses whatever is not in the tables.

    Raises:
        ValueError: It names the part at fault.
    """
    match node:
        case ast.Constant(value=bool() | complex()):
            raise ValueError(f"{ast.unparse(node)} in {text!r} is no real number")
        case ast.Constant(value=int() | float()):
            try:
                float(node.value)  # type: ignore[arg-type]
            except OverflowError:
                raise ValueError(f"a number in {text!r} is too large") from None
        case ast.Name(id=name):
            if name not in variables and name not in CONSTANTS:
                if name in FUNCTIONS:
                    raise ValueError(f"the function {name} in {text!r} needs its argument in parentheses: {name}(x)")
                raise ValueError(f"{name!r} in {text!r} is not known{_nearest(name, [*variables, *CONSTANTS])}")
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            _check(operand, text, variables)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            _check(left, text, variables)
            _check(right, text, variables)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in FUNCTIONS:
                product = ": write products with *" if name in (*variables, *CONSTANTS) else _nearest(name, FUNCTIONS)
                raise ValueError(f"{name!r} in {text!r} is no function{product}")
            due = FUNCTIONS[name][0]
            if len(arguments) != due:
                raise ValueError(f"{name} in {text!r} takes {due} argument{'s' * (due > 1)}, got {len(arguments)}")
            for argument in arguments:
                _check(argument, text, variables)
        case ast.Call(func=ast.Constant() | ast.BinOp() | ast.Call()):
            raise ValueError(f"{ast.unparse(node)!r} in {text!r}: write products with *")
        case _:
            raise ValueError(f"{ast.unparse(node)!r} in {text!r} is not allowed; allowed are numbers, + - * / % **, "
                             f"{', '.join([*variables, *CONSTANTS])} and functions")  # fmt: skip


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return (f", did you mean {match[0]!r}?" if match else "") + f"; known: {', '.join(known)}"


def _evaluate(node: ast.expr, values: dict[str, Tensor]) -> Tensor:
    like = next(iter(values.values()))
    match node:
        case ast.Constant(value=number):
            return like.new_tensor(float(number))  # type: ignore[arg-type]
        case ast.Name(id=name):
            return values[name] if name in values else like.new_tensor(CONSTANTS[name])
        case ast.UnaryOp(op=op, operand=operand):
            inner = _evaluate(operand, values)
            return -inner if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=exponent)):
            return torch.pow(_evaluate(left, values), float(exponent))  # type: ignore[arg-type]
        case ast.BinOp(left=left, op=op, right=right):
            return BINARY[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name][1](*(_evaluate(argument, values) for argument in arguments))
    raise AssertionError(f"{ast.dump(node)} was not checked")
