"""What belongs to the user: strategy, exchange keys, autopilot switch, orders, fills, decisions."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query
from botbalance.accounts.weight_budgets import Purpose, with_purpose
from botbalance.api.account_schemas import (
    AutopilotRequest,
    CheckView,
    CredentialsListView,
    CredentialsRequest,
    CredentialsView,
    SavedStrategyView,
    StrategyPatch,
    StrategyRequest,
    StrategyView,
)
from botbalance.api.decision_schemas import DecisionDetailView, DecisionsView, DecisionView
from botbalance.api.etags import etag, require_version
from botbalance.api.fields import Exchange, PaperExchange
from botbalance.api.notification_schemas import DeliveriesView, NotificationsRequest, NotificationsView
from botbalance.api.order_schemas import OrdersView, OrderView, ResolveRequest, StopView, fills_as_csv
from botbalance.api.overview_schemas import ActivityPageView, MarketsView, OverviewView
from botbalance.api.paper_schemas import PaperRequest, PaperTransferRequest, PaperView
from botbalance.api.pause_schemas import PausesView, PauseView
from botbalance.api.performance_schemas import HistoryView, PerformanceView
from botbalance.api.resolver import current_email, current_user_id, make_handler, new_resolver, remaining_ms
from botbalance.api.responses import CSV, ETAG, JSON, NEXT_PAGE, answers
from botbalance.api.tax_exports import NOT_INCLUDED, TaxTool, export_csv
from botbalance.bootstrap import services
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.exchange.profiles import DEFAULT_EXCHANGE, DEFAULT_PAPER_EXCHANGE
from botbalance.models.activity import ActivityKind
from botbalance.models.exchange_key import ExchangeKey
from botbalance.models.order import OrderStatus
from botbalance.models.strategy import Strategy
from botbalance.notifications.context import NotificationContext
from botbalance.notifications.preferences import delete_preferences, save_preferences, send_test
from botbalance.store.orders import OrderFilter
from botbalance.store.pagination import MAX_EPOCH_S, TimeRange
from botbalance.trading import strategy as strategies
from botbalance.trading.autopilot import emergency_stop, switch_autopilot
from botbalance.trading.context import TradingContext
from botbalance.trading.credentials import delete_key, store_key
from botbalance.trading.history import Step, history
from botbalance.trading.orders import cancel_by_hand, cancel_one, list_fills, list_orders, resolve_order
from botbalance.trading.overview import overview
from botbalance.trading.paper import find_paper, open_paper, transfer_on_paper
from botbalance.trading.pauses import list_pauses, resume
from botbalance.trading.performance import performance
from botbalance.trading.preflight import check_account
from botbalance.trading.strategy import SavedStrategy

app = new_resolver()

PageLimit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=400, description="From the page before.")]
Since = Annotated[int, Query(ge=0, le=MAX_EPOCH_S, description="Not before this time, in epoch seconds.")]
Until = Annotated[int, Query(ge=0, le=MAX_EPOCH_S, description="Not after this time, in epoch seconds.")]
Symbol = Annotated[str | None, Query(max_length=40, description="Of this pair only: BTCUSDT.")]
Status = Annotated[OrderStatus | None, Query(description="In this state only.")]
Outcome = Annotated[Literal["decided", "skipped"] | None, Query(description="Of this kind only.")]
ClientOrderId = Annotated[str, Path(pattern=r"^[0-9a-f]{20}$")]
PauseId = Annotated[str, Path(max_length=80, pattern=r"^[a-z_]+-[^\s/]+$")]
OneOrder = Annotated[
    str | None, Query(pattern=r"^[0-9a-f]{20}$", description="The one with this id, whatever else is asked for.")
]
TsTick = Annotated[int, Path(ge=0, le=MAX_EPOCH_S, description="The tick's time in epoch seconds.")]
ExchangeName = Annotated[Exchange, Query()]
OneExchange = Annotated[Exchange | None, Query(description="Whose markets to list; without it, none are.")]
Quote = Annotated[str, Query(max_length=20, description="What they are priced in.")]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", max_length=400, description="The ETag of the strategy that this changes, or *."),
]


@app.get("/api/me/strategies/rebalance", responses=answers(StrategyView, 404, headers=ETAG))
def get_strategy() -> Response[StrategyView]:
    """The strategy as it is stored, its version as ETag."""
    strategy = services().strategies.get(current_user_id(app))
    return _with_etag(StrategyView.model_validate(strategy), strategy)


@app.put(
    "/api/me/strategies/rebalance", responses=answers(SavedStrategyView, 400, 409, 412, 413, 415, 428, headers=ETAG)
)
def put_strategy(strategy: Annotated[StrategyRequest, Body()], if_match: IfMatch = None) -> Response[SavedStrategyView]:
    """Set the whole strategy.

    The first one is set without If-Match, a later one with the ETag of the one that it replaces. It is refused, with
    the field and what would be right, where it could never trade; what else its owner should know is in `warnings`.
    """
    context, user_id = _context(), current_user_id(app)
    stored = context.strategies.find(user_id)
    require_version(stored, if_match)
    return _saved(strategies.save_strategy(context, user_id, strategy.model_dump(), stored))


@app.patch(
    "/api/me/strategies/rebalance",
    responses=answers(SavedStrategyView, 400, 404, 409, 412, 413, 415, 428, headers=ETAG),
)
def patch_strategy(changes: Annotated[StrategyPatch, Body()], if_match: IfMatch = None) -> Response[SavedStrategyView]:
    """Change a part of the strategy, as a merge patch (RFC 7396): targets are merged by asset, and null drops one."""
    context, user_id = _context(), current_user_id(app)
    stored = context.strategies.get(user_id)
    require_version(stored, if_match)
    return _saved(strategies.patch_strategy(context, user_id, changes.model_dump(exclude_unset=True), stored))


@app.put(
    "/api/me/strategies/rebalance/autopilot", responses=answers(StrategyView, 400, 404, 409, 413, 415, headers=ETAG)
)
def put_autopilot(autopilot: Annotated[AutopilotRequest, Body()]) -> Response[StrategyView]:
    """Switch the autopilot; it goes on only where a decision can be made now and no item of the check fails."""
    strategy = switch_autopilot(_context(), current_user_id(app), enabled=autopilot.enabled)
    return _with_etag(StrategyView.model_validate(strategy), strategy)


@app.post("/api/me/strategies/rebalance/stop", responses=answers(StopView, 404, 409))
def post_stop() -> StopView:
    """Stop everything: the autopilot goes off and every resting order of this system is cancelled. Safe to repeat.

    What could not be cancelled yet is named, and cancelled by the ticks that follow.
    """
    with with_purpose(Purpose.STOP):
        return StopView.of(emergency_stop(_context(), current_user_id(app)))


@app.get("/api/me/orders", responses=answers(OrdersView))
def get_orders(
    limit: PageLimit = 50,
    cursor: Cursor = None,
    status: Status = None,
    symbol: Symbol = None,
    client_order_id: OneOrder = None,
    since: Since = 0,
    until: Until = MAX_EPOCH_S,
) -> OrdersView:
    """The orders, newest first.

    Pass `cursor` back for the next page, with the same filters; where it is null, that was the last one.
    """
    wanted = OrderFilter(status, _upper(symbol), TimeRange(since, until), client_order_id)
    page = list_orders(_context(), current_user_id(app), limit=limit, cursor=cursor, wanted=wanted)
    return OrdersView(orders=[OrderView.model_validate(order) for order in page.items], cursor=page.cursor)


@app.delete("/api/me/orders", responses=answers(OrdersView, 404, 409))
def delete_orders() -> OrdersView:
    """Cancel every order of this system that still rests; returns them as they then stand."""
    with with_purpose(Purpose.STOP):
        canceled = cancel_by_hand(_context(), current_user_id(app))
    return OrdersView(orders=[OrderView.model_validate(order) for order in canceled], cursor=None)


@app.delete("/api/me/orders/<client_order_id>", responses=answers(OrderView, 404, 409))
def delete_order(client_order_id: ClientOrderId) -> OrderView:
    """Cancel one order; returns it as it then stands, which may be filled."""
    with with_purpose(Purpose.STOP):
        return OrderView.model_validate(cancel_one(_context(), current_user_id(app), client_order_id))


@app.post("/api/me/orders/<client_order_id>/resolve", responses=answers(OrderView, 400, 404, 409, 413, 415))
def post_resolve(client_order_id: ClientOrderId, word: Annotated[ResolveRequest, Body()]) -> OrderView:
    """Say what became of an order that rested and that the exchange no longer knows; returns it as it then stands.

    Refused while a look-up may still tell.
    """
    filled_qty = None if word.outcome == "canceled" else word.filled_qty
    order = resolve_order(_context(), current_user_id(app), client_order_id, filled_qty, word.price)
    return OrderView.model_validate(order)


@app.get("/api/me/fills.csv", responses=answers(CSV, headers=NEXT_PAGE))
def get_fills(
    limit: Annotated[int, Query(ge=1, le=1000, description="Of how many orders at most.")] = 1000,
    cursor: Cursor = None,
    symbol: Symbol = None,
    since: Since = 0,
    until: Until = MAX_EPOCH_S,
) -> Response[str]:
    """The fills as CSV, those of the newest order first; where there are more, the header Link leads to them."""
    wanted = OrderFilter(None, _upper(symbol), TimeRange(since, until))
    page = list_orders(_context(), current_user_id(app), limit=limit, cursor=cursor, wanted=wanted)
    asked = {"limit": limit, "symbol": symbol, "since": since, "until": until}
    return Response(HTTPStatus.OK, CSV, fills_as_csv(page.items), headers=_next_page(page.cursor, asked))


def _next_page(cursor: str | None, asked: Mapping[str, object]) -> dict[str, str]:
    """The header that leads from a page to the next one, which is ``asked`` for as this one was."""
    if cursor is None:
        return {}
    following = urlencode({name: value for name, value in {"cursor": cursor, **asked}.items() if value is not None})
    return {"Link": f'<?{following}>; rel="next"'}


ExportYear = Annotated[int | None, Query(ge=2009, le=2100, description="Of this year (UTC) only.")]
_EXPORT = answers(CSV, 409, headers=NEXT_PAGE | {"X-Not-Included": "What the tool must be given besides."})


@app.get("/api/me/exports/koinly.csv", responses=_EXPORT)
def get_koinly_export(year: ExportYear = None, cursor: Cursor = None) -> Response[str]:
    """The fills as Koinly's universal CSV, oldest first; where there are more, the header Link leads to them."""
    return _export("koinly", year, cursor)


