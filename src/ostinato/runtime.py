"""What computes the networks: torch, or an optional runtime that makes them faster on a processor."""

from importlib.util import find_spec

import torch

from .codec import SpectralCodec
from .errors import ConfigError, MissingPartError
from .lac import LAC
from .lm import MaskedModel
from .nn.laid import lay_out

RUNTIMES = ("torch", "openvino")
DEVICES = ("cpu", "cuda", "mps")


def devices() -> list[str]:
    """Where models can compute here, of `DEVICES`."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [device for device in DEVICES if there.get(device, True)]


def check_runtime(runtime: str, device: str) -> None:
    """See that there is such a runtime and such a device here, and that they go together.

    Raises:
        ConfigError: there is none. MissingPartError: it is not installed.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"a runtime must be one of {', '.join(RUNTIMES)}, got '{runtime}'")
    if runtime == "openvino" and device != "cpu":
        raise ConfigError(f"openvino computes on the CPU, got device '{device}'; leave the runtime out there")
    kind = device.partition(":")[0]
    if kind not in DEVICES:
        raise ConfigError(f"a device must be one of {', '.join(DEVICES)}, got '{device}'")
    if kind not in devices():
        raise ConfigError(f"there is no device '{device}' here, only {', '.join(devices())}; see `ostinato doctor`")
    if runtime == "openvino" and find_spec("openvino") is None:
        raise MissingPartError("for --runtime openvino, `openvino` is needed: pip install openvino")


def hand_over(runtime: str, codec: LAC | SpectralCodec, *models: MaskedModel) -> None:
    """Have a runtime compute what is in fp32 of a codec and of models. The default codec stays in torch.

    In torch, large layers of models lay out their weights.
    """
    whole = [model for model in models if model.precision == "fp32"]
    if runtime == "torch":
        for model in whole:
            lay_out(model.transformer)
        return
    from .nn.compiled import compiled_layers, compiled_transformer

    if isinstance(codec, LAC):
        for stage in (*codec.encoder.stages, *codec.decoder.stages):
            stage.at_once = torch.get_num_threads()
            stage.run = compiled_layers(stage.part, stage.at_once)
    for model in whole:
        model.transformer.run = compiled_transformer(model.transformer)
