import { useEffect, useRef } from "react";
import { PAGES } from "../lib/pages";

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
