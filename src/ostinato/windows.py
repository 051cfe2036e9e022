"""Cut a signal of any length into windows with context, so that results do not depend on the cut."""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Shaped
from torch import Tensor


def around(circle: Shaped[Tensor, "*mid _"], context: int) -> Shaped[Tensor, "*mid _"]:
    """A circle cut open, with `context` more steps on either side: the end comes before the start, and the reverse.

    `context` may be longer than the circle, which then goes round more than once.
    """
    length = circle.shape[-1]
    return circle[..., torch.arange(-context, length + context, device=circle.device) % length]


def windows(
    blocks: Iterable[Shaped[Tensor, "batch *mid _"]], core: int, context: int
) -> Iterator[tuple[Shaped[Tensor, "batch *mid window"], int]]:
    """Re-cut a stream into windows of `context + core + context` steps, each with how much of its core is real.

    The stream is taken to be surrounded by zeros. Windows start at whole multiples of `core`, however the
    blocks were cut: a function of a window gives the same result for any cutting of the same stream.
    """
    held: Tensor | None = None
    for block in blocks:
        held = torch.nn.functional.pad(block, (context, 0)) if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] >= core + 2 * context:
            yield held[..., : core + 2 * context], core
            held = held[..., core:]
    while held is not None and held.shape[-1] > context:
        real = min(core, held.shape[-1] - context)
        wanted = core + 2 * context
        yield torch.nn.functional.pad(held, (0, max(0, wanted - held.shape[-1])))[..., :wanted], real
        held = held[..., core:]


def open_windows(
    blocks: Iterable[Shaped[Tensor, "batch *mid _"]], core: int, context: int
) -> Iterator[tuple[Shaped[Tensor, "batch *mid _"], int, int]]:
    """Re-cut a stream into windows of `core` steps with up to `context` steps of the stream on either side.

    Each comes with where its core starts in it, and how long the core is. As with `windows`, cores start at whole
    multiples of `core`; but nothing is added: the first window begins where the stream does, the last ends with it.
    """
    held: Tensor | None = None
    before = 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] >= before + core + context:
            yield held[..., : before + core + context], before, core
            done = max(0, before + core - context)
            held, before = held[..., done:], before + core - done
    while held is not None and held.shape[-1] > before:
        length = min(core, held.shape[-1] - before)
        yield held[..., : before + core + context], before, length
        done = max(0, before + core - context)
        held, before = held[..., done:], before + core - done
