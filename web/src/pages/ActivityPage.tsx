import { useInfiniteQuery } from "@tanstack/react-query";
import { api, type Schemas, unwrap } from "../api/client";
import { Empty, Failure, Skeleton } from "../components/parts";
import { dateTime } from "../lib/time";
import { inWords } from "../lib/words";

type Activity = Schemas["ActivityView"];
const ACTORS = { user: "You", system: "BotBalance", operator: "The operator" } as const;

/** Who changed what, and what the system did by itself. */
export function ActivityPage() {
  const pages = useInfiniteQuery({
    queryKey: ["activity"],
    queryFn: ({ pageParam }) =>
      unwrap(api.GET("/api/me/activity", { params: { query: { limit: 50, cursor: pageParam } } })),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor,
  });
  const items = pages.data?.pages.flatMap((page) => page.activity) ?? [];
  return (
    <>
      {pages.isPending && <Skeleton lines={10} />}
      {pages.isError && <Failure error={pages.error} retry={() => void pages.refetch()} />}
      {pages.data && items.length === 0 && <Empty>Nothing has been changed yet.</Empty>}
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
  const names = [...new Set([...Object.keys(item.before ?? {}), ...Object.keys(item.after ?? {})])];
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
  return typeof value === "string" ? value : JSON.stringify(value);
}
