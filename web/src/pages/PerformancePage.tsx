import type { Schemas } from "../api/client";
import { usePerformance } from "../api/queries";
import { FillsTable } from "../components/FillsTable";
import { HistoryCard } from "../components/HistoryCard";
import { Banner, Failure, Figure, Signed, Skeleton, Table } from "../components/parts";
import { amount } from "../lib/money";
import { dateTime } from "../lib/time";

type Fill = Schemas["FillContributionView"];

export function PerformancePage() {
  const performance = usePerformance();
  if (performance.isPending) return <Skeleton lines={10} />;
  if (performance.isError) return <Failure error={performance.error} retry={() => void performance.refetch()} />;
  const { data } = performance;
  const quote = data.quote_asset;
  return (
    <>
      {!data.available && (
        <>
          <Banner tone="warning">Not known at the moment: {data.unavailable ?? "no reason is given"}.</Banner>
          <button type="button" disabled={performance.isFetching} onClick={() => void performance.refetch()}>
            {performance.isFetching ? "Asking …" : "Ask again"}
          </button>
        </>
      )}
      {data.available && (
        <dl className="figures card">
          <Figure label="Worth">
            <span className="number">
              {amount(data.nav ?? "0")} {quote}
            </span>
          </Figure>
          <Figure label="Just holding">
            <span className="number">
              {amount(data.hold_quote ?? "0")} {quote}
            </span>
          </Figure>
          <Figure label="Rebalancing added" note="Can be negative: then holding would have been better">
            <Signed value={data.bonus_quote ?? "0"} quote={quote} />
          </Figure>
          <Figure label="Fills">
            <span className="number">{data.fills_count ?? 0}</span>
          </Figure>
        </dl>
      )}
      <HistoryCard />
      <Contributions title="By asset" parts={data.by_asset ?? []} quote={quote} />
      <Fills fills={data.fills ?? []} quote={quote} />
    </>
  );
}

function Fills({ fills, quote }: { fills: readonly Fill[]; quote: string }) {
  if (fills.length === 0) return null;
  const rows = fills.map((fill) => ({
    ...fill,
    key: `${fill.client_order_id} ${fill.trade_id}`,
    time: dateTime(Math.floor(fill.traded_at_ms / 1000)),
  }));
  return (
    <section className="card" aria-labelledby="fills">
      <h2 id="fills">Fill by fill</h2>
      <FillsTable caption={`The newest ${fills.length} fills, at the prices of now`} fills={rows} quote={quote} />
    </section>
  );
}

function Contributions({
  title,
  parts,
  quote,
}: {
  title: string;
  parts: readonly Schemas["ContributionView"][];
  quote: string;
}) {
  if (parts.length === 0) return null;
  const head = (
    <tr>
      <th scope="col">{title}</th>
      <th scope="col" className="number">
        Fills
      </th>
      <th scope="col" className="number">
        Added
      </th>
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
