"""What a sampler is, and the list of those that there are."""

from typing import Protocol, runtime_checkable

from ..chance import Noise
from ..registry import Registry
from ..types import CodedMean, Codes, Hurry, Mask, Predict, Watch


@runtime_checkable
class Sampler(Protocol):
    """A settings object that fills the hidden cells of `codes` and leaves the others as they are.

    `predict` gives the logits of each hidden cell, in the order of `codes[mask]`. `watch` is called after each pass;
    what it raises ends the work and reaches the caller, which is how to cancel. `hurry` is asked after each pass of the
    model that would leave cells hidden: where it says True, that pass fills them all. `coded` is how the codec codes
    what hidden cells are on average, where there is one.
    """

    def passes(self, mask: Mask) -> int:
        """How many times the model is asked, at most, to fill what `mask` hides."""
        ...

    def __call__(
        self,
        predict: Predict,
        codes: Codes,
        mask: Mask,
        noise: Noise,
        watch: Watch | None = None,
        hurry: Hurry | None = None,
        coded: CodedMean | None = None,
    ) -> Codes: ...


samplers: Registry[Sampler] = Registry("sampler")
