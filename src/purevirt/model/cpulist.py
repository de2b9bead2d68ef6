"""Sets of CPUs as text, as Linux and libxl write them."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["cpu_list"]


def cpu_list(numbers: Iterable[int]) -> str:
    """A set of CPUs: "0-3,5"; "" for none."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{low}" if low == high else f"{low}-{high}" for low, high in runs)
