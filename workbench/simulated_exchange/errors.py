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
    return ExchangeError(-1013, f"Filter failure: {name}")


def mandatory(name: str) -> ExchangeError:
    return ExchangeError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal_characters(name: str, legal: str) -> ExchangeError:
    return ExchangeError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def order_id_missing(clients: str, own: str) -> ExchangeError:
    return ExchangeError(-1102, f"Param '{clients}' or '{own}' must be sent, but both were empty/null!")


def too_many_parameters(sent: int) -> ExchangeError:
    return ExchangeError(-1101, f"Too many parameters; expected '0' and received '{sent}'.")


def unread_parameters(read: int, sent: int) -> ExchangeError:
    return ExchangeError(-1104, f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.")


def invalid_data(name: str) -> ExchangeError:
    return ExchangeError(-1130, f"Data sent for parameter '{name}' is not valid.")


def invalid_combination() -> ExchangeError:
    return ExchangeError(-1128, "Combination of optional parameters invalid.")


def too_much_weight(limit: int) -> ExchangeError:
    return ExchangeError(
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        429,
    )


def too_many_orders(limit: int, span: str) -> ExchangeError:
    return ExchangeError(-1015, f"Too many new orders; current limit is {limit} orders per {span}.", 429)


def too_precise(name: str) -> ExchangeError:
    return ExchangeError(-1111, f"Parameter '{name}' has too much precision.")


def invalid_symbol() -> ExchangeError:
    return ExchangeError(-1121, "Invalid symbol.")


def market_closed() -> ExchangeError:
    return ExchangeError(-1013, "Market is closed.")


def insufficient_balance() -> ExchangeError:
    return ExchangeError(-2010, "Account has insufficient balance for requested action.")


def would_take() -> ExchangeError:
    return ExchangeError(-2010, "Order would immediately match and take.")


def duplicate_order() -> ExchangeError:
    return ExchangeError(-2010, "Duplicate order sent.")


def too_many_open_orders() -> ExchangeError:
    return ExchangeError(-2010, "Filter failure: MAX_NUM_ORDERS")


def unknown_order() -> ExchangeError:
    return ExchangeError(-2011, "Unknown order sent.")


def no_such_order() -> ExchangeError:
    return ExchangeError(-2013, "Order does not exist.")


def malformed_key() -> ExchangeError:
    return ExchangeError(-2014, "API-key format invalid.", 401)


def unknown_key() -> ExchangeError:
    return ExchangeError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def cancel_restricted() -> ExchangeError:
    return ExchangeError(-2011, "Order was not canceled due to cancel restrictions.")
