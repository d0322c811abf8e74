import { type UseQueryResult, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, api, type Schemas, unwrap, unwrapResponse } from "../api/client";
import { readStrategy, useCredentials, useMarkets, useStrategy, type VersionedStrategy } from "../api/queries";
import { doing } from "../components/AssetBars";
import { Banner, Dialog, Failure, Skeleton, Table } from "../components/parts";
import {
  type Draft,
  differences,
  draftOf,
  LIMITS,
  newDraft,
  normalize,
  PARAMETERS,
  problemsOf,
  refusedFields,
  requestOf,
  STANDARD_LIMITS,
  sumOf,
  target,
  withQuote,
} from "../lib/draft";
import { amount, compare, percent } from "../lib/money";

const PREVIEW_PAUSE_MS = 600;

export function StrategyPage() {
  const stored = useStrategy();
  if (stored.isPending) return <Skeleton lines={14} />;
  if (stored.isError) return <Failure error={stored.error} retry={() => void stored.refetch()} />;
  if (!stored.data) return <FirstStrategy />;
  return <Editor stored={stored.data} initial={draftOf(stored.data.strategy)} />;
}

/** On the exchange of the key that is stored, or the first that can be chosen; both can be chosen otherwise. */
function FirstStrategy() {
  const choices = useMarkets(null);
  const credentials = useCredentials();
  const failed = [choices, credentials].find((query) => query.isError);
  if (failed?.error) return <Failure error={failed.error} retry={() => void failed.refetch()} />;
  if (!choices.data || !credentials.data) return <Skeleton lines={14} />;
  const names = choices.data.exchanges.map(({ exchange }) => exchange);
  const ofTheKey = names.find((name) => credentials.data.credentials.some(({ exchange }) => exchange === name));
  const exchange = ofTheKey ?? names[0];
  if (!exchange) return <Banner tone="error">No exchange can be chosen.</Banner>;
  return <Editor stored={null} initial={newDraft(exchange)} exchanges={names} />;
}

type EditorPartProps = { stored: VersionedStrategy | null; initial: Draft; exchanges?: readonly Draft["exchange"][] };

