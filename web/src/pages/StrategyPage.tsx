import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, api, type Schemas, unwrap, unwrapResponse } from "../api/client";
import { readStrategy, useMarkets, useStrategy, type VersionedStrategy } from "../api/queries";
import { doing } from "../components/AssetBars";
import { Banner, Dialog, Failure, Skeleton, Table } from "../components/parts";
import {
  type Draft,
  differences,
  draftOf,
  newDraft,
  normalize,
  PARAMETERS,
  problemsOf,
  requestOf,
  sumOf,
  target,
} from "../lib/draft";
import { amount, compare, percent } from "../lib/money";

const PREVIEW_PAUSE_MS = 600;

export function StrategyPage({ overview }: { overview: Schemas["OverviewView"] | null }) {
  const stored = useStrategy();
  if (stored.isPending) return <Skeleton lines={14} />;
  if (stored.isError) return <Failure error={stored.error} retry={() => void stored.refetch()} />;
  const exchange = (overview?.exchange ?? "binance") as Draft["exchange"];
  return <Editor key={stored.data?.etag ?? "new"} stored={stored.data} exchange={exchange} />;
}

function Editor({ stored, exchange }: { stored: VersionedStrategy | null; exchange: Draft["exchange"] }) {
  const [before] = useState(() => (stored ? draftOf(stored.strategy) : newDraft(exchange)));
  const [draft, setDraft] = useState(before);
  const [saving, setSaving] = useState(false);
  const problems = problemsOf(draft);
  const changes = differences(before, draft);
  return (
    <div className="editor">
      <form
        className="card"
        onSubmit={(event) => {
          event.preventDefault();
          setSaving(true);
        }}
      >
        <Targets draft={draft} onChange={setDraft} problem={problems.get("targets")} />
        <Parameters draft={draft} onChange={setDraft} problems={problems} />
        <div className="actions">
          <button
            type="submit"
            className="primary"
            disabled={problems.size > 0 || (stored !== null && changes.length === 0)}
          >
            {stored ? "Save …" : "Save the first strategy …"}
          </button>
          <button type="button" disabled={changes.length === 0} onClick={() => setDraft(before)}>
            Undo all
          </button>
        </div>
      </form>
      <Preview draft={draft} valid={problems.size === 0} />
      {saving && <SaveDialog draft={draft} before={before} stored={stored} onClose={() => setSaving(false)} />}
    </div>
  );
}

type EditorProps = { draft: Draft; onChange: (draft: Draft) => void };

function Targets({ draft, onChange, problem }: EditorProps & { problem: string | undefined }) {
  const markets = useMarkets({ exchange: draft.exchange, quote: draft.quote });
  const sum = sumOf(draft.targets);
  const change = (id: number, changed: Partial<Draft["targets"][number]>) =>
    onChange({ ...draft, targets: draft.targets.map((one) => (one.id === id ? { ...one, ...changed } : one)) });
  return (
    <fieldset>
      <legend>Targets</legend>
      <p className="small">
        Percent of the portfolio on {draft.exchange}, priced in {draft.quote}.
      </p>
      <datalist id="assets">
        {[draft.quote, ...(markets.data?.assets ?? [])].map((asset) => (
          <option key={asset} value={asset} />
        ))}
      </datalist>
      {draft.targets.map((one) => (
        <div className="target-row" key={one.id}>
          <input
            aria-label="Asset"
            list="assets"
            value={one.asset}
            spellCheck={false}
            autoCapitalize="characters"
            onChange={(event) => change(one.id, { asset: event.target.value.trim().toUpperCase() })}
          />
          <input
            aria-label={`Share of ${one.asset || "this asset"} in percent`}
            inputMode="decimal"
            value={one.pct}
            onChange={(event) => change(one.id, { pct: event.target.value.replace(",", ".") })}
          />
          <span aria-hidden="true">%</span>
          <button
            type="button"
            className="quiet"
            aria-label={`Remove ${one.asset || "this row"}`}
            onClick={() => onChange({ ...draft, targets: draft.targets.filter((other) => other.id !== one.id) })}
          >
            ✕
          </button>
        </div>
      ))}
      <div className="toolbar">
        <button type="button" onClick={() => onChange({ ...draft, targets: [...draft.targets, target()] })}>
          Add an asset
        </button>
        <button type="button" onClick={() => onChange({ ...draft, targets: normalize(draft.targets) })}>
          Make it 100 %
        </button>
        <output className={sum !== null && compare(sum, "100") === 0 ? "positive" : "negative"}>
          Sum {sum === null ? "–" : `${sum} %`}
        </output>
      </div>
      {problem && <p className="field-problem">{problem}</p>}
    </fieldset>
  );
}

function Parameters({ draft, onChange, problems }: EditorProps & { problems: Map<string, string> }) {
  return (
    <fieldset>
      <legend>How it trades</legend>
      {PARAMETERS.map(({ name, label, unit, help, required }) => (
        <label key={name} className="parameter">
          <span>
            {label}{" "}
            <span className="small">
              {unit}
              {required ? "" : ", optional"}
            </span>
          </span>
          <input
            inputMode="decimal"
            value={draft.parameters[name]}
            aria-describedby={`help-${name}`}
            aria-invalid={problems.has(name)}
            onChange={(event) => {
              const parameters = { ...draft.parameters, [name]: event.target.value.replace(",", ".") };
              onChange({ ...draft, parameters });
            }}
          />
          <span id={`help-${name}`} className="small help">
            {problems.get(name) ?? help}
          </span>
        </label>
      ))}
      <label className="checkbox">
        <input
          type="checkbox"
          checked={draft.postOnly}
          onChange={(event) => onChange({ ...draft, postOnly: event.target.checked })}
        />
        Post-only: refuse an order that would trade at once and pay the taker's fee
      </label>
    </fieldset>
  );
}

