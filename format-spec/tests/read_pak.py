#!/usr/bin/env python3
"""Checks a .pak archive and lists what is in it. Written from SPEC.md alone, with nothing but the standard library.

With --decode it decodes every part as well, one weight after the other, and prints a SHA-256 of each tensor.
"""
import hashlib
import struct
import sys

import read_codecs

ROLES = dict(enumerate("attention-heads attention-output mlp-block mlp-down expert router norms embedding head".split(), 1))
KINDS = {240: "scale", 255: "unused",
         **dict(enumerate("attn_q_a attn_q_a_norm attn_q_b attn_kv_a_mqa attn_kv_a_norm attn_kv_b attn_k_b attn_v_b".split(), 72)),
         **dict(enumerate("token_embd output_norm output rope_freqs position_embd output_norm.bias".split(), 1)),
         **dict(enumerate("attn_norm attn_q attn_k attn_v attn_output attn_norm.bias attn_qkv attn_qkv.bias attn_q.bias attn_k.bias "
                          "attn_v.bias attn_q_norm attn_k_norm attn_output.bias post_attention_norm attn_sinks".split(), 16)),
         **dict(enumerate("ffn_norm ffn_gate ffn_up ffn_down ffn_norm.bias ffn_gate_up ffn_gate.bias ffn_up.bias ffn_down.bias "
                          "post_ffw_norm".split(), 32)),
         **dict(enumerate("ffn_gate_inp ffn_gate_inp.bias exp_probs_b ffn_gate_exps ffn_up_exps ffn_down_exps ffn_gate_up_exps "
                          "ffn_gate_exps.bias ffn_up_exps.bias ffn_down_exps.bias ffn_gate_shexp ffn_up_shexp ffn_down_shexp "
                          "ffn_gate_inp_shexp ffn_gate_up_shexp ffn_gate_up_exps.bias".split(), 48))}
TOKENIZERS = {1: "gguf-bpe", 2: "gguf-sentencepiece", 3: "tokenizer.json", 4: "gguf-sentencepiece-strip"}
DTYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 30: ("BF16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
          6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
          14: ("Q6_K", 256, 210), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 20: ("IQ4_NL", 32, 18),
          23: ("IQ4_XS", 256, 136), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
          16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
          21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 29: ("IQ1_M", 256, 56), 256: ("F8_E4M3", 1, 1),
          257: ("F8_E5M2", 1, 1)}
KEPT = {24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 258: ("F8_E8M0", 1, 1),
        259: ("U8", 1, 1), 260: ("U16", 1, 2), 261: ("U32", 1, 4), 262: ("U64", 1, 8), 263: ("BOOL", 1, 1)}
DTYPES.update(KEPT)
NONE = 0xFFFFFFFF

# Section 5: (size, {field: (offset, type)}). A type is a struct format, "text", a list [element], or a struct's name.
STRUCTS = {
    "Index": (328, {"architecture": (0, "text"), "params": (16, ["Param"]), "tokenizer": (32, "?Tokenizer"),
                    "tensors": (200, ["Tensor"]), "packs": (216, ["WeightPack"]), "parts": (232, ["Part"]),
                    "metadata": (248, ["Metadata"]), "provenance": (264, "Provenance"), "annotations": (312, ["Annotation"])}),
    "Param": (48, {"key": (0, "text"), "numbers": (16, ["<d"]), "text": (32, "text")}),
    "Tokenizer": (160, {"kind": (0, "<B"), "pre": (8, "text"), "tokens": (24, ["text"]), "scores": (40, ["<f"]),
                        "types": (56, ["<B"]), "merges": (72, ["text"]), "json": (88, "text"), "bos": (104, "<I"),
                        "eos": (108, "<I"), "unk": (112, "<I"), "pad": (116, "<I"), "stop": (120, ["<I"]),
                        "add_bos": (136, "bool"), "add_eos": (137, "bool"), "add_space_prefix": (138, "bool"),
                        "chat_template": (144, "text")}),
    "Tensor": (40, {"name": (0, "text"), "kind": (16, "<H"), "dtype": (18, "<H"), "layer": (20, "<I"), "shape": (24, ["<Q"])}),
    "WeightPack": (64, {"role": (0, "<B"), "layer": (4, "<I"), "first_part": (8, "<I"), "part_count": (12, "<I"),
                        "offset": (16, "<Q"), "len": (24, "<Q"), "sha256": (32, "32s")}),
    "Part": (40, {"tensor": (0, "<I"), "row": (4, "<I"), "rows": (8, "<I"), "codec": (12, "<B"), "offset": (16, "<Q"),
                  "coded_len": (24, "<Q"), "raw_len": (32, "<Q")}),
    "Metadata": (32, {"key": (0, "text"), "value": (16, "text")}),
    "Provenance": (48, {"writer": (0, "text"), "source_format": (16, "text"), "sources": (32, ["Source"])}),
    "Source": (56, {"name": (0, "text"), "len": (16, "<Q"), "sha256": (24, "32s")}),
    "Annotation": (32, {"name": (0, "text"), "bytes": (16, ["<B"])}),
    # Section 15
    "Coaccess": (120, {"mixture": (0, "Mixture"), "domains": (56, ["Domain"]), "successors": (72, ["Successor"]),
                       "order": (88, ["<I"]), "hits": (104, ["CacheHits"])}),
    "Mixture": (56, {"architecture": (0, "text"), "name": (16, "text"), "layers": (32, ["<I"]), "experts": (48, "<I"),
                     "used": (52, "<I")}),
    "Domain": (40, {"name": (0, "text"), "tokens": (16, "<I"), "heat": (24, ["<I"])}),
    "Successor": (12, {"expert": (0, "<I"), "next": (4, "<I"), "count": (8, "<I")}),
    "CacheHits": (16, {"slots": (0, "<I"), "hits": (8, "<Q")}),
}
ALIGN = {"Successor": 4}


