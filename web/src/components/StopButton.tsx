import { useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction } from "../api/queries";
import { OrderList } from "./OrderList";
import { Dialog, Failure } from "./parts";

/** In the header of every page: one confirmation, then what was cancelled. */
export function StopButton() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="danger" onClick={() => setOpen(true)}>
        Stop
      </button>
      {open && <StopDialog onClose={() => setOpen(false)} />}
    </>
  );
}

function StopDialog({ onClose }: { onClose: () => void }) {
  const stop = useAction<Schemas["StopView"]>(() => unwrap(api.POST("/api/me/strategies/rebalance/stop")));
  const confirm = (
    <button type="button" className="danger" disabled={stop.isPending} onClick={() => stop.mutate()}>
      {stop.isPending ? "Stopping …" : stop.isError ? "Stop again" : "Stop everything"}
    </button>
  );
  return (
    <Dialog title="Stop everything" onClose={onClose} actions={!stop.isSuccess && confirm}>
      {stop.isSuccess ? (
        <div role="status">
          <p>
            The autopilot is off.{" "}
            {stop.data.orders.length === 0 ? "No order of this system was resting." : "This became of the orders:"}
          </p>
          {stop.data.orders.length > 0 && <OrderList orders={stop.data.orders} caption="Orders, as they ended" />}
        </div>
      ) : (
        <p>The autopilot goes off, and every resting order of this system is cancelled. What you hold stays yours.</p>
      )}
      {stop.isError && <Failure error={stop.error} />}
    </Dialog>
  );
}