/** Edits a version. A newer one takes its place as long as nothing is typed; then saving shows both. */
function Editor({ stored, initial, exchanges }: EditorPartProps) {
  const [edited, setEdited] = useState({ stored, draft: initial });
  const [draft, setDraft] = useState(initial);
  const [saving, setSaving] = useState(false);
  const mistakes = problemsOf(draft);
  const valid = mistakes.size === 0;
  const preview = usePreview(draft, valid);
  const refused = preview.error instanceof ApiError ? refusedFields(preview.error.problem) : new Map<string, string>();
  const problems = valid ? refused : mistakes;
  const changes = differences(edited.draft, draft);
  const edit = (version: VersionedStrategy) => {
    const fresh = draftOf(version.strategy);
    setEdited({ stored: version, draft: fresh });
    setDraft(fresh);
  };
  if (stored && stored.etag !== edited.stored?.etag && changes.length === 0 && !saving) edit(stored);
  return (
    <div className="editor">
      <form
        className="card"
        onSubmit={(event) => {
          event.preventDefault();
          setSaving(true);
        }}
      >
        {exchanges && <Market draft={draft} onChange={setDraft} exchanges={exchanges} />}
        <Targets draft={draft} onChange={setDraft} problem={problems.get("targets")} />
        <Parameters draft={draft} onChange={setDraft} problems={problems} />
        <Limits draft={draft} onChange={setDraft} problems={problems} />
        <div className="actions">
          <button
            type="submit"
            className="primary"
            disabled={problems.size > 0 || (stored !== null && changes.length === 0)}
          >
            {stored ? "Save …" : "Save the first strategy …"}
          </button>
          <button type="button" disabled={changes.length === 0} onClick={() => setDraft(edited.draft)}>
            Undo all
          </button>
        </div>
      </form>
      <Preview preview={preview} problems={problems} valid={valid} />
      {saving && (
        <SaveDialog
          draft={draft}
          before={edited.draft}
          stored={edited.stored}
          onSaved={edit}
          onClose={() => setSaving(false)}
        />
      )}
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

type FieldsProps = EditorProps & { problems: ReadonlyMap<string, string> };

/** Where to trade, and in what everything is priced: asked for the first strategy only. */
function Market({ draft, onChange, exchanges }: EditorProps & { exchanges: readonly Draft["exchange"][] }) {
  const markets = useMarkets({ exchange: draft.exchange, quote: draft.quote });
  const quotes = [...new Set([draft.quote, ...(markets.data?.quotes ?? [])])];
  return (
    <fieldset className="row">
      <label>
        Exchange
        <select
          value={draft.exchange}
          onChange={(event) => onChange({ ...draft, exchange: event.target.value as Draft["exchange"] })}
        >
          {exchanges.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        Priced in
        <select value={draft.quote} onChange={(event) => onChange(withQuote(draft, event.target.value))}>
          {quotes.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
    </fieldset>
  );
}

function Parameters({ draft, onChange, problems }: FieldsProps) {
  return (
    <fieldset>
      <legend>How it trades</legend>
      {PARAMETERS.map(({ name, label, unit, help, required }) => (
        <Field
          key={name}
          name={name}
          label={label}
          unit={required ? unit : `${unit}, optional`}
          help={help}
          value={draft.parameters[name]}
          problem={problems.get(name)}
          onChange={(value) => onChange({ ...draft, parameters: { ...draft.parameters, [name]: value } })}
        />
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

/** What trading may come to before it is paused. Closed while nothing in it is wrong: most owners never need it. */
function Limits({ draft, onChange, problems }: FieldsProps) {
  const changed = LIMITS.filter(({ name, standard }) => draft.limits[name] !== standard).length;
  const wrong = LIMITS.some(({ name }) => problems.has(`budgets.${name}`));
  const [open, setOpen] = useState(changed > 0);
  return (
    <details open={open || wrong} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        Limits, over which it is paused{" "}
        <span className="small">{changed === 0 ? "as recommended" : `${changed} of ${LIMITS.length} changed`}</span>
      </summary>
      <fieldset>
        <legend className="visually-hidden">Limits</legend>
        <p className="small">
          What loses by its own trading is paused until you resume it. Over two thirds of a limit you are warned.
        </p>
        {LIMITS.map(({ name, label, unit, help, standard }) => (
          <Field
            key={name}
            name={`budgets.${name}`}
            label={label}
            unit={unit}
            help={`${help} Recommended: ${standard}.`}
            value={draft.limits[name]}
            problem={problems.get(`budgets.${name}`)}
            onChange={(value) => onChange({ ...draft, limits: { ...draft.limits, [name]: value } })}
          />
        ))}
        <button
          type="button"
          disabled={changed === 0}
          onClick={() => onChange({ ...draft, limits: { ...STANDARD_LIMITS } })}
        >
          Use the recommended limits
        </button>
      </fieldset>
    </details>
  );
}

type FieldProps = {
  name: string;
  label: string;
  unit: string;
  help: string;
  value: string;
  problem: string | undefined;
  onChange: (value: string) => void;
};

function Field({ name, label, unit, help, value, problem, onChange }: FieldProps) {
  return (
    <label className="parameter">
      <span>
        {label} <span className="small">{unit}</span>
      </span>
      <input
        inputMode="decimal"
        value={value}
        aria-describedby={`help-${name}`}
        aria-invalid={problem !== undefined}
        onChange={(event) => onChange(event.target.value.replace(",", "."))}
      />
      <span id={`help-${name}`} className={problem ? "small help field-problem" : "small help"}>
        {problem ?? help}
      </span>
    </label>
  );
}

/** The draft as the engine sees it, asked for on each pause of typing. */
function usePreview(draft: Draft, valid: boolean): UseQueryResult<Schemas["PlanView"]> {
  const body = valid ? JSON.stringify(requestOf(draft)) : null;
  const [asked, setAsked] = useState(body);
  useEffect(() => {
    const timer = window.setTimeout(() => setAsked(body), PREVIEW_PAUSE_MS);
    return () => window.clearTimeout(timer);
  }, [body]);
  return useQuery({
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
}

type PreviewProps = {
  preview: UseQueryResult<Schemas["PlanView"]>;
  problems: ReadonlyMap<string, string>;
  valid: boolean;
};

function Preview({ preview, problems, valid }: PreviewProps) {
  return (
    <section className="card preview" aria-labelledby="preview" aria-live="polite">
      <h2 id="preview">What it would do now</h2>
      {problems.size > 0 && <p className="small">Mend the fields to see it.</p>}
      {valid && preview.isPending && <Skeleton lines={8} />}
      {valid && preview.isError && problems.size === 0 && <Failure error={preview.error} />}
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

type SaveProps = {
  draft: Draft;
  before: Draft;
  stored: VersionedStrategy | null;
  onSaved: (version: VersionedStrategy) => void;
  onClose: () => void;
};

/** The difference before it is saved; and where somebody else was faster, both versions. */
function SaveDialog({ draft, before, stored, onSaved, onClose }: SaveProps) {
  const client = useQueryClient();
  const [theirs, setTheirs] = useState<VersionedStrategy | null>(null);
  const save = useMutation({
    mutationFn: async () => {
      const etag = (theirs ?? stored)?.etag;
      const header = etag ? { "If-Match": etag } : {};
      const { data, response } = await unwrapResponse(
        api.PUT("/api/me/strategies/rebalance", { body: requestOf(draft), params: { header } }),
      );
      return { strategy: data, etag: response.headers.get("ETag") ?? "*" };
    },
    onSuccess: (version) => {
      client.setQueryData(["strategy"], version);
      onSaved(version);
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
      {save.isSuccess && <Saved saved={save.data.strategy} />}
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
