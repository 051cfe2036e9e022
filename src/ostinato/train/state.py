"""The whole state of a training run as one safetensors file: tensors flat by name, the rest as JSON beside them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ..checkpoint import read_config, read_tensors, restore, write_tensors
from ..config import plain
from ..errors import TrainingError


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write nested dicts of tensors and JSON values, whole or not at all."""
    tensors: dict[str, Tensor] = {}
    rest = _flatten(state, "", tensors)
    write_tensors(path, tensors, {"state": json.dumps(rest)})


def read_state(path: Path) -> dict[str, Any]:
    """Read what `write_state` wrote.

    Raises:
        TrainingError: the file is not the state of a run.
    """
    tensors = read_tensors(path)
    with safe_open(path, "pt") as file:
        about = file.metadata() or {}
    if "state" not in about:
        raise TrainingError(f"{path} is not the state of a training run")
    return _unflatten(json.loads(about["state"]), tensors)


def muon(matrices: Sequence[Tensor], rate: float, decay: float) -> torch.optim.Optimizer:
    """Muon for matrices inside of a network, beside AdamW for all else, at one rate.

    Raises:
        TrainingError: this torch has no Muon.

    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); the size of its steps is
    matched to that of AdamW's as in arXiv:2502.16982, section 2.2.
    """
    if not hasattr(torch.optim, "Muon"):
        raise TrainingError(f"training needs torch 2.9 or newer, for its Muon, got {torch.__version__}")
    return torch.optim.Muon(matrices, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimiser's memory by parameter number; its settings come from the run's config instead."""
    return {str(key): dict(value) for key, value in optimizer.state_dict()["state"].items()}


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give an optimiser back its memory."""
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": {int(key): value for key, value in state.items()}, "param_groups": groups})


def start_from(checkpoint: str, module: nn.Module, settings: Any) -> None:
    """Give a new module, made from `settings`, the weights of a checkpoint; an empty name leaves it as it is.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
        TrainingError: it is of a module with other settings.
    """
    if not checkpoint:
        return
    found, wanted = plain(read_config(Path(checkpoint), type(settings))), plain(settings)
    for name, value in wanted.items():
        if found[name] != value:
            raise TrainingError(f"{checkpoint} has {name} {found[name]}, and the run {value}; start from one like it")
    restore(Path(checkpoint), module)


class Average:
    """A running average of a module's weights, which is what gets evaluated and shipped."""

    def __init__(self, module: nn.Module, memory: float) -> None:
        self.memory = memory
        self.weights = {key: value.detach().clone() for key, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the module's weights; early steps move faster."""
        memory = min(self.memory, (1 + step) / (10 + step))
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                _ = self.weights[key].lerp_(value, 1 - memory)
            else:
                _ = self.weights[key].copy_(value)


def _flatten(node: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        tensors[path] = node.detach()
        return {"tensor": path}
    if isinstance(node, dict):
        return {"table": {key: _flatten(value, f"{path}/{key}", tensors) for key, value in node.items()}}
    return {"value": node}


def _unflatten(node: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    if "tensor" in node:
        return tensors[node["tensor"]]
    if "table" in node:
        return {key: _unflatten(value, tensors) for key, value in node["table"].items()}
    return node["value"]
