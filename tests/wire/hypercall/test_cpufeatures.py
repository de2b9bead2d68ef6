"""The CPU's features by bit, against the enumeration in the real headers (tests/data/layouts)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.wire.hypercall.cpufeatures import CPU_FEATURES, WORDS, feature_names, feature_words

DATA = Path(__file__).resolve().parents[2] / "data" / "layouts"

# Ours, which are libvirt's, where Xen's header has another name.
XENS = {
    "aes": "AESNI",
    "bus-lock-detect": "BLD",
    "cmt": "PQM",
    "cr8legacy": "CR8_LEGACY",
    "ds_cpl": "DSCPL",
    "est": "EIST",
    "fdp-excptn-only": "FDP_EXCP_ONLY",
    "fxsr_opt": "FFXSR",
    "ht": "HTT",
    "intel-pt": "PROC_TRACE",
    "invtsc": "ITSC",
    "pclmuldq": "PCLMULQDQ",
    "pdpe1gb": "PAGE1GB",
    "pni": "SSE3",
    "sgxlc": "SGX_LC",
    "sha-ni": "SHA",
    "tm": "TM1",
    "zero-fcs-fds": "NO_FPU_SEL",
    "avx512ifma": "AVX512_IFMA",
    "avx512vbmi": "AVX512_VBMI",
    "avx512vbmi2": "AVX512_VBMI2",
    "avx512vnni": "AVX512_VNNI",
    "avx512bitalg": "AVX512_BITALG",
}
# Known to libvirt alone.
NOT_XENS = {"cid", "cvt16", "ia64", "pcommit", "perfctr_core", "perfctr_nb", "pn", "tce"}


def xens(name: str) -> str:
    return XENS.get(name, name.replace("-", "_").replace(".", "_").upper())


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.20"])
def test_every_feature_of_the_header_has_its_name_and_its_bit(release: str) -> None:
    constants = json.loads((DATA / f"xen-{release}-x86_64.json").read_text())["constants"]
    theirs = {
        name.removeprefix("XEN_X86_FEATURE_"): divmod(number, 32)
        for name, number in constants.items()
        if name.startswith("XEN_X86_FEATURE_") and number < WORDS * 32
    }
    ours = {xens(name): place for name, place in CPU_FEATURES.items()}
    assert len(theirs) > 100
    assert theirs.items() <= ours.items()


def test_every_feature_is_the_newest_headers_or_libvirts() -> None:
    constants = json.loads((DATA / "xen-4.20-x86_64.json").read_text())["constants"]
    unknown = {name for name in CPU_FEATURES if f"XEN_X86_FEATURE_{xens(name)}" not in constants}
    assert unknown == NOT_XENS
    assert len(set(CPU_FEATURES.values())) == len(CPU_FEATURES)


@given(st.sets(st.sampled_from(sorted(CPU_FEATURES))))
def test_names_become_words_and_names_again(names: set[str]) -> None:
    found = feature_names(feature_words(names))
    assert set(found) == names
    assert [CPU_FEATURES[name] for name in found] == sorted(CPU_FEATURES[name] for name in found)


def test_bits_without_a_name_and_missing_words_are_passed_over() -> None:
    assert feature_names([1 << 10 | 1 << 6]) == ("pae",)
    assert feature_names((0,) * WORDS) == ()
    with pytest.raises(KeyError):
        feature_words(["warp-drive"])
