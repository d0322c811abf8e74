import { type FormEvent, useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction, useCheck, useCredentials, useMarkets } from "../api/queries";
import type { Session } from "../api/session";
import { CheckList } from "../components/CheckList";
import { Banner, Dialog, Empty, Failure, Skeleton } from "../components/parts";

type Exchange = Schemas["CredentialsRequest"]["exchange"];

export function ExchangePage({ session }: { session: Session }) {
  const credentials = useCredentials();
  const [deleting, setDeleting] = useState<string | null>(null);
  const [checking, setChecking] = useState(false);
  const check = useCheck(checking);
  return (
    <>
      <section className="card" aria-labelledby="keys">
        <h2 id="keys">Stored keys</h2>
        {credentials.isPending && <Skeleton lines={3} />}
        {credentials.isError && <Failure error={credentials.error} retry={() => void credentials.refetch()} />}
        {credentials.data?.credentials.length === 0 && <Empty>No key is stored.</Empty>}
        <ul className="plain keys">
          {credentials.data?.credentials.map((key) => (
            <li key={key.exchange}>
              <strong>{key.exchange}</strong> <span className="number">…{key.hint}</span>
              <button type="button" onClick={() => setDeleting(key.exchange)}>
                Delete
              </button>
            </li>
          ))}
        </ul>
      </section>
      <KeyForm session={session} />
      <section className="card" aria-labelledby="check">
        <h2 id="check">Check the account</h2>
        <p className="small">
          The key's rights, the clocks, fees, markets, order sizes and balances. This asks the exchange.
        </p>
        <button
          type="button"
          disabled={check.isFetching}
          onClick={() => (checking ? void check.refetch() : setChecking(true))}
        >
          {check.isFetching ? "Checking …" : "Check now"}
        </button>
        {check.isError && <Failure error={check.error} />}
        {check.data && <CheckList check={check.data} />}
      </section>
      {deleting && <DeleteDialog exchange={deleting} onClose={() => setDeleting(null)} />}
    </>
  );
}

/** Write-only: what is typed leaves this page with the request and is kept nowhere in it. */
function KeyForm({ session }: { session: Session }) {
  // An account on paper needs no key.
  const exchanges = (useMarkets(null).data?.exchanges ?? []).filter((one) => one.mode !== "paper");
  const [picked, setExchange] = useState<Exchange | null>(null);
  const exchange = picked ?? exchanges[0]?.exchange ?? null;
  const password = exchanges.find((one) => one.exchange === exchange)?.password_name ?? null;
  const store = useAction<Schemas["CredentialsView"], Schemas["CredentialsRequest"]>((body) =>
    unwrap(api.PUT("/api/me/exchange/credentials", { body })),
  );
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const fields = new FormData(form);
    if (!exchange) return;
    store.mutate({
      exchange,
      api_key: String(fields.get("api_key")),
      secret: String(fields.get("secret")),
      password: password ? String(fields.get("password")) : "",
    });
    form.reset();
  };
  const egress = session.config.mode === "cognito" ? session.config.egressAddress : undefined;
  return (
    <section className="card" aria-labelledby="store">
      <h2 id="store">Store a key</h2>
      <p className="small">
        Let the key trade spot. Forbid withdrawals: a key that may withdraw is refused.
        {egress && (
          <>
            {" "}
            Bind it to our address <code>{egress}</code>{" "}
            <button type="button" className="quiet" onClick={() => void navigator.clipboard.writeText(egress)}>
              Copy
            </button>
          </>
        )}
      </p>
      <form onSubmit={submit} autoComplete="off">
        <label>
          Exchange
          <select value={exchange ?? ""} onChange={(event) => setExchange(event.target.value as Exchange)}>
            {exchanges.map((one) => (
              <option key={one.exchange} value={one.exchange}>
                {one.exchange} {one.mode !== "live" && `(${one.mode})`}
              </option>
            ))}
          </select>
        </label>
        <label>
          API key
          <input name="api_key" required autoComplete="off" spellCheck={false} />
        </label>
        <label>
          Secret
          <textarea name="secret" required rows={2} autoComplete="off" spellCheck={false} className="secret" />
        </label>
        {password && (
          <label>
            {password}
            <input name="password" type="password" required autoComplete="new-password" />
          </label>
        )}
        <button type="submit" className="primary" disabled={store.isPending || !exchange}>
          {store.isPending ? "Trying the key …" : "Store"}
        </button>
      </form>
      {store.isSuccess && (
        <Banner tone="good">
          The key …{store.data.hint} of {store.data.exchange} works and is stored.
        </Banner>
      )}
      {store.isError && <Failure error={store.error} />}
    </section>
  );
}

function DeleteDialog({ exchange, onClose }: { exchange: string; onClose: () => void }) {
  const remove = useAction<unknown>(() =>
    unwrap(api.DELETE("/api/me/exchange/credentials", { params: { query: { exchange: exchange as Exchange } } })),
  );
  const confirm = (
    <button type="button" className="danger" disabled={remove.isPending} onClick={() => remove.mutate()}>
      {remove.isPending ? "Deleting …" : "Delete the key"}
    </button>
  );
  return (
    <Dialog title={`Delete the key of ${exchange}`} onClose={onClose} actions={!remove.isSuccess && confirm}>
      {remove.isSuccess ? (
        <p role="status">The key is deleted. Revoke it at the exchange as well.</p>
      ) : (
        <p>
          Without it nothing can be traded or cancelled there. It is refused while the autopilot is on or orders rest.
        </p>
      )}
      {remove.isError && <Failure error={remove.error} />}
    </Dialog>
  );
}
