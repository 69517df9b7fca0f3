"""How a Qiskit program is pointed at a rehearsal: the client's arguments and its environment; standard library only."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qrt_runner.rehearsal.access import crn_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from qrt_runner.rehearsal.settings import Plan


@dataclass(frozen=True)
class Account:
    """An account of a rehearsal; make the client's service while it is in force."""

    arguments: Mapping[str, Any]
    """Keyword arguments of `QiskitRuntimeService`."""

    environment: Mapping[str, str]
    """Where the client looks for IBM Cloud's own services; it has no argument for them."""

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Set the environment while the client makes its service, and put back what was there.

        It must not stay: another service, made later in the same process, would send its API key to the rehearsal.
        """
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    def shown(self) -> str:
        """Return what a user types to use it: lines for a shell, and a Python call."""
        exports = [f"export {name}={value}" for name, value in self.environment.items()]
        account = {"QISKIT_IBM_URL": "url", "QISKIT_IBM_TOKEN": "token", "QISKIT_IBM_INSTANCE": "instance"}
        exports += [f"export {name}='{self.arguments[key]}'" for name, key in account.items()]
        given = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return "\n".join(
            [*exports, "", "from qiskit_ibm_runtime import QiskitRuntimeService", f"QiskitRuntimeService({given})"]
        )


def account_at(url: str, token: str, plan: Plan) -> Account:
    """Return the account of a rehearsal that answers at this URL, such as http://127.0.0.1:4321."""
    from qrt_runner.rehearsal.service import API, CATALOG, IAM, SEARCH

    arguments = {
        "channel": "ibm_quantum_platform",
        "token": token,
        "url": f"{url}{API}",
        "instance": crn_of(plan),
    }
    environment = {
        "IAM_URL": f"{url}{IAM}",
        "GLOBAL_SEARCH_URL": f"{url}{SEARCH}",
        "GLOBAL_CATALOG_URL": f"{url}{CATALOG}",
    }
    return Account(arguments, environment)
