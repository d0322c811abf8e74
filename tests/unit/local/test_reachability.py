"""What a person sees first where their machine does not reach the exchange: which host, why, and what to do."""

import socket
from typing import NoReturn

import pytest
from botbalance.errors import InvalidRequestError, TransientError

from workbench.local.reachability import require_exchange


def test_a_machine_without_a_network_is_told_the_host_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(TransientError) as told:
        require_exchange("binance", None)
    assert str(told.value) == (
        "binance cannot be reached at api.binance.com: its name is not found; check the connection to the internet and "
        "the DNS, or choose another exchange with --paper"
    )


def test_a_host_that_takes_no_connection_is_named() -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TransientError, match=f"binance cannot be reached at {url}: no connection comes about"):
            require_exchange("binance", url)


@pytest.mark.parametrize("name", ["nope", "binance-paper", "binance-testnet"])
def test_an_exchange_without_paper_accounts_is_refused_with_those_that_have_them(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="expected one of binance, okx"):
        require_exchange(name, None)
