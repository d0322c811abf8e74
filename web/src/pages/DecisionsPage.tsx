import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { doing } from "../components/AssetBars";
import { Empty, Failure, Skeleton } from "../components/parts";
import { amount, percent } from "../lib/money";
import { dateTime } from "../lib/time";
import { inWords } from "../lib/words";

type Decision = Schemas["DecisionView"];
type Run = { decisions: Decision[]; said: string };

export function DecisionsPage() {
  const [onlySkipped, setOnlySkipped] = useState(false);
  const pages = useInfiniteQuery({
    queryKey: ["decisions", onlySkipped],
    queryFn: ({ pageParam }) => {
      const query = { limit: 100, cursor: pageParam, ...(onlySkipped ? { outcome: "skipped" as const } : {}) };
      return unwrap(api.GET("/api/me/decisions", { params: { query } }));
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor,
  });
  const runs = folded(pages.data?.pages.flatMap((page) => page.decisions) ?? []);
  return (
    <>
      <div className="toolbar">
        <p className="small">Every 30 seconds the autopilot decides. Ticks in a row with nothing to do are one line.</p>
        <label>
          <input type="checkbox" checked={onlySkipped} onChange={(event) => setOnlySkipped(event.target.checked)} />{" "}
          only ticks without a decision
        </label>
      </div>
      {pages.isPending && <Skeleton lines={12} />}
      {pages.isError && <Failure error={pages.error} retry={() => void pages.refetch()} />}
      {pages.data && runs.length === 0 && (
        <Empty>Nothing here yet. The autopilot writes this log while it is on.</Empty>
      )}
      <ol className="decisions">
        {runs.map((run) => (
          <RunItem key={run.decisions[0]?.ts_tick} run={run} />
        ))}
      </ol>
      {pages.hasNextPage && (
        <button type="button" disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          {pages.isFetchingNextPage ? "Reading …" : "Earlier decisions"}
        </button>
      )}
    </>
  );
}

function folded(decisions: readonly Decision[]): Run[] {
  const runs: Run[] = [];
  for (const decision of decisions) {
    const words = said(decision);
    const last = runs.at(-1);
    if (last && last.said === words && decision.placed.length === 0) last.decisions.push(decision);
    else runs.push({ decisions: [decision], said: words });
  }
  return runs;
}

function said(decision: Decision): string {
  if (decision.outcome === "skipped") return `Nothing was decided: ${inWords(decision.reason ?? "no reason given")}`;
  const parts: string[] = [];
  if (decision.placed.length) parts.push(`placed ${decision.placed.length}`);
  const canceled = Object.keys(decision.canceled).length;
  if (canceled) parts.push(`cancelled ${canceled}`);
  return parts.length ? parts.join(", ") : "Nothing to do";
}

function RunItem({ run }: { run: Run }) {
  const [open, setOpen] = useState(false);
  const newest = run.decisions[0];
  const oldest = run.decisions.at(-1);
  if (!newest || !oldest) return null;
  const several = run.decisions.length > 1;
  return (
    <li className="card decision">
      <button type="button" className="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className="number">{dateTime(newest.ts_tick)}</span>
        <span>
          {run.said}
          {several && (
            <span className="small">
              {" "}
              · {run.decisions.length} ticks, since {dateTime(oldest.ts_tick)}
            </span>
          )}
        </span>
        {newest.nav && (
          <span className="small number">
            {amount(newest.nav)}, drift {percent(newest.drift_pct ?? "0")}
          </span>
        )}
      </button>
      {open && <Detail tick={newest.ts_tick} />}
    </li>
  );
}

function Detail({ tick }: { tick: number }) {
  const detail = useQuery({
    queryKey: ["decision", tick],
    queryFn: () => unwrap(api.GET("/api/me/decisions/{ts_tick}", { params: { path: { ts_tick: tick } } })),
    staleTime: Infinity,
  });
  if (detail.isPending) return <Skeleton lines={4} />;
  if (detail.isError) return <Failure error={detail.error} />;
  return (
    <ul className="plain">
      {detail.data.assets.map((row) => (
        <li key={row.asset}>
          <strong>{row.asset}</strong>: <span className="number">{percent(row.weight_pct)}</span> of target{" "}
          <span className="number">{percent(row.target_pct)}</span>. {doing(row, undefined)}
        </li>
      ))}
      {detail.data.reason && <li>{detail.data.reason}</li>}
    </ul>
  );
}
