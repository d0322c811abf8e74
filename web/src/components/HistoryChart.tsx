import { createChart, LineSeries, type UTCTimestamp } from "lightweight-charts";
import { useEffect, useRef } from "react";
import type { Schemas } from "../api/client";
import { length } from "../lib/geometry";

type Props = { points: readonly Schemas["HistoryPointView"][]; quote: string };

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** NAV and holding as two lines. The picture only; the table beside it has the numbers. */
export default function HistoryChart({ points, quote }: Props) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!box.current) return;
    const chart = createChart(box.current, {
      autoSize: true,
      layout: {
        attributionLogo: false, // it injects a style and asks its maker's host; the link below is ours
        background: { color: "transparent" },
        textColor: colour("--text-soft"),
        fontFamily: "inherit",
      },
      grid: { vertLines: { visible: false }, horzLines: { color: colour("--line") } },
      timeScale: { timeVisible: true, borderVisible: false },
      rightPriceScale: { borderVisible: false },
    });
    const worth = chart.addSeries(LineSeries, { color: colour("--accent"), lineWidth: 2, title: "Worth" });
    const holding = chart.addSeries(LineSeries, { color: colour("--text-soft"), lineWidth: 1, lineStyle: 2, title: "Holding" });
    worth.setData(points.map((point) => ({ time: point.ts as UTCTimestamp, value: length(point.nav) })));
    holding.setData(points.map((point) => ({ time: point.ts as UTCTimestamp, value: length(point.hold_quote) })));
    chart.timeScale().fitContent();
    return () => chart.remove();
  }, [points]);
  return (
    <figure>
      <div ref={box} className="chart" role="img" aria-label={`Worth and holding over time, in ${quote}`} />
      <figcaption className="small">
        Worth (line) and just holding (dashed), in {quote}. Charts by{" "}
        <a href="https://www.tradingview.com/" rel="noreferrer">
          TradingView Lightweight Charts
        </a>
        .
      </figcaption>
    </figure>
  );
}
