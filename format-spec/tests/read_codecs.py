"""Decodes the parts of a .pak archive. Written from section 14 of SPEC.md, with nothing but the standard library.

Of zstd, the standard library has a decoder from Python 3.14 on; before, this looks for a module or for the C library.
"""
import ctypes
import ctypes.util
import struct

RAW, P12, P11, ZSTD, ZFP, F16, BF16 = range(7)
NAMES = {RAW: "raw", P12: "p12", P11: "p11", ZSTD: "zstd", ZFP: "zfp", F16: "f16", BF16: "bf16"}
# Element types (section 7) that codecs treat by what they are, and not as blocks of bytes.
F32_TYPE, F16_TYPE, BF16_TYPE = 0, 1, 30
TAKES = {RAW: None, ZSTD: None, P12: (F32_TYPE, F16_TYPE, BF16_TYPE), P11: (F32_TYPE, F16_TYPE, BF16_TYPE),
         ZFP: (F32_TYPE,), F16: (F32_TYPE,), BF16: (F32_TYPE,)}


class Broken(Exception):
    """A rule that the bytes break."""


class NoZstd(Exception):
    """Nothing here decodes zstd."""


def must(holds, rule):
    if not holds:
        raise Broken(rule)


class Part:
    """A part as its codec sees it. `block` are the bytes of a block of its element type."""

    def __init__(self, codec, dtype, block, rows, columns, raw_len):
        self.codec, self.dtype, self.block = codec, dtype, block
        self.rows, self.columns, self.raw_len = rows, columns, raw_len
        self.words = {P12: 12, P11: 11}.get(codec, 0)
        # The columns that are coded, and in windows.
        self.coded = columns - columns % 32 if self.words else columns
        self.windows = (self.coded + 2047) // 2048
        self.lists = (rows + 31) // 32 * self.windows
        self.entry = 8 if dtype == F32_TYPE else 4

    def run(self, tile):
        """P of a tile."""
        return (min(self.rows - 32 * tile, 32) + 3) // 4

    def weights_len(self):
        """What comes before the trailer."""
        if self.words:
            return (self.rows + 3) // 4 * (self.coded // 32) * self.words * 16
        return (2 * self.rows * self.columns + 3) // 4 * 4

    def trailer_len(self):
        """Without exceptions."""
        return 16 + 4 * (self.lists + 1) + 16 * self.lists

    def tail_len(self):
        return self.rows * (self.columns - self.coded) * self.block

    def check_len(self, length):
        """R4."""
        takes = TAKES[self.codec]
        must(takes is None or self.dtype in takes, "R4")
        if self.codec == RAW:
            must(length == self.raw_len, "R4")
        elif self.codec == ZSTD:
            must(length >= 10, "R4")
        else:
            must(self.rows * self.columns < 1 << 32, "R4")
            if self.codec == ZFP:
                must(length % 8 == 0 and 8 <= length <= 8 * zfp_words(self.rows, self.columns), "R4")
            else:
                spare = length - self.weights_len() - self.trailer_len() - self.tail_len()
                must(spare >= 0 and spare % self.entry == 0, "R4")

    def decode(self, data):
        """The rows as the source has them."""
        self.check_len(len(data))
        if self.codec == RAW:
            return bytes(data)
        if self.codec == ZSTD:
            return planes(self, data)
        if self.codec == ZFP:
            return zfp(self, data)
        return packed(self, data) if self.words else halves(self, data)


# --- exceptions -----------------------------------------------------------------------------------------------------------

def exceptions(part, trailer):
    """The base, and {(row, column): source bits}."""
    base, *zeros = struct.unpack_from("<4I", trailer)
    least, most = {P12: (0, 239), P11: (1, 247)}.get(part.codec, (0, 0))
    must(least <= base <= most, "E1")
    must(not any(zeros), "E2")
    first = struct.unpack_from(f"<{part.lists + 1}I", trailer, 16)
    starts = 16 + 4 * (part.lists + 1)
    entries = starts + 16 * part.lists
    count = (len(trailer) - entries) // part.entry
    must(first[0] == 0 and first[-1] == count and list(first) == sorted(first), "E3")
    found = {}
    for i in range(part.lists):
        tile, window = divmod(i, part.windows)
        run, length = part.run(tile), first[i + 1] - first[i]
        start = [*struct.unpack_from("<8H", trailer, starts + 16 * i), length]
        must(start[0] == 0 and start[:8] == sorted(start[:8]) and max(start) == length, "E4")
        must(all(start[p] == length for p in range(run, 8)), "E4")
        for p in range(8):
            last = -1
            for e in range(first[i] + start[p], first[i] + start[p + 1]):
                if part.entry == 8:
                    place, bits = struct.unpack_from("<2I", trailer, entries + 8 * e)
                else:
                    place, bits = struct.unpack_from("<2H", trailer, entries + 4 * e)
                t, column = place >> 14, place & 2047
                row, column = 32 * tile + p + run * t, 2048 * window + column
                must(t < 4 and place >> 11 & 7 == p and row < part.rows, "E5")
                must(column < min(2048 * window + 2048, part.coded), "E6")
                must(place > last, "E7")
                last, found[row, column] = place, bits
    return base, found


