"""What of a machine changes the digits of a run: processor, vector units, and what libraries were told to make of them."""

import functools
import os
import platform

import llvmlite.binding

_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "NPY_DISABLE_CPU_FEATURES",
    "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE",
)  # fmt: skip


@functools.cache
def describe(device: str) -> dict[str, str]:
    """Return what a run on this device depends on, as text: the processor, which draws the data, and the GPU if it is one.

    Libraries choose their kernels by processor, so that two of the same vector units may still differ.
    """
    facts = {
        "processor": llvmlite.binding.get_host_cpu_name(),
        "features": llvmlite.binding.get_host_cpu_features().flatten(),
    }
    facts["capability"] = capability(facts["features"], platform.machine(), os.environ.get("ATEN_CPU_CAPABILITY"))
    facts |= {name: value for name in _VARIABLES if (value := os.environ.get(name)) is not None}
    if device.partition(":")[0] == "cuda":
        import torch

        facts["GPU"] = torch.cuda.get_device_name(device) if torch.cuda.is_available() else "none"
    return facts


def capability(features: str, architecture: str, asked: str | None = None) -> str:
    """Return which of its kernels PyTorch chooses on a processor, as ``torch.backends.cpu.get_cpu_capability`` says.

    On an x86 processor that follows from its vector units and needs no PyTorch, which takes seconds to import; any other is
    asked for.

    Parameters
    ----------
    features : of the processor, as LLVM writes them: "+avx,+avx2,-avx512f,…"
    architecture : as ``platform.machine`` says
    asked : the environment variable ATEN_CPU_CAPABILITY, which wins where it has one of PyTorch's words
    """
    if architecture.lower() not in ("x86_64", "amd64"):
        import torch

        return torch.backends.cpu.get_cpu_capability()
    if asked in ("default", "avx2", "avx512"):
        return asked.upper()
    units = set(features.split(","))
    if {"+avx512vl", "+avx512bw", "+avx512dq", "+fma"} <= units:
        return "AVX512"
    return "AVX2" if {"+avx2", "+fma"} <= units else "DEFAULT"
