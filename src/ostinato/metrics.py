"""How near two sounds are and how much tokens tell: pure functions, one score an item or a codebook."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .dsp import hann, log_mel, mel_filters
from .errors import AudioError, OstinatoError
from .types import Codes, Logits, Mask, Signal
from .windows import around

MEL_SCALES = tuple((32 << i, 5 << i) for i in range(7))
SEAM = 1024


def mel_distance(reference: Signal, estimate: Signal, sample_rate: int) -> Float[Tensor, " batch"]:
    """Mean absolute difference of log10 mel magnitudes over seven scales; 0 is a perfect copy, lower is nearer.

    Windows of 32 to 2048 samples with 5 to 320 mel bands, a hop of a quarter window, magnitudes clamped at
    1e-5 and every scale of equal weight. Symmetric. A level error of g dB costs g / 20 where both sound;
    silence is defined: all bands lie at the clamp.

    Raises:
        AudioError: there is no item or no sample, or the shapes differ.

    Source: the multi-scale mel loss of DAC (arXiv:2306.06546, section 3.4), as a mean instead of a sum.
    """
    _same_shape("mel_distance", reference, estimate)
    scales = [
        (log_mel(reference, sample_rate, size=size, mels=mels) - log_mel(estimate, sample_rate, size=size, mels=mels))
        .abs()
        .mean((1, 2))
        for size, mels in MEL_SCALES
    ]
    return torch.stack(scales).mean(0)


def si_sdr(reference: Signal, estimate: Signal) -> Float[Tensor, " batch"]:
    """Scale-invariant signal-to-distortion ratio, in dB; higher is nearer.

    Both are centred first, and any gain on `estimate` but 0 changes nothing: a level error is neither punished
    nor seen. +inf for a perfect copy, -inf for a silent estimate.

    Raises:
        AudioError: there is no item or no sample, the shapes differ, or an item of `reference` is silent, which
            leaves the ratio undefined.

    Source: Le Roux et al., "SDR - half-baked or well done?", arXiv:1811.02508.
    """
    _same_shape("si_sdr", reference, estimate)
    _sounding("si_sdr", reference, "a reference")
    target = reference - reference.mean(-1, keepdim=True)
    heard = estimate - estimate.mean(-1, keepdim=True)
    gain = (heard * target).sum(-1, keepdim=True) / target.square().sum(-1, keepdim=True)
    signal = (gain * target).square().sum(-1)
    distortion = (heard - gain * target).square().sum(-1)
    ratio = torch.where(signal > 0, signal / distortion, torch.zeros_like(signal))
    return 10 * ratio.log10()


def delay(reference: Signal, estimate: Signal, max_lag: int) -> Int[Tensor, " batch"]:
    """Samples by which `estimate` comes late (negative: early), at the highest cross-correlation within `max_lag`.

    Raises:
        AudioError: there is no item or no sample, the shapes differ, or an item of either is silent.
    """
    _same_shape("delay", reference, estimate)
    _sounding("delay", reference, "a reference")
    _sounding("delay", estimate, "an estimate")
    size = reference.shape[-1] + max_lag
    likeness = torch.fft.irfft(torch.fft.rfft(estimate, n=size) * torch.fft.rfft(reference, n=size).conj(), n=size)
    lags = torch.arange(-max_lag, max_lag + 1, device=reference.device)
    return lags[likeness[:, lags % size].argmax(-1)]


def align(reference: Signal, estimate: Signal, max_lag: int) -> Signal:
    """`estimate` moved onto `reference` by its `delay`; zeros where it then has nothing to say.

    Raises:
        AudioError: as `delay`.
    """
    late = delay(reference, estimate, max_lag)
    places = torch.arange(estimate.shape[-1], device=estimate.device) + late[:, None]
    inside = (places >= 0) & (places < estimate.shape[-1])
    return estimate.gather(-1, places.clamp(0, estimate.shape[-1] - 1)) * inside


def seam(
    signal: Signal, places: Sequence[int], sample_rate: int, *, circular: bool = False
) -> tuple[Float[Tensor, "batch place"], Float[Tensor, "batch place"]]:
    """How much a sound changes at `places`, where something was joined, against the median of its changes elsewhere.

    Returns:
        Spectral flux and sample jump at each place, as multiples of the median (at least 0.01) over up to 4096
        places that are 1024 samples or more from all of these; around 1 where nothing can be heard of a join. The
        flux is the mean rise, over 40 mel bands of 1024 samples, of the log magnitude around a place over that half
        a window earlier. The jump is the step from the sample before to that at the place, over the mean of the 32
        steps around it. A note that begins at a place is a rise, too.

    Args:
        places: the sample at which each join begins; 0 is the seam of a circle.
        circular: the end of the sound meets its start.

    Raises:
        AudioError: there is no place, one lies outside the sound, or nowhere is far enough from all of them.

    Source: the rectified log flux of onset detection, Boeck and Widmer (DAFx-13).
    """
    samples, first = signal.shape[-1], 0 if circular else 1
    if not places or min(places) < first or max(places) >= samples:
        raise AudioError(f"seams must lie within samples {first} to {samples - 1}, got {list(places)}")
    at = torch.tensor(list(places), device=signal.device)
    elsewhere = torch.linspace(first, samples - 1, min(4096, samples), device=signal.device).long()
    apart = (elsewhere[:, None] - at).abs()
    apart = torch.minimum(apart, samples - apart) if circular else apart
    elsewhere = elsewhere[(apart >= SEAM).all(1)]
    if len(elsewhere) == 0:
        raise AudioError(f"seams need a place at least {SEAM} samples from all of them, got {samples} samples")
    padded = around(signal, SEAM) if circular else torch.nn.functional.pad(signal, (SEAM, SEAM))
    flux, jump = _steps(padded, torch.cat([at, elsewhere]) + SEAM, sample_rate)
    count = len(at)
    usual = [each[:, count:].median(1, keepdim=True).values.clamp_min(0.01) for each in (flux, jump)]
    return flux[:, :count] / usual[0], jump[:, :count] / usual[1]


def _steps(
    signal: Signal, places: Int[Tensor, " place"], sample_rate: int
) -> tuple[Float[Tensor, "batch place"], Float[Tensor, "batch place"]]:
    """Rise of the spectrum and relative jump of the samples at places of a signal."""
    window = hann(SEAM, signal.device)
    filters = mel_filters(sample_rate, SEAM, 40, signal.device)

    def spectra(centres: Int[Tensor, " place"]) -> Float[Tensor, "batch place mel"]:
        pieces = signal[:, centres[:, None] + torch.arange(-SEAM // 2, SEAM // 2, device=signal.device)]
        return (torch.fft.rfft(pieces * window, dim=-1).abs() @ filters).clamp_min(1e-5).log10()

    flux = (spectra(places) - spectra(places - SEAM // 2)).clamp_min(0).mean(-1)
    step = signal.diff(dim=-1).abs()
    beside = step[:, places[:, None] - 1 + torch.arange(-16, 17, device=signal.device)]
    jump = beside[..., 16] / ((beside.sum(-1) - beside[..., 16]) / 32).clamp_min(1e-9)
    return flux, jump


def frechet_distance(
    reference: Float[Tensor, "sample feature"], estimate: Float[Tensor, "other feature"], floor: float = 1e-6
) -> float:
    """How far apart two collections lie in some embedding, as if each were normally distributed; 0 for the same.

    Symmetric, and the same in whatever order the samples come; the unit is that of the embedding, squared. With few
    samples it comes out too high: compare only what was measured with equally many. `floor` is added to the
    variance of every feature, so that fewer samples than features will do.

    Raises:
        OstinatoError: a collection has fewer than two samples.

    Source: Heusel et al., arXiv:1706.08500; for music Kilgour et al., "Frechet Audio Distance", arXiv:1812.08466.
    """
    if min(len(reference), len(estimate)) < 2:
        raise OstinatoError(
            f"frechet_distance needs two samples or more on each side, got {len(reference)} and {len(estimate)}"
        )
    means, spreads = zip(*(_normal(side.double(), floor) for side in (reference, estimate)), strict=True)
    values, vectors = torch.linalg.eigh(spreads[0])
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ spreads[1] @ root).clamp(min=0).sqrt().sum()
    apart = (means[0] - means[1]).square().sum() + spreads[0].trace() + spreads[1].trace() - 2 * shared
    return max(0.0, float(apart))


def _normal(
    samples: Float[Tensor, "sample feature"], floor: float
) -> tuple[Float[Tensor, " feature"], Float[Tensor, "feature feature"]]:
    """Mean and covariance."""
    centred = samples - samples.mean(0)
    spread = centred.T @ centred / (len(samples) - 1)
    return samples.mean(0), spread + floor * torch.eye(samples.shape[1], dtype=samples.dtype, device=samples.device)


def unigram(codes: Codes, vocabulary: int) -> Float[Tensor, "codebook vocab"]:
    """How often each codebook uses each of its `vocabulary` values, as shares that add up to 1.

    Raises:
        OstinatoError: there are no tokens, or one lies outside the vocabulary.
    """
    if codes.numel() == 0:
        raise OstinatoError(f"token statistics need at least one token, got shape {tuple(codes.shape)}")
    if int(codes.min()) < 0 or int(codes.max()) >= vocabulary:
        raise OstinatoError(
            f"tokens must be 0 to {vocabulary - 1} (the vocabulary), got {int(codes.min())} to {int(codes.max())}"
        )
    rows = codes.transpose(0, 1).flatten(1)
    counts = torch.stack([torch.bincount(row, minlength=vocabulary) for row in rows])
    return counts / rows.shape[1]


def unigram_entropy(codes: Codes, vocabulary: int) -> Float[Tensor, " codebook"]:
    """Bits a token of each codebook costs when only these tokens' own frequencies are known; 0 to log2(vocabulary).

    Few tokens flatter: the estimate lies about `vocabulary / (1.4 * tokens)` bits too low.

    Raises:
        OstinatoError: as `unigram`.

    Source: Shannon 1948; the bias is that of Miller 1955.
    """
    share = unigram(codes, vocabulary)
    return torch.special.entr(share).sum(-1) / math.log(2)


def perplexity(codes: Codes, vocabulary: int) -> Float[Tensor, " codebook"]:
    """How many values each codebook uses, in effect: 2 to the unigram entropy; 1 (collapsed) to `vocabulary`.

    Raises:
        OstinatoError: as `unigram`.
    """
    return unigram_entropy(codes, vocabulary).exp2()


def token_bits(logits: Logits, codes: Codes) -> Float[Tensor, "batch codebook frame"]:
    """Bits that each token costs under `logits`: minus log2 of the probability it was given."""
    return -logits.log_softmax(-1).gather(-1, codes[..., None])[..., 0] / math.log(2)


def bits_per_token(logits: Logits, codes: Codes, mask: Mask) -> Float[Tensor, " codebook"]:
    """Mean `token_bits` of each codebook over its hidden cells; 0 for sure and right, log2(vocabulary) for a shrug.

    Raises:
        OstinatoError: a codebook has no hidden cell.
    """
    hidden = mask.sum((0, 2))
    if mask.numel() == 0 or not bool(hidden.all()):
        empty = (hidden == 0).nonzero().flatten().tolist()
        raise OstinatoError(f"bits_per_token needs a hidden cell in every codebook; codebooks {empty} have none")
    return (token_bits(logits, codes) * mask).sum((0, 2)) / hidden


def _same_shape(name: str, reference: Signal, estimate: Signal) -> None:
    if reference.numel() == 0 or reference.shape != estimate.shape:
        raise AudioError(
            f"{name} needs two sounds of one shape, with at least one sample, "
            f"got {tuple(reference.shape)} and {tuple(estimate.shape)}"
        )


def _sounding(name: str, sound: Signal, role: str) -> None:
    silent = (sound == sound[:, :1]).all(-1)
    if bool(silent.any()):
        raise AudioError(f"{name} needs {role} that sounds; items {silent.nonzero().flatten().tolist()} are silent")
