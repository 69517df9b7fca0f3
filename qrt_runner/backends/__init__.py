"""Opens the target that a backend section describes; may know qiskit, aer and runtime, and alone reads credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from qrt_runner import config
from qrt_runner.backends.device import Device
from qrt_runner.backends.fitting import check_fits
from qrt_runner.backends.simulators import fake_names, open_aer, open_fake, open_noisy, simulator_of

if TYPE_CHECKING:
    from qrt_runner.config import Backend

__all__ = ["Device", "check_fits", "fake_names", "open_device", "reopened", "simulator_of"]


def reopened(section: str) -> Device:
    """Open a backend again from its section as `Device.section` keeps it.

    Raises:
        AccessError: Where an account or a service refuses.
    """
    return open_device(TypeAdapter(config.Backend).validate_json(section))


def open_device(section: Backend) -> Device:
    """Open the backend that a section describes.

    Raises:
        ConfigError: Where the section names what does not exist.
        AccessError: Where an account or a service refuses.
    """
    if isinstance(section, config.Aer):
        return open_aer(section)
    if isinstance(section, config.AerNoisy):
        return open_noisy(section)
    if isinstance(section, config.Fake):
        return open_fake(section)
    if isinstance(section, config.Snapshot):
        from qrt_runner.backends.snapshots import open_snapshot

        return open_snapshot(section)
    from qrt_runner.backends.remote import open_ibm, open_vendor

    if isinstance(section, config.Rehearsal):
        from qrt_runner.backends.rehearsing import open_rehearsal

        opened = open_rehearsal(section)
    else:
        opened = open_ibm(section) if isinstance(section, config.Ibm) else open_vendor(section)
    return replace(opened, section=section.model_dump_json(), settle_s=getattr(section, "settle_s", 0.0))
