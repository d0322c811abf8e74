import { type ChangeEvent, lazy, Suspense, useMemo, useState } from "react";
import { FillsTable } from "../components/FillsTable";
import { Banner, Empty, Figure, Signed, Skeleton, Table } from "../components/parts";
import type { ChartLine } from "../components/TimeChart";
import { WorthCharts } from "../components/WorthCharts";
import {
  type BacktestFill,
  type BacktestMonth,
  type BacktestPause,
  type BacktestResult,
  readResult,
} from "../lib/backtest";
import { amount, percent, signedPercent, subtract } from "../lib/money";
import { dateTimeUtc, day, duration } from "../lib/time";

const TimeChart = lazy(() => import("../components/TimeChart"));
const LARGEST_BYTES = 100_000_000;
const FILLS_SHOWN = 100;
const PAUSES_SHOWN = 20;
const ROWS_SHOWN = 60;

type Opened = { name: string; result: BacktestResult };

/** Stays while the page is open, whatever else is looked at meanwhile; no longer, and nowhere else. */
let lastOpened: Opened | null = null;

/** A result of a backtest, read by the browser from a file of the user's. */
export function BacktestPage() {
  const [opened, setOpened] = useState(lastOpened);
  const [problem, setProblem] = useState<string | null>(null);

  async function open(event: ChangeEvent<HTMLInputElement>) {
    const file = event.target.files?.[0];
    if (!file) return;
    try {
      if (file.size > LARGEST_BYTES) throw new Error("The file is too large for a result of a backtest.");
      lastOpened = { name: file.name, result: readResult(await file.text()) };
      setOpened(lastOpened);
      setProblem(null);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "The file cannot be read.");
    }
  }

  return (
    <>
      <section className="card" aria-labelledby="open">
        <h2 id="open">Open a result</h2>
        <p className="small">
          The file stays in this browser: it is read here, and nothing of it is sent. This command writes one:
        </p>
        <p>
          <code>./botbalance backtest --candles candles --strategy my-strategy.json --result result.json</code>
        </p>
        <label>
          Result of a backtest
          <input type="file" accept=".json,application/json" onChange={(event) => void open(event)} />
        </label>
        {problem && <Banner tone="error">{problem}</Banner>}
        {opened && !problem && <p role="status">Shown is {opened.name}.</p>}
      </section>
      {opened && <Result result={opened.result} />}
    </>
  );
}

function Result({ result }: { result: BacktestResult }) {
  const { quote_asset: quote, drawdown } = result;
  return (
    <>
      {result.warnings.map((warning) => (
        <Banner key={warning} tone="warning">
          {warning}
        </Banner>
      ))}
      <Banner tone="info">{result.verdict}</Banner>
      <dl className="figures card">
        <Figure label="Rebalancing added" note="Against just holding; can be negative">
          <Signed value={result.bonus_quote} quote={quote} />
        </Figure>
        <Figure
          label="Return"
          note={`${amount(result.nav_start)} ${quote} became ${amount(result.nav_end)}, ${day(result.start_ms / 1000)} to ${day(result.end_ms / 1000)}`}
        >
          <span className="number">{signedPercent(result.return_pct)}</span>
        </Figure>
        <Figure label="Return a year" note={result.return_a_year_pct === null ? "Too short to say" : "Compounded"}>
          <span className="number">
            {result.return_a_year_pct === null ? "–" : signedPercent(result.return_a_year_pct)}
          </span>
        </Figure>
        <Figure label="Deepest fall" note={fall(drawdown)}>
          <span className="number">{percent(drawdown.pct)}</span>
        </Figure>
      </dl>
      <OverTime result={result} />
      <Ways result={result} />
      <Shares result={result} />
      <Trading result={result} />
      <ByAsset result={result} />
      <Months months={result.months} quote={quote} />
      <Pauses pauses={result.pauses} />
      <Fills fills={result.fills} quote={quote} />
    </>
  );
}

function fall({ peak_at_ms, trough_at_ms }: BacktestResult["drawdown"]): string {
  if (peak_at_ms === null || trough_at_ms === null) return "It never fell";
  return `${day(peak_at_ms / 1000)} to ${day(trough_at_ms / 1000)}`;
}

type Value = string | null;

function line(name: string, kind: ChartLine["kind"], times_ms: readonly number[], values: readonly Value[]): ChartLine {
  const points = times_ms.map((at, index) => ({ at: Math.floor(at / 1000), value: values[index] ?? null }));
  return { name, kind, points };
}

function difference(one: Value | undefined, other: Value | undefined): Value {
  return one == null || other == null ? null : subtract(one, other);
}

