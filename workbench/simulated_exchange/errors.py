"""What this exchange refuses, in Binance's codes and words (its errors.md)."""


class ExchangeError(Exception):
    """A request that Binance would answer with ``{"code": code, "msg": message}`` and HTTP ``status``."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def filter_failure(name: str) -> ExchangeError:
    return ExchangeError(-1013, f"Filter failure: {name}")


def mandatory(name: str) -> ExchangeError:
    return ExchangeError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal_characters(name: str, legal: str) -> ExchangeError:
    return ExchangeError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def order_id_missing() -> ExchangeError:
    return ExchangeError(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")


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
