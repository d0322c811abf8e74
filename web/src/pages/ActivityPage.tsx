import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { Empty, Failure, Skeleton } from "../components/parts";
import { dateTime } from "../lib/time";
import { inWords } from "../lib/words";

type Activity = Schemas["ActivityView"];
type Action = Activity["action"];
const ACTIONS: readonly Action[] = [
  "strategy.changed",
  "strategy.created",
  "autopilot.enabled",
  "autopilot.disabled",
  "trading.stopped",
  "trading.paused",
  "trading.resumed",
  "budget.warned",
  "incident.opened",
  "incident.resolved",
  "orders.placed",
  "orders.canceled",
  "order.resolved",
  "order.filled",
  "credentials.stored",
  "credentials.replaced",
  "credentials.deleted",
  "credentials.refused",
  "notifications.changed",
  "notifications.deleted",
];
const ACTORS = { user: "You", system: "BotBalance", operator: "The operator" } as const;

/** Who changed what, and what the system did by itself. */
export function ActivityPage() {
  const [action, setAction] = useState<Action | "">("");
  const pages = useInfiniteQuery({
    queryKey: ["activity", action],
    queryFn: ({ pageParam }) =>
      unwrap(
        api.GET("/api/me/activity", {
          params: { query: { limit: 50, cursor: pageParam, ...(action && { action }) } },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor,
  });
  const items = pages.data?.pages.flatMap((page) => page.activity) ?? [];
  return (
    <>
      <label className="filter">
        Show
        <select value={action} onChange={(event) => setAction(event.target.value as Action | "")}>
          <option value="">everything</option>
          {ACTIONS.map((name) => (
            <option key={name} value={name}>
              {inWords(name)}
            </option>
          ))}
        </select>
      </label>
      {pages.isPending && <Skeleton lines={10} />}
      {pages.isError && <Failure error={pages.error} retry={() => void pages.refetch()} />}
      {pages.data && items.length === 0 && (
        <Empty>{action ? "Nothing of this kind has happened." : "Nothing has been changed yet."}</Empty>
      )}
      <ol className="decisions">
        {items.map((item) => (
          <li key={item.activity_id} className="card">
            <p>
              <span className="number">{dateTime(item.at)}</span> <strong>{ACTORS[item.actor]}</strong>:{" "}
              {inWords(item.action)}
              {item.subject && <> · {item.subject}</>}
            </p>
            {item.reason && <p className="small">{item.reason}</p>}
            <Change item={item} />
          </li>
        ))}
      </ol>
      {pages.hasNextPage && (
        <button type="button" disabled={pages.isFetchingNextPage} onClick={() => void pages.fetchNextPage()}>
          {pages.isFetchingNextPage ? "Reading …" : "Earlier"}
        </button>
      )}
    </>
  );
}

function Change({ item }: { item: Activity }) {
  const names = [...new Set([...Object.keys(item.before ?? {}), ...Object.keys(item.after ?? {})])].filter(
    (name) => shown(item.before?.[name]) !== shown(item.after?.[name]),
  );
  if (names.length === 0) return null;
  return (
    <ul className="plain small">
      {names.map((name) => (
        <li key={name}>
          {inWords(name)}: {shown(item.before?.[name])} → {shown(item.after?.[name])}
        </li>
      ))}
    </ul>
  );
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (Array.isArray(value)) return value.map(shown).join(", ");
  if (typeof value !== "object") return `${value}`;
  return Object.entries(value)
    .map(([name, part]) => `${inWords(name)} ${shown(part)}`)
    .join(", ");
}