function OverTime({ result }: { result: BacktestResult }) {
  const { series, quote_asset: quote } = result;
  const { times_ms, nav, hold, buy_once } = series;
  const added = useMemo(() => nav.map((value, index) => difference(value, hold[index])), [nav, hold]);
  const worth = useMemo(
    () => [
      line("rebalanced", "solid", times_ms, nav),
      line("just holding", "dashed", times_ms, hold),
      line("bought once", "dotted", times_ms, buy_once),
    ],
    [times_ms, nav, hold, buy_once],
  );
  const bonus = useMemo(() => [line("rebalancing added", "difference", times_ms, added)], [times_ms, added]);
  const step = Math.max(1, Math.ceil(times_ms.length / ROWS_SHOWN));
  const rows = times_ms
    .map((at, index) => ({ at, index }))
    .filter(({ index }) => (times_ms.length - 1 - index) % step === 0);
  const head = <Head first="Time (UTC)" names={["Rebalanced", "Just holding", "Bought once", "Added so far"]} />;
  return (
    <section className="card" aria-labelledby="over-time">
      <h2 id="over-time">Over time</h2>
      {times_ms.length > 1 && <WorthCharts worth={worth} bonus={bonus} quote={quote} />}
      <details>
        <summary>The same as a table</summary>
        <Table caption={`Worth in ${quote}, at ${rows.length} of ${times_ms.length} moments`} head={head}>
          {rows.map(({ at, index }) => (
            <tr key={at}>
              <th scope="row">{dateTimeUtc(at / 1000)}</th>
              {[nav[index], hold[index], buy_once[index]].map((value, column) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: the columns never change
                <td key={column} className="number">
                  {value == null ? "–" : amount(value)}
                </td>
              ))}
              <td className="number">{added[index] == null ? "–" : <Signed value={added[index]} quote={quote} />}</td>
            </tr>
          ))}
        </Table>
      </details>
    </section>
  );
}

