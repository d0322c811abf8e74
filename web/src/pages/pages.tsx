/** The pages but the first, each in a file of its own: loaded when it is opened, or once nothing else is to be done. */
import { type ComponentType, type LazyExoticComponent, lazy } from "react";
import type { Schemas } from "../api/client";
import type { Session } from "../api/session";
import type { PagePath } from "../lib/pages";

type Page = ComponentType<{ overview: Schemas["OverviewView"] | null; session: Session }>;
type LaterPath = Exclude<PagePath, "/">;

const LOADERS: Record<LaterPath, () => Promise<Page>> = {
  "/plan": async () => (await import("./PlanPage")).PlanPage,
  "/orders": async () => (await import("./OrdersPage")).OrdersPage,
  "/decisions": async () => (await import("./DecisionsPage")).DecisionsPage,
  "/pauses": async () => (await import("./PausesPage")).PausesPage,
  "/performance": async () => (await import("./PerformancePage")).PerformancePage,
  "/strategy": async () => (await import("./StrategyPage")).StrategyPage,
  "/backtest": async () => (await import("./BacktestPage")).BacktestPage,
  "/exchange": async () => (await import("./ExchangePage")).ExchangePage,
  "/paper": async () => (await import("./PaperPage")).PaperPage,
  "/notifications": async () => (await import("./NotificationsPage")).NotificationsPage,
  "/activity": async () => (await import("./ActivityPage")).ActivityPage,
};
const PATHS = Object.keys(LOADERS) as LaterPath[];

export const LATER_PAGES = Object.fromEntries(
  PATHS.map((path) => [path, lazy(async () => ({ default: await LOADERS[path]() }))]),
) as Record<LaterPath, LazyExoticComponent<Page>>;

/** Begins to load the page at `path`, if it is one of these, while other things are awaited. */
export function beginLoading(path: string): void {
  const found = PATHS.find((candidate) => candidate === path);
  if (found) LOADERS[found]().catch(() => {}); // whoever opens the page is told
}

/** Loads what is left, so that a page is there at once when it is opened, also where the connection has gone. */
export function loadTheRest(): void {
  for (const path of PATHS) beginLoading(path);
}
