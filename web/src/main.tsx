import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { ApiError } from "./api/client";
import { openSession } from "./api/session";
import { currentRoute } from "./lib/route";
import { beginLoading } from "./pages/pages";
import "./styles.css";

beginLoading(currentRoute());

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: true,
      refetchIntervalInBackground: false,
      retry: (failures, error) => !(error instanceof ApiError && error.status < 500) && failures < 2,
    },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");

openSession().then(
  (session) => {
    if (!session) return; // the browser is on its way to the sign-in page
    createRoot(root).render(
      <StrictMode>
        <QueryClientProvider client={queries}>
          <App session={session} />
        </QueryClientProvider>
      </StrictMode>,
    );
  },
  () => {
    root.textContent = "The API does not answer, so nobody can be signed in. Reload this page to try again.";
  },
);
