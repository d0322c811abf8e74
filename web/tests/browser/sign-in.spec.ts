import { createHash, randomUUID } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, type Page, test } from "@playwright/test";

// The deployed page signs in at a user pool. Here a provider stands in for it that speaks the same protocol: the
// authorization code flow with PKCE, over real requests. The page's own code is what is tried.
const CLIENT = "dashboard-client";

type Provider = { url: string; asked: URLSearchParams[]; redeemed: URLSearchParams[]; server: Server };

const encoded = (part: unknown) => Buffer.from(JSON.stringify(part)).toString("base64url");

async function provider(): Promise<Provider> {
  const codes = new Map<string, URLSearchParams>();
  const found: Provider = { url: "", asked: [], redeemed: [], server: createServer() };
  found.server.on("request", async (request, answer) => {
    const url = new URL(request.url ?? "/", found.url);
    const json = (status: number, document: unknown) => {
      answer.writeHead(status, { "Content-Type": "application/json", "Access-Control-Allow-Origin": "*" });
      answer.end(JSON.stringify(document));
    };
    if (url.pathname === "/.well-known/openid-configuration") {
      json(200, {
        issuer: found.url,
        authorization_endpoint: `${found.url}/oauth2/authorize`,
        token_endpoint: `${found.url}/oauth2/token`,
        userinfo_endpoint: `${found.url}/oauth2/userInfo`,
        jwks_uri: `${found.url}/jwks`,
      });
    } else if (url.pathname === "/oauth2/authorize") {
      found.asked.push(url.searchParams);
      const code = randomUUID();
      codes.set(code, url.searchParams);
      const back = new URL(url.searchParams.get("redirect_uri") ?? "");
      back.searchParams.set("code", code);
      back.searchParams.set("state", url.searchParams.get("state") ?? "");
      answer.writeHead(302, { Location: back.href }).end();
    } else if (url.pathname === "/oauth2/token") {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const form = new URLSearchParams(Buffer.concat(parts).toString());
      const asked = codes.get(form.get("code") ?? "");
      codes.delete(form.get("code") ?? "");
      const challenge = createHash("sha256")
        .update(form.get("code_verifier") ?? "")
        .digest("base64url");
      if (!asked || challenge !== asked.get("code_challenge")) return json(400, { error: "invalid_grant" });
      found.redeemed.push(form);
      const now = Math.floor(Date.now() / 1000);
      const claims = {
        iss: found.url,
        aud: CLIENT,
        sub: "signed-in",
        email: "you@example.com",
        iat: now,
        exp: now + 3600,
      };
      const token = `${encoded({ alg: "RS256" })}.${encoded(claims)}.signature`;
      json(200, {
        id_token: token,
        access_token: token,
        refresh_token: "refresh",
        token_type: "Bearer",
        expires_in: 3600,
      });
    } else {
      answer.writeHead(200, { "Content-Type": "text/html" }).end("<h1>Signed out</h1>");
    }
  });
  await new Promise<void>((ready) => found.server.listen(0, "127.0.0.1", ready));
  found.url = `http://127.0.0.1:${(found.server.address() as AddressInfo).port}`;
  return found;
}

// The policy of a local run does not name the provider's origin, as the deployed one does: other tests compare the two.
test.use({ bypassCSP: true });

/** The configuration as it is where the page is deployed. */
async function deployed(page: Page, url: string): Promise<void> {
  await page.route("**/config.json", (route) =>
    route.fulfill({ json: { mode: "cognito", authority: url, clientId: CLIENT, domain: url, egressAddress: "" } }),
  );
}

test("a code and its verifier sign in, the token goes to the API alone, and signing out leaves at the pool", async ({
  page,
}) => {
  const pool = await provider();
  const bearers = new Set<string>();
  page.on("request", (request) => {
    if (new URL(request.url()).pathname.startsWith("/api/")) bearers.add(request.headers().authorization ?? "none");
  });
  await deployed(page, pool.url);
  await page.goto("/#/activity");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();

  const [asked] = pool.asked;
  expect(asked?.get("response_type")).toBe("code");
  expect(asked?.get("code_challenge_method")).toBe("S256");
  expect(asked?.get("client_id")).toBe(CLIENT);
  expect(pool.redeemed).toHaveLength(1);
  expect(new URL(page.url()).search, "the code stays in the address").toBe("");

  await expect.poll(() => bearers.size).toBeGreaterThan(0);
  expect([...bearers].every((bearer) => bearer.split(".").length === 3 && bearer.startsWith("Bearer "))).toBe(true);
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage }) + document.cookie)).not.toContain("refresh");

  await page.reload();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  expect(pool.asked, "a reload signs in anew").toHaveLength(1);

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(`${pool.url}/logout**`);
  const left = new URL(page.url()).searchParams;
  expect(left.get("client_id")).toBe(CLIENT);
  expect(left.get("logout_uri")).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  pool.server.close();
});
