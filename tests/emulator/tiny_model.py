"""Writes a GGUF file: a llama of one layer with random weights, which loads at once and talks nonsense that ends.

Its tokens are bytes and printable characters. One constant feature carries how much it likes each of them, so that it
writes letters, closes what it opens and stops; the random rest makes that depend on what it read.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

#: Tokens that fit into its context, question and answer together.
CONTEXT_TOKENS = 4096
_WIDTH = 32
_INNER = 64
_ALIGNMENT = 32
#: Types of facts and of tensors as the format numbers them.
_U32, _I32, _F32_FACT, _STRING, _ARRAY = 4, 5, 6, 8, 9
_F32 = 0
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_SPACE = "▁"
_CHARACTERS = [_SPACE, *map(chr, range(33, 127))]
_TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *_CHARACTERS]
_KINDS = [_UNKNOWN, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_NORMAL] * len(_CHARACTERS)]
_CHAT = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: "
_FACTS: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "Tiny nonsense",
    "llama.context_length": CONTEXT_TOKENS,
    "llama.embedding_length": _WIDTH,
    "llama.block_count": 1,
    "llama.feed_forward_length": _INNER,
    "llama.attention.head_count": 1,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": _TOKENS,
    "tokenizer.ggml.scores": [0.0] * len(_TOKENS),
    "tokenizer.ggml.token_type": _KINDS,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.chat_template": _CHAT,
}
#: Widths, the fastest first as GGUF has it, and numbers.
Tensor = tuple[tuple[int, ...], Sequence[float]]


def write_tiny_model(path: Path, seed: int = 0) -> Path:
    """Some 150 kB. The same seed writes the same file."""
    tensors = _tensors(random.Random(seed))
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(_FACTS))
    head += b"".join(_text(name) + _value(value) for name, value in _FACTS.items())
    weights = b""
    for name, (shape, numbers) in tensors.items():
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, _F32, len(weights))
        weights += _padded(struct.pack(f"<{len(numbers)}f", *numbers))
    path.write_bytes(_padded(head) + weights)
    return path


def _tensors(draw: random.Random) -> Mapping[str, Tensor]:
    square, wide, narrow = (_WIDTH, _WIDTH), (_WIDTH, _INNER), (_INNER, _WIDTH)
    block = {"attn_q": square, "attn_k": square, "attn_v": square, "attn_output": square}
    block |= {"ffn_gate": wide, "ffn_up": wide, "ffn_down": narrow}
    vocabulary = (_WIDTH, len(_TOKENS))
    return {
        "token_embd.weight": _led(_noise(draw, vocabulary, 0.1), [1.0] * len(_TOKENS)),
        "output.weight": _led(_noise(draw, vocabulary, 0.3), [_liking(token) / _WIDTH**0.5 for token in _TOKENS]),
        "output_norm.weight": _ones(),
        "blk.0.attn_norm.weight": _ones(),
        "blk.0.ffn_norm.weight": _ones(),
        **{f"blk.0.{name}.weight": _noise(draw, shape, 0.05) for name, shape in block.items()},
    }


def _liking(token: str) -> float:
    """The logit that every place of a text gives to a token."""
    if token == "</s>":
        return 3.0
    if len(token) > 1 or token in "eE":  # a number with an exponent is soon out of range
        return -30.0
    return 4.0 if token in '"]}' else 1.0 if token.islower() or token == _SPACE else -1.0


def _noise(draw: random.Random, shape: tuple[int, int], scale: float) -> Tensor:
    return shape, [draw.gauss(0, scale) for _ in range(shape[0] * shape[1])]


def _led(tensor: Tensor, firsts: Sequence[float]) -> Tensor:
    """The tensor with the first feature of every row replaced."""
    shape, numbers = tensor[0], list(tensor[1])
    numbers[:: shape[0]] = firsts
    return shape, numbers


def _ones() -> Tensor:
    return (_WIDTH,), [1.0] * _WIDTH


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % _ALIGNMENT)


def _text(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


def _value(value: Any) -> bytes:
    """A fact with its type: text, number, whole number (unsigned), or a list of these (signed)."""
    if isinstance(value, list):
        kind = {int: _I32, float: _F32_FACT, str: _STRING}[type(value[0])]
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + b"".join(_bare(item) for item in value)
    return struct.pack("<I", {int: _U32, float: _F32_FACT, str: _STRING}[type(value)]) + _bare(value)


def _bare(value: Any) -> bytes:
    if isinstance(value, str):
        return _text(value)
    return struct.pack("<f" if isinstance(value, float) else "<I", value)


if __name__ == "__main__":
    write_tiny_model(Path(sys.argv[1]))
