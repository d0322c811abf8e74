import { type FormEvent, useState } from "react";
import { ApiError, api, type Schemas, unwrap } from "../api/client";
import { useAction, useMarkets, usePaper } from "../api/queries";
import { Banner, Dialog, Empty, Failure, Figure, Skeleton, Table } from "../components/parts";
import { exact, isDecimal } from "../lib/money";
import { dateTime } from "../lib/time";

type PaperExchange = NonNullable<Schemas["PaperRequest"]["exchange"]>;
type Paper = Schemas["PaperView"];

/** An account on paper: real prices, nobody's money. */
export function PaperPage() {
  const choices = useMarkets(null);
  const exchanges = (choices.data?.exchanges ?? []).filter((one) => one.mode === "paper").map((one) => one.exchange);
  const [picked, setPicked] = useState<PaperExchange | null>(null);
  const exchange = picked ?? (exchanges[0] as PaperExchange | undefined) ?? null;
  if (choices.isPending) return <Skeleton lines={8} />;
  if (choices.isError) return <Failure error={choices.error} retry={() => void choices.refetch()} />;
  if (!exchange) {
    return (
      <Empty>An account on paper trades at a real exchange's prices. Here the exchange itself is simulated.</Empty>
    );
  }
  return (
    <>
      <label className="filter">
        Exchange
        <select value={exchange} onChange={(event) => setPicked(event.target.value as PaperExchange)}>
          {exchanges.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <Account key={exchange} exchange={exchange} />
    </>
  );
}

function Account({ exchange }: { exchange: PaperExchange }) {
  const paper = usePaper(exchange);
  if (paper.isPending) return <Skeleton lines={8} />;
  const unopened = paper.isError && paper.error instanceof ApiError && paper.error.code === "paper_account_not_found";
  if (paper.isError && !unopened) return <Failure error={paper.error} retry={() => void paper.refetch()} />;
  return (
    <>
      {paper.data && <State paper={paper.data} />}
      {paper.data && <TransferForm exchange={exchange} />}
      <OpenForm exchange={exchange} open={paper.data !== undefined} />
      {paper.data && <Earlier paper={paper.data} />}
    </>
  );
}

function amounts(of: Readonly<Record<string, string>>): string {
  const parts = Object.entries(of).map(([asset, quantity]) => `${exact(quantity)} ${asset}`);
  return parts.length > 0 ? parts.join(", ") : "none";
}

function State({ paper }: { paper: Paper }) {
  const head = (
    <tr>
      <th scope="col">Asset</th>
      <th scope="col" className="number">
        Free
      </th>
      <th scope="col" className="number">
        In orders
      </th>
    </tr>
  );
  return (
    <section className="card" aria-labelledby="paper">
      <h2 id="paper">
        {paper.exchange}, start {paper.epoch}
      </h2>
      <Banner tone="info">{paper.caveat}</Banner>
      <dl className="figures">
        <Figure label="Since">{dateTime(paper.started_at)}</Figure>
        <Figure label="Started with">{amounts(paper.start_balances)}</Figure>
        <Figure label="Deposits less withdrawals">{amounts(paper.transfers)}</Figure>
        <Figure label="Orders that rest">{paper.open_orders}</Figure>
      </dl>
      {paper.gaps.length > 0 && (
        <Banner tone="warning">
          Nobody knows what was traded at {paper.gaps.map((gap) => gap.symbol).join(", ")} for a while: orders there did
          not fill meanwhile.
        </Banner>
      )}
      <Table caption="Balances" head={head}>
        {paper.balances.map((balance) => (
          <tr key={balance.asset}>
            <th scope="row">{balance.asset}</th>
            <td className="number">{exact(balance.free)}</td>
            <td className="number">{exact(balance.locked)}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function TransferForm({ exchange }: { exchange: PaperExchange }) {
  const transfer = useAction<Paper, Schemas["PaperTransferRequest"]>((body) =>
    unwrap(api.POST("/api/me/exchange/paper/transfers", { body })),
  );
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const quantity = String(fields.get("quantity")).trim();
    const sign = fields.get("way") === "withdraw" ? "-" : "";
    transfer.mutate({
      exchange,
      asset: String(fields.get("asset")).trim().toUpperCase(),
      quantity: `${sign}${quantity}`,
    });
  };
  return (
    <section className="card" aria-labelledby="transfer">
      <h2 id="transfer">Deposit or withdraw</h2>
      <form onSubmit={submit} className="row">
        <label>
          What
          <select name="way">
            <option value="deposit">Deposit</option>
            <option value="withdraw">Withdraw</option>
          </select>
        </label>
        <label>
          Quantity
          <input name="quantity" required inputMode="decimal" pattern="[0-9]+([.][0-9]+)?" />
        </label>
        <label>
          Asset
          <input name="asset" required defaultValue="USDT" spellCheck={false} />
        </label>
        <button type="submit" disabled={transfer.isPending}>
          {transfer.isPending ? "Booking …" : "Book it"}
        </button>
      </form>
      {transfer.isSuccess && <Banner tone="good">Booked.</Banner>}
      {transfer.isError && <Failure error={transfer.error} />}
    </section>
  );
}

function OpenForm({ exchange, open }: { exchange: PaperExchange; open: boolean }) {
  const [balances, setBalances] = useState("10000 USDT");
  const [asking, setAsking] = useState(false);
  const start = useAction<Paper>(() =>
    unwrap(api.PUT("/api/me/exchange/paper", { body: { exchange, balances: parsed(balances) ?? {} } })),
  );
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (open) setAsking(true);
    else start.mutate();
  };
  return (
    <section className="card" aria-labelledby="start">
      <h2 id="start">{open ? "Start anew" : "Open the account"}</h2>
      <form onSubmit={submit}>
        <label>
          Start balances, one a comma
          <input value={balances} onChange={(event) => setBalances(event.target.value)} spellCheck={false} />
        </label>
        <button type="submit" className={open ? "" : "primary"} disabled={!parsed(balances) || start.isPending}>
          {open ? "Start anew …" : start.isPending ? "Opening …" : "Open"}
        </button>
      </form>
      {start.isError && <Failure error={start.error} />}
      {asking && (
        <Dialog
          title="Start anew"
          onClose={() => setAsking(false)}
          actions={
            !start.isSuccess && (
              <button type="button" className="danger" disabled={start.isPending} onClick={() => start.mutate()}>
                {start.isPending ? "Starting …" : "Start anew"}
              </button>
            )
          }
        >
          {start.isSuccess ? (
            <p role="status">It has started anew.</p>
          ) : (
            <p>
              What rests on paper is cancelled, and the account begins again with {amounts(parsed(balances) ?? {})}.
              What it was until now stays in the list below.
            </p>
          )}
        </Dialog>
      )}
    </section>
  );
}

/** "10000 USDT, 0.1 BTC" by asset; null where that is no list of balances. */
function parsed(text: string): Record<string, string> | null {
  const found: Record<string, string> = {};
  for (const part of text.split(",")) {
    const [quantity = "", asset = "", ...more] = part.trim().split(/\s+/);
    if (!isDecimal(quantity) || quantity.startsWith("-") || !asset || more.length > 0) return null;
    found[asset.toUpperCase()] = quantity;
  }
  return found;
}

function Earlier({ paper }: { paper: Paper }) {
  if (paper.earlier.length === 0) return null;
  return (
    <section className="card" aria-labelledby="earlier">
      <h2 id="earlier">Earlier starts</h2>
      <ul className="plain">
        {[...paper.earlier].reverse().map((one) => (
          <li key={one.epoch}>
            {dateTime(one.started_at)} to {dateTime(one.ended_at)}: began with {amounts(one.start_balances)}, ended with{" "}
            {amounts(one.balances)}
          </li>
        ))}
      </ul>
    </section>
  );
}
