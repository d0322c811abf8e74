/** Hash routes: they need nothing of the server. */
import { useSyncExternalStore } from "react";

function subscribe(onChange: () => void): () => void {
  window.addEventListener("hashchange", onChange);
  return () => window.removeEventListener("hashchange", onChange);
}

/** The path behind the #, "/" where there is none. */
export function currentRoute(): string {
  return location.hash.replace(/^#/, "") || "/";
}

export function useRoute(): string {
  return useSyncExternalStore(subscribe, currentRoute);
}