def must(holds, rule, what=""):
    if not holds:
        sys.exit(f"{sys.argv[1]}: breaks {rule} {what}".rstrip())


def up(n, align):
    return (n + align - 1) // align * align


class Index:
    """Section 4, with a root of any struct."""

    def __init__(self, data, name="Index"):
        self.data, self.low = data, 0
        root = len(data) - STRUCTS[name][0]
        must(root >= 0 and root % 8 == 0, "I1", "root")
        self.root = self.struct(name, root, root)

    def number(self, form, at):
        return struct.unpack_from(form, self.data, at)[0]

    def value(self, kind, at, owner):
        if isinstance(kind, list):
            return self.list(kind[0], at, owner)
        if kind == "text":
            return self.text(at, owner)
        if kind == "bool" or kind.startswith("?"):
            flag = self.data[at]
            must(flag <= 1, "I2", f"flag at {at}")
            if kind == "bool":
                return flag == 1
            return self.struct(kind[1:], at + 8, owner) if flag else None
        return self.struct(kind, at, owner) if kind in STRUCTS else self.number(kind, at)

    def struct(self, name, at, owner):
        return {field: self.value(kind, at + offset, owner) for field, (offset, kind) in STRUCTS[name][1].items()}

    def begin(self, at, size, align, owner):
        must(at % align == 0 and self.low <= at and at + size <= owner, "I1", f"piece at {at}")

    def list(self, kind, cell, owner):
        at, count = cell + self.number("<q", cell), self.number("<Q", cell + 8)
        fixed = {"text": 16, **{name: size for name, (size, _) in STRUCTS.items()}}
        size = fixed.get(kind) or struct.calcsize(kind)
        self.begin(at, size * count, ALIGN.get(kind, min(size, 8)), owner)
        if kind == "<B":
            values = list(self.data[at : at + count])
        else:
            values = [self.value(kind, at + i * size, at) for i in range(count)]
        self.low = at + size * count
        return values

    def text(self, cell, owner):
        raw = self.data[cell : cell + 16]
        if raw[0] & 0xC0 == 0x80:
            word = self.number("<Q", cell)
            length, at = (word & 63) | (word >> 8) << 6, cell + self.number("<q", cell + 8)
            must(length > 16, "I2", f"text at {cell}")
            self.begin(at, length, 1, owner)
            raw, self.low = self.data[at : at + length], at + length
        else:
            raw = raw.split(b"\xff")[0]
        try:
            return raw.decode()
        except UnicodeDecodeError:
            must(False, "I2", f"text at {cell}")


def header(file):
    """Section 3; returns the index and its offset."""
    must(file[:8] == b"SYMBIOTE", "H1")
    must(len(file) >= 4096, "H2")
    version, length, file_len, offset, index_len, flags = struct.unpack_from("<IIQQQQ", file, 8)
    must(version == 1, "H3")
    must(hashlib.sha256(file[:4064]).digest() == file[4064:4096], "H4")
    must(length == 4096, "H5")
    must(flags == 0, "H6")
    must(not any(file[80:4064]), "H7")
    must(index_len <= 1 << 30, "H8")
    must(offset >= 4096 and offset % 4096 == 0 and offset + index_len == file_len, "H9")
    must(len(file) == file_len, "H10")
    must(hashlib.sha256(file[offset:]).digest() == file[48:80], "H11")
    return file[offset:], offset


