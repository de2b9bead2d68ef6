"""A description's network interfaces."""

from __future__ import annotations

from purevirt._typing import NamedTuple

__all__ = ["Interface", "Rate"]


class Rate(NamedTuple):
    """The most that a guest may send: bytes in each interval of so many microseconds, as the backend keeps it."""

    bytes: int
    interval_us: int


class Interface(NamedTuple):
    """A network interface.

    It is attached by `script` ("vif-bridge", "vif-route", "vif-nat", "vif-openvswitch", or a path; None: the
    toolstack's default, a bridge). `bridge` is the bridge or the switch, for Open vSwitch with VLANs as its script
    takes them ("ovsbr0.100:110:120"); `network` is a network that libvirt knows by name, instead. `addresses` are
    those the guest is to have, `gateway_device` the interface that a routed one leaves by.

    `emulated`: whether the guest gets an emulated card (`model`) beside the para-virtual one; None: as its kind of
    domain has it. `name` is what the backend's end is called ("vif3.0" if None). `colo` are settings of COLO's proxy,
    by xl's names.
    """

    mac: str | None = None
    bridge: str | None = None
    network: str | None = None
    script: str | None = None
    model: str | None = None
    emulated: bool | None = None
    name: str | None = None
    addresses: tuple[str, ...] = ()
    gateway_device: str | None = None
    rate: Rate | None = None
    mtu: int | None = None
    backend_domain: str | None = None
    number: int | None = None
    trusted: bool | None = None
    vlan: int | None = None
    colo: tuple[tuple[str, str], ...] = ()
