#!/usr/bin/env python3
"""Writes blocks-*.bin: stored blocks of every element type, and what gguf-py (pip install gguf) decodes them to.

A file is the blocks, then one little-endian f32 for each element. Scales are finite, most of them extreme.

Beside them, blocks.sha256: for each type of blocks its name and the SHA-256 of the values of 1024 blocks more, whose bytes are
the SHA-256 of "NAME 0", "NAME 1" and so on, one after the other, with bit 14 of a scale cleared where bits 10 to 14 are all set; of IQ1_M, always.
"""
import hashlib
import sys
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES

# Where a block has half-precision scales, in bytes. (MXFP4 has none: any exponent is finite, if not all of its values.)
SCALES = {
    "F32": [], "F16": [], "BF16": [], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "Q2_K": [80, 82], "Q3_K": [108], "IQ4_NL": [0], "IQ4_XS": [0],
    "MXFP4": [], "TQ1_0": [52], "TQ2_0": [64], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "IQ1_S": [0], "IQ1_M": [],
}
EXTREMES = [0.0, -0.0, 5.96e-08, -5.96e-08, 6.1e-05, 65504.0, -65504.0, 1.0, -1.0, 0.333]
STREAM_BLOCKS = 1024


def set_iq1_m(blocks: np.ndarray, scales: np.ndarray) -> None:
    """IQ1_M has its scale in the upper nibbles of its last four u16."""
    words = blocks[:, 48:].view("<u2")
    words[:] = words & 0x0FFF | scales.view(np.uint16)[:, None] << np.array([12, 8, 4, 0], np.uint16) & 0xF000


def blocks_of(name: str, rng: np.random.Generator) -> np.ndarray:
    length, size = GGML_QUANT_SIZES[T[name]]
    count = {1: 512, 32: 24, 256: 12}[length]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    if length > 1:
        blocks[0], blocks[1] = 0, 255
    for at in SCALES[name] or [0] * (name == "IQ1_M"):
        scales = rng.normal(0, 1, count).astype(np.float16)
        scales[: len(EXTREMES)] = np.roll(EXTREMES, at).astype(np.float16)
        if name == "IQ1_M":
            set_iq1_m(blocks, scales)
        else:
            blocks[:, at : at + 2] = scales.view(np.uint8).reshape(count, 2)
    if name == "F16":  # every exponent; no NaN, whose bits are nobody's business
        blocks = blocks[(blocks.view(np.uint16)[:, 0] & 0x7C00) != 0x7C00]
    if name == "BF16":
        blocks = blocks[(blocks.view(np.uint16)[:, 0] & 0x7F80) != 0x7F80]
    if name == "F32":
        blocks = blocks[(blocks.view(np.uint32)[:, 0] & 0x7F800000) != 0x7F800000]
    return np.ascontiguousarray(blocks)


def stream(name: str) -> np.ndarray:
    size = GGML_QUANT_SIZES[T[name]][1]
    hashes = (hashlib.sha256(f"{name} {i}".encode()).digest() for i in range(-(-STREAM_BLOCKS * size // 32)))
    blocks = np.frombuffer(b"".join(hashes), np.uint8)[: STREAM_BLOCKS * size].reshape(-1, size).copy()
    for at in SCALES[name] or [54] * (name == "IQ1_M"):
        upper = blocks[:, at + 1]
        if name == "IQ1_M":  # bits 10 and 11 of the scale are elsewhere
            upper[:] &= 0xBF
        upper[(upper & 0x7C) == 0x7C] &= 0xBF
    return blocks


def decode(name: str, blocks: np.ndarray) -> bytes:
    if name in ("F32", "F16"):
        values = blocks.reshape(-1).view({"F32": "<f4", "F16": "<f2"}[name]).astype("<f4")
    else:
        with np.errstate(over="ignore"):
            values = quants.dequantize(blocks, T[name]).astype("<f4")
    assert not np.isnan(values).any() and (np.isfinite(values).all() or name == "MXFP4"), name
    return values.tobytes()


def main(folder: Path) -> None:
    rng = np.random.default_rng(1)
    digests = []
    for name in SCALES:
        blocks = blocks_of(name, rng)
        (folder / f"blocks-{name.lower()}.bin").write_bytes(blocks.tobytes() + decode(name, blocks))
        if GGML_QUANT_SIZES[T[name]][0] > 1:
            digests.append(f"{name} {hashlib.sha256(decode(name, stream(name))).hexdigest()}\n")
        print(name, len(blocks), "blocks")
    (folder / "blocks.sha256").write_text("".join(digests))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