@app.get("/api/me/exports/cointracking.csv", responses=_EXPORT)
def get_cointracking_export(year: ExportYear = None, cursor: Cursor = None) -> Response[str]:
    """The fills as CoinTracking's CSV, amounts net of fees, oldest first; pages as Koinly's."""
    return _export("cointracking", year, cursor)


@app.get("/api/me/exports/coinledger.csv", responses=_EXPORT)
def get_coinledger_export(year: ExportYear = None, cursor: Cursor = None) -> Response[str]:
    """The fills as CoinLedger's universal CSV, oldest first; pages as Koinly's."""
    return _export("coinledger", year, cursor)


@app.get("/api/me/exports/rotki.csv", responses=_EXPORT)
def get_rotki_export(year: ExportYear = None, cursor: Cursor = None) -> Response[str]:
    """The fills as rotki's generic trades, oldest first; pages as Koinly's."""
    return _export("rotki", year, cursor)


def _export(tool: TaxTool, year: int | None, cursor: str | None) -> Response[str]:
    """A page of an export; only the first has a header line."""
    page = list_fills(_context(), current_user_id(app), year=year, cursor=cursor)
    text = export_csv(tool, page.items, year, header=cursor is None)
    headers = {"X-Not-Included": NOT_INCLUDED, **_next_page(page.cursor, {"year": year})}
    return Response(HTTPStatus.OK, CSV, text, headers=headers)


