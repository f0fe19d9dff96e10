"""A taken port is found before anything starts."""

from __future__ import annotations

import socket

import pytest

from libs.local_stack import AddressUnusableError, PortTakenError, port_is_free, require_free_port


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_port_with_a_listener_is_taken(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_is_free(host, port)
        with pytest.raises(PortTakenError, match="PORT=") as caught:
            require_free_port(host, port)
    assert (caught.value.host, caught.value.port) == (host, port)
    assert "\n" not in str(caught.value)


def test_port_is_free_when_its_last_connections_linger() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()
    with socket.create_connection(address), server:
        accepted, _ = server.accept()
        # The side that closes first keeps the port in TIME_WAIT.
        accepted.close()
    require_free_port(address[0], address[1])


def test_host_of_another_machine_is_not_a_taken_port() -> None:
    with pytest.raises(OSError, match="annot assign"):
        port_is_free("192.0.2.1", 8000)


@pytest.mark.parametrize("host", ["http://127.0.0.1", "192.0.2.1"])
def test_an_address_that_nothing_can_listen_on_is_one_line_that_names_the_settings(host: str) -> None:
    with pytest.raises(AddressUnusableError, match="set HOST= and PORT=") as caught:
        require_free_port(host, 8000)

    assert (caught.value.host, caught.value.port) == (host, 8000)
    assert "\n" not in str(caught.value)
