"""What belongs to the user: strategy, exchange key, autopilot switch, orders, decisions."""

from contextlib import closing
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from botbalance.api.account_schemas import (
    AutopilotRequest,
    CredentialsRequest,
    CredentialsView,
    DecisionsView,
    DecisionView,
    StrategyRequest,
    StrategyView,
)
from botbalance.api.order_schemas import OrdersView, OrderView
from botbalance.api.resolver import handler_of, new_resolver, remaining_ms, user_of
from botbalance.bootstrap import services
from botbalance.errors import MendRequest, NotThere
from botbalance.store.credentials import ExchangeKey
from botbalance.store.decisions import Decision
from botbalance.trading.orders import cancel_every, cancel_one, list_orders
from botbalance.trading.strategy import change_strategy, require_key_unused, switch_autopilot

app = new_resolver()

PageLimit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=400)]
ClientOrderId = Annotated[str, Path(pattern=r"^[0-9a-f]{20}$")]
ExchangeName = Annotated[str, Query(pattern=r"^[a-z0-9]{2,30}$")]


@app.get("/api/me/strategies/rebalance")
def get_strategy() -> StrategyView:
    """The strategy as it is stored."""
    return StrategyView.model_validate(services().strategies.get(user_of(app)))


@app.put("/api/me/strategies/rebalance")
def put_strategy(strategy: Annotated[StrategyRequest, Body()]) -> StrategyView:
    """Set the strategy; it is refused, with the field and what would be right, where it could never trade."""
    return StrategyView.model_validate(change_strategy(services().desk, user_of(app), strategy.model_dump()))


@app.put("/api/me/strategies/rebalance/autopilot")
def put_autopilot(autopilot: Annotated[AutopilotRequest, Body()]) -> StrategyView:
    """Switch the autopilot; it goes on only after a decision could be made with the stored strategy and key."""
    return StrategyView.model_validate(
        switch_autopilot(services().desk_for(remaining_ms(app)), user_of(app), enabled=autopilot.enabled)
    )


@app.get("/api/me/orders")
def get_orders(limit: PageLimit = 50, cursor: Cursor = None) -> OrdersView:
    """The orders, newest first."""
    page = list_orders(services().desk_for(remaining_ms(app)), user_of(app), limit=limit, cursor=cursor)
    return OrdersView(orders=[OrderView.model_validate(order) for order in page.orders], cursor=page.cursor)


@app.delete("/api/me/orders")
def delete_orders() -> OrdersView:
    """Cancel every order of this system that still rests; returns them as they then stand."""
    canceled = cancel_every(services().desk_for(remaining_ms(app)), user_of(app))
    return OrdersView(orders=[OrderView.model_validate(order) for order in canceled], cursor=None)


@app.delete("/api/me/orders/<client_order_id>")
def delete_order(client_order_id: ClientOrderId) -> OrderView:
    """Cancel one order; returns it as it then stands, which may be filled."""
    return OrderView.model_validate(cancel_one(services().desk_for(remaining_ms(app)), user_of(app), client_order_id))


@app.get("/api/me/decisions")
def get_decisions(limit: PageLimit = 50, cursor: Cursor = None) -> DecisionsView:
    """The autopilot's decisions, newest first."""
    page = services().desk.decisions.page(user_of(app), limit=limit, cursor=cursor)
    return DecisionsView(decisions=[DecisionView.of(decision) for decision in page.decisions], cursor=page.cursor)


@app.get("/api/me/decisions/<ts_tick>")
def get_decision(ts_tick: Annotated[int, Path(ge=0, le=99_999_999_999)]) -> Decision:
    """One decision, whole: its inputs, what the engine answered, and what came of it."""
    return services().desk.decisions.get(user_of(app), ts_tick)


@app.put("/api/me/exchange/credentials")
def put_credentials(credentials: Annotated[CredentialsRequest, Body()]) -> CredentialsView:
    """Store an exchange key, encrypted, after a signed read with it has worked; never one that may withdraw."""
    wired = services()
    user_id = user_of(app)
    key = ExchangeKey(credentials.api_key, credentials.secret, credentials.password)
    with closing(wired.connect(credentials.exchange, user_id, key)) as account:
        account.balances()
        if account.may_withdraw():
            raise MendRequest("key_may_withdraw", "the key may withdraw; expected one that may read and trade, no more")
    return CredentialsView.model_validate(wired.credentials.save(user_id, credentials.exchange, key, wired.clock()))


@app.get("/api/me/exchange/credentials")
def get_credentials(exchange: ExchangeName = "binance") -> CredentialsView:
    """Which key is stored: the exchange and the key's last four characters."""
    stored = services().credentials.find(user_of(app), exchange)
    if stored is None:
        raise NotThere("exchange_key_not_found", f"no key for {exchange} is stored")
    return CredentialsView.model_validate(stored)


@app.delete("/api/me/exchange/credentials")
def delete_credentials(exchange: ExchangeName = "binance") -> CredentialsView:
    """Forget the exchange key; returns what was forgotten. Refused while it is needed."""
    stored = get_credentials(exchange)
    require_key_unused(services().desk, user_of(app), exchange)
    services().credentials.delete(user_of(app), exchange)
    return stored


lambda_handler = handler_of(app)
