import { useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction } from "../api/queries";
import { exact, isDecimal } from "../lib/money";
import { OrderList } from "./OrderList";
import { Dialog, Failure } from "./parts";

type Order = Schemas["OrderView"];

/** Its owner's word on an order that the exchange no longer knows. */
export function ResolveDialog({ order, onClose }: { order: Order; onClose: () => void }) {
  const [outcome, setOutcome] = useState<"canceled" | "filled">("canceled");
  const [quantity, setQuantity] = useState(order.base_qty);
  const [price, setPrice] = useState(order.limit_price);
  const resolve = useAction<Order>(() =>
    unwrap(
      api.POST("/api/me/orders/{client_order_id}/resolve", {
        params: { path: { client_order_id: order.client_order_id } },
        body: outcome === "canceled" ? { outcome } : { outcome, filled_qty: quantity, price },
      }),
    ),
  );
  const complete = outcome === "canceled" || (isDecimal(quantity) && isDecimal(price));
  const confirm = (
    <button
      type="button"
      className="primary"
      disabled={!complete || resolve.isPending}
      onClick={() => resolve.mutate()}
    >
      {resolve.isPending ? "Booking …" : "Book it like that"}
    </button>
  );
  return (
    <Dialog
      title={`What became of ${order.side} ${exact(order.base_qty)} ${order.symbol}?`}
      onClose={onClose}
      actions={!resolve.isSuccess && confirm}
    >
      {resolve.isSuccess ? (
        <div role="status">
          <OrderList orders={[resolve.data]} caption="The order, as it is booked now" />
        </div>
      ) : (
        <>
          <p>
            It rested, and the exchange no longer knows it. Look it up in your exchange's own history: what you say here
            is booked, and cannot be changed afterwards.
          </p>
          <fieldset className="segments">
            <legend className="visually-hidden">What became of it</legend>
            <label>
              <input type="radio" checked={outcome === "canceled"} onChange={() => setOutcome("canceled")} />
              Cancelled
            </label>
            <label>
              <input type="radio" checked={outcome === "filled"} onChange={() => setOutcome("filled")} />
              Filled
            </label>
          </fieldset>
          {outcome === "filled" && (
            <form onSubmit={(event) => event.preventDefault()}>
              <label>
                How much was filled in all, in base
                <input inputMode="decimal" value={quantity} onChange={(event) => setQuantity(event.target.value)} />
              </label>
              <label>
                At what price, in quote
                <input inputMode="decimal" value={price} onChange={(event) => setPrice(event.target.value)} />
              </label>
            </form>
          )}
        </>
      )}
      {resolve.isError && <Failure error={resolve.error} />}
    </Dialog>
  );
}
