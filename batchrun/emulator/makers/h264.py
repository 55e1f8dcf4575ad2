"""One still frame in H.264, written bit by bit: flat blocks of 16 pixels, a word in large letters.

Intra frames of the baseline profile only (ITU-T H.264). Every row of blocks is a slice of its own: a block then
takes its colour from the block to its left, or brings it along as plain samples where the colour changes.
"""

from __future__ import annotations

BLOCK = 16
_DARK, _LIGHT = 60, 220
_LETTERS = {
    "E": ("###", "#..", "##.", "#..", "###"),
    "M": ("#.#", "###", "###", "#.#", "#.#"),
    "U": ("#.#", "#.#", "#.#", "#.#", "###"),
    "L": ("#..", "#..", "#..", "#..", "###"),
    "A": (".#.", "#.#", "###", "#.#", "#.#"),
    "T": ("###", ".#.", ".#.", ".#.", ".#."),
    "D": ("##.", "#.#", "#.#", "#.#", "##."),
}
_COPY, _PLAIN = 3, 25  # macroblock types: 16x16 prediction from the average of what is beside it, and plain samples


class _Bits:
    """Bits of a NAL unit's payload, the first one the highest."""

    def __init__(self) -> None:
        self._value = 0
        self._length = 0
        self._done = bytearray()

    def put(self, value: int, length: int) -> None:
        self._value = self._value << length | value
        self._length += length
        while self._length >= 8:
            self._length -= 8
            self._done.append(self._value >> self._length & 255)
            self._value &= (1 << self._length) - 1

    def golomb(self, value: int) -> None:
        """An unsigned number in Exp-Golomb code."""
        self.put(value + 1, 2 * (value + 1).bit_length() - 1)

    def aligned(self, content: bytes) -> None:
        if self._length:
            self.put(0, 8 - self._length)
        self._done += content

    def end(self) -> bytes:
        self.put(1, 1)
        self.aligned(b"")
        return bytes(self._done)


def parameter_sets(width: int, height: int) -> tuple[bytes, bytes]:
    """The sequence and the picture parameter set."""
    across, down = _blocks(width), _blocks(height)
    sequence = _Bits()
    sequence.put(66 << 16 | 0xC0 << 8 | 52, 24)  # baseline, level 5.2
    for value in (0, 0, 2, 0):  # id, frame numbers, order by arrival, no reference frames
        sequence.golomb(value)
    sequence.put(0, 1)
    sequence.golomb(across - 1)
    sequence.golomb(down - 1)
    sequence.put(0b111, 3)  # frames only, direct inference, cropped
    for cut in (0, (across * BLOCK - width) // 2, 0, (down * BLOCK - height) // 2):
        sequence.golomb(cut)
    sequence.put(0, 1)
    picture = _Bits()
    picture.golomb(0)
    picture.golomb(0)
    picture.put(0, 2)
    for value in (0, 0, 0):
        picture.golomb(value)
    picture.put(0, 3)
    for value in (0, 0, 0):
        picture.golomb(value)
    picture.put(0b100, 3)  # deblocking is controlled by the slices
    return b"\x67" + _escaped(sequence.end()), b"\x68" + _escaped(picture.end())


def frame(width: int, height: int, colour: tuple[int, int]) -> bytes:
    """The slices of a frame, each with its length before it. `colour` is its blue and red difference."""
    across, down = _blocks(width), _blocks(height)
    lit = _lit_blocks(across, down)
    slices = (_slice(row, across, lit, colour) for row in range(down))
    return b"".join(len(piece).to_bytes(4, "big") + piece for piece in slices)


def _blocks(size: int) -> int:
    return -(-size // BLOCK)


def _lit_blocks(across: int, down: int) -> set[tuple[int, int]]:
    """The blocks that the word is written with: on one line, or on two where it is too wide."""
    lines = ("EMULATED",) if across >= 33 else ("EMU", "LATED")
    top = (down - 6 * len(lines) + 1) // 2
    lit: set[tuple[int, int]] = set()
    for number, line in enumerate(lines):
        left = (across - 4 * len(line) + 1) // 2
        for place, letter in enumerate(line):
            lit |= {
                (left + 4 * place + x, top + 6 * number + y)
                for y, marks in enumerate(_LETTERS[letter])
                for x, mark in enumerate(marks)
                if mark == "#"
            }
    return lit


def _slice(row: int, across: int, lit: set[tuple[int, int]], colour: tuple[int, int]) -> bytes:
    bits = _Bits()
    bits.golomb(row * across)
    bits.golomb(7)  # an intra slice, like all of the picture
    bits.golomb(0)
    bits.put(0, 4)  # frame number
    bits.golomb(0)
    bits.put(0, 2)  # no long-term reference
    bits.golomb(0)
    bits.golomb(1)  # no deblocking
    shown: int | None = None
    copied = False
    for column in range(across):
        light = _LIGHT if (column, row) in lit else _DARK
        if light != shown:
            bits.golomb(_PLAIN)
            bits.aligned(bytes([light]) * 256 + bytes([colour[0]]) * 64 + bytes([colour[1]]) * 64)
            shown, copied = light, False
        else:
            _copy(bits, after_plain=not copied)
            copied = True
    return b"\x65" + _escaped(bits.end())


def _copy(bits: _Bits, *, after_plain: bool) -> None:
    """A block like its left neighbour. No coefficients, whose code depends on how many that neighbour has."""
    bits.golomb(_COPY)
    bits.golomb(0)
    bits.golomb(0)
    bits.put(*((0b000011, 6) if after_plain else (1, 1)))


def _escaped(content: bytes) -> bytes:
    """With a 3 after every two zero bytes that a small byte follows: such bytes mean something else."""
    escaped, zeros = bytearray(), 0
    for byte in content:
        if zeros >= 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(escaped)
