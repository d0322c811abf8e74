import { Suspense, useEffect, useRef } from "react";
import { useOverview } from "./api/queries";
import type { Session } from "./api/session";
import { Header } from "./components/Header";
import { Navigation } from "./components/Navigation";
import { PageBoundary } from "./components/PageBoundary";
import { Banner, Skeleton } from "./components/parts";
import { PAGES, type PagePath } from "./lib/pages";
import { useRoute } from "./lib/route";
import { ago } from "./lib/time";
import { PortfolioPage } from "./pages/PortfolioPage";
import { LATER_PAGES, loadTheRest } from "./pages/pages";

export function App({ session }: { session: Session }) {
  const route = useRoute();
  const overview = useOverview();
  const main = useRef<HTMLElement>(null);
  const page = PAGES.find((candidate) => candidate.path === route) ?? PAGES[0];

  useEffect(() => {
    document.title = `${page.name} · BotBalance`;
    window.scrollTo(0, 0); // a page begins at its beginning
  }, [page]);

  const mode = overview.data?.mode;
  useEffect(() => {
    if (mode) document.documentElement.dataset.mode = mode; // paper has an accent of its own
  }, [mode]);

  const settled = !overview.isPending;
  useEffect(() => {
    if (settled) window.setTimeout(loadTheRest, 1_000);
  }, [settled]);

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
            <Banner tone="warning">
              {overview.error.message} The figures are of {ago(overview.dataUpdatedAt / 1000, Date.now() / 1000)}.
            </Banner>
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
          <PageBoundary key={page.path}>
            <Suspense fallback={<Skeleton lines={12} />}>
              <Page path={page.path} overview={overview} session={session} />
            </Suspense>
          </PageBoundary>
        </main>
      </div>
    </>
  );
}

type PageProps = { path: PagePath; overview: ReturnType<typeof useOverview>; session: Session };

function Page({ path, overview, session }: PageProps) {
  if (path === "/") return <PortfolioPage overview={overview} session={session} />;
  const Later = LATER_PAGES[path];
  return <Later overview={overview.data ?? null} session={session} />;
}
