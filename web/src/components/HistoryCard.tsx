import { useMemo, useState } from "react";
import type { Schemas } from "../api/client";
import { type Step, useHistory } from "../api/queries";
import { amount } from "../lib/money";
import { dateTime, day, month } from "../lib/time";
import { Empty, Failure, Signed, Skeleton, Table } from "./parts";
import type { ChartLine } from "./TimeChart";
import { WorthCharts } from "./WorthCharts";

type Point = Schemas["HistoryPointView"];

const STEPS: readonly { step: Step; name: string; span: string }[] = [
  { step: "hour", name: "Hours", span: "the last seven days" },
  { step: "day", name: "Days", span: "the last 90 days" },
  { step: "month", name: "Months", span: "the last year" },
];
const NAMED: Record<Step, (at: number) => string> = { hour: dateTime, day, month };

/** The portfolio against just holding it, over time. */
export function HistoryCard() {
  const [step, setStep] = useState<Step>("hour");
  const history = useHistory(step);
  return (
    <section className="card" aria-labelledby="history">
      <h2 id="history">Over time</h2>
      <fieldset className="segments">
        <legend className="visually-hidden">A point for each of these</legend>
        {STEPS.map((one) => (
          <label key={one.step}>
            <input type="radio" name="step" checked={step === one.step} onChange={() => setStep(one.step)} />
            {one.name}
          </label>
        ))}
      </fieldset>
      {history.isPending && <Skeleton lines={12} />}
      {history.isError && <Failure error={history.error} retry={() => void history.refetch()} />}
      {history.data && history.data.points.length === 0 && (
        <Empty>
          Nothing in {STEPS.find((one) => one.step === step)?.span}. The autopilot's first look of each hour adds a
          point here.
        </Empty>
      )}
      {history.data && history.data.points.length > 0 && <Charts history={history.data} />}
    </section>
  );
}

function Charts({ history }: { history: Schemas["HistoryView"] }) {
  const { points, step, quote_asset: quote } = history;
  const worth = useMemo<ChartLine[]>(
    () => [
      { name: "worth", kind: "solid", points: points.map(({ at, nav }) => ({ at, value: nav })) },
      { name: "just holding", kind: "dashed", points: points.map(({ at, hold_quote }) => ({ at, value: hold_quote })) },
    ],
    [points],
  );
  const bonus = useMemo<ChartLine[]>(
    () => [
      {
        name: "rebalancing added",
        kind: "difference",
        points: points.map(({ at, bonus_quote }) => ({ at, value: bonus_quote })),
      },
    ],
    [points],
  );
  return (
    <>
      {points.length > 1 && <WorthCharts worth={worth} bonus={bonus} quote={quote} />}
      {points.length === 1 && <p className="small">One point so far: the picture begins with the second.</p>}
      <HistoryTable points={points} step={step} quote={quote} />
    </>
  );
}

function HistoryTable({ points, step, quote }: { points: readonly Point[]; step: Step; quote: string }) {
  const head = (
    <tr>
      <th scope="col">{step === "hour" ? "Time" : step === "day" ? "Day (UTC)" : "Month (UTC)"}</th>
      {["Worth", "Just holding", "Added so far", "Added since the one before"].map((name) => (
        <th key={name} scope="col" className="number">
          {name}
        </th>
      ))}
    </tr>
  );
  return (
    <details open={step !== "hour" || points.length === 1}>
      <summary>The same as a table</summary>
      <Table caption={`At the last look of each ${step}, the newest first`} head={head}>
        {[...points].reverse().map((point) => (
          <tr key={point.at}>
            <th scope="row">{NAMED[step](point.at)}</th>
            <td className="number">{amount(point.nav)}</td>
            <td className="number">{point.hold_quote === null ? "not known" : amount(point.hold_quote)}</td>
            <td className="number">
              {point.bonus_quote === null ? "not known" : <Signed value={point.bonus_quote} quote={quote} />}
            </td>
            <td className="number">
              {point.added_quote === null ? "–" : <Signed value={point.added_quote} quote={quote} />}
            </td>
          </tr>
        ))}
      </Table>
    </details>
  );
}
