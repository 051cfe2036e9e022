"""What computes the networks: torch, or an optional runtime that makes them faster on a processor."""

from importlib.util import find_spec

from torch import get_num_threads

from .codec import SpectralCodec
from .errors import ConfigError, MissingPartError
from .lac import LAC
from .lm import MaskedModel
from .nn.laid import lay_out

RUNTIMES = ("torch", "openvino")


def check_runtime(runtime: str, device: str) -> None:
    """See that there is such a runtime, here and on this device.

    Raises:
        ConfigError: there is none. MissingPartError: it is not installed.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"a runtime must be one of {', '.join(RUNTIMES)}, got '{runtime}'")
    if runtime == "openvino" and device != "cpu":
        raise ConfigError(f"openvino computes on the CPU, got device '{device}'; leave the runtime out there")
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
            stage.at_once = get_num_threads()
            stage.run = compiled_layers(stage.part, stage.at_once)
    for model in whole:
        model.transformer.run = compiled_transformer(model.transformer)
