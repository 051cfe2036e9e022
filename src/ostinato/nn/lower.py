"""Linear layers in fewer bits: weights of 8 or 16 in the place of 32, for inference alone."""

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int8
from torch import Tensor, nn

from ..errors import ConfigError

PRECISIONS = ("fp32", "bf16", "int8")
WHOLE = slice(None)
LARGEST = 127
ROWS = 256

Layer = TypeVar("Layer", bound=nn.Linear)


class Linear(nn.Linear):
    """A linear layer that can be asked for a part of its outputs."""

    def forward(self, input: Float[Tensor, "*row in"], part: slice = WHOLE) -> Float[Tensor, "*row out"]:
        return F.linear(input, self.weight[part], None if self.bias is None else self.bias[part])


class SharpLinear(nn.Linear):
    """A linear layer whose inputs 8 bits are too few for: a few are far larger than the rest, or much hangs on them."""


class Int8Linear(nn.Module):
    """A linear layer that multiplies whole numbers of 8 bits: a scale for each output, and one for each row of input.

    Rows are rounded as they come, each by its own largest value, so that a row is the same alone and among others. In
    the place of a `SharpLinear` it multiplies twice: what rounding took away is rounded, too. It takes float weights
    from a state dict, and rounds those.

    Source: LLM.int8(), arXiv:2208.07339, section 2.1, without its outliers.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = _rounded_weight(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.bias, self.sharp = linear.bias, isinstance(linear, SharpLinear)
        _ = self.register_load_state_dict_pre_hook(_round_weight)

    def forward(self, x: Float[Tensor, "*row in"]) -> Float[Tensor, "*row out"]:
        given = x.reshape(-1, x.shape[-1])
        rows, scale = rounded(given)
        out = self._product(rows, scale)
        if self.sharp:
            out = out.add_(self._product(*rounded(torch.addcmul(given, rows.float(), scale, value=-1))))
        out = out if self.bias is None else out.add_(self.bias)
        return out.view(*x.shape[:-1], -1)

    def _product(self, rows: Int8[Tensor, "row in"], scale: Float[Tensor, "row 1"]) -> Float[Tensor, "row out"]:
        return torch.ops.aten._int_mm(rows, self.weight.T).float().mul_(self.scale).mul_(scale)


def rounded(x: Float[Tensor, "row in"]) -> tuple[Int8[Tensor, "row in"], Float[Tensor, "row 1"]]:
    """Rows as whole numbers from -127 to 127, and what each is to be multiplied by."""
    x = x.float()
    scale = torch.maximum(x.amax(-1, keepdim=True), -x.amin(-1, keepdim=True)).clamp_min_(1e-30).div_(LARGEST)
    return (x / scale).round_().to(torch.int8), scale


def _rounded_weight(weight: Float[Tensor, "out in"]) -> tuple[Int8[Tensor, "out in"], Float[Tensor, " out"]]:
    """A few rows at a time, so that what is needed in between leaves no holes in memory."""
    parts = [rounded(rows) for rows in weight.split(ROWS)]
    return torch.cat([whole for whole, _ in parts]), torch.cat([scale[:, 0] for _, scale in parts])


def lowered(linear: Layer, precision: str) -> Layer | Int8Linear:
    """A linear layer in a precision, which shares what it can with the one it is made of.

    Raises:
        ConfigError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"a precision must be one of {', '.join(PRECISIONS)}, got '{precision}'")
    if precision == "int8":
        return Int8Linear(linear)
    return linear.to(torch.bfloat16) if precision == "bf16" else linear


def lower(module: nn.Module, precision: str) -> None:
    """Put every linear layer inside `module` into a precision; as `lowered`."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, lowered(child, precision))


def _round_weight(layer: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    weight = state.get(f"{prefix}weight")
    if weight is not None and weight.is_floating_point():
        state[f"{prefix}weight"], state[f"{prefix}scale"] = _rounded_weight(weight)