@app.get("/api/me/portfolio/performance", responses=answers(PerformanceView, 404, 409))
def get_performance() -> PerformanceView:
    """What the portfolio is worth against just holding, and what each asset and each of the newest fills added."""
    context, user_id = _context(), current_user_id(app)
    quote_asset = context.strategies.get(user_id).quote_asset
    try:
        return PerformanceView.of(performance(context, user_id))
    except (TransientError, InvalidRequestError) as error:
        return PerformanceView(available=False, unavailable=str(error), quote_asset=quote_asset)


@app.get("/api/me/portfolio/history", responses=answers(HistoryView, 404))
def get_history(
    from_: Annotated[
        int | None,
        Query(alias="from", ge=0, le=MAX_EPOCH_S, description="Not before this time, in epoch seconds."),
    ] = None,
    until: Annotated[
        int | None, Query(ge=0, le=MAX_EPOCH_S, description="Not after this time, in epoch seconds; now.")
    ] = None,
    step: Annotated[Step, Query(description="A point for each of these, of UTC.")] = "hour",
) -> HistoryView:
    """What the portfolio was worth, what it would be worth had nothing been traded, and the difference; oldest first.

    There is a point an hour in which the autopilot has looked at the account. Without `from` it is a week, a quarter
    or a year, by the step.
    """
    return HistoryView.of(history(_context(), current_user_id(app), since=from_, until=until, step=step))


