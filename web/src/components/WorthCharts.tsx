import { lazy, Suspense } from "react";
import { Skeleton } from "./parts";
import type { ChartLine } from "./TimeChart";

const TimeChart = lazy(() => import("./TimeChart"));

type Props = { worth: readonly ChartLine[]; bonus: readonly ChartLine[]; quote: string };

/** What a portfolio was worth beside what it is compared with, and the difference that rebalancing made. */
export function WorthCharts({ worth, bonus, quote }: Props) {
  return (
    <Suspense fallback={<Skeleton lines={24} />}>
      <TimeChart title="The portfolio" lines={worth} unit={quote} />
      <TimeChart title="What rebalancing has added" lines={bonus} unit={quote} />
      <p className="small">
        Charts by{" "}
        <a href="https://www.tradingview.com/" rel="noreferrer">
          TradingView Lightweight Charts
        </a>
        .
      </p>
    </Suspense>
  );
}
