"""The codecs there are, by the kind that a checkpoint names."""

from typing import TypeAlias

from .codec import CodecConfig, SpectralCodec
from .lac import LAC, LACConfig

CodecSettings: TypeAlias = CodecConfig | LACConfig
DEFAULT_KIND = "spectral"
KINDS: dict[str, type[CodecSettings]] = {DEFAULT_KIND: CodecConfig, "lac": LACConfig}


def kind_of(settings: object) -> str | None:
    """The kind of codec that these are the settings of; none where they are not a codec's."""
    return next((kind for kind, owner in KINDS.items() if isinstance(settings, owner)), None)


def make(settings: CodecSettings) -> SpectralCodec | LAC:
    """A codec of these settings, with random weights."""
    return LAC(settings) if isinstance(settings, LACConfig) else SpectralCodec(settings)
