import { useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction, usePlan } from "../api/queries";
import { doing } from "../components/AssetBars";
import { AutopilotOffButton } from "../components/AutopilotSwitch";
import { OrderList } from "../components/OrderList";
import { Banner, Dialog, Empty, Failure, Skeleton, Table } from "../components/parts";
import { add, amount, exact, percent, signedAmount } from "../lib/money";

type Plan = Schemas["PlanView"];
type Overview = Schemas["OverviewView"];

export function PlanPage({ overview }: { overview: Overview | null }) {
  const plan = usePlan();
  const [executing, setExecuting] = useState(false);
  return (
    <>
      <div className="toolbar">
        <p className="small">
          What would be traded now. Nothing is traded or stored by looking. This asks the exchange, so it does not
          refresh by itself.
        </p>
        <button type="button" onClick={() => void plan.refetch()} disabled={plan.isFetching}>
          {plan.isFetching ? "Computing …" : "Compute again"}
        </button>
      </div>
      {plan.isPending && <Skeleton lines={10} />}
      {plan.isError && <Failure error={plan.error} retry={() => void plan.refetch()} />}
      {plan.data && (
        <>
          <PlanTable plan={plan.data} orders={overview?.orders ?? []} />
          {plan.data.warnings.map((warning) => (
            <Banner key={warning.message} tone="warning">
              {warning.message}
            </Banner>
          ))}
          <Execute plan={plan.data} onExecute={() => setExecuting(true)} />
          {executing && <ExecuteDialog plan={plan.data} onClose={() => setExecuting(false)} />}
        </>
      )}
    </>
  );
}

function PlanTable({ plan, orders }: { plan: Plan; orders: readonly Schemas["OrderView"][] }) {
  const resting = new Map(orders.map((order) => [order.symbol, order]));
  const head = (
    <tr>
      <th scope="col">Asset</th>
      <th scope="col" className="number">
        Share
      </th>
      <th scope="col" className="number">
        Target
      </th>
      <th scope="col" className="number">
        To target ({plan.quote_asset})
      </th>
      <th scope="col">What would be done</th>
    </tr>
  );
  return (
    <section className="card">
      <p>
        Worth{" "}
        <strong className="number">
          {amount(plan.nav)} {plan.quote_asset}
        </strong>
        , drift <strong className="number">{percent(plan.drift_pct)}</strong>. Every order is worth{" "}
        <span className="number">
          {amount(plan.quote_amount)} {plan.quote_asset}
        </span>
        .
      </p>
      <Table caption="Plan" head={head}>
        {plan.assets.map((row) => (
          <tr key={row.asset}>
            <th scope="row">{row.asset}</th>
            <td className="number">{percent(row.weight_pct)}</td>
            <td className="number">{percent(row.target_pct)}</td>
            <td className="number">{signedAmount(row.delta_quote)}</td>
            <td className="wide">{doing(row, row.symbol ? resting.get(row.symbol) : undefined)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

/** The button that a person trades by, disabled with its reason beside it. */
function Execute({ plan, onExecute }: { plan: Plan; onExecute: () => void }) {
  const reason = plan.halted
    ? `Trading is halted for everybody: ${plan.halted}`
    : plan.mode === "autopilot"
      ? "The autopilot is on and trades by itself. Switch it off to trade by hand."
      : plan.actions.length === 0
        ? "There is nothing to trade now."
        : null;
  return (
    <div className="toolbar">
      <button
        type="button"
        className="primary"
        disabled={reason !== null || !plan.can_execute}
        aria-describedby={reason ? "execute-reason" : undefined}
        onClick={onExecute}
      >
        Execute …
      </button>
      {reason && (
        <p id="execute-reason" className="small">
          {reason}
        </p>
      )}
      {plan.mode === "autopilot" && !plan.halted && <AutopilotOffButton />}
    </div>
  );
}

function ExecuteDialog({ plan, onClose }: { plan: Plan; onClose: () => void }) {
  const [key] = useState(() => crypto.randomUUID()); // made when the dialog opens: pressing twice trades once
  const execute = useAction<Schemas["ExecutionView"]>(() =>
    unwrap(api.POST("/api/me/strategies/rebalance/execute", { params: { header: { "Idempotency-Key": key } } })),
  );
  const total = add("0", ...plan.actions.map((action) => action.notional));
  const confirm = (
    <button type="button" className="primary" disabled={execute.isPending} onClick={() => execute.mutate()}>
      {execute.isPending
        ? "Placing orders …"
        : `Place ${plan.actions.length} ${plan.actions.length === 1 ? "order" : "orders"}`}
    </button>
  );
  return (
    <Dialog title="Execute" onClose={onClose} actions={!execute.isSuccess && confirm}>
      {!execute.isSuccess && (
        <>
          <p>
            {plan.actions.length === 1 ? "One order" : `${plan.actions.length} orders`}, worth{" "}
            <strong className="number">
              {amount(total)} {plan.quote_asset}
            </strong>{" "}
            together. It is computed again on fresh prices before anything is sent, so prices and quantities may differ.
          </p>
          <ActionList plan={plan} />
        </>
      )}
      {execute.isError && <Failure error={execute.error} />}
      {execute.isSuccess && <Result execution={execute.data} plan={plan} />}
    </Dialog>
  );
}

function ActionList({ plan }: { plan: Plan }) {
  return (
    <ul className="plain">
      {plan.actions.map((action) => (
        <li key={action.symbol}>
          <span className={action.side}>{action.side}</span> <span className="number">{exact(action.base_qty)}</span>{" "}
          {action.symbol} at <span className="number">{exact(action.limit_price)}</span>
          {action.capped && <span className="small"> · as much as is free</span>}
        </li>
      ))}
    </ul>
  );
}

/** What was placed, what differed from the preview, and what was not placed. */
function Result({ execution, plan }: { execution: Schemas["ExecutionView"]; plan: Plan }) {
  const planned = new Map(plan.actions.map((action) => [action.symbol, action]));
  const different = execution.orders.filter((order) => {
    const action = planned.get(order.symbol);
    return action && (action.limit_price !== order.limit_price || action.base_qty !== order.base_qty);
  });
  return (
    <div role="status">
      {execution.orders.length === 0 ? (
        <Empty>No order was placed.</Empty>
      ) : (
        <OrderList orders={execution.orders} caption="Orders placed" />
      )}
      {different.length > 0 && (
        <p className="small">
          Prices had moved: {different.map((order) => order.symbol).join(", ")} differ from the preview.
        </p>
      )}
      <NotPlaced execution={execution} plan={plan} />
    </div>
  );
}

/** What was decided on fresh prices and not sent, and why; and what of the preview was not decided again. */
function NotPlaced({ execution, plan }: { execution: Schemas["ExecutionView"]; plan: Plan }) {
  const decided = new Set([...execution.orders, ...execution.not_placed].map((one) => one.symbol));
  const undecided = plan.actions.filter((action) => !decided.has(action.symbol));
  if (execution.not_placed.length + undecided.length === 0) return null;
  const rows = new Map(execution.assets.map((row) => [row.symbol, row]));
  return (
    <div className="banner warning">
      <p>Not placed:</p>
      <ul className="plain">
        {execution.not_placed.map((one) => (
          <li key={one.symbol}>
            {one.side} {one.symbol}: {one.reason}
          </li>
        ))}
        {undecided.map((action) => {
          const row = rows.get(action.symbol);
          return (
            <li key={action.symbol}>
              {action.side} {action.symbol}: {row ? doing(row, undefined) : "no longer due."}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
