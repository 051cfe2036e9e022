"""Shared by the tests: tiny seeded grids, and a tiny model that listens to its neighbours."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.server import Server, started
from tests.tiny import write_model

GridOf = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture
def grid_of() -> GridOf:
    """`grid_of(batch=2, codebooks=3, frames=12, vocab=7, share=0.6, seed=0)` gives random codes and a random mask."""

    def make(
        batch: int = 2, codebooks: int = 3, frames: int = 12, vocab: int = 7, share: float = 0.6, seed: int = 0
    ) -> tuple[Tensor, Tensor]:
        chance = torch.Generator().manual_seed(seed)
        codes = torch.randint(vocab, (batch, codebooks, frames), generator=chance)
        mask = torch.rand(batch, codebooks, frames, generator=chance) < share
        return codes, mask

    return make


@pytest.fixture
def listener() -> Callable[..., Callable[[Tensor, Tensor], Tensor]]:
    """`listener(codebooks=3, vocab=7)` gives a `predict` that hears the visible cells beside and below each hidden one.

    It treats items alike, and frames alike on a circle; it cannot see under the mask.
    """

    def make(codebooks: int = 3, vocab: int = 7, seed: int = 0) -> Callable[[Tensor, Tensor], Tensor]:
        chance = torch.Generator().manual_seed(seed)
        own = torch.randn(codebooks, 1, vocab, generator=chance)
        beside, below = torch.randn(2, codebooks, vocab + 1, vocab, generator=chance)
        level = torch.arange(codebooks)[:, None]

        def predict(codes: Tensor, mask: Tensor) -> Tensor:
            heard = codes.masked_fill(mask, vocab)
            before, after = heard.roll(1, -1), heard.roll(-1, -1)
            return (own + beside[level, before] + beside[level, after] + below[level, heard.roll(1, -2)])[mask]

        return predict

    return make


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random model, for reading only."""
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A live server of the tiny model, for all tests of a session; its streams are padded every half second."""
    folder = tmp_path_factory.mktemp("serve")
    with started(tiny_model, folder, "--pad", "0.5", log=folder.with_suffix(".log")) as up:
        yield up


@pytest.fixture(autouse=True)
def no_models_but_ours(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see no model that the user of this machine has installed."""
    monkeypatch.setenv("OSTINATO_HOME", str(tmp_path_factory.getbasetemp() / "nobody"))
