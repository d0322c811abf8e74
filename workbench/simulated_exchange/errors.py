"""What this exchange refuses, in Binance's codes and words (its errors.md)."""

from collections.abc import Mapping


class ExchangeError(Exception):
    """A request that Binance would answer with ``{"code": code, "msg": message}`` and HTTP ``status``.

    ``data`` goes with it where two things were asked for, and tells of each.
    """

    def __init__(self, code: int, message: str, status: int = 400, data: Mapping[str, object] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.data = data


def filter_failure(name: str) -> ExchangeError:
    """An order does not pass a filter of its market."""
    return ExchangeError(-1013, f"Filter failure: {name}")


def mandatory(name: str) -> ExchangeError:
    """A parameter is missing, or cannot be read."""
    return ExchangeError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal_characters(name: str, legal: str) -> ExchangeError:
    """A parameter has characters that it may not have."""
    return ExchangeError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def order_id_missing(clients: str, own: str) -> ExchangeError:
    """An order is named by neither of its ids."""
    return ExchangeError(-1102, f"Param '{clients}' or '{own}' must be sent, but both were empty/null!")


def too_many_parameters(sent: int) -> ExchangeError:
    """A route that takes no parameters got some."""
    return ExchangeError(-1101, f"Too many parameters; expected '0' and received '{sent}'.")


def unread_parameters(read: int, sent: int) -> ExchangeError:
    """A route got parameters that it does not know."""
    return ExchangeError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def invalid_data(name: str) -> ExchangeError:
    """A parameter has a value that cannot be."""
    return ExchangeError(-1130, f"Data sent for parameter '{name}' is not valid.")


def invalid_combination() -> ExchangeError:
    """Parameters do not go together."""
    return ExchangeError(-1128, "Combination of optional parameters invalid.")


def too_much_weight(limit: int) -> ExchangeError:
    """The weight of a minute is used up."""
    return ExchangeError(
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        429,
    )


def too_many_orders(limit: int, span: str) -> ExchangeError:
    """More orders than may be placed in a while."""
    return ExchangeError(-1015, f"Too many new orders; current limit is {limit} orders per {span}.", 429)


def too_precise(name: str) -> ExchangeError:
    """A number has more decimals than its market."""
    return ExchangeError(-1111, f"Parameter '{name}' has too much precision.")


def invalid_symbol() -> ExchangeError:
    """No market has that name."""
    return ExchangeError(-1121, "Invalid symbol.")


def market_closed() -> ExchangeError:
    """The market does not trade at the moment."""
    return ExchangeError(-1013, "Market is closed.")


def insufficient_balance() -> ExchangeError:
    """Less is free than the order takes."""
    return ExchangeError(-2010, "Account has insufficient balance for requested action.")


def would_take() -> ExchangeError:
    """A post-only order would trade at once."""
    return ExchangeError(-2010, "Order would immediately match and take.")


def duplicate_order() -> ExchangeError:
    """An open order has the client id already."""
    return ExchangeError(-2010, "Duplicate order sent.")


def too_many_open_orders() -> ExchangeError:
    """More orders rest on a pair than may."""
    return ExchangeError(-2010, "Filter failure: MAX_NUM_ORDERS")


def unknown_order() -> ExchangeError:
    """What is to be cancelled does not rest."""
    return ExchangeError(-2011, "Unknown order sent.")


def no_such_order() -> ExchangeError:
    """No order has that id."""
    return ExchangeError(-2013, "Order does not exist.")


def malformed_key() -> ExchangeError:
    """An API key is no such thing."""
    return ExchangeError(-2014, "API-key format invalid.", 401)


def unknown_key() -> ExchangeError:
    """Nobody has that API key."""
    return ExchangeError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def cancel_restricted() -> ExchangeError:
    """The order is not in the state that the cancel asks for."""
    return ExchangeError(-2011, "Order was not canceled due to cancel restrictions.")
