import { useEffect, useRef } from "react";

export const PAGES = [
  { path: "/", name: "Portfolio" },
  { path: "/plan", name: "Plan" },
  { path: "/orders", name: "Orders" },
  { path: "/decisions", name: "Decisions" },
  { path: "/pauses", name: "Pauses" },
  { path: "/performance", name: "Performance" },
  { path: "/strategy", name: "Strategy" },
  { path: "/exchange", name: "Exchange" },
  { path: "/paper", name: "Paper" },
  { path: "/notifications", name: "Notifications" },
  { path: "/activity", name: "Activity" },
] as const satisfies readonly { path: string; name: string }[];

export function Navigation({ current }: { current: string }) {
  const list = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: where the list scrolls, the page that is open is in sight
  useEffect(() => {
    const link = list.current?.querySelector<HTMLElement>("[aria-current]");
    if (list.current && link) list.current.scrollLeft = link.offsetLeft - 16;
  }, [current]);
  return (
    <nav aria-label="Pages" ref={list}>
      <ul>
        {PAGES.map((page) => (
          <li key={page.path}>
            <a href={`#${page.path}`} aria-current={page.path === current ? "page" : undefined}>
              {page.name}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
