import { type FormEvent, useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction, useDeliveries, useNotifications } from "../api/queries";
import { Banner, Empty, Failure, Skeleton, Table } from "../components/parts";
import { dateTime, wholeNumber } from "../lib/time";
import { inWords } from "../lib/words";

type Settings = Schemas["NotificationsView"];
type Channel = Settings["available"][number];
type Volume = Settings["trouble"];

const FIELDS: Record<Channel, readonly { name: string; label: string }[]> = {
  telegram: [
    { name: "bot_token", label: "The bot's token" },
    { name: "chat_id", label: "Chat" },
  ],
  discord: [{ name: "url", label: "The channel's webhook address" }],
  slack: [{ name: "url", label: "The incoming webhook's address" }],
  email: [{ name: "address", label: "The address that you sign in with" }],
  webhook: [{ name: "url", label: "Your endpoint's address" }],
};
const KINDS = [
  { name: "trouble", label: "What keeps the account from being traded" },
  { name: "changes", label: "What was changed, by whomever" },
  { name: "fills", label: "Fills, at most once in a quarter of an hour" },
  { name: "digest", label: "Your day, also the sign of life" },
] as const;
const VOLUMES: Record<Volume, string> = { loud: "loud", silent: "silent", off: "off" };
const HOURS = Array.from({ length: 24 }, (_, hour) => hour);

/** Where messages go, which do, and what became of the last ones. */
export function NotificationsPage() {
  const settings = useNotifications();
  if (settings.isPending) return <Skeleton lines={12} />;
  if (settings.isError) return <Failure error={settings.error} retry={() => void settings.refetch()} />;
  return (
    <>
      <Channels settings={settings.data} />
      <Preferences key={JSON.stringify(settings.data)} settings={settings.data} />
      <Deliveries />
    </>
  );
}

/** All that is stored, as the request that keeps it: a channel that is empty stays as it is. */
function kept(settings: Settings): Schemas["NotificationsRequest"] {
  const { trouble, changes, fills, digest, time_zone, digest_hour, quiet_from, quiet_until } = settings;
  return {
    channels: Object.fromEntries(settings.channels.map(({ channel }) => [channel, {}])),
    trouble,
    changes,
    fills,
    digest,
    time_zone,
    digest_hour,
    quiet_from,
    quiet_until,
  };
}

function useSave() {
  return useAction<Settings, Schemas["NotificationsRequest"]>((body) =>
    unwrap(api.PUT("/api/me/notifications", { body })),
  );
}

function Channels({ settings }: { settings: Settings }) {
  const save = useSave();
  const remove = (channel: Channel) => {
    const { [channel]: _, ...others } = kept(settings).channels;
    save.mutate({ ...kept(settings), channels: others });
  };
  return (
    <section className="card" aria-labelledby="channels">
      <h2 id="channels">Where to</h2>
      {settings.channels.length === 0 && <Empty>Nobody is told anything yet.</Empty>}
      <ul className="plain keys">
        {settings.channels.map((one) => (
          <li key={one.channel}>
            <strong>{one.channel}</strong> <span className="number">{one.hint}</span>
            {!one.on && <span className="negative">off: {one.off_reason}</span>}
            {one.failing_since !== null && (
              <span className="negative">failing since {dateTime(one.failing_since)}</span>
            )}
            {one.last_sent_at !== null && <span className="small">last sent {dateTime(one.last_sent_at)}</span>}
            <button type="button" disabled={save.isPending} onClick={() => remove(one.channel)}>
              Forget<span className="visually-hidden"> {one.channel}</span>
            </button>
          </li>
        ))}
      </ul>
      <ChannelForm settings={settings} />
      <TestButton disabled={settings.channels.length === 0} />
      {save.isError && <Failure error={save.error} />}
    </section>
  );
}

/** Write-only: what is typed leaves this page with the request and is kept nowhere in it. */
function ChannelForm({ settings }: { settings: Settings }) {
  const [channel, setChannel] = useState<Channel>(settings.available[0] ?? "webhook");
  const save = useSave();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const entries = [...new FormData(form)].filter(([name]) => name !== "channel");
    const body = kept(settings);
    save.mutate({ ...body, channels: { ...body.channels, [channel]: Object.fromEntries(entries) } });
    form.reset();
  };
  return (
    <form onSubmit={submit} autoComplete="off" aria-label="Add or replace a channel">
      <label>
        Add or replace
        <select name="channel" value={channel} onChange={(event) => setChannel(event.target.value as Channel)}>
          {settings.available.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      {FIELDS[channel].map((field) => (
        <label key={field.name}>
          {field.label}
          <input name={field.name} required autoComplete="off" spellCheck={false} />
        </label>
      ))}
      <button type="submit" className="primary" disabled={save.isPending}>
        {save.isPending ? "Storing …" : "Store"}
      </button>
      {save.isSuccess && (
        <Banner tone="good">
          Stored.
          {save.data.signing_secret && (
            <>
              {" "}
              Your webhook's signing secret, shown this once: <code>{save.data.signing_secret}</code>
            </>
          )}
        </Banner>
      )}
      {save.isError && <Failure error={save.error} />}
    </form>
  );
}

