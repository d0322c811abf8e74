/** Who is signed in: a name on one machine, a user of the pool where it is deployed. `config.json` says which. */
import { setTokenSource } from "./client";

export type Config =
  | { mode: "local"; users: string[] }
  | { mode: "cognito"; authority: string; clientId: string; domain: string; egressAddress?: string };

export type Session = {
  config: Config;
  user: string;
  /** Local only: go on as another user. */
  switchUser: ((name: string) => void) | null;
  /** Deployed only. */
  signOut: (() => void) | null;
};

const USER_KEY = "botbalance.user";

/** Reads `config.json` and signs in; null while the browser is on its way to the sign-in page. */
export async function openSession(): Promise<Session | null> {
  const response = await fetch("/config.json"); // index.html has asked for it already
  const config = (await response.json()) as Config;
  return config.mode === "local" ? localSession(config) : cognitoSession(config);
}

function localSession(config: Config & { mode: "local" }): Session {
  const user = localStorage.getItem(USER_KEY) ?? config.users[0] ?? "demo";
  setTokenSource(async () => user);
  return {
    config,
    user,
    signOut: null,
    switchUser: (name) => {
      localStorage.setItem(USER_KEY, name);
      location.reload();
    },
  };
}

async function cognitoSession(config: Config & { mode: "cognito" }): Promise<Session | null> {
  const { UserManager, WebStorageStateStore } = await import("oidc-client-ts"); // on one machine nobody signs in
  const home = `${location.origin}/`;
  const manager = new UserManager({
    authority: config.authority,
    client_id: config.clientId,
    redirect_uri: home,
    response_type: "code", // with PKCE, which the library always uses
    scope: "openid email",
    automaticSilentRenew: true,
    userStore: new WebStorageStateStore({ store: sessionStorage }),
  });
  if (new URLSearchParams(location.search).has("code")) {
    await manager.signinRedirectCallback();
    history.replaceState(null, "", home + location.hash);
  }
  const user = await manager.getUser();
  if (!user || user.expired) {
    await manager.signinRedirect();
    return null;
  }
  setTokenSource(async () => (await manager.getUser())?.id_token ?? null); // the gateway takes ID tokens
  return {
    config,
    user: user.profile.email ?? user.profile.sub,
    switchUser: null,
    signOut: () => {
      const query = new URLSearchParams({ client_id: config.clientId, logout_uri: home });
      // The pool's logout is none of OpenID Connect's.
      void manager.removeUser().finally(() => location.assign(`${config.domain}/logout?${query}`));
    },
  };
}
