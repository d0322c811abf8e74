import {
  BaselineSeries,
  createChart,
  type IChartApi,
  LineSeries,
  LineStyle,
  type SeriesDataItemTypeMap,
  type UTCTimestamp,
} from "lightweight-charts";
import { useEffect, useRef } from "react";
import { length } from "../lib/geometry";

/** A value at `at` (epoch seconds); null leaves a gap. */
export type ChartPoint = { at: number; value: string | null };
/** `difference` is drawn above or below zero, by its colour, too; `dashed` is what others are compared with. */
export type ChartLine = { name: string; kind: "solid" | "dashed" | "difference"; points: readonly ChartPoint[] };

type Props = { title: string; lines: readonly ChartLine[]; quote: string };

/** Lines over time. The picture only; the table beside it has the numbers. */
export default function TimeChart({ title, lines, quote }: Props) {
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
    for (const line of lines) addLine(chart, line);
    chart.timeScale().fitContent();
    return () => chart.remove();
  }, [lines]);
  return (
    <figure>
      <div ref={box} className="chart" role="img" aria-label={`${title}, in ${quote}`} />
      <figcaption className="small legend">
        {title}, in {quote}:{" "}
        {lines.map((line) => (
          <span key={line.name} className={`key ${line.kind}`}>
            {line.name}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function addLine(chart: IChartApi, { kind, points }: ChartLine): void {
  const quiet = { lineWidth: 2, priceLineVisible: false, lastValueVisible: true } as const;
  const data = points.map((point) =>
    point.value === null
      ? { time: point.at as UTCTimestamp }
      : { time: point.at as UTCTimestamp, value: length(point.value) },
  ) as SeriesDataItemTypeMap["Line"][];
  if (kind === "difference") {
    const clear = { topFillColor2: "transparent", bottomFillColor2: "transparent" };
    chart
      .addSeries(BaselineSeries, {
        ...quiet,
        ...clear,
        baseValue: { type: "price", price: 0 },
        topLineColor: colour("--good"),
        topFillColor1: colour("--good-ground"),
        bottomLineColor: colour("--bad"),
        bottomFillColor1: colour("--error-ground"),
      })
      .setData(data);
    return;
  }
  chart
    .addSeries(LineSeries, {
      ...quiet,
      color: colour(kind === "solid" ? "--accent" : "--text-soft"),
      lineStyle: kind === "solid" ? LineStyle.Solid : LineStyle.Dashed,
    })
    .setData(data);
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