@app.get("/api/me/decisions", responses=answers(DecisionsView))
def get_decisions(
    limit: PageLimit = 50,
    cursor: Cursor = None,
    outcome: Outcome = None,
    since: Since = 0,
    until: Until = MAX_EPOCH_S,
) -> DecisionsView:
    """The autopilot's decisions, newest first; pages as those of the orders."""
    page = services().context.decisions.page(
        current_user_id(app), limit=limit, cursor=cursor, ticks=TimeRange(since, until), outcome=outcome
    )
    return DecisionsView(decisions=[DecisionView.of(decision) for decision in page.items], cursor=page.cursor)


@app.get("/api/me/decisions/<ts_tick>", responses=answers(DecisionDetailView, 404))
def get_decision(ts_tick: TsTick) -> DecisionDetailView:
    """One decision, whole: every asset with its action or why it was not traded, its next triggers, and all inputs.

    With today's engine it can be computed again: `botbalance replay`.
    """
    return DecisionDetailView.of(services().context.decisions.get(current_user_id(app), ts_tick))


@app.put("/api/me/exchange/credentials", responses=answers(CredentialsView, 400, 409, 413, 415))
def put_credentials(credentials: Annotated[CredentialsRequest, Body()]) -> CredentialsView:
    """Store an exchange key, encrypted, after a signed read with it has worked; never one that may withdraw."""
    key = ExchangeKey(credentials.api_key, credentials.secret, credentials.password)
    return CredentialsView.model_validate(store_key(_context(), current_user_id(app), credentials.exchange, key))


@app.get("/api/me/exchange/credentials", responses=answers(CredentialsListView))
def get_credentials() -> CredentialsListView:
    """Which keys are stored: the exchange and the key's last four characters, never more."""
    stored = services().context.clients.stored_keys(current_user_id(app))
    return CredentialsListView(credentials=[CredentialsView.model_validate(key) for key in stored])


@app.delete("/api/me/exchange/credentials", responses=answers(CredentialsView, 404, 409))
def delete_credentials(exchange: ExchangeName = DEFAULT_EXCHANGE) -> CredentialsView:
    """Forget the key of an exchange; returns what was forgotten. Refused while it is needed."""
    return CredentialsView.model_validate(delete_key(_context(), current_user_id(app), exchange))


PaperName = Annotated[PaperExchange, Query(description="Which paper account.")]


@app.put("/api/me/exchange/paper", responses=answers(PaperView, 400, 409, 413, 415))
def put_paper(paper: Annotated[PaperRequest, Body()]) -> PaperView:
    """Open a paper account with these balances, or start it anew: what rests is cancelled, and earlier results stay.

    It trades at the real exchange's prices, with nobody's money. No key is needed.
    """
    return PaperView.of(open_paper(_context(), current_user_id(app), paper.exchange, paper.balances))


@app.get("/api/me/exchange/paper", responses=answers(PaperView, 404))
def get_paper(exchange: PaperName = DEFAULT_PAPER_EXCHANGE) -> PaperView:
    """A paper account as it stands, with its deposits and withdrawals, and how its earlier epochs ended."""
    return PaperView.of(find_paper(_context(), current_user_id(app), exchange))


@app.post("/api/me/exchange/paper/transfers", responses=answers(PaperView, 400, 404, 409, 413, 415))
def post_paper_transfer(moved: Annotated[PaperTransferRequest, Body()]) -> PaperView:
    """Deposit on paper, or withdraw what is free; neither is a profit or a loss."""
    state = transfer_on_paper(_context(), current_user_id(app), moved.exchange, moved.asset, moved.quantity)
    return PaperView.of(state)


@app.get("/api/me/exchange/check", responses=answers(CheckView, 404))
def get_check() -> CheckView:
    """Whether the account is ready for the autopilot, item by item, and what to do where it is not."""
    return CheckView.of(check_account(_context(), current_user_id(app)))


@app.get("/api/me/overview", responses=answers(OverviewView))
def get_overview() -> OverviewView:
    """Where the account stands, from what is known already: no exchange is asked, and every figure has its age."""
    return OverviewView.of(overview(_context(), current_user_id(app)), services().stand_in)


