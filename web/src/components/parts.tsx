import { type ReactNode, useEffect, useId, useRef } from "react";
import { ApiError } from "../api/client";
import { compare, signedAmount } from "../lib/money";

type Tone = "info" | "warning" | "error" | "good";

export function Banner({ tone, children }: { tone: Tone; children: ReactNode }) {
  return (
    <p className={`banner ${tone}`} role={tone === "error" ? "alert" : "status"}>
      {children}
    </p>
  );
}

/** A failed request, in the API's own words. */
export function Failure({ error, retry }: { error: Error; retry?: () => void }) {
  const requestId = error instanceof ApiError ? error.requestId : null;
  return (
    <div className="banner error" role="alert">
      <p>{error.message}</p>
      {requestId && <p className="small">Request {requestId}</p>}
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Has the size of what will be here. */
export function Skeleton({ lines = 4 }: { lines?: number }) {
  return (
    <div className="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the lines are all the same
        <span key={line} />
      ))}
    </div>
  );
}

export function Empty({ children }: { children: ReactNode }) {
  return <p className="empty">{children}</p>;
}

/** A difference in quote: sign and colour say the same. */
export function Signed({ value, quote }: { value: string; quote: string }) {
  const sign = compare(value, "0");
  const tone = sign < 0 ? "negative" : sign > 0 ? "positive" : "";
  return (
    <span className={`number ${tone}`}>
      {signedAmount(value)} {quote}
    </span>
  );
}

export function Figure({ label, children, note }: { label: string; children: ReactNode; note?: ReactNode }) {
  return (
    <div className="figure">
      <dt>{label}</dt>
      <dd>{children}</dd>
      {note && <dd className="small">{note}</dd>}
    </div>
  );
}

type DialogProps = { title: string; onClose: () => void; children: ReactNode; actions: ReactNode };

/** A modal dialog: the browser's own, so focus and Escape behave as everywhere. */
export function Dialog({ title, onClose, children, actions }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={onClose}>
      <h2 id={heading}>{title}</h2>
      <div className="dialog-body">{children}</div>
      <div className="actions">
        {actions}
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </div>
    </dialog>
  );
}

/** A table that scrolls inside itself where the page is narrow. */
export function Table({ caption, head, children }: { caption: string; head: ReactNode; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className="table" aria-label={caption} tabIndex={0}>
      <table>
        <caption>{caption}</caption>
        <thead>{head}</thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  );
}
