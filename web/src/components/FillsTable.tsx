import { exact } from "../lib/money";
import { Signed, Table } from "./parts";

/** One fill as a row shows it: what identifies it, when it was (in words), and amounts as text. */
export type FillRow = {
  key: string;
  time: string;
  symbol: string;
  side: string;
  price: string;
  base_qty: string;
  fee: string;
  fee_asset: string;
  /** What it added to holding, in quote; left out where that is not told. */
  bonus_quote?: string;
};

/** Fills, one a row; with `quote`, what each of them added. */
export function FillsTable({
  caption,
  fills,
  time = "Time",
  quote,
}: {
  caption: string;
  fills: readonly FillRow[];
  time?: string;
  quote?: string;
}) {
  const head = (
    <tr>
      {[time, "Pair", "Side"].map((name) => (
        <th key={name} scope="col">
          {name}
        </th>
      ))}
      {["Price", "Quantity", "Fee", ...(quote === undefined ? [] : ["Added"])].map((name) => (
        <th key={name} scope="col" className="number">
          {name}
        </th>
      ))}
    </tr>
  );
  return (
    <Table caption={caption} head={head}>
      {fills.map((fill) => (
        <tr key={fill.key}>
          <th scope="row">{fill.time}</th>
          <td>{fill.symbol}</td>
          <td className={fill.side}>{fill.side}</td>
          <td className="number">{exact(fill.price)}</td>
          <td className="number">{exact(fill.base_qty)}</td>
          <td className="number">
            {exact(fill.fee)} {fill.fee_asset}
          </td>
          {quote !== undefined && fill.bonus_quote !== undefined && (
            <td className="number">
              <Signed value={fill.bonus_quote} quote={quote} />
            </td>
          )}
        </tr>
      ))}
    </Table>
  );
}
