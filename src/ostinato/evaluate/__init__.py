"""Measure a model on held-out music: its codec, its predictions, its takes; and write the card that says so."""

from .estimates import Estimate as Estimate
from .estimates import estimate as estimate
from .judges import JUDGES as JUDGES
from .passages import Passage as Passage
from .passages import passages as passages
from .picture import listen as listen
from .prediction import score_tokens as score_tokens
from .reconstruction import score_codec as score_codec
from .variation import score_prompts as score_prompts
