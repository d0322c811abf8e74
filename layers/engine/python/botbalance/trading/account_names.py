"""Which of a user's accounts is traded on an exchange now."""

from botbalance.exchange.profiles import is_paper
from botbalance.models.paper import account_name
from botbalance.trading.context import TradingContext


def find_account(context: TradingContext, user_id: str, exchange: str) -> str:
    """The name under which fills on ``exchange`` are counted now; a paper account's has its epoch."""
    opened = context.paper.find(user_id, exchange) if is_paper(exchange) else None
    return account_name(exchange, None if opened is None else opened.epoch)
