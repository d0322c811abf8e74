import { useState } from "react";
import type { Schemas } from "../api/client";
import type { Session } from "../api/session";
import { AutopilotSwitch } from "./AutopilotSwitch";
import { StopButton } from "./StopButton";

type Overview = Schemas["OverviewView"];

export function Header({ session, overview }: { session: Session; overview: Overview | null }) {
  return (
    <header>
      <a className="brand" href="#/">
        <img src="/favicon.svg" alt="" width="28" height="28" />
        BotBalance
      </a>
      {overview && <ModeBadge mode={overview.mode} exchange={overview.exchange} />}
      <div className="header-tools">
        {overview?.strategy && <AutopilotSwitch overview={overview} />}
        <StopButton />
        <ThemeButton />
        <UserMenu session={session} />
      </div>
    </header>
  );
}

/** Whose money this is, in a word; never by colour alone. */
function ModeBadge({ mode, exchange }: { mode: Overview["mode"]; exchange: string | null }) {
  const words = { live: "LIVE", test: "TEST", paper: "PAPER", simulated: "SIMULATED" } as const;
  return (
    <span className={`badge ${mode}`} title={`Orders go to ${exchange ?? "no exchange yet"}`}>
      {words[mode]}
    </span>
  );
}

function ThemeButton() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? "light");
  const other = theme === "dark" ? "light" : "dark";
  const change = () => {
    document.documentElement.dataset.theme = other;
    localStorage.setItem("botbalance.theme", other);
    setTheme(other);
  };
  return (
    <button type="button" className="quiet theme" onClick={change} aria-label={`Use the ${other} scheme`}>
      <span aria-hidden="true">{theme === "dark" ? "☀" : "☾"}</span>
    </button>
  );
}

function UserMenu({ session }: { session: Session }) {
  const { config, user, switchUser, signOut } = session;
  if (signOut) {
    return (
      <button type="button" className="quiet" onClick={signOut} title={user}>
        Sign out
      </button>
    );
  }
  const users = config.mode === "local" ? [...new Set([...config.users, user])] : [user];
  return (
    <label className="user">
      <span className="visually-hidden">User</span>
      <select value={user} onChange={(event) => switchUser?.(event.target.value)}>
        {users.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  );
}
