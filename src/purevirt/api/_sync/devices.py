# Generated from _async/devices.py by tools/generate_sync.py: never edit this file, run `make generate`.
"""A domain's devices, added, changed and taken away while it runs, and in its definition: the Xen daemon's."""

from __future__ import annotations

from purevirt._run import run_blocking
from purevirt._typing import TYPE_CHECKING
from purevirt.api._sync.domainbase import DomainBase

if TYPE_CHECKING:
    from purevirt.api._editing import Draft
    from purevirt.model import AttachedDevice
__all__ = ["Devices"]


class Devices(DomainBase):
    """The devices.

    Beside what every change raises: ConfigError, InvalidConfig (what is asked for cannot be), Unsupported (not while it
    runs), NoSuchDevice. OperationError: there is one already, or its hotplug script failed. Timeout: a guest that does
    not take the device up, which is then taken away again, or does not let go of it, which then stays.

    `config`: its definition as well, for the next start; without `live` that alone. Then Conflict (somebody else has
    changed it meanwhile: what runs has been changed then), and NoSuchDomain if it is not defined.
    """

    def attach_device(
        self,
        device: str,
        *,
        format: str | None = None,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Add a disk or an interface, and wait until the guest has it (`virDomainAttachDeviceFlags`). Xen daemon.

        `device` is libvirt's XML, or, with `format` "xl-disk" or "xl-vif", a string as in an xl.cfg. A domain that is
        paused finds it when it runs.
        """
        draft = self._draft("attach", device, format) if config else None
        made = None
        if live:
            made = run_blocking(self._driver.attach_device(self._ref, device, form=format, timeout=timeout))
        return self._defined(draft, made, device, format)

    def detach_device(
        self,
        device: str,
        *,
        format: str | None = None,
        force: bool = False,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Take a disk (by its target) or an interface (by its address) away (`virDomainDetachDeviceFlags`). Xen daemon.

        `force`: without asking the guest, for which the device then breaks.
        """
        draft = self._draft("detach", device, format) if config else None
        made = None
        if live:
            made = run_blocking(
                self._driver.detach_device(self._ref, device, form=format, force=force, timeout=timeout)
            )
        return self._defined(draft, made, device, format)

    def update_device(
        self,
        device: str,
        *,
        format: str | None = None,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Change an interface's bridge or rate (`virDomainUpdateDeviceFlags`). Xen daemon. Unsupported names what
        cannot be changed."""
        draft = self._draft("update", device, format) if config else None
        made = None
        if live:
            made = run_blocking(self._driver.update_device(self._ref, device, form=format, timeout=timeout))
        return self._defined(draft, made, device, format)

    def attach_disk(
        self,
        source: str,
        target: str,
        *,
        format: str = "raw",
        read_only: bool = False,
        device: str = "disk",
        backend: str | None = None,
        script: str | None = None,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Add a file or block device as a disk: `target` is what the guest calls it. Xen daemon. As `attach_device`.

        ValueError for an unknown `format` ("raw", "qcow2" …), `device` ("disk", "cdrom") or `backend`.
        """
        from purevirt.formats.device_text import written
        from purevirt.model.description import Disk, DiskBackend, DiskDevice, DiskFormat

        disk = Disk(
            target,
            source,
            DiskFormat(format),
            None if backend is None else DiskBackend(backend),
            DiskDevice(device),
            read_only or device == "cdrom",
            script,
        )
        text, form = written(disk)
        return self.attach_device(text, format=form, live=live, config=config, timeout=timeout)

    def attach_interface(
        self,
        bridge: str | None = None,
        *,
        mac: str | None = None,
        name: str | None = None,
        model: str | None = None,
        mtu: int | None = None,
        rate: str | None = None,
        script: str | None = None,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Add a network interface on a bridge (None: the toolstack's default). Xen daemon. As `attach_device`.

        `mac`: None for one of Xen's range; `name`: what Domain 0 calls its end; `rate`: as xl has it, "10Mb/s@50ms";
        ValueError for one that is none.
        """
        from purevirt.formats.device_text import written
        from purevirt.formats.xl_config.vif import read_rate
        from purevirt.model.description import Interface as Described

        nic = Described(mac=mac, bridge=bridge, name=name, model=model, mtu=mtu, script=script)
        if rate is not None:
            nic = nic._replace(rate=read_rate(rate))
        text, form = written(nic)
        return self.attach_device(text, format=form, live=live, config=config, timeout=timeout)

    def detach_disk(
        self,
        target: str,
        *,
        force: bool = False,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Take a disk away. Xen daemon. As `detach_device`."""
        from purevirt.formats.device_text import named_disk

        text, form = named_disk(target)
        return self.detach_device(text, format=form, force=force, live=live, config=config, timeout=timeout)

    def detach_interface(
        self,
        which: str | int,
        *,
        force: bool = False,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Take an interface away, by its address or its number in the guest. Xen daemon. As `detach_device`."""
        from purevirt.formats.device_text import named_interface

        text, form = named_interface(which)
        return self.detach_device(text, format=form, force=force, live=live, config=config, timeout=timeout)

    def change_media(
        self,
        target: str,
        source: str | None,
        *,
        live: bool = True,
        config: bool = False,
        timeout: float | None = None,
    ) -> AttachedDevice:
        """Exchange the medium of a CD-ROM drive; None ejects it (`virDomainUpdateDeviceFlags`). Xen daemon.

        Unsupported while no kind of drive can do it: the message says what to do instead.
        """
        from purevirt.formats.device_text import written
        from purevirt.model.description import Disk, DiskDevice

        text, form = written(Disk(target, source, device=DiskDevice.CDROM, read_only=True))
        return self.update_device(text, format=form, live=live, config=config, timeout=timeout)

    def _draft(self, what: str, device: str, form: str | None) -> Draft:
        """Its definition, with that done to it."""
        from purevirt.api import _editing

        return run_blocking(
            _editing.draft(self._driver, self._ref, lambda known: _editing.changed(known, what, device, form))
        )

    def _defined(
        self, draft: Draft | None, made: AttachedDevice | None, device: str, form: str | None
    ) -> AttachedDevice:
        """Write the definition, when the running domain has been changed; what to tell of the device."""
        if draft is not None:
            run_blocking(draft.define(self._driver))
        if made is not None:
            return made
        from purevirt.api import _editing

        return _editing.told(device, form)
