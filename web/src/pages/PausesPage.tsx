import { useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction, usePauses } from "../api/queries";
import { Banner, Dialog, Empty, Failure, Skeleton } from "../components/parts";
import { dateTime } from "../lib/time";

type Pause = Schemas["PauseView"];
const SCOPES: Record<Pause["scope"], string> = {
  account: "Nothing is traded",
  pair: "The pair is not traded",
  buys: "Nothing is bought of it",
};

/** What holds the account, each with its evidence; resumed only after that was shown. */
export function PausesPage() {
  const pauses = usePauses();
  const [asked, setAsked] = useState<Pause | null>(null);
  return (
    <>
      <p>What is paused is not traded. Each pause says what was seen; only you can say that it is all right.</p>
      {pauses.isPending && <Skeleton lines={6} />}
      {pauses.isError && <Failure error={pauses.error} retry={() => void pauses.refetch()} />}
      {pauses.data?.pauses.length === 0 && <Empty>Nothing is paused.</Empty>}
      <ul className="decisions">
        {pauses.data?.pauses.map((pause) => (
          <li key={pause.pause_id} className="card">
            <div className="toolbar">
              <h2>{pause.subject}</h2>
              <p className="small">
                {SCOPES[pause.scope]} since {dateTime(pause.since)}
                {pause.until !== null && <>, until {dateTime(pause.until)} or until you resume it</>}
              </p>
              <button
                type="button"
                onClick={() => setAsked(pause)}
                aria-label={`Look at the pause of ${pause.subject}`}
              >
                Look at it …
              </button>
            </div>
            <p>{pause.evidence}</p>
          </li>
        ))}
      </ul>
      {asked && <ResumeDialog pause={asked} onClose={() => setAsked(null)} />}
    </>
  );
}

function ResumeDialog({ pause, onClose }: { pause: Pause; onClose: () => void }) {
  const [read, setRead] = useState(false);
  const resume = useAction<Pause>(() =>
    unwrap(api.POST("/api/me/pauses/{pause_id}/resume", { params: { path: { pause_id: pause.pause_id } } })),
  );
  const confirm = (
    <button
      type="button"
      className="primary"
      disabled={!read || resume.isPending}
      onClick={() => resume.mutate()}
      aria-describedby="evidence"
    >
      {resume.isPending ? "Resuming …" : "Resume trading"}
    </button>
  );
  return (
    <Dialog title={`Resume ${pause.subject}`} onClose={onClose} actions={!resume.isSuccess && confirm}>
      <p id="evidence">{pause.evidence}</p>
      {resume.isSuccess ? (
        <Banner tone="good">It is believed from the next look at the account on.</Banner>
      ) : (
        <label className="checkbox">
          <input type="checkbox" checked={read} onChange={(event) => setRead(event.target.checked)} />I have looked at
          this, and it is as it should be.
        </label>
      )}
      {resume.isError && <Failure error={resume.error} />}
    </Dialog>
  );
}
