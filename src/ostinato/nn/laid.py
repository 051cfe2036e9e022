"""Large linear layers with their weights laid out as the processor's matrix products read them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

LARGE = 2**20
"""Weights from which on a layer is worth a second copy of them: those of smaller ones stay in the cache."""


class LaidLinear(nn.Linear):
    """A linear layer that lays its weight out anew when it is first used, and keeps both.

    torch does so for every product: in a pass of 3 s over layers of 1280 that is a fifth of the time. Layouts are
    oneDNN's; where torch is exported or has no oneDNN, the layer is as any other.
    """

    laid: Tensor | None = None

    def __init__(self, source: nn.Linear) -> None:
        super().__init__(source.in_features, source.out_features, device="meta", bias=False)
        self.weight, self.bias = source.weight, source.bias

    def forward(self, input: Float[Tensor, "*row in"]) -> Float[Tensor, "*row out"]:
        if torch.compiler.is_compiling():
            return super().forward(input)
        if self.laid is None:
            self.laid = torch.ops.mkldnn._reorder_linear_weight(self.weight, input[..., 0].numel())
        return torch.ops.mkldnn._linear_pointwise(input, self.laid, self.bias, "none", [], "")


def lay_out(module: nn.Module) -> None:
    """Have every large linear layer inside `module` lay its weight out, where this torch can."""
    if not torch.backends.mkldnn.is_available():
        return
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and child.weight.numel() >= LARGE and child.weight.device.type == "cpu":
                setattr(parent, name, LaidLinear(child))
