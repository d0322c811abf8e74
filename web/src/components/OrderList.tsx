import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { distancePct, exact } from "../lib/money";
import { ago, duration } from "../lib/time";
import { inWords, ORDER_STATUSES } from "../lib/words";
import { Table } from "./parts";

type Order = Schemas["OrderView"];
type Props = {
  orders: readonly Order[];
  caption: string;
  /** Market prices by symbol, where they are known: then each order says how far it is from the market. */
  prices?: Readonly<Record<string, string>>;
  /** Epoch seconds. */
  now?: number;
  /** After how many seconds the autopilot looks at a resting order again; null where it does not. */
  reviewAfter?: number | null;
  action?: (order: Order) => ReactNode;
};

export function OrderList({ orders, caption, prices, now, reviewAfter, action }: Props) {
  const head = (
    <tr>
      <th scope="col">Pair</th>
      <th scope="col">Side</th>
      <th scope="col" className="number">
        Price
      </th>
      {prices && (
        <th scope="col" className="number">
          From market
        </th>
      )}
      <th scope="col" className="number">
        Quantity
      </th>
      <th scope="col" className="number">
        Filled
      </th>
      <th scope="col">State</th>
      {now !== undefined && <th scope="col">Placed</th>}
      {reviewAfter !== undefined && <th scope="col">Review</th>}
      {action && (
        <th scope="col">
          <span className="visually-hidden">Action</span>
        </th>
      )}
    </tr>
  );
  return (
    <Table caption={caption} head={head}>
      {orders.map((order) => {
        const price = prices?.[order.symbol];
        return (
          <tr key={order.client_order_id}>
            <th scope="row">{order.symbol}</th>
            <td className={order.side}>{order.side}</td>
            <td className="number">{exact(order.limit_price)}</td>
            {prices && <td className="number">{price ? distancePct(order.limit_price, price) : "–"}</td>}
            <td className="number">{exact(order.base_qty)}</td>
            <td className="number">{exact(order.filled_qty)}</td>
            <td>
              {ORDER_STATUSES[order.status]}
              {order.reason && <span className="small"> · {inWords(order.reason)}</span>}
            </td>
            {now !== undefined && <td>{ago(order.placed_at, now)}</td>}
            {reviewAfter !== undefined && <td>{review(order, reviewAfter, now)}</td>}
            {action && <td>{action(order)}</td>}
          </tr>
        );
      })}
    </Table>
  );
}

/** When the autopilot looks at a resting order again. */
function review(order: Order, after: number | null, now: number | undefined): string {
  if (after === null || now === undefined) return "–";
  const left = order.placed_at + after - now;
  return left > 0 ? `in ${duration(left)}` : "at the next tick";
}
