"""The x86 CPU's features as physinfo's `hw_cap` has them: eight words of CPUID, a bit for each feature.

Names are libvirt's where its CPU map has the bit, since its users know them, else Xen's in lower case. A bit that has
no name in either is passed over. The words are what Xen itself found and uses; a guest is shown fewer.

Source: xen/include/public/arch-x86/cpufeatureset.h, words 0 to 7, the same in Xen 4.14 to 4.22: a bit keeps its meaning
for ever. A test compares them with the headers of each compiled release, another with libvirt's CPU map.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["CPU_FEATURES", "WORDS", "feature_names", "feature_words"]

WORDS = 8

_TABLE = (
    # CPUID leaf 1, edx
    "0 fpu, 1 vme, 2 de, 3 pse, 4 tsc, 5 msr, 6 pae, 7 mce, 8 cx8, 9 apic, 11 sep, 12 mtrr, 13 pge, 14 mca, "
    "15 cmov, 16 pat, 17 pse36, 18 pn, 19 clflush, 21 ds, 22 acpi, 23 mmx, 24 fxsr, 25 sse, 26 sse2, 27 ss, 28 ht, "
    "29 tm, 30 ia64, 31 pbe",
    # leaf 1, ecx
    "0 pni, 1 pclmuldq, 2 dtes64, 3 monitor, 4 ds_cpl, 5 vmx, 6 smx, 7 est, 8 tm2, 9 ssse3, 10 cid, 11 sdbg, "
    "12 fma, 13 cx16, 14 xtpr, 15 pdcm, 17 pcid, 18 dca, 19 sse4.1, 20 sse4.2, 21 x2apic, 22 movbe, 23 popcnt, "
    "24 tsc-deadline, 25 aes, 26 xsave, 27 osxsave, 28 avx, 29 f16c, 30 rdrand, 31 hypervisor",
    # leaf 0x80000001, edx
    "11 syscall, 20 nx, 22 mmxext, 25 fxsr_opt, 26 pdpe1gb, 27 rdtscp, 29 lm, 30 3dnowext, 31 3dnow",
    # leaf 0x80000001, ecx
    "0 lahf_lm, 1 cmp_legacy, 2 svm, 3 extapic, 4 cr8legacy, 5 abm, 6 sse4a, 7 misalignsse, 8 3dnowprefetch, "
    "9 osvw, 10 ibs, 11 xop, 12 skinit, 13 wdt, 15 lwp, 16 fma4, 17 tce, 18 cvt16, 19 nodeid_msr, 21 tbm, "
    "22 topoext, 23 perfctr_core, 24 perfctr_nb, 26 dbext, 29 monitorx, 30 addr_msk_ext",
    # leaf 0xd.1, eax
    "0 xsaveopt, 1 xsavec, 2 xgetbv1, 3 xsaves, 4 xfd",
    # leaf 7.0, ebx
    "0 fsgsbase, 1 tsc_adjust, 2 sgx, 3 bmi1, 4 hle, 5 avx2, 6 fdp-excptn-only, 7 smep, 8 bmi2, 9 erms, "
    "10 invpcid, 11 rtm, 12 cmt, 13 zero-fcs-fds, 14 mpx, 15 pqe, 16 avx512f, 17 avx512dq, 18 rdseed, 19 adx, "
    "20 smap, 21 avx512ifma, 22 pcommit, 23 clflushopt, 24 clwb, 25 intel-pt, 26 avx512pf, 27 avx512er, "
    "28 avx512cd, 29 sha-ni, 30 avx512bw, 31 avx512vl",
    # leaf 7.0, ecx
    "0 prefetchwt1, 1 avx512vbmi, 2 umip, 3 pku, 4 ospke, 5 waitpkg, 6 avx512vbmi2, 7 cet-ss, 8 gfni, 9 vaes, "
    "10 vpclmulqdq, 11 avx512vnni, 12 avx512bitalg, 13 tme, 14 avx512-vpopcntdq, 16 la57, 22 rdpid, "
    "24 bus-lock-detect, 25 cldemote, 27 movdiri, 28 movdir64b, 29 enqcmd, 30 sgxlc, 31 pks",
    # leaf 0x80000007, edx
    "7 hw_pstate, 8 invtsc, 9 cpb, 10 efro",
)


def _places() -> dict[str, tuple[int, int]]:
    places = {}
    for word, line in enumerate(_TABLE):
        for entry in line.split(", "):
            bit, _, name = entry.partition(" ")
            places[name] = word, int(bit)
    return places


CPU_FEATURES: dict[str, tuple[int, int]] = _places()
"""Feature -> (word, bit), by word and bit."""


def feature_names(words: Sequence[int]) -> tuple[str, ...]:
    """The features whose bits are set, by word and bit. None on arm64, whose words are all 0."""
    return tuple(
        name for name, (word, bit) in CPU_FEATURES.items() if word < len(words) and words[word] >> bit & 1
    )


def feature_words(names: Iterable[str]) -> tuple[int, ...]:
    """The words in which these features' bits are set. KeyError: there is no such feature."""
    words = [0] * WORDS
    for name in names:
        word, bit = CPU_FEATURES[name]
        words[word] |= 1 << bit
    return tuple(words)
