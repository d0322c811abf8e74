/** The pages, as the navigation names them and in its order. */
export const PAGES = [
  { path: "/", name: "Portfolio" },
  { path: "/plan", name: "Plan" },
  { path: "/orders", name: "Orders" },
  { path: "/decisions", name: "Decisions" },
  { path: "/pauses", name: "Pauses" },
  { path: "/performance", name: "Performance" },
  { path: "/strategy", name: "Strategy" },
  { path: "/backtest", name: "Backtest" },
  { path: "/exchange", name: "Exchange" },
  { path: "/paper", name: "Paper" },
  { path: "/notifications", name: "Notifications" },
  { path: "/activity", name: "Activity" },
] as const satisfies readonly { path: string; name: string }[];

export type PagePath = (typeof PAGES)[number]["path"];
