import { useInfiniteQuery } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction } from "../api/queries";
import { FillsTable } from "../components/FillsTable";
import { OrderList } from "../components/OrderList";
import { Dialog, Empty, Failure, Skeleton } from "../components/parts";
import { ResolveDialog } from "../components/ResolveDialog";
import { exact } from "../lib/money";
import { dateTime } from "../lib/time";
import { RESTING } from "../lib/words";

type Order = Schemas["OrderView"];
/** The reasons of an order that the exchange tells of no more. */
const LOST = new Set(["not_on_exchange", "look_ups_fail", "trades_not_told", "order_too_large"]);
type Overview = Schemas["OverviewView"];

export function OrdersPage({ overview }: { overview: Overview | null }) {
  const history = useInfiniteQuery({
    queryKey: ["orders"],
    queryFn: ({ pageParam }) =>
      unwrap(api.GET("/api/me/orders", { params: { query: { limit: 50, cursor: pageParam } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor,
  });
  const [resolving, setResolving] = useState<Order | null>(null);
  if (!overview && history.isPending) return <Skeleton lines={20} />;
  const orders = history.data?.pages.flatMap((page) => page.orders) ?? [];
  const resting = overview?.orders ?? orders.filter((order) => RESTING.has(order.status));
  const ended = orders.filter((order) => !RESTING.has(order.status));
  const resolve = (order: Order) =>
    LOST.has(order.reason ?? "") && (
      <button type="button" onClick={() => setResolving(order)} aria-label={`Say what became of ${order.symbol}`}>
        Resolve …
      </button>
    );
  return (
    <>
      <Resting orders={resting} overview={overview} resolve={resolve} />
      <section className="card" aria-labelledby="ended">
        <h2 id="ended">Ended</h2>
        {history.isPending && <Skeleton lines={8} />}
        {history.isError && <Failure error={history.error} retry={() => void history.refetch()} />}
        {history.data && ended.length === 0 && <Empty>No order has ended yet.</Empty>}
        {ended.length > 0 && (
          <OrderList
            orders={ended}
            caption="Orders that ended, the newest first"
            {...(ended.some((order) => LOST.has(order.reason ?? "")) ? { action: resolve } : {})}
          />
        )}
        {history.hasNextPage && (
          <button type="button" disabled={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>
            {history.isFetchingNextPage ? "Reading …" : "Older orders"}
          </button>
        )}
      </section>
      <Fills orders={orders} />
      {resolving && <ResolveDialog order={resolving} onClose={() => setResolving(null)} />}
    </>
  );
}

function Resting(props: { orders: readonly Order[]; overview: Overview | null; resolve: (order: Order) => ReactNode }) {
  const { orders, overview, resolve } = props;
  const [asking, setAsking] = useState<Order | "all" | null>(null);
  const prices = Object.fromEntries(
    (overview?.assets ?? []).flatMap((row) => (row.symbol && row.price ? [[row.symbol, row.price]] : [])),
  );
  return (
    <section className="card" aria-labelledby="resting">
      <h2 id="resting">Resting</h2>
      {orders.length === 0 ? (
        <Empty>No order is resting.</Empty>
      ) : (
        <>
          <OrderList
            orders={orders}
            caption="Orders that rest"
            prices={prices}
            reviewAfter={overview?.strategy?.autopilot_enabled ? overview.strategy.order_max_age_s : null}
            now={overview?.now ?? Math.floor(Date.now() / 1000)}
            action={(order) =>
              resolve(order) || (
                <button
                  type="button"
                  onClick={() => setAsking(order)}
                  aria-label={`Cancel ${order.side} ${order.symbol}`}
                >
                  Cancel
                </button>
              )
            }
          />
          <button type="button" onClick={() => setAsking("all")}>
            Cancel all
          </button>
        </>
      )}
      {asking && <CancelDialog order={asking === "all" ? null : asking} onClose={() => setAsking(null)} />}
    </section>
  );
}

function CancelDialog({ order, onClose }: { order: Order | null; onClose: () => void }) {
  const cancel = useAction<Order[]>(async () => {
    if (!order) return (await unwrap(api.DELETE("/api/me/orders"))).orders;
    const path = { client_order_id: order.client_order_id };
    return [await unwrap(api.DELETE("/api/me/orders/{client_order_id}", { params: { path } }))];
  });
  const name = order ? `${order.side} ${exact(order.base_qty)} ${order.symbol}` : "all orders";
  const confirm = (
    <button type="button" className="danger" disabled={cancel.isPending} onClick={() => cancel.mutate()}>
      {cancel.isPending ? "Cancelling …" : order ? "Cancel the order" : "Cancel all orders"}
    </button>
  );
  return (
    <Dialog title={`Cancel ${name}`} onClose={onClose} actions={!cancel.isSuccess && confirm}>
      {!cancel.isSuccess && <p>The autopilot stays as it is: while it is on, it may place an order anew.</p>}
      {cancel.isSuccess && (
        <div role="status">
          <OrderList orders={cancel.data} caption="Orders, as they ended" />
        </div>
      )}
      {cancel.isError && <Failure error={cancel.error} />}
    </Dialog>
  );
}

function Fills({ orders }: { orders: readonly Order[] }) {
  const rows = orders
    .flatMap((order) => order.fills.map((fill) => ({ order, fill })))
    .sort((one, other) => other.fill.traded_at_ms - one.fill.traded_at_ms)
    .slice(0, 100)
    .map(({ order, fill }) => ({
      ...fill,
      key: `${order.client_order_id} ${fill.trade_id}`,
      time: dateTime(Math.floor(fill.traded_at_ms / 1000)),
      symbol: order.symbol,
      side: order.side,
    }));
  if (rows.length === 0) return null;
  return (
    <section className="card" aria-labelledby="fills">
      <h2 id="fills">Fills</h2>
      <FillsTable caption="Fills of these orders, the newest first" fills={rows} />
    </section>
  );
}