def layout(file, index, index_offset):
    """Section 9, from the tensors on."""
    seen, end, next_part = {}, 4096, 0
    for t in index["tensors"]:
        must(t["kind"] in KINDS and t["dtype"] in DTYPES, "T3", t["name"])
        _, length, size = DTYPES[t["dtype"]]
        must(t["shape"] and all(t["shape"]) and t["shape"][-1] % length == 0, "T5", t["name"])
        t["row_bytes"], t["rows"], t["covered"] = t["shape"][-1] // length * size, 1, 0
        for n in t["shape"][:-1]:
            t["rows"] *= n
        must(t["name"] not in seen, "T2", t["name"])
        seen[t["name"]] = t
    runs = []
    for i, p in enumerate(index["packs"]):
        if p["role"] == 5 and runs and (runs[-1][0]["role"], runs[-1][0]["layer"]) == (5, p["layer"]):
            runs[-1].append(p)
        else:
            runs.append([p])
        p["parts"] = index["parts"][next_part : next_part + p["part_count"]]
        must(p["first_part"] == next_part and len(p["parts"]) == p["part_count"] > 0, "P2", i)
        part_end, used = 0, []
        for part in p["parts"]:
            must(part["tensor"] < len(index["tensors"]), "R1", i)
            t = index["tensors"][part["tensor"]]
            must(part["row"] == t["covered"] and part["rows"] and part["row"] + part["rows"] <= t["rows"], "R2", i)
            t["covered"] += part["rows"]
            must(part["raw_len"] == part["rows"] * t["row_bytes"], "R3", i)
            must(part["codec"] in read_codecs.NAMES, "R4", i)
            try:
                coded(part, t).check_len(part["coded_len"])
            except read_codecs.Broken as rule:
                must(False, str(rule), i)
            must(part["offset"] == up(part_end, 256), "R5", i)
            part_end = part["offset"] + part["coded_len"]
            used.append((part["offset"], part_end))
        must(p["len"] == part_end, "P3", i)
        must(p["role"] in ROLES, "P4", i)
        next_part += p["part_count"]
        p["number"], p["used"] = i, used
    for p in (p for run in runs for p in sorted(run, key=lambda p: p["offset"])):
        must(p["offset"] == end, "P1", p["number"])
        end = up(end + p["len"], 4096)
        must(end <= index_offset, "W2")
        segment = file[p["offset"] : end]
        must(hashlib.sha256(segment[: p["len"]]).digest() == p["sha256"], "V1", p["number"])
        gaps = zip([stop for _, stop in p["used"]], [start for start, _ in p["used"][1:]] + [len(segment)])
        must(not any(any(segment[a:b]) for a, b in gaps), "V2", p["number"])
    must(next_part == len(index["parts"]), "W1")
    must(end == index_offset, "W2")
    must(all(t["covered"] == t["rows"] for t in index["tensors"]), "W3")


def mixtures(index):
    """Section 9, mixtures of experts."""
    params = {p["key"]: p["numbers"][0] for p in index["params"] if p["numbers"]}
    count, hidden = params.get("experts.count"), params.get("hidden_size")
    ffn, shared = params.get("experts.ffn_size"), params.get("experts.shared_ffn_size")
    one = {51: (ffn, hidden), 52: (ffn, hidden), 53: (hidden, ffn), 54: (2 * (ffn or 0), hidden)}
    shapes = {48: (count, hidden), 49: (1, count), 50: (1, count), 55: (count, ffn), 56: (count, ffn), 57: (count, hidden),
              58: (shared, hidden), 59: (shared, hidden), 60: (hidden, shared), 61: (1, hidden), 62: (2 * (shared or 0), hidden),
              63: (count, 2 * (ffn or 0))}
    alike = {}
    for t in index["tensors"]:
        if t["kind"] in one:
            alike.setdefault((t["layer"], t["kind"]), []).append(t)
    for t in index["tensors"]:
        if not 48 <= t["kind"] <= 63:
            continue
        must(t["layer"] != NONE and count is not None, "X1", t["name"])
        found, experts = (t["rows"], t["shape"][-1]), alike.get((t["layer"], t["kind"]), [])
        must(t["kind"] not in one or len(experts) in (1, count), "X2", t["name"])
        rows, columns = one.get(t["kind"]) or shapes[t["kind"]]
        must(found == (rows * count if len(experts) == 1 else rows, columns), "X3", t["name"])
    last = {}
    for i, p in enumerate(index["packs"]):
        tensors = [index["tensors"][part["tensor"]] for part in p["parts"]]
        if ROLES[p["role"]] != "expert":
            must(all(t["kind"] not in one for t in tensors), "X5", i)
            continue
        before, expert = last.get(p["layer"], (i - 1, -1))
        must(before == i - 1, "X4", i)
        for part, t in zip(p["parts"], tensors):
            must(t["kind"] in one and t["layer"] == p["layer"], "X4", i)
            of_layer = [n for n, other in enumerate(alike[t["layer"], t["kind"]]) if other is t]
            rows = one[t["kind"]][0]
            must(part["rows"] == rows and of_layer[0] * rows + part["row"] == (expert + 1) * rows, "X4", i)
        last[p["layer"]] = (i, expert + 1)


