"""What of a machine changes the digits of a run: processor, vector units, and what libraries were told to make of them."""

import functools
import os

import llvmlite.binding
import torch

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
        "capability": torch.backends.cpu.get_cpu_capability(),
    }
    facts |= {name: value for name in _VARIABLES if (value := os.environ.get(name)) is not None}
    if torch.device(device).type == "cuda":
        facts["GPU"] = torch.cuda.get_device_name(device) if torch.cuda.is_available() else "none"
    return facts
