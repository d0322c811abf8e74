/** What the pages read, and how often they ask. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, api, type Schemas, unwrap, unwrapResponse } from "./client";

const POLL_MS = 10_000;
const IDLE_POLL_MS = 60_000;
const IDLE_AFTER_MS = 5 * 60_000;

/** Ten seconds, a minute once nobody has touched the page for five; never while it is hidden. */
export function usePollInterval(): number {
  const [idle, setIdle] = useState(false);
  useEffect(() => {
    let timer = window.setTimeout(() => setIdle(true), IDLE_AFTER_MS);
    const touched = () => {
      setIdle(false);
      window.clearTimeout(timer);
      timer = window.setTimeout(() => setIdle(true), IDLE_AFTER_MS);
    };
    const events = ["pointerdown", "keydown", "focus"] as const;
    for (const event of events) window.addEventListener(event, touched);
    return () => {
      window.clearTimeout(timer);
      for (const event of events) window.removeEventListener(event, touched);
    };
  }, []);
  return idle ? IDLE_POLL_MS : POLL_MS;
}

/** What every page shows; asks no exchange. */
export function useOverview() {
  return useQuery({
    queryKey: ["overview"],
    queryFn: () => unwrap(api.GET("/api/me/overview")),
    refetchInterval: usePollInterval(),
  });
}

/** The preview. It asks the exchange, so only on demand. */
export function usePlan() {
  return useQuery({
    queryKey: ["plan"],
    queryFn: () => unwrap(api.GET("/api/me/strategies/rebalance/plan")),
    staleTime: 30_000,
  });
}

export type VersionedStrategy = { strategy: Schemas["StrategyView"]; etag: string };

/** The strategy with its version; null where none is set yet. */
export function useStrategy() {
  return useQuery({ queryKey: ["strategy"], queryFn: readStrategy });
}

export async function readStrategy(): Promise<VersionedStrategy | null> {
  try {
    const { data, response } = await unwrapResponse(api.GET("/api/me/strategies/rebalance"));
    return { strategy: data, etag: response.headers.get("ETag") ?? "*" };
  } catch (error) {
    if (error instanceof ApiError && error.code === "strategy_not_found") return null;
    throw error;
  }
}

export function useCredentials() {
  return useQuery({ queryKey: ["credentials"], queryFn: () => unwrap(api.GET("/api/me/exchange/credentials")) });
}

export function useCheck(enabled: boolean) {
  return useQuery({ queryKey: ["check"], queryFn: () => unwrap(api.GET("/api/me/exchange/check")), enabled });
}

export function usePauses() {
  return useQuery({ queryKey: ["pauses"], queryFn: () => unwrap(api.GET("/api/me/pauses")) });
}

export function usePerformance() {
  return useQuery({
    queryKey: ["performance"],
    queryFn: () => unwrap(api.GET("/api/me/portfolio/performance")),
    staleTime: 60_000,
  });
}

export type Step = Schemas["HistoryView"]["step"];

/** Changes once an hour. */
export function useHistory(step: Step) {
  return useQuery({
    queryKey: ["history", step],
    queryFn: () => unwrap(api.GET("/api/me/portfolio/history", { params: { query: { step } } })),
    staleTime: 300_000,
  });
}

export function useNotifications() {
  return useQuery({ queryKey: ["notifications"], queryFn: () => unwrap(api.GET("/api/me/notifications")) });
}

export function useDeliveries() {
  return useQuery({
    queryKey: ["deliveries"],
    queryFn: () => unwrap(api.GET("/api/me/notifications/deliveries", { params: { query: { limit: 30 } } })),
    refetchInterval: 10_000,
  });
}

export function usePaper(exchange: NonNullable<Schemas["PaperRequest"]["exchange"]>) {
  return useQuery({
    queryKey: ["paper", exchange],
    queryFn: () => unwrap(api.GET("/api/me/exchange/paper", { params: { query: { exchange } } })),
    retry: (count, error) => !(error instanceof ApiError) && count < 3,
  });
}

/** An action whose success makes everything on the pages old. */
export function useAction<T, V = void>(action: (variables: V) => Promise<T>) {
  const client = useQueryClient();
  return useMutation({ mutationFn: action, onSettled: () => client.invalidateQueries() });
}

type Exchange = Schemas["MarketsView"]["exchanges"][number]["exchange"];

/** Which exchanges can be chosen, and what trades on one of them against a quote asset. */
export function useMarkets(of: { exchange: Exchange; quote: string } | null) {
  return useQuery({
    queryKey: ["markets", of],
    queryFn: () => unwrap(api.GET("/api/me/exchange/markets", { params: { query: of ?? {} } })),
    staleTime: 3_600_000,
  });
}
