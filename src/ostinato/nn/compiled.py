"""Networks compiled by OpenVINO: the same layers, from the same weights, as a graph in which neighbours are fused.

It computes in fp32 on the CPU, batches and sounds of any length, for one caller at a time.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .attend import Attention
from .lac import Fusion, Piece, ResidualUnit, Snake
from .transformer import GatedGELU, Layer, Transformer

Run = Callable[..., Tensor]
RunAll = Callable[[Iterable[Piece]], None]
ANY = -1
DEGREE = 5


def compiled_transformer(source: Transformer) -> Run:
    """A transformer as a function of features and bias; what it returns holds until it is called again."""
    heads, width = source.bias.table.embedding_dim, source.norm.weight.shape[0]
    shapes = [(ANY, ANY, width), (heads, ANY, ANY)]
    request = _compiled(shapes, lambda x, bias: _Graph().transformer(source, x, bias), streams=1).create_infer_request()

    def run(*tensors: Tensor) -> Tensor:
        return torch.from_numpy(request.infer(_given(tensors), share_inputs=True, share_outputs=True)[0])

    return run


def compiled_layers(layers: nn.Sequential, threads: int) -> RunAll:
    """Layers of VampNet's codec as a function of pieces: each thread works on one of its own.

    Arrays are copied by NumPy: threads of torch that have copied spin for a while, and there is work for the cores.
    """
    ins = next(part.in_channels for part in layers.modules() if isinstance(part, nn.Conv1d | nn.ConvTranspose1d))
    engine = _compiled([(ANY, ins, ANY)], lambda x: _Graph().waves(layers, x), streams=threads)
    requests = [engine.create_infer_request() for _ in range(threads + 1)]

    def run(pieces: Iterable[Piece]) -> None:
        idle, busy = deque(requests), deque[tuple[Any, Piece]]()
        try:
            for piece in pieces:
                if not idle:
                    idle.append(finish(*busy.popleft()))
                request = idle.popleft()
                request.start_async(_given([piece.given]), share_inputs=True)
                busy.append((request, piece))
            while busy:
                _ = finish(*busy.popleft())
        finally:
            for request, _ in busy:
                request.wait()

    def finish(request: Any, piece: Piece) -> Any:
        request.wait()
        np.copyto(piece.place.numpy(), request.get_output_tensor().data[..., piece.kept])
        return request

    return run


def _given(tensors: Iterable[Tensor]) -> dict[int, np.ndarray]:
    return {number: np.ascontiguousarray(tensor.detach().numpy()) for number, tensor in enumerate(tensors)}


def _compiled(shapes: Sequence[tuple[int, ...]], build: Callable[..., Any], streams: int) -> Any:
    """A graph that is compiled for inputs of these shapes, of which so many are worked on at once."""
    import openvino

    engine: Any = openvino
    inputs = [engine.opset13.parameter(shape, np.float32) for shape in shapes]
    graph = engine.Model([engine.opset13.result(build(*inputs))], inputs)
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,
    }
    return engine.Core().compile_model(graph, "CPU", settings)


class _Graph:
    """Layers written as nodes of a graph; weights stay where they are."""

    def __init__(self) -> None:
        from openvino import opset13

        self.op: Any = opset13

    def constant(self, value: Tensor | float) -> Any:
        if isinstance(value, Tensor):
            return self.op.constant(value.detach().numpy(), shared_memory=True)
        return self.op.constant(np.float32(value))

    def shape(self, *sizes: int) -> Any:
        return self.op.constant(np.array(sizes, dtype=np.int64))

    def transformer(self, source: Transformer, x: Any, bias: Any) -> Any:
        row = self.op.unsqueeze(bias, self.shape(0))
        for layer in source.layers:
            assert isinstance(layer, Layer)
            x = self.op.add(x, self.attention(layer.attention, self.norm(layer.norm_attention, x), row))
            x = self.op.add(x, self.feed(layer.feed, self.norm(layer.norm_feed, x)))
        return self.norm(source.norm, x)

    def norm(self, source: nn.RMSNorm, x: Any) -> Any:
        power = self.op.reduce_mean(self.op.power(x, self.constant(2.0)), self.shape(-1), keep_dims=True)
        size = self.op.sqrt(self.op.add(power, self.constant(source.eps or 0.0)))
        return self.op.multiply(
            self.op.multiply(x, self.op.divide(self.constant(1.0), size)), self.constant(source.weight)
        )

    def product(self, x: Any, weight: Tensor) -> Any:
        return self.op.matmul(x, self.constant(weight), transpose_a=False, transpose_b=True)

    def attention(self, source: Attention, x: Any, bias: Any) -> Any:
        heads, width = source.heads, source.out.weight.shape[0]
        q, k, v = (
            self.op.transpose(
                self.op.reshape(
                    self.product(x, part.weight), self.shape(0, 0, heads, width // heads), special_zero=True
                ),
                self.shape(0, 2, 1, 3),
            )
            for part in (source.query, source.key, source.value)
        )
        mixed = self.op.transpose(self.op.scaled_dot_product_attention(q, k, v, bias), self.shape(0, 2, 1, 3))
        return self.product(self.op.reshape(mixed, self.shape(0, 0, width), special_zero=True), source.out.weight)

    def feed(self, source: GatedGELU, x: Any) -> Any:
        value, gate = (self.product(x, half) for half in source.widen.weight.chunk(2))
        return self.product(self.op.multiply(value, self.op.gelu(gate, "tanh")), source.narrow.weight)

    def waves(self, part: nn.Module, x: Any) -> Any:
        if isinstance(part, ResidualUnit):
            return self.op.add(self.waves(part.layer, x), x)
        if isinstance(part, Fusion):
            total = self.waves(part.branches[0], x)
            for branch in part.branches[1:]:
                total = self.op.add(total, self.waves(branch, x))
            return self.op.multiply(total, self.constant(1 / len(part.branches)))
        if isinstance(part, nn.Sequential):
            for each in part:
                x = self.waves(each, x)
            return x
        if isinstance(part, Snake):
            return self.snake(part, x)
        if isinstance(part, nn.Conv1d | nn.ConvTranspose1d):
            return self.conv(part, x)
        assert isinstance(part, nn.Tanh), part
        return self.op.tanh(x)

    def conv(self, source: nn.Conv1d | nn.ConvTranspose1d, x: Any) -> Any:
        assert source.bias is not None
        pads = [int(source.padding[0])]
        how = {"strides": list(source.stride), "pads_begin": pads, "pads_end": pads, "dilations": list(source.dilation)}
        turn = self.op.convolution if isinstance(source, nn.Conv1d) else self.op.convolution_backprop_data
        return self.op.add(turn(x, self.constant(source.weight), **how), self.constant(source.bias.view(1, -1, 1)))

    def snake(self, source: Snake, x: Any) -> Any:
        """By a polynomial in the square of the distance from the nearest zero, which fuses; a sine does not."""
        turns = self.op.multiply(x, self.constant(source.alpha / math.pi))
        apart = self.op.subtract(turns, self.op.round(turns, "half_to_even"))
        square = self.op.multiply(apart, apart)
        first, *others = reversed(_squared_sine())
        total = self.constant(first)
        for each in others:
            total = self.op.add(self.op.multiply(total, square), self.constant(each))
        size = self.constant((source.alpha + 1e-9).reciprocal())
        return self.op.add(x, self.op.multiply(self.op.multiply(total, square), size))


def _squared_sine() -> list[float]:
    """Coefficients of sin(pi d)^2 / d^2 by powers of d^2, for d up to a half."""
    wave = np.polynomial.Chebyshev.interpolate(lambda q: np.pi**2 * np.sinc(np.sqrt(q)) ** 2, DEGREE, [0, 0.25])
    return [float(each) for each in wave.convert(kind=np.polynomial.Polynomial).coef]