@app.get("/api/me/exchange/markets", responses=answers(MarketsView, 409))
def get_markets(exchange: OneExchange = None, quote: Quote = "USDT") -> MarketsView:
    """Which exchanges can be chosen, and what trades on one of them against a quote asset, as an hour ago at most."""
    current_user_id(app)
    pairs = [] if exchange is None else _context().portfolio.pairs(exchange)
    return MarketsView.of(services().stand_in, pairs, quote)


@app.get("/api/me/activity", responses=answers(ActivityPageView))
def get_activity(
    limit: PageLimit = 50,
    cursor: Cursor = None,
    action: Annotated[ActivityKind | None, Query(description="Of this kind only.")] = None,
    since: Since = 0,
    until: Until = MAX_EPOCH_S,
) -> ActivityPageView:
    """What was done to the account and by whom, newest first; pages as those of the orders."""
    page = _context().activity.page(
        current_user_id(app), limit=limit, cursor=cursor, occurred=TimeRange(since, until), action=action
    )
    return ActivityPageView.of(page.items, page.cursor)


@app.get("/api/me/pauses", responses=answers(PausesView))
def get_pauses() -> PausesView:
    """What of the account is not traded, because it is not believed or a budget's limit was exceeded, with evidence."""
    return PausesView.of(list_pauses(_context(), current_user_id(app)))


@app.post("/api/me/pauses/<pause_id>/resume", responses=answers(PauseView, 404, 409))
def post_resume(pause_id: PauseId) -> PauseView:
    """End it, by its owner's word: believe what was doubted, trade again what was paused; returns what it was."""
    return PauseView.model_validate(resume(_context(), current_user_id(app), pause_id))


@app.get("/api/me/notifications", responses=answers(NotificationsView))
def get_notifications() -> NotificationsView:
    """Where and what you are told; addresses and tokens are never shown."""
    context = _notifications()
    return NotificationsView.of(context.table.find(current_user_id(app)), sends_email=context.senders.sends_email)


@app.put("/api/me/notifications", responses=answers(NotificationsView, 400, 409, 413, 415))
def put_notifications(notifications: Annotated[NotificationsRequest, Body()]) -> NotificationsView:
    """Set where and what you are told.

    A channel that is given empty stays as it is stored; one that is left out is forgotten.
    """
    context = _notifications()
    saved = save_preferences(
        context,
        current_user_id(app),
        notifications.preferences(),
        notifications.addresses(),
        own_address=current_email(app),
    )
    return NotificationsView.of(
        saved.stored, sends_email=context.senders.sends_email, signing_secret=saved.signing_secret
    )


@app.delete("/api/me/notifications", responses=answers(NotificationsView))
def delete_notifications() -> NotificationsView:
    """Forget where and what you are told; returns what holds then: the defaults, and no channel."""
    context = _notifications()
    delete_preferences(context, current_user_id(app))
    return NotificationsView.of(None, sends_email=context.senders.sends_email)


@app.post("/api/me/notifications/test", responses=answers(DeliveriesView, 409))
def post_notifications_test() -> DeliveriesView:
    """Send a message to every channel; it waits in the answer, and what became of it is among the deliveries soon."""
    return DeliveriesView.of(send_test(_notifications(), current_user_id(app)), None)


@app.get("/api/me/notifications/deliveries", responses=answers(DeliveriesView))
def get_deliveries(limit: PageLimit = 50, cursor: Cursor = None) -> DeliveriesView:
    """What was sent and what was not, of the last thirty days, newest first; pages as those of the orders."""
    page = _context().notifications.deliveries(current_user_id(app), limit=limit, cursor=cursor)
    return DeliveriesView.of(page.items, page.cursor)


lambda_handler = make_handler(app, lambda: services().settings.cors_origin, lambda: services().request_limits)


def _context() -> TradingContext:
    """The context, for as long as this invocation may still run."""
    return services().with_deadline(remaining_ms(app))


def _notifications() -> NotificationContext:
    """What tells owners, for as long as this invocation may still run."""
    return services().notifications(remaining_ms(app))


def _upper(symbol: str | None) -> str | None:
    """Symbols are spelled in capitals; whoever asks for btcusdt means that one."""
    return None if symbol is None else symbol.upper()


def _saved(saved: SavedStrategy) -> Response[SavedStrategyView]:
    return _with_etag(SavedStrategyView.of(saved), saved.strategy)


def _with_etag[V: StrategyView](view: V, strategy: Strategy) -> Response[V]:
    return Response(HTTPStatus.OK, JSON, view, headers={"ETag": etag(strategy)})
