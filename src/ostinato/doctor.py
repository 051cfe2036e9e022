"""A look at the machine and the model: what runs here, how fast, whether the weights are whole, what is missing."""

import os
import platform
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import soundfile
import torch

from .audiofile import sha256
from .runtime import devices

LIBRARIES = ("torch", "numpy", "safetensors", "soundfile", "soxr", "pyloudnorm", "click", "rich")
SUMS = "SHA256SUMS"

MODULES = {
    "matplotlib": ("pictures (--plot)", "pip install matplotlib"),
    "huggingface_hub": ("`models pull`", "pip install huggingface_hub"),
    "python_stretch": ("shifting pitch (--pitch)", "pip install python-stretch"),
    "gradio": ("`serve`, the studio and HARP", "pip install 'ostinato[serve]'"),
    "constriction": (".ost files (`compress`, `expand`)", "pip install constriction"),
    "pythonosc": ("`unloop`", "pip install python-osc"),
    "sounddevice": ("`telephone --live`", "pip install sounddevice"),
    "mido": ("beats of MIDI files in `train beats` and `evaluate beats`", "pip install mido"),
    "mir_eval": ("`evaluate beats`", "pip install mir_eval"),
    "openvino": ("speed on processors (--runtime openvino)", "pip install openvino"),
    "onnxscript": ("`export --onnx`", "pip install onnx onnxscript"),
    "zimtohrli": ("the zimtohrli score of `evaluate`", "pip install zimtohrli"),
    "visqol": ("the ViSQOL score of `evaluate`", "pip install visqol-python"),
}
PROGRAMS = {
    "opusenc": ("comparing with Opus in `evaluate`", "apt-get install opus-tools"),
    "dpkg-deb": ("`corpus fetch`", "use Debian or Ubuntu, or a container of one"),
    "apt-get": ("`corpus fetch`", "use Debian or Ubuntu, or a container of one"),
}


def versions() -> dict[str, str]:
    """The versions of ostinato, Python and the libraries that it stands on."""
    found = {"ostinato": metadata.version("ostinato"), "python": platform.python_version()}
    found |= {name: metadata.version(name) for name in LIBRARIES}
    return found | {"libsndfile": soundfile.__libsndfile_version__}


def machine() -> dict[str, Any]:
    """What computes here: processor, cores, threads, wait policy and accelerator."""
    return {
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "not set"),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "devices": ", ".join(devices()),
    }


def missing() -> list[dict[str, str]]:
    """Optional parts that are not here: their name, what for, and how to get them."""
    absent = [(name, *about) for name, about in MODULES.items() if find_spec(name) is None]
    absent += [(name, *about) for name, about in PROGRAMS.items() if shutil.which(name) is None]
    return [{"part": name, "for": use, "get": cure} for name, use, cure in absent]


def listed(folder: Path) -> bool:
    """Whether a model folder has a list of checksums."""
    return (folder / SUMS).is_file()


def verify(folder: Path) -> list[str]:
    """What is wrong with a model folder, by its list of checksums; an empty list when it is whole.

    The list is a file SHA256SUMS of lines "<hex digest>  <path in the folder>", as `sha256sum` writes them. Where
    there is none, nothing can be found wrong; `listed` tells.
    """
    found: list[str] = []
    if not listed(folder):
        return found
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        if not (folder / name).is_file():
            found.append(f"{folder / name} is missing; install ostinato again")
        elif sha256(folder / name) != wanted:
            found.append(f"{folder / name} is damaged (its SHA-256 is not the listed one); install ostinato again")
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
