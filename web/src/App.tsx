import { type ReactNode, useEffect, useRef } from "react";
import { useOverview } from "./api/queries";
import type { Session } from "./api/session";
import { Header } from "./components/Header";
import { Navigation, PAGES } from "./components/Navigation";
import { Banner } from "./components/parts";
import { useRoute } from "./lib/route";
import { ActivityPage } from "./pages/ActivityPage";
import { DecisionsPage } from "./pages/DecisionsPage";
import { ExchangePage } from "./pages/ExchangePage";
import { NotificationsPage } from "./pages/NotificationsPage";
import { OrdersPage } from "./pages/OrdersPage";
import { PaperPage } from "./pages/PaperPage";
import { PausesPage } from "./pages/PausesPage";
import { PerformancePage } from "./pages/PerformancePage";
import { PlanPage } from "./pages/PlanPage";
import { PortfolioPage } from "./pages/PortfolioPage";
import { StrategyPage } from "./pages/StrategyPage";

export function App({ session }: { session: Session }) {
  const route = useRoute();
  const overview = useOverview();
  const main = useRef<HTMLElement>(null);
  const page = PAGES.find((candidate) => candidate.path === route) ?? PAGES[0];

  useEffect(() => {
    document.title = `${page.name} · BotBalance`;
  }, [page]);

  const mode = overview.data?.mode;
  useEffect(() => {
    if (mode) document.documentElement.dataset.mode = mode; // paper has an accent of its own
  }, [mode]);

  const pages: Record<string, ReactNode> = {
    "/": <PortfolioPage overview={overview} session={session} />,
    "/plan": <PlanPage overview={overview.data ?? null} />,
    "/orders": <OrdersPage overview={overview.data ?? null} />,
    "/decisions": <DecisionsPage />,
    "/pauses": <PausesPage />,
    "/performance": <PerformancePage />,
    "/strategy": <StrategyPage overview={overview.data ?? null} />,
    "/exchange": <ExchangePage session={session} />,
    "/paper": <PaperPage />,
    "/notifications": <NotificationsPage />,
    "/activity": <ActivityPage />,
  };

  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: a link to a place in this page; what is behind the # is its route */}
      <a
        className="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the page
      </a>
      <Header session={session} overview={overview.data ?? null} />
      <div className="layout">
        <Navigation current={page.path} />
        <main id="main" ref={main} tabIndex={-1}>
          {overview.isError && overview.data && (
            <Banner tone="warning">{overview.error.message} Figures may be old.</Banner>
          )}
          {overview.data?.halted && (
            <Banner tone="warning">Trading is halted for everybody: {overview.data.halted}</Banner>
          )}
          {overview.data?.nobody_told && (
            <Banner tone="warning">
              Real money is traded, and nobody is told when something is wrong.{" "}
              <a href="#/notifications">Say where to</a>.
            </Banner>
          )}
          {overview.data && overview.data.pauses.length > 0 && (
            <Banner tone="warning">
              Paused: {[...new Set(overview.data.pauses.map((pause) => pause.subject))].join(", ")}.{" "}
              <a href="#/pauses">Look at it</a>.
            </Banner>
          )}
          <h1>{page.name}</h1>
          {pages[page.path]}
        </main>
      </div>
    </>
  );
}
