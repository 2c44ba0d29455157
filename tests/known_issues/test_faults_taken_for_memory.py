"""Errors with the word "memory", such as an illegal memory access on a GPU, were treated as out of memory."""

import pytest

pytest.importorskip("kaldialign")

from asrkit.decode.nbest import is_out_of_memory

MEMORY = (
    MemoryError(),
    MemoryError("std::bad_alloc"),
    RuntimeError("std::bad_alloc"),
    RuntimeError(
        "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 15.75 GiB total capacity)"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("unable to mmap 9 bytes from file: Cannot allocate memory (12)"),
)
OTHERS = (
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("required rank 4 tensor to use channels_last memory format"),
    RuntimeError("unsupported operation: some elements refer to a single memory location"),
    RuntimeError("Some bad things happened. Please read the above error messages and stack trace."),
    ValueError("out of memory"),
)


@pytest.mark.parametrize("error", MEMORY, ids=str)
def test_out_of_memory_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_other_errors_are_not(error: Exception) -> None:
    assert not is_out_of_memory(error)
