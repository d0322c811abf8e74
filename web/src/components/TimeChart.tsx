import {
  BaselineSeries,
  createChart,
  type IChartApi,
  LineSeries,
  LineStyle,
  type SeriesDataItemTypeMap,
  type UTCTimestamp,
} from "lightweight-charts";
import { useEffect, useRef, useSyncExternalStore } from "react";
import { length } from "../lib/geometry";

/** A value at `at` (epoch seconds); null leaves a gap. */
export type ChartPoint = { at: number; value: string | null };
/** `difference` is drawn above or below zero, by its colour, too; `dashed` and `dotted` are what it is compared with. */
export type ChartLine = {
  name: string;
  kind: "solid" | "dashed" | "dotted" | "difference";
  points: readonly ChartPoint[];
};

type Props = { title: string; lines: readonly ChartLine[]; unit: string };

/** Lines over time. The picture only; the table beside it has the numbers. */
export default function TimeChart({ title, lines, unit }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const scheme = useSyncExternalStore(watchScheme, currentScheme);
  // biome-ignore lint/correctness/useExhaustiveDependencies: in another scheme it is drawn anew, in its colours
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
      timeScale: { timeVisible: true, borderVisible: false, minBarSpacing: 0.01 }, // a thousand points on a phone, too
      rightPriceScale: { borderVisible: false },
      handleScroll: false, // the page scrolls, not the picture
      handleScale: false,
    });
    for (const line of lines) addLine(chart, line);
    chart.timeScale().fitContent();
    chart.timeScale().subscribeSizeChange(() => chart.timeScale().fitContent());
    return () => chart.remove();
  }, [lines, scheme]);
  return (
    <figure>
      <div ref={box} className="chart" role="img" aria-label={`${title}, in ${unit}`} />
      <figcaption className="small legend">
        {title}, in {unit}:{" "}
        {lines.map((line) => (
          <span key={line.name} className={`key ${line.kind}`}>
            {line.name}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

const STYLES = { solid: LineStyle.Solid, dashed: LineStyle.Dashed, dotted: LineStyle.Dotted };

function addLine(chart: IChartApi, { kind, points }: ChartLine): void {
  const quiet = { lineWidth: 2, priceLineVisible: false, lastValueVisible: true } as const;
  const data = points.map((point) =>
    point.value === null
      ? { time: point.at as UTCTimestamp }
      : { time: point.at as UTCTimestamp, value: length(point.value) },
  ) as SeriesDataItemTypeMap["Line"][];
  if (kind === "difference") {
    chart
      .addSeries(BaselineSeries, {
        ...quiet,
        baseValue: { type: "price", price: 0 },
        topLineColor: colour("--good"),
        topFillColor1: colour("--good-ground"),
        topFillColor2: colour("--good-ground"),
        bottomLineColor: colour("--bad"),
        bottomFillColor1: colour("--error-ground"),
        bottomFillColor2: colour("--error-ground"),
      })
      .setData(data);
    return;
  }
  chart
    .addSeries(LineSeries, {
      ...quiet,
      color: colour(kind === "solid" ? "--accent" : "--text-soft"),
      lineStyle: STYLES[kind],
    })
    .setData(data);
}

/** A picture has its colours when it is drawn; what they are is in the attributes of the page. */
function watchScheme(onChange: () => void): () => void {
  const observer = new MutationObserver(onChange);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme", "data-mode"] });
  return () => observer.disconnect();
}

function currentScheme(): string {
  const { theme, mode } = document.documentElement.dataset;
  return `${theme} ${mode}`;
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
