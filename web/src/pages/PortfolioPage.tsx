import type { UseQueryResult } from "@tanstack/react-query";
import type { Schemas } from "../api/client";
import type { Session } from "../api/session";
import { AssetBars } from "../components/AssetBars";
import { Banner, Failure, Figure, Signed, Skeleton } from "../components/parts";
import { amount, exact, percent } from "../lib/money";
import { ago } from "../lib/time";
import { FirstRun } from "./FirstRun";

type Overview = Schemas["OverviewView"];

export function PortfolioPage({ overview, session }: { overview: UseQueryResult<Overview>; session: Session }) {
  if (overview.isPending) return <Skeleton lines={12} />;
  if (!overview.data) {
    return (
      <Failure error={overview.error ?? new Error("Nothing is known yet.")} retry={() => void overview.refetch()} />
    );
  }
  const { data } = overview;
  if (!data.strategy || !data.has_key) return <FirstRun overview={data} session={session} />;
  return (
    <>
      {data.incidents.map((incident) => (
        <Banner key={incident} tone="warning">
          {incident}
        </Banner>
      ))}
      <Figures overview={data} />
      {data.assets.length === 0 ? (
        <Banner tone="info">
          Nobody has looked at this account yet. The first look shows what it holds: open Plan.
        </Banner>
      ) : (
        <section className="card" aria-labelledby="shares">
          <h2 id="shares">Shares against targets</h2>
          <AssetBars
            assets={data.assets}
            orders={data.orders}
            quote={data.quote_asset ?? ""}
            bandPct={data.band_pct ?? null}
          />
        </section>
      )}
      {data.unmanaged.length > 0 && <Unmanaged holdings={data.unmanaged} />}
      {data.warnings.map((warning) => (
        <Banner key={warning.message} tone="warning">
          {warning.message}
        </Banner>
      ))}
    </>
  );
}

function Figures({ overview }: { overview: Overview }) {
  const quote = overview.quote_asset ?? "";
  const priced = overview.priced_at ? `; priced ${ago(overview.priced_at, overview.now)}` : "";
  const looked = overview.looked_at
    ? `Looked at ${ago(overview.looked_at, overview.now)}${priced}`
    : "Not looked at yet";
  return (
    <dl className="figures card">
      <Figure label="Worth" note={looked}>
        <span className="number">
          {overview.nav ? amount(overview.nav) : "–"} {quote}
        </span>
      </Figure>
      <Figure label="Rebalancing added" note={added(overview, quote)}>
        {overview.bonus_quote ? (
          <Signed value={overview.bonus_quote} quote={quote} />
        ) : (
          <span className="number">–</span>
        )}
      </Figure>
      <Figure label="Drift" note="Share of the portfolio that is in the wrong asset">
        <span className="number">{overview.drift_pct ? percent(overview.drift_pct) : "–"}</span>
      </Figure>
      <Figure label="Orders resting" note={lastDecision(overview)}>
        <span className="number">{overview.orders.length}</span>
      </Figure>
    </dl>
  );
}

function added(overview: Overview, quote: string): string {
  if (overview.hold_quote) return `Just holding would be worth ${amount(overview.hold_quote)} ${quote}`;
  return overview.nav ? "Being counted" : "Against just holding";
}

function lastDecision(overview: Overview): string {
  const decision = overview.last_decision;
  if (!decision) return "No decision yet";
  return `Last decision ${ago(decision.ts_tick, overview.now)}`;
}

function Unmanaged({ holdings }: { holdings: readonly Schemas["UnmanagedView"][] }) {
  return (
    <section className="card" aria-labelledby="unmanaged">
      <h2 id="unmanaged">Left alone</h2>
      <p className="small">
        These are no targets of your strategy: neither counted nor traded. To sell one, set it to 0 %.
      </p>
      <ul className="plain">
        {holdings.map((holding) => (
          <li key={holding.asset}>
            <strong>{holding.asset}</strong> <span className="number">{exact(holding.free)} free</span>
            {holding.locked !== "0" && <span className="number">, {exact(holding.locked)} locked</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}
