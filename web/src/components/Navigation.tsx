export const PAGES = [
  { path: "/", name: "Portfolio" },
  { path: "/plan", name: "Plan" },
  { path: "/orders", name: "Orders" },
  { path: "/decisions", name: "Decisions" },
  { path: "/performance", name: "Performance" },
  { path: "/strategy", name: "Strategy" },
  { path: "/exchange", name: "Exchange" },
  { path: "/activity", name: "Activity" },
] as const satisfies readonly { path: string; name: string }[];

export function Navigation({ current }: { current: string }) {
  return (
    <nav aria-label="Pages">
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