function TestButton({ disabled }: { disabled: boolean }) {
  const test = useAction<Schemas["DeliveriesView"]>(() => unwrap(api.POST("/api/me/notifications/test")));
  return (
    <div className="actions">
      <button type="button" disabled={disabled || test.isPending} onClick={() => test.mutate()}>
        {test.isPending ? "Sending …" : "Send a test"}
      </button>
      {test.isSuccess && <Banner tone="info">On its way. What became of it is in the list below.</Banner>}
      {test.isError && <Failure error={test.error} />}
    </div>
  );
}

function Preferences({ settings }: { settings: Settings }) {
  const save = useSave();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const volume = (name: string) => String(fields.get(name)) as Volume;
    const hour = (name: string) => {
      const text = String(fields.get(name));
      return text === "" ? null : wholeNumber(text);
    };
    save.mutate({
      ...kept(settings),
      trouble: volume("trouble"),
      changes: volume("changes"),
      fills: volume("fills"),
      digest: volume("digest"),
      time_zone: String(fields.get("time_zone")),
      digest_hour: hour("digest_hour") ?? settings.digest_hour,
      quiet_from: hour("quiet_from"),
      quiet_until: hour("quiet_until"),
    });
  };
  return (
    <section className="card" aria-labelledby="what">
      <h2 id="what">What, and when</h2>
      <form onSubmit={submit}>
        {KINDS.map(({ name, label }) => (
          <label key={name} className="parameter">
            {label}
            <select name={name} defaultValue={settings[name]}>
              {Object.entries(VOLUMES).map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </label>
        ))}
        <label className="parameter">
          Time zone
          <input name="time_zone" required defaultValue={settings.time_zone} />
        </label>
        <HourField name="digest_hour" label="Your day comes at" value={settings.digest_hour} />
        <HourField name="quiet_from" label="Quiet hours from" value={settings.quiet_from} optional />
        <HourField name="quiet_until" label="Quiet hours until" value={settings.quiet_until} optional />
        <p className="small">
          Silent messages make no sound, and wait until quiet hours are over. Loud ones never wait.
        </p>
        <button type="submit" className="primary" disabled={save.isPending}>
          {save.isPending ? "Saving …" : "Save"}
        </button>
        {save.isSuccess && <Banner tone="good">Saved.</Banner>}
        {save.isError && <Failure error={save.error} />}
      </form>
    </section>
  );
}

type HourProps = { name: string; label: string; value: number | null; optional?: boolean };

function HourField({ name, label, value, optional = false }: HourProps) {
  return (
    <label className="parameter">
      {label}
      <select name={name} defaultValue={value ?? ""}>
        {optional && <option value="">none</option>}
        {HOURS.map((hour) => (
          <option key={hour} value={hour}>
            {hour}:00
          </option>
        ))}
      </select>
    </label>
  );
}

function Deliveries() {
  const deliveries = useDeliveries();
  const head = (
    <tr>
      {["Time", "To", "Message", "State"].map((name) => (
        <th key={name} scope="col">
          {name}
        </th>
      ))}
    </tr>
  );
  return (
    <section className="card" aria-labelledby="deliveries">
      <h2 id="deliveries">Last messages</h2>
      {deliveries.isPending && <Skeleton lines={5} />}
      {deliveries.isError && <Failure error={deliveries.error} retry={() => void deliveries.refetch()} />}
      {deliveries.data?.deliveries.length === 0 && <Empty>Nothing was sent in the last thirty days.</Empty>}
      {deliveries.data && deliveries.data.deliveries.length > 0 && (
        <Table caption="The newest first" head={head}>
          {deliveries.data.deliveries.map((one) => (
            <tr key={`${one.message_id} ${one.channel}`}>
              <td>{dateTime(one.created_at)}</td>
              <td>{one.channel}</td>
              <td className="wide">
                {one.title} <span className="small">{one.text}</span>
              </td>
              <td>
                {inWords(one.state)}
                {one.error && <span className="negative"> · {one.error}</span>}
              </td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}