# --- p12 and p11 ----------------------------------------------------------------------------------------------------------

def unpack(words):
    """The 32 fields of a unit."""
    low, pairs = 0x00070007, []
    if len(words) == 12:
        pairs = [w & 0xBFF8BFF8 for w in words]
        for k in range(4):
            a, b, c = words[k], words[4 + k], words[8 + k]
            pairs.append((a & low) << 3 | (b & low) << 6 | (c & low) << 9 | (a & 0x40004000) << 1 | (b & 0x40004000) >> 1
                         | (c & 0x40004000) >> 2)
    else:
        pairs = [w & 0x9FF89FF8 for w in words]
        for k, sign in enumerate((0, 1, 2, 13, 14)):
            a, b = words[k], words[5 + k]
            pairs.append((a & low) << 3 | (b & low) << 6 | (a & 0x60006000) >> 2 | (b & 0x60006000) >> 4
                         | words[10] << (15 - sign) & 0x80008000)
    return [half for pair in pairs for half in (pair & 0xFFFF, pair >> 16)]


def weight(part, field, base):
    """The bf16 of a field."""
    sign, code, mantissa = field & 0x8000, field >> 10 & 15, field >> 3 & 127
    if part.codec == P12 and code == 0:
        must(mantissa == 0, "E8")
        return sign
    return sign | (base + code) << 7 | mantissa


def element(part, bf16):
    """The bytes of a bf16 in the element type."""
    if part.dtype == BF16_TYPE:
        return struct.pack("<H", bf16)
    if part.dtype == F32_TYPE:
        return struct.pack("<I", bf16 << 16)
    value = struct.unpack("<f", struct.pack("<I", bf16 << 16))[0]
    try:
        half = struct.pack("<e", value)
    except OverflowError:
        raise Broken("E8")
    must(struct.unpack("<e", half)[0] == value, "E8")
    return half


