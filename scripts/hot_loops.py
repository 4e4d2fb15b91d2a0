"""Innermost loops that multiply and add, read from object files, for the spill check and the cycle estimates."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

# A loop of fewer is an epilogue or a remainder, where a reload costs nothing that counts.
LEAST_FMAS = 4
FMA = re.compile(r"^(vfn?m(add|sub)\d*[ps]s|fml[as]$|mulps$|vmulps$)")
X86_STACK = re.compile(r"\(%[re]sp")
X86_FRAME = re.compile(r"\(%[re]bp")
ARM_STACK = re.compile(r"\[(sp|x29)\b")
VECTOR = re.compile(r"%[xyz]mm|\b[vq]\d+\b")


@dataclass(frozen=True)
class Instruction:
    """One line of a disassembly."""

    address: int
    mnemonic: str
    operands: str


@dataclass(frozen=True)
class Loop:
    """An innermost loop of a function."""

    function: str
    body: tuple[Instruction, ...]
    framed: bool  # the function keeps a frame pointer, so that it names the stack too

    @property
    def fmas(self) -> int:
        """Return how many multiply-adds one pass has."""
        return sum(1 for i in self.body if FMA.match(i.mnemonic))

    @property
    def stack(self) -> list[Instruction]:
        """Return what touches the stack."""
        return [
            i
            for i in self.body
            if X86_STACK.search(i.operands)
            or ARM_STACK.search(i.operands)
            or (self.framed and X86_FRAME.search(i.operands))
        ]

    @property
    def spills(self) -> list[Instruction]:
        """Return what moves a vector to or from the stack, or computes with one that lies there."""
        return [i for i in self.stack if VECTOR.search(i.operands)]


def functions(objects: Path, objdump: str = "objdump") -> dict[str, list[Instruction]]:
    """Return every function's instructions."""
    text = subprocess.run(
        [objdump, "-dC", "--no-show-raw-insn", str(objects)], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in text.splitlines():
        heading = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        if heading:
            current = found.setdefault(heading[1], [])
            continue
        parsed = re.match(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", line)
        if parsed:
            current.append(Instruction(int(parsed[1], 16), parsed[2], parsed[3]))
    return found


def loops(objects: Path, objdump: str = "objdump", of: str = "") -> list[Loop]:
    """Return the innermost loops that have at least LEAST_FMAS multiply-adds, of functions whose name matches `of`."""
    found = []
    for name, body in functions(objects, objdump).items():
        if not body or not re.search(of, name):
            continue
        first = body[0].address
        framed = any("%rsp,%rbp" in i.operands and i.mnemonic.startswith("mov") for i in body)
        index = {i.address: n for n, i in enumerate(body)}
        ranges = []
        for n, i in enumerate(body):
            jump = re.match(r"^(?:\w+,\s*)*([0-9a-f]+) <", i.operands)
            branches = i.mnemonic.startswith(("j", "b.", "cbz", "cbnz", "tbz", "tbnz")) or i.mnemonic == "b"
            if not branches or jump is None:
                continue
            target = int(jump[1], 16)
            if first <= target < i.address and target in index:
                ranges.append((index[target], n))
        for low, high in ranges:
            if any((a, b) != (low, high) and low <= a and b <= high for a, b in ranges):
                continue
            loop = Loop(name, tuple(body[low : high + 1]), framed)
            if loop.fmas >= LEAST_FMAS:
                found.append(loop)
    return found
