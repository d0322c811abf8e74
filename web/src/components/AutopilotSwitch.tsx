import { useState } from "react";
import { api, type Schemas, unwrap } from "../api/client";
import { useAction, useCheck } from "../api/queries";
import { CheckList } from "./CheckList";
import { Dialog, Failure, Skeleton } from "./parts";

type Overview = Schemas["OverviewView"];

function switchAutopilot(enabled: boolean) {
  return unwrap(api.PUT("/api/me/strategies/rebalance/autopilot", { body: { enabled } }));
}

/** Off at once; on only after the check of the account, item by item. */
export function AutopilotSwitch({ overview }: { overview: Overview }) {
  const [open, setOpen] = useState(false);
  const off = useAction(() => switchAutopilot(false));
  const on = overview.strategy?.autopilot_enabled ?? false;
  return (
    <>
      <button
        type="button"
        role="switch"
        aria-checked={on}
        className="switch"
        disabled={off.isPending}
        onClick={() => (on ? off.mutate() : setOpen(true))}
      >
        <span className="switch-track" aria-hidden="true" />
        Autopilot {on ? "on" : "off"}
      </button>
      {open && <SwitchOnDialog onClose={() => setOpen(false)} />}
    </>
  );
}

/** For the page that cannot be used while it is on. */
export function AutopilotOffButton() {
  const off = useAction(() => switchAutopilot(false));
  return (
    <>
      <button type="button" disabled={off.isPending} onClick={() => off.mutate()}>
        {off.isPending ? "Switching off …" : "Switch the autopilot off"}
      </button>
      {off.isError && <Failure error={off.error} />}
    </>
  );
}

function SwitchOnDialog({ onClose }: { onClose: () => void }) {
  const check = useCheck(true);
  const switchOn = useAction(() => switchAutopilot(true));
  const ready = check.data?.ready ?? false;
  const action = !switchOn.isSuccess && (
    <button
      type="button"
      className="primary"
      disabled={!ready || switchOn.isPending || check.isFetching}
      onClick={() => switchOn.mutate()}
    >
      {switchOn.isPending ? "Switching on …" : "Switch the autopilot on"}
    </button>
  );
  return (
    <Dialog title="Switch the autopilot on" onClose={onClose} actions={action}>
      {switchOn.isSuccess ? (
        <p role="status">The autopilot is on. It looks at your portfolio every 30 seconds.</p>
      ) : (
        <p>From then on it places and cancels orders by itself, until you switch it off or press Stop.</p>
      )}
      {check.isPending && <Skeleton lines={8} />}
      {check.isError && <Failure error={check.error} retry={() => void check.refetch()} />}
      {check.data && !switchOn.isSuccess && <CheckList check={check.data} />}
      {switchOn.isError && <Failure error={switchOn.error} />}
    </Dialog>
  );
}
