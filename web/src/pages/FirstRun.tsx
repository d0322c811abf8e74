import type { Schemas } from "../api/client";
import type { Session } from "../api/session";

/** Three steps for somebody who has nothing yet. */
export function FirstRun({ overview, session }: { overview: Schemas["OverviewView"]; session: Session }) {
  const steps = [
    {
      name: "Store an exchange key",
      done: overview.has_key,
      href: "#/exchange",
      text:
        session.config.mode === "local"
          ? "On this machine orders go to a simulated exchange. The user demo has a key already."
          : "A key that may trade and may not withdraw. It is tried out, encrypted and never shown again.",
    },
    {
      name: "Set your targets",
      done: overview.strategy !== null,
      href: "#/strategy",
      text: "Which share of the portfolio each asset should have. You see what would happen before you save.",
    },
    {
      name: "Check the account and switch on",
      done: overview.strategy?.autopilot_enabled ?? false,
      href: "#/plan",
      text: "Look at the plan, trade once by hand if you like, then let the autopilot do it.",
    },
  ];
  return (
    <section className="card" aria-labelledby="first-run">
      <h2 id="first-run">Three steps to a balanced portfolio</h2>
      <ol className="steps">
        {steps.map((step) => (
          <li key={step.name} className={step.done ? "done" : undefined}>
            <a href={step.href}>{step.name}</a> {step.done && <span className="badge">done</span>}
            <p className="small">
              {step.text}
              {step.href === "#/exchange" && (
                <>
                  {" "}
                  Or begin without one, <a href="#/paper">on paper</a>: real prices, nobody's money.
                </>
              )}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}