def scales(index):
    """Section 9, scales."""
    blocks = [[int(n) for n in p["numbers"]] for p in index["params"] if p["key"] == "scale_block"]
    needy = None
    for t in index["tensors"]:
        kind = KINDS[t["kind"]]
        must(kind == "unused" or t["dtype"] not in KEPT, "S1", t["name"])
        if kind == "scale":
            must(needy, "S2", t["name"])
            rows, columns = needy["rows"], needy["shape"][-1]
            shapes = [(1, 1), (rows, 1), (1, rows)] + [(-(-rows // b), -(-columns // c)) for b, c in blocks]
            fits = (t["rows"], t["shape"][-1]) in shapes and t["layer"] == needy["layer"]
            must(fits and DTYPES[t["dtype"]][0] in ("F32", "F16", "BF16"), "S3", t["name"])
        else:
            must(not needy, "S4", needy and needy["name"])
        needy = t if t["dtype"] in (256, 257) and kind not in ("unused", "scale") else None
    must(not needy, "S4", needy and needy["name"])


def coaccess(index):
    """Section 15, and its rules in section 9; returns the statistics and the weights."""
    params = {p["key"]: p["numbers"][0] for p in index["params"] if p["numbers"]}
    if "experts.count" not in params:
        return None, None
    found = {name: [a["bytes"] for a in index["annotations"] if a["name"] == name] for name in ("coaccess", "oracle")}
    must(all(len(f) <= 1 for f in found.values()) and len(found["oracle"]) <= len(found["coaccess"]), "A1")
    if not found["coaccess"]:
        return None, None
    must(len(found["coaccess"][0]) <= 1 << 26, "A2")
    c, weights = Index(bytes(found["coaccess"][0]), "Coaccess").root, None
    if found["oracle"]:
        must(len(found["oracle"][0]) == 900, "A3")
        weights = struct.unpack("<225f", bytes(found["oracle"][0]))
        must(all(abs(w) < float("inf") for w in weights), "A3")
    m = c["mixture"]
    layers, experts, used = m["layers"], m["experts"], m["used"]
    must(layers and layers == sorted(set(layers)) and 2 <= experts <= 4096 and 1 <= used <= min(64, experts), "A4")
    must(len(layers) * experts <= 1 << 22 and max(len(m[k].encode()) for k in ("name", "architecture")) <= 512, "A4")
    names = [d["name"] for d in c["domains"]]
    must(1 <= len(names) <= 256 and len(set(names)) == len(names), "A5")
    must(all(1 <= len(n.encode()) <= 64 and not any(ord(x) < 32 or 127 <= ord(x) < 160 for x in n) for n in names), "A5")
    must(all(d["tokens"] for d in c["domains"]) and sum(d["tokens"] for d in c["domains"]) < 1 << 32, "A5")
    rows = [range(i * experts, (i + 1) * experts) for i in range(len(layers))]
    for d in c["domains"]:
        must(len(d["heat"]) == len(layers) * experts and max(d["heat"]) <= d["tokens"], "A6", d["name"])
        must(all(sum(d["heat"][i] for i in row) == d["tokens"] * used for row in rows), "A6", d["name"])
    heat, before, same = [sum(of) for of in zip(*(d["heat"] for d in c["domains"]))], None, 0
    for i, s in enumerate(c["successors"]):
        must(s["next"] < len(heat) and s["next"] // experts == s["expert"] // experts + 1, "A7", i)
        must(1 <= s["count"] <= min(heat[s["expert"]], heat[s["next"]]), "A7", i)
        key = (s["expert"], -s["count"], s["next"])
        same = same + 1 if before and before[0] == s["expert"] else 1
        must((before is None or before < key) and same <= 64, "A7", i)
        before = key
    must(len(c["order"]) == len(heat), "A8")
    must(all(sorted(c["order"][i] for i in row) == list(range(experts)) for row in rows), "A8")
    slots, hits = [h["slots"] for h in c["hits"]], [h["hits"] for h in c["hits"]]
    must(len(slots) <= 256 and slots == sorted(set(slots)) and all(1 <= n <= len(heat) for n in slots), "A9")
    most = sum(d["tokens"] for d in c["domains"]) * len(layers) * used
    must(hits == sorted(hits) and all(n <= most for n in hits), "A9")
    own = sorted({p["layer"] for p in index["packs"] if p["role"] == 5 and p["layer"] != NONE})
    numbers = [params["experts.count"], params["experts.used"]]
    must(m["architecture"] == index["architecture"] and layers == own and [experts, used] == numbers, "A10")
    keys = {"general.name": lambda v: v, "_name_or_path": lambda v: v.rsplit("/", 1)[-1]}
    named = [keys[p["key"]](p["value"]) for p in index["metadata"] if p["key"] in keys]
    name = next((n for n in named if n), "")
    must(not name or not m["name"] or name == m["name"], "A10")
    return c, weights


def coded(part, tensor):
    size = DTYPES[tensor["dtype"]][2]
    return read_codecs.Part(part["codec"], tensor["dtype"], size, part["rows"], tensor["shape"][-1], part["raw_len"])


def decode(file, index):
    """Section 14; a tensor's parts follow each other in the order of the packs."""
    hashes = [hashlib.sha256() for _ in index["tensors"]]
    skipped = set()
    for p in index["packs"]:
        for part in p["parts"]:
            start = p["offset"] + part["offset"]
            try:
                rows = coded(part, index["tensors"][part["tensor"]]).decode(file[start : start + part["coded_len"]])
                hashes[part["tensor"]].update(rows)
            except read_codecs.Broken as rule:
                must(False, str(rule), f"at {start}")
            except read_codecs.NoZstd:
                skipped.add(part["tensor"])
    for i, t in enumerate(index["tensors"]):
        print("decoded", t["name"], "not: no zstd for this Python" if i in skipped else hashes[i].hexdigest())


def show(index):
    layer = lambda n: "-" if n == NONE else n
    print("architecture", index["architecture"])
    for p in index["params"]:
        print("param", p["key"], " ".join(f"{n:.9f}" for n in p["numbers"]) or p["text"])
    if tokenizer := index["tokenizer"]:
        must(tokenizer["kind"] in TOKENIZERS, "K1")
        print(f"tokenizer {len(tokenizer['tokens'])} tokens {len(tokenizer['merges'])} merges, stop {tokenizer['stop']}")
        for token in tokenizer["tokens"]:
            print("token", token)
    for t in index["tensors"]:
        print("tensor", t["name"], KINDS[t["kind"]], DTYPES[t["dtype"]][0], "layer", layer(t["layer"]), t["shape"])
    for p in index["packs"]:
        print(f"pack {ROLES[p['role']]} layer {layer(p['layer'])} {p['offset']}..{p['offset'] + p['len']}")
        for part in p["parts"]:
            rows = f"{part['row']}..{part['row'] + part['rows']}"
            print(f"  {index['tensors'][part['tensor']]['name']} rows {rows} {read_codecs.NAMES[part['codec']]}"
                  f" at {part['offset']} {part['coded_len']} bytes")
    for m in index["metadata"]:
        print("metadata", m["key"], "=", m["value"])
    print("written by", index["provenance"]["writer"], "from", index["provenance"]["source_format"])
    for s in index["provenance"]["sources"]:
        print("source", s["name"], s["len"], s["sha256"].hex())
    for a in index["annotations"]:
        print("annotation", a["name"], len(a["bytes"]), "bytes")


def show_coaccess(c, weights):
    m = c["mixture"]
    print("mixture", m["architecture"], m["name"], m["layers"], m["experts"], m["used"])
    for d in c["domains"]:
        print("domain", d["name"], d["tokens"], d["heat"])
    for s in c["successors"]:
        print("successor", s["expert"], s["next"], s["count"])
    print("order", c["order"])
    for h in c["hits"]:
        print("hits", h["slots"], h["hits"])
    if weights:
        print("oracle", " ".join(f"{w:.9f}" for w in weights))


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--decode"]):
        sys.exit("usage: read_pak.py FILE.pak [--decode]")
    sys.stdout.reconfigure(encoding="utf-8")
    with open(sys.argv[1], "rb") as f:
        file = f.read()
    data, offset = header(file)
    index = Index(data).root
    layout(file, index, offset)
    mixtures(index)
    scales(index)
    statistics, weights = coaccess(index)
    show(index)
    if statistics:
        show_coaccess(statistics, weights)
    if sys.argv[2:]:
        decode(file, index)


if __name__ == "__main__":
    main()
