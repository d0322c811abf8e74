import { BaselineSeries, createChart, type UTCTimestamp } from "lightweight-charts";
import { useEffect, useRef } from "react";
import { length } from "../lib/geometry";

/** What all fills up to `ts` (epoch seconds) have added, in quote at today's prices. */
export type BonusPoint = { ts: number; bonus: string };

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The line above or below zero. The picture only; the table beside it has the numbers. */
export default function BonusChart({ points, quote }: { points: readonly BonusPoint[]; quote: string }) {
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
      handleScroll: false, // the page scrolls, not the picture
      handleScale: false,
    });
    const line = chart.addSeries(BaselineSeries, {
      baseValue: { type: "price", price: 0 },
      topLineColor: colour("--good"),
      topFillColor1: "transparent",
      topFillColor2: "transparent",
      bottomLineColor: colour("--bad"),
      bottomFillColor1: "transparent",
      bottomFillColor2: "transparent",
      lineWidth: 2,
    });
    line.setData(points.map((point) => ({ time: point.ts as UTCTimestamp, value: length(point.bonus) })));
    chart.timeScale().fitContent();
    return () => chart.remove();
  }, [points]);
  return (
    <figure>
      <div
        ref={box}
        className="chart"
        role="img"
        aria-label={`What fills have added, one after the other, in ${quote}`}
      />
      <figcaption className="small">
        What all fills up to a time have added, in {quote} at today's prices. Charts by{" "}
        <a href="https://www.tradingview.com/" rel="noreferrer">
          TradingView Lightweight Charts
        </a>
        .
      </figcaption>
    </figure>
  );
}