/** The draft as the engine sees it, asked for on each pause of typing. */
function Preview({ draft, valid }: { draft: Draft; valid: boolean }) {
  const body = valid ? JSON.stringify(requestOf(draft)) : null;
  const [asked, setAsked] = useState(body);
  useEffect(() => {
    const timer = window.setTimeout(() => setAsked(body), PREVIEW_PAUSE_MS);
    return () => window.clearTimeout(timer);
  }, [body]);
  const preview = useQuery({
    queryKey: ["preview", asked],
    enabled: asked !== null,
    queryFn: () =>
      unwrap(
        api.POST("/api/me/strategies/rebalance/preview", {
          body: JSON.parse(asked ?? "{}") as Schemas["StrategyRequest"],
        }),
      ),
    staleTime: 30_000,
    placeholderData: (previous) => previous,
  });
  return (
    <section className="card preview" aria-labelledby="preview" aria-live="polite">
      <h2 id="preview">What it would do now</h2>
      {!valid && <p className="small">Mend the fields to see it.</p>}
      {valid && preview.isPending && <Skeleton lines={8} />}
      {valid && preview.isError && <Failure error={preview.error} />}
      {valid && preview.data && (
        <>
          {preview.data.warnings.map((warning) => (
            <Banner key={warning.message} tone="warning">
              {warning.message}
            </Banner>
          ))}
          <p>
            Worth{" "}
            <span className="number">
              {amount(preview.data.nav)} {preview.data.quote_asset}
            </span>
            , drift <span className="number">{percent(preview.data.drift_pct)}</span>; an order is worth{" "}
            <span className="number">{amount(preview.data.quote_amount)}</span>.
          </p>
          <ul className="plain">
            {preview.data.assets.map((row) => (
              <li key={row.asset}>
                <strong>{row.asset}</strong> <span className="number">{percent(row.weight_pct)}</span> →{" "}
                <span className="number">{percent(row.target_pct)}</span>. {doing(row, undefined)}
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

type SaveProps = { draft: Draft; before: Draft; stored: VersionedStrategy | null; onClose: () => void };

/** The difference before it is saved; and where somebody else was faster, both versions. */
function SaveDialog({ draft, before, stored, onClose }: SaveProps) {
  const client = useQueryClient();
  const [theirs, setTheirs] = useState<VersionedStrategy | null>(null);
  const save = useMutation({
    mutationFn: async () => {
      const etag = (theirs ?? stored)?.etag;
      const header = etag ? { "If-Match": etag } : {};
      return (
        await unwrapResponse(api.PUT("/api/me/strategies/rebalance", { body: requestOf(draft), params: { header } }))
      ).data;
    },
    onError: async (error) => {
      if (error instanceof ApiError && error.status === 412) setTheirs(await readStrategy());
    },
  });
  const close = () => {
    if (save.isSuccess) void client.invalidateQueries();
    onClose();
  };
  const basis = theirs ? draftOf(theirs.strategy) : before;
  const confirm = (
    <button type="button" className="primary" disabled={save.isPending} onClick={() => save.mutate()}>
      {save.isPending ? "Saving …" : theirs ? "Save mine over theirs" : "Save"}
    </button>
  );
  return (
    <Dialog title="Save the strategy" onClose={close} actions={!save.isSuccess && confirm}>
      {save.isSuccess && <Saved saved={save.data} />}
      {!save.isSuccess && theirs && (
        <Banner tone="warning">
          The strategy was changed meanwhile, in another window or by somebody else. Below is what saving yours would
          change of that version. Close this to keep theirs.
        </Banner>
      )}
      {!save.isSuccess && <Difference before={basis} after={draft} isNew={stored === null} />}
      {save.isError && !theirs && <Failure error={save.error} />}
    </Dialog>
  );
}

function Saved({ saved }: { saved: Schemas["SavedStrategyView"] }) {
  return (
    <div role="status">
      <p>Saved. {saved.autopilot_enabled ? "The autopilot goes on with it." : "The autopilot is off."}</p>
      {saved.warnings.map((warning) => (
        <Banner key={warning.message} tone="warning">
          {warning.message}
        </Banner>
      ))}
    </div>
  );
}

function Difference({ before, after, isNew }: { before: Draft; after: Draft; isNew: boolean }) {
  if (isNew)
    return <p>This is your first strategy. Nothing trades until you execute a plan or switch the autopilot on.</p>;
  const head = (
    <tr>
      <th scope="col">Field</th>
      <th scope="col" className="number">
        Before
      </th>
      <th scope="col" className="number">
        After
      </th>
    </tr>
  );
  return (
    <Table caption="What changes" head={head}>
      {differences(before, after).map((one) => (
        <tr key={one.field}>
          <th scope="row">{one.field}</th>
          <td className="number">{one.before}</td>
          <td className="number">{one.after}</td>
        </tr>
      ))}
    </Table>
  );
}
