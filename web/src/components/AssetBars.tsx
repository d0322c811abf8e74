import type { Schemas } from "../api/client";
import { length, percentOfScale } from "../lib/geometry";
import { amount, distancePct, exact, percent, rounded, signedAmount, signedPercent, subtract } from "../lib/money";
import { RESTING, SKIP_REASONS } from "../lib/words";

type Asset = Schemas["AssetView"];
type Order = Schemas["OrderView"];
type Props = { assets: readonly Asset[]; orders: readonly Order[]; quote: string; bandPct: string | null };

/** A bar an asset on a common scale: the share, the target as a mark, the band as a zone around it. */
export function AssetBars({ assets, orders, quote, bandPct }: Props) {
  const largest = Math.max(10, ...assets.flatMap((row) => [length(row.weight_pct), length(row.target_pct)]));
  const scale = Math.min(100, Math.ceil((largest * 1.1) / 10) * 10);
  const resting = new Map(orders.filter((order) => RESTING.has(order.status)).map((order) => [order.symbol, order]));
  return (
    <ul className="assets">
      {assets.map((row) => (
        <li key={row.asset}>
          <div className="asset-head">
            <h3>{row.asset}</h3>
            <span className="number">{percent(row.weight_pct)}</span>
            <span className="small number">target {percent(row.target_pct)}</span>
          </div>
          <Bar row={row} scale={scale} bandPct={row.symbol ? bandPct : null} />
          <div className="asset-foot">
            <span className="number">
              {amount(row.value)} {quote}
            </span>
            <span className="small number">
              {signedAmount(row.delta_quote)} to target ({signedPercent(subtract(row.target_pct, row.weight_pct))})
            </span>
          </div>
          <p className="doing">{doing(row, row.symbol ? resting.get(row.symbol) : undefined)}</p>
        </li>
      ))}
    </ul>
  );
}

function Bar({ row, scale, bandPct }: { row: Asset; scale: number; bandPct: string | null }) {
  const target = length(row.target_pct);
  const band = bandPct ? length(bandPct) : 0;
  const from = percentOfScale(String(Math.max(0, target - band)), scale);
  const to = percentOfScale(String(target + band), scale);
  const label = `${row.asset}: ${percent(row.weight_pct)} held, target ${percent(row.target_pct)}`;
  return (
    <div className="bar" role="img" aria-label={bandPct ? `${label}, band ${percent(bandPct)} to either side` : label}>
      <span className="bar-share" style={{ width: `${percentOfScale(row.weight_pct, scale)}%` }} />
      {bandPct && <span className="bar-band" style={{ left: `${from}%`, width: `${to - from}%` }} />}
      <span className="bar-target" style={{ left: `${percentOfScale(row.target_pct, scale)}%` }} />
    </div>
  );
}

/** What the asset's order is doing, or why there is none, in a sentence. */
export function doing(row: Asset, order: Order | undefined): string {
  if (order) {
    const away = row.price ? ` (${distancePct(order.limit_price, row.price)} from the market)` : "";
    const verb = order.side === "buy" ? "Buys" : "Sells";
    return `${verb} ${exact(order.base_qty)} ${row.asset} at ${exact(order.limit_price)}${away}.`;
  }
  if (row.action) {
    const verb = row.action.side === "buy" ? "buy" : "sell";
    return `Due: would ${verb} ${exact(row.action.base_qty)} ${row.asset} at ${exact(row.action.limit_price)}.`;
  }
  if (row.hold === "within_band") return `${SKIP_REASONS.within_band} ${triggers(row)}`.trim();
  return row.hold ? SKIP_REASONS[row.hold] : "";
}

function triggers(row: Asset): string {
  if (!row.price) return "";
  const parts: string[] = [];
  if (row.buy_trigger) parts.push(`buys from ${rounded(row.buy_trigger)} (${distancePct(row.buy_trigger, row.price)})`);
  if (row.sell_trigger)
    parts.push(`sells from ${rounded(row.sell_trigger)} (${distancePct(row.sell_trigger, row.price)})`);
  return parts.length ? `If the others stand still, it ${parts.join(" and ")}.` : "";
}
