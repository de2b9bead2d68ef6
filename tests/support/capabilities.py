"""Strategies of Hypothesis for what hosts and guests can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from purevirt.model import Capabilities, DomainCapabilities, DomainType, GuestCapabilities, HostCapabilities
from purevirt.model.capabilities import Choice, CpuPlace, HostCell, HostCpu, Support, Toggle
from purevirt.wire.hypercall.cpufeatures import CPU_FEATURES

__all__ = ["capabilities", "domain_capabilities"]

T = TypeVar("T")


def _made(make: Callable[..., T], *parts: st.SearchStrategy[object]) -> st.SearchStrategy[T]:
    """One of a class, of positional parts: Hypothesis cannot look into our named tuples."""
    return st.tuples(*parts).map(lambda values: make(*values))


ARCHES = ("x86_64", "i686", "aarch64", "armv7l")
_numbers = st.integers(0, 4095)
_sizes = st.integers(1, 1 << 40)
_paths = st.text(st.sampled_from("abz09._-+/&<>'\" "), max_size=12).map(lambda text: f"/{text.strip()}x")
_words = st.sampled_from(("vga", "qxl", "a&b", "<none>", "it's"))

_places = _made(
    CpuPlace, _numbers, _numbers, _numbers, st.sets(_numbers, min_size=1, max_size=4).map(sorted).map(tuple)
) | _made(CpuPlace, _numbers, st.none(), st.none(), st.just(()))
_cells = _made(
    HostCell,
    _numbers,
    st.none() | _sizes,
    st.lists(st.tuples(_numbers, st.integers(10, 254)), max_size=3).map(tuple),
    st.lists(_places, max_size=4).map(tuple),
)


@st.composite
def _cpus(draw: st.DrawFn) -> HostCpu:
    features = draw(st.sets(st.sampled_from(sorted(CPU_FEATURES)), max_size=20))
    told = draw(st.booleans())
    sockets, cores, threads = (draw(st.integers(1, 64)) if told else None for _ in range(3))
    return HostCpu(
        draw(st.sampled_from(ARCHES)),
        draw(st.none() | st.sampled_from(("AMD", "Intel"))),
        draw(st.none() | st.just("EPYC")),
        sockets,
        cores,
        threads,
        tuple(sorted(features)),
    )


_toggles = st.none() | _made(Toggle, st.booleans(), st.booleans())
_guests = _made(
    GuestCapabilities,
    st.sampled_from(DomainType),
    st.sampled_from(ARCHES),
    st.none() | _paths,
    st.none() | _paths,
    st.booleans(),
    st.booleans(),
    _toggles,
    _toggles,
    _toggles,
)
capabilities = _made(
    Capabilities,
    _made(
        HostCapabilities,
        _cpus(),
        st.none()
        | st.lists(st.sampled_from(("suspend_mem", "suspend_disk", "suspend_hybrid")), unique=True).map(
            tuple
        ),
        st.none() | st.booleans(),
        st.booleans(),
        st.lists(_cells, max_size=3).map(tuple),
    ),
    st.lists(_guests, max_size=4).map(tuple),
)

_choices = st.lists(
    _made(Choice, st.sampled_from(("bus", "modelType")), st.lists(_words, max_size=3).map(tuple)),
    max_size=2,
).map(tuple)


def _supports(names: tuple[str, ...]) -> st.SearchStrategy[tuple[Support, ...]]:
    """Some of them, in their order."""
    return st.sets(st.sampled_from(names)).flatmap(
        lambda some: st.tuples(
            *(_made(Support, st.just(name), st.booleans(), _choices) for name in names if name in some)
        )
    )


_features = st.sets(st.sampled_from(("vmcoreinfo", "genid", "sev", "sgx"))).flatmap(
    lambda some: st.tuples(
        *(
            _made(Support, st.just(name), st.just(False))
            for name in ("vmcoreinfo", "genid", "sev", "sgx")
            if name in some
        )
    )
)
domain_capabilities = _made(
    DomainCapabilities,
    _paths,
    st.sampled_from(DomainType),
    st.sampled_from(ARCHES),
    st.none() | st.integers(1, 8192),
    st.none() | st.lists(_paths, max_size=3, unique=True).map(tuple),
    _supports(("disk", "graphics", "video", "hostdev", "channel")),
    _features,
)
