"""Tests stay on this machine."""

from __future__ import annotations

import socket

import pytest


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "ehr.example.org"])
def test_no_test_reaches_another_machine(address: str) -> None:
    """Neither a connection nor the look-up of a name leaves this machine."""
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        socket.create_connection((address, 80), timeout=1)


def test_this_machine_is_reachable() -> None:
    """Servers started by tests can be called."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=5):
        pass
