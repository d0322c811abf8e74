import type { Schemas } from "../api/client";
import { inWords } from "../lib/words";

const VERDICTS = { pass: "fine", warn: "look at this", fail: "in the way", unknown: "not known" } as const;

/** The check of an account: what was found, and what to do about it. */
export function CheckList({ check }: { check: Schemas["CheckView"] }) {
  return (
    <>
      <p role="status">
        {check.ready ? "The account is ready for the autopilot." : "Something is in the way of the autopilot."}
      </p>
      <ul className="check">
        {check.items.map((item) => (
          <li key={item.name} className={item.verdict}>
            <span className={`verdict ${item.verdict}`}>{VERDICTS[item.verdict]}</span>
            <div>
              <strong>{inWords(item.name)}</strong>: {item.found}
              {item.remedy && <p className="remedy">What to do: {item.remedy}.</p>}
            </div>
          </li>
        ))}
      </ul>
    </>
  );
}