def packed(part, data):
    blocks_len, tail_len = part.weights_len(), part.tail_len()
    base, odd = exceptions(part, data[blocks_len : len(data) - tail_len])
    rows = [[None] * part.coded for _ in range(part.rows)]
    at = 0
    for top in range(0, part.rows, 32):
        run = part.run(top // 32)
        for left in range(0, part.coded, 128):
            slots = min(part.coded - left, 128) // 32
            for p in range(run):
                for s in range(slots):
                    for t in range(4):
                        index = [(w * run * slots + p * slots + s) * 4 + t for w in range(part.words)]
                        fields = unpack([struct.unpack_from("<I", data, at + 4 * i)[0] for i in index])
                        for i, field in enumerate(fields):
                            row, column = top + p + run * t, left + i // 4 * 4 * slots + 4 * s + i % 4
                            if row >= part.rows or (row, column) in odd:
                                must(field == 0, "E8")
                            else:
                                rows[row][column] = element(part, weight(part, field, base))
            at += run * slots * part.words * 16
    for (row, column), bits in odd.items():
        rows[row][column] = bits.to_bytes(part.block, "little")
    tail = tail_len // part.rows
    return b"".join(b"".join(row) + data[len(data) - tail_len + tail * r :][:tail] for r, row in enumerate(rows))


# --- f16 and bf16 ---------------------------------------------------------------------------------------------------------

def single(part, half):
    """The bits of the f32 of a half."""
    if part.codec == BF16:
        return half << 16
    sign, exponent, mantissa = half >> 15 << 31, half >> 10 & 31, half & 1023
    if exponent == 31:
        return sign | 255 << 23 | mantissa << 13
    return struct.unpack("<I", struct.pack("<f", struct.unpack("<e", struct.pack("<H", half))[0]))[0]


def halves(part, data):
    count = part.rows * part.columns
    must(not any(data[2 * count : part.weights_len()]), "E9")
    _, odd = exceptions(part, data[part.weights_len() :])
    values = list(struct.unpack_from(f"<{count}H", data))
    out = [single(part, half) for half in values]
    for (row, column), bits in odd.items():
        must(values[row * part.columns + column] == 0, "E8")
        out[row * part.columns + column] = bits
    return struct.pack(f"<{count}I", *out)


# --- zstd -----------------------------------------------------------------------------------------------------------------

def zstd(data, length):
    try:
        from compression import zstd as library
        return library.decompress(data)
    except ImportError:
        pass
    name = ctypes.util.find_library("zstd")
    if not name:
        raise NoZstd
    library = ctypes.CDLL(name)
    for function in (library.ZSTD_decompress, library.ZSTD_findFrameCompressedSize):
        function.restype = ctypes.c_size_t
    library.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    source, size = ctypes.c_char_p(bytes(data)), ctypes.c_size_t(len(data))
    must(library.ZSTD_findFrameCompressedSize(source, size) == len(data), "Z1")
    must(library.ZSTD_getFrameContentSize(source, size) == length, "Z2")
    out = ctypes.create_string_buffer(length)
    must(library.ZSTD_decompress(out, ctypes.c_size_t(length), source, size) == length, "Z3")
    return out.raw


def planes(part, data):
    joined = zstd(data, part.raw_len)
    must(len(joined) == part.raw_len, "Z2")
    count = part.raw_len // part.block
    elements = (joined[i::count] for i in range(count))
    if part.dtype not in (F32_TYPE, F16_TYPE, BF16_TYPE):
        return b"".join(elements)
    bits = 8 * part.block
    turned = (int.from_bytes(e, "little") for e in elements)
    return b"".join((e >> 1 | (e & 1) << (bits - 1)).to_bytes(part.block, "little") for e in turned)


# --- zfp ------------------------------------------------------------------------------------------------------------------

def zfp_words(rows, columns):
    blocks, values = (columns + 3) // 4, 4
    if rows > 1:
        blocks, values = blocks * ((rows + 3) // 4), 16
    return (blocks * (15 + values * 32 + values - 1) + 63) // 64


ORDER = [0, 1, 4, 5, 2, 8, 6, 9, 3, 12, 10, 7, 13, 11, 14, 15]


class Bits:
    def __init__(self, data):
        self.data, self.at = int.from_bytes(data, "little"), 0

    def read(self, count):
        self.at += count
        return self.data >> (self.at - count) & ((1 << count) - 1)


def to_f32(value):
    """The nearest f32's bits."""
    try:
        return struct.unpack("<I", struct.pack("<f", value))[0]
    except OverflowError:
        return 0x7F800000 if value > 0 else 0xFF800000


def f32(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def integers(bits, size):
    """The two's complement integers of a block, in the order of its values."""
    planes = bits.read(5) + 1
    coefficients, known = [0] * size, 0
    for plane in range(31, 31 - planes, -1):
        ones = bits.read(known)
        while known < size and bits.read(1):
            while known < size - 1 and not bits.read(1):
                known += 1
            ones |= 1 << known
            known += 1
        for i in range(size):
            coefficients[i] |= (ones >> i & 1) << plane
    block = [0] * size
    for place, u in zip(ORDER if size == 16 else range(4), coefficients):
        block[place] = (u ^ 0xAAAAAAAA) - 0xAAAAAAAA & 0xFFFFFFFF
    lines = [range(x, 16, 4) for x in range(4)] + [range(4 * y, 4 * y + 4) for y in range(4)] if size == 16 else [range(4)]
    for line in lines:
        x, y, z, w = (block[i] for i in line)
        w += z
        z += y
        w += z
        y += x
        z += y
        w += z
        for i, n in zip(line, (x, y, z, w)):
            block[i] = n & 0xFFFFFFFF
    return block


def values(bits, size):
    """The f32 bits of a block."""
    if not bits.read(1):
        return [0] * size
    if bits.read(1):
        return [i if i < 1 << 31 else i ^ 0x7FFFFFFF for i in integers(bits, size)]
    exponent = bits.read(8)
    block = integers(bits, size)
    if exponent == 0:
        return [0] * size
    scale = f32(to_f32(2.0 ** (exponent - 157)))
    signed = (i - (i >> 31 << 32) for i in block)
    return [to_f32(f32(to_f32(i)) * scale) for i in signed]


def zfp(part, data):
    bits, height = Bits(data), 4 if part.rows > 1 else 1
    out = [[0] * part.columns for _ in range(part.rows)]
    for top in range(0, part.rows, height):
        for left in range(0, part.columns, 4):
            block = values(bits, 4 * height)
            for y in range(min(height, part.rows - top)):
                for x in range(min(4, part.columns - left)):
                    out[top + y][left + x] = block[4 * y + x]
    must((bits.at + 63) // 64 * 8 == len(data), "Z4")
    return b"".join(struct.pack(f"<{part.columns}I", *row) for row in out)
