#!/usr/bin/env python3
"""Writes float8.bin: what torch makes of all bytes as E4M3 and as E5M2, 256 little-endian f32 each.

What NaN has behind its exponent is nobody's business: a test must take any for any.
"""
from pathlib import Path

import torch

bytes_ = torch.arange(256, dtype=torch.uint8)
values = [bytes_.view(dtype).to(torch.float32) for dtype in (torch.float8_e4m3fn, torch.float8_e5m2)]
(Path(__file__).parent / "float8.bin").write_bytes(torch.cat(values).numpy().astype("<f4").tobytes())
