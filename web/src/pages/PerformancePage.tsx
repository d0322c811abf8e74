import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { api, unwrap, type Schemas } from "../api/client";
import { usePerformance } from "../api/queries";
import { Banner, Empty, Failure, Figure, Signed, Skeleton, Table } from "../components/parts";
import { amount } from "../lib/money";
import { dateTime } from "../lib/time";

const HistoryChart = lazy(() => import("../components/HistoryChart"));

const RANGES = [
  { name: "1 day", hours: 24 },
  { name: "7 days", hours: 7 * 24 },
  { name: "30 days", hours: 30 * 24 },
  { name: "1 year", hours: 365 * 24 },
] as const;

export function PerformancePage() {
  const performance = usePerformance();
  if (performance.isPending) return <Skeleton lines={10} />;
  if (performance.isError) return <Failure error={performance.error} retry={() => void performance.refetch()} />;
  const { data } = performance;
  const quote = data.quote_asset;
  return (
    <>
      {!data.available && <Banner tone="warning">{data.unavailable ?? "Not known now."}</Banner>}
      {data.available && (
        <dl className="figures card">
          <Figure label="Worth">
            <span className="number">{amount(data.nav ?? "0")} {quote}</span>
          </Figure>
          <Figure label="Just holding">
            <span className="number">{amount(data.hold_quote ?? "0")} {quote}</span>
          </Figure>
          <Figure label="Rebalancing added" note="Can be negative: then holding would have been better">
            <Signed value={data.bonus_quote ?? "0"} quote={quote} />
          </Figure>
          <Figure label="Fills">
            <span className="number">{data.fills_count ?? 0}</span>
          </Figure>
        </dl>
      )}
      <History quote={quote} />
      <Contributions title="By asset" parts={data.by_asset} quote={quote} />
      <Contributions title="By day (UTC)" parts={data.by_day} quote={quote} />
    </>
  );
}

function History({ quote }: { quote: string }) {
  const [hours, setHours] = useState<number>(RANGES[1].hours);
  const history = useQuery({
    queryKey: ["history", hours],
    queryFn: () => {
      const until = Math.floor(Date.now() / 1000);
      const step = hours > 30 * 24 ? 24 : hours > 7 * 24 ? 6 : 1;
      return unwrap(
        api.GET("/api/me/portfolio/history", { params: { query: { from: until - hours * 3600, until, step: step * 3600 } } }),
      );
    },
  });
  const points = history.data?.points ?? [];
  return (
    <section className="card" aria-labelledby="over-time">
      <h2 id="over-time">Over time</h2>
      <fieldset className="segments">
        <legend className="visually-hidden">Range</legend>
        {RANGES.map((range) => (
          <label key={range.name}>
            <input
              type="radio"
              name="range"
              checked={hours === range.hours}
              onChange={() => setHours(range.hours)}
            />
            {range.name}
          </label>
        ))}
      </fieldset>
      {history.isPending && <Skeleton lines={8} />}
      {history.isError && <Failure error={history.error} retry={() => void history.refetch()} />}
      {history.data && points.length === 0 && (
        <Empty>No point yet. One is kept for each hour in which the account was looked at.</Empty>
      )}
      {points.length > 0 && (
        <>
          <Suspense fallback={<Skeleton lines={8} />}>
            <HistoryChart points={points} quote={quote} />
          </Suspense>
          <details>
            <summary>The same as a table</summary>
            <HistoryTable points={points} quote={quote} />
          </details>
        </>
      )}
    </section>
  );
}

function HistoryTable({ points, quote }: { points: readonly Schemas["HistoryPointView"][]; quote: string }) {
  const head = (
    <tr>
      <th scope="col">Time</th>
      <th scope="col" className="number">Worth</th>
      <th scope="col" className="number">Holding</th>
      <th scope="col" className="number">Added</th>
    </tr>
  );
  return (
    <Table caption="Worth against holding" head={head}>
      {points.map((point) => (
        <tr key={point.ts}>
          <th scope="row">{dateTime(point.ts)}</th>
          <td className="number">{amount(point.nav)}</td>
          <td className="number">{amount(point.hold_quote)}</td>
          <td>
            <Signed value={point.bonus_quote} quote={quote} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function Contributions({ title, parts, quote }: { title: string; parts: readonly Schemas["ContributionView"][]; quote: string }) {
  if (parts.length === 0) return null;
  const head = (
    <tr>
      <th scope="col">{title}</th>
      <th scope="col" className="number">Fills</th>
      <th scope="col" className="number">Added</th>
    </tr>
  );
  return (
    <section className="card">
      <Table caption={title} head={head}>
        {parts.map((part) => (
          <tr key={part.name}>
            <th scope="row">{part.name}</th>
            <td className="number">{part.fills}</td>
            <td>
              <Signed value={part.bonus_quote} quote={quote} />
            </td>
          </tr>
        ))}
      </Table>
    </section>
  );
}
