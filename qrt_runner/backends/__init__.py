"""Opens the target that a backend section describes; may know qiskit, aer and runtime, and alone reads credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrt_runner import config
from qrt_runner.backends.device import Device
from qrt_runner.backends.fitting import check_fits
from qrt_runner.backends.simulators import fake_names, open_aer, open_fake, open_noisy, simulator_of

if TYPE_CHECKING:
    from qrt_runner.config import Backend

__all__ = ["Device", "check_fits", "fake_names", "open_device", "simulator_of"]


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
    from qrt_runner.backends.remote import open_ibm, open_vendor

    return open_ibm(section) if isinstance(section, config.Ibm) else open_vendor(section)