function Ways({ result }: { result: BacktestResult }) {
  const ways = [
    { name: "Rebalanced", end: result.nav_end, pct: result.return_pct },
    { name: "Just holding: the starting quantities", end: result.hold.nav_end, pct: result.hold.return_pct },
    { name: "Bought once: the targets, then held", end: result.buy_once.nav_end, pct: result.buy_once.return_pct },
    { name: `All in ${result.largest_asset}`, end: result.largest.nav_end, pct: result.largest.return_pct },
  ];
  return (
    <section className="card" aria-labelledby="ways">
      <h2 id="ways">Against other ways</h2>
      <Table
        caption={`What ${amount(result.nav_start)} ${result.quote_asset} came to`}
        head={<Head first="Way" names={["At the end", "Return"]} />}
      >
        {ways.map((way) => (
          <tr key={way.name}>
            <th scope="row" className="wide">
              {way.name}
            </th>
            <td className="number">{amount(way.end)}</td>
            <td className="number">{signedPercent(way.pct)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Shares({ result }: { result: BacktestResult }) {
  const { times_ms, weights_pct } = result.series;
  const assets = Object.keys(weights_pct);
  const [chosen, setChosen] = useState<string | null>(null);
  const asset = chosen !== null && assets.includes(chosen) ? chosen : (assets[0] ?? "");
  const target = result.target_allocations[asset] ?? "0";
  const lines = useMemo(() => {
    const shares = weights_pct[asset] ?? [];
    return [
      line(`share of ${asset}`, "solid", times_ms, shares),
      line(
        `target of ${percent(target)}`,
        "dashed",
        times_ms,
        shares.map(() => target),
      ),
    ];
  }, [times_ms, weights_pct, asset, target]);
  if (assets.length === 0 || times_ms.length < 2) return null;
  return (
    <section className="card" aria-labelledby="shares">
      <h2 id="shares">Shares against targets</h2>
      <label className="filter">
        Asset
        <select value={asset} onChange={(event) => setChosen(event.target.value)}>
          {assets.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <Suspense fallback={<Skeleton lines={12} />}>
        <TimeChart title={`Share of ${asset}`} lines={lines} unit="percent" />
      </Suspense>
    </section>
  );
}

function Trading({ result }: { result: BacktestResult }) {
  const { orders, quote_asset: quote } = result;
  const orDash = (value: string | null, shown: (value: string) => string) => (value === null ? "–" : shown(value));
  const figures: { label: string; value: string; note: string }[] = [
    {
      label: "Turnover",
      value: `${amount(result.turnover_quote)} ${quote}`,
      note: `${amount(result.turnover_of_nav)} times the start`,
    },
    {
      label: "Fees",
      value: `${amount(result.fees_quote)} ${quote}`,
      note: `${percent(result.fee_pct)} of each fill; ${percent(result.fees_of_nav_pct)} of the start`,
    },
    { label: "Volatility", value: orDash(result.volatility_pct, percent), note: "Of daily returns, yearly" },
    { label: "Sharpe", value: orDash(result.sharpe, amount), note: "Without a riskless rate" },
    { label: "Sortino", value: orDash(result.sortino, amount), note: "Over losing days alone" },
    { label: "Inside the band", value: percent(result.inside_band_pct), note: "Of candles" },
    { label: "Mean drift", value: percent(result.mean_drift_pct), note: "Share in the wrong asset" },
    {
      label: "Fill rate",
      value: orDash(orders.fill_rate_pct, percent),
      note: `${orders.placed} orders placed, ${orders.filled} filled, ${orders.resting} resting at the end`,
    },
  ];
  return (
    <section className="card" aria-labelledby="trading">
      <h2 id="trading">Trading and risk</h2>
      <dl className="figures">
        {figures.map((figure) => (
          <Figure key={figure.label} label={figure.label} note={figure.note}>
            <span className="number">{figure.value}</span>
          </Figure>
        ))}
      </dl>
      <p className="small">
        {result.candles} candles of {duration(result.candle_ms / 1000)}. Market rules: {result.rules_source}.
      </p>
    </section>
  );
}

function ByAsset({ result }: { result: BacktestResult }) {
  const assets = Object.entries(result.bonus_by_asset);
  if (assets.length === 0) return null;
  return (
    <section className="card" aria-labelledby="by-asset">
      <h2 id="by-asset">By asset</h2>
      <Table
        caption="What the fills of each added, at the last prices"
        head={<Head first="Asset" names={["Target", "Added"]} />}
      >
        {assets.map(([asset, bonus]) => (
          <tr key={asset}>
            <th scope="row">{asset}</th>
            <td className="number">{percent(result.target_allocations[asset] ?? "0")}</td>
            <td className="number">
              <Signed value={bonus} quote={result.quote_asset} />
            </td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Months({ months, quote }: { months: readonly BacktestMonth[]; quote: string }) {
  const names = ["Worth at the end", "Return", "Just holding", "Bought once", "Added", "Fills", "Turnover", "Fees"];
  return (
    <section className="card" aria-labelledby="months">
      <h2 id="months">Months</h2>
      <Table caption={`Calendar months (UTC), amounts in ${quote}`} head={<Head first="Month" names={names} />}>
        {months.map((month) => (
          <tr key={month.month}>
            <th scope="row">{month.month}</th>
            <td className="number">{amount(month.nav_end)}</td>
            <td className="number">{signedPercent(month.return_pct)}</td>
            <td className="number">{signedPercent(month.hold_return_pct)}</td>
            <td className="number">{signedPercent(month.buy_once_return_pct)}</td>
            <td className="number">
              <Signed value={month.bonus_quote} quote={quote} />
            </td>
            <td className="number">{month.fills}</td>
            <td className="number">{amount(month.turnover_quote)}</td>
            <td className="number">{amount(month.fees_quote)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Pauses({ pauses }: { pauses: readonly BacktestPause[] }) {
  if (pauses.length === 0) return null;
  const shown = pauses.slice(0, PAUSES_SHOWN);
  const head = (
    <tr>
      {["From (UTC)", "Until", "Because"].map((name) => (
        <th key={name} scope="col">
          {name}
        </th>
      ))}
    </tr>
  );
  return (
    <section className="card" aria-labelledby="pauses">
      <h2 id="pauses">What its budgets would have paused</h2>
      <Table caption={`The first ${shown.length} of ${pauses.length}`} head={head}>
        {shown.map((pause) => (
          <tr key={`${pause.from_ms} ${pause.evidence}`}>
            <th scope="row">{dateTimeUtc(pause.from_ms / 1000)}</th>
            <td>{pause.until_ms === null ? "the end" : dateTimeUtc(pause.until_ms / 1000)}</td>
            <td className="wide">{pause.evidence}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Fills({ fills, quote }: { fills: readonly BacktestFill[]; quote: string }) {
  const shown = fills.slice(-FILLS_SHOWN).reverse();
  const rows = shown.map((fill) => ({
    ...fill,
    key: `${fill.symbol} ${fill.side} ${fill.filled_at_ms}`,
    time: dateTimeUtc(fill.filled_at_ms / 1000),
  }));
  return (
    <section className="card" aria-labelledby="fills">
      <h2 id="fills">Fills</h2>
      {rows.length === 0 ? (
        <Empty>No order was filled.</Empty>
      ) : (
        <FillsTable
          caption={`The last ${rows.length} of ${fills.length}, the newest first`}
          fills={rows}
          time="Time (UTC)"
          quote={quote}
        />
      )}
    </section>
  );
}

function Head({ first, names }: { first: string; names: readonly string[] }) {
  return (
    <tr>
      <th scope="col">{first}</th>
      {names.map((name) => (
        <th key={name} scope="col" className="number">
          {name}
        </th>
      ))}
    </tr>
  );
}
