#!/usr/bin/env python3
"""Writes blocks-*.bin: stored blocks of every element type, and what gguf-py (pip install gguf) decodes them to.

A file is the blocks, then one little-endian f32 for each element. Scales are finite, most of them extreme.
"""
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES

# Where a block has half-precision scales, in bytes.
SCALES = {
    "F32": [], "F16": [], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
EXTREMES = [0.0, -0.0, 5.96e-08, -5.96e-08, 6.1e-05, 65504.0, -65504.0, 1.0, -1.0, 0.333]


def blocks_of(name: str, rng: np.random.Generator) -> np.ndarray:
    length, size = GGML_QUANT_SIZES[T[name]]
    count = {1: 512, 32: 24, 256: 12}[length]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if length > 1:
        blocks[0], blocks[1] = 0, 255
    for at in SCALES[name]:
        scales = rng.normal(0, 1, count).astype(np.float16)
        scales[: len(EXTREMES)] = np.roll(EXTREMES, at).astype(np.float16)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
    if name == "F16":  # every exponent; no NaN, whose bits are nobody's business
        blocks = blocks[(blocks.view(np.uint16)[:, 0] & 0x7C00) != 0x7C00]
    if name == "BF16":
        blocks = blocks[(blocks.view(np.uint16)[:, 0] & 0x7F80) != 0x7F80]
    if name == "F32":
        blocks = blocks[(blocks.view(np.uint32)[:, 0] & 0x7F800000) != 0x7F800000]
    return np.ascontiguousarray(blocks)


def main(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for name in SCALES:
        blocks = blocks_of(name, rng)
        if name in ("F32", "F16"):
            values = blocks.reshape(-1).view({"F32": "<f4", "F16": "<f2"}[name]).astype("<f4")
        else:
            values = quants.dequantize(blocks, T[name]).astype("<f4")
        assert np.isfinite(values).all(), name
        (folder / f"blocks-{name.lower()}.bin").write_bytes(blocks.tobytes() + values.tobytes())
        print(name, len(blocks), "blocks")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
