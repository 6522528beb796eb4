#!/usr/bin/env python3
"""Writes *.grid: the tables of points that the IQ1, IQ2 and IQ3 types refer to, as gguf-py (pip install gguf) has them.

A number is a point: its lowest two bits (four in iq3) are its first element, as a number of one of the type's values. Rust and
GLSL read the files as they are.
"""
from pathlib import Path

from gguf import quants

for name in ("iq1", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"):
    table = getattr(quants, {"iq1": "IQ1_S"}.get(name, name.upper()))
    table.init_grid()
    values, bits = list(table.grid_map), 16 // table.grid_shape[1]
    points = [sum(values.index(v) << bits * i for i, v in enumerate(point)) for point in table.grid.reshape(table.grid_shape)]
    lines = [", ".join(f"0x{p:04x}" for p in points[i : i + 16]) for i in range(0, len(points), 16)]
    Path(__file__).with_name(f"{name}.grid").write_text(",\n".join(lines) + "\n")
