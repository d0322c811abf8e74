"""Computes logged decisions again with today's engine. A decision carries everything that takes."""

from collections.abc import Iterator
from typing import Any

from botbalance import engine
from botbalance.errors import InvalidRequestError
from botbalance.models.decision import Decision, DecisionInputs
from botbalance.trading.rebalance import evaluate_inputs, review_inputs
from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python


class Replay(BaseModel, frozen=True):
    """A decision computed again. ``differences`` are lines of ``where: logged → today``, none where nothing differs."""

    user_id: str
    ts_tick: int
    outcome: str
    reason: str | None
    engine_then: str
    engine_today: str
    differences: list[str]


def read_decision(document: str | dict[str, Any]) -> Decision:
    """A decision as the API answers it, as text or read already; raises InvalidRequestError for anything else."""
    try:
        if isinstance(document, str):
            return Decision.model_validate_json(document)
        return Decision.model_validate(document)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"])) or "the document"
        raise InvalidRequestError(
            "decision", f"{where}: {found['msg']}; expected a decision as the API answers it"
        ) from None


def replay(decision: Decision) -> Replay:
    """Compute ``decision`` again; one that was skipped had no inputs, and so has nothing to differ in.

    Raises InvalidRequestError for inputs that are not such as a decision logs.
    """
    return Replay(
        user_id=decision.user_id,
        ts_tick=decision.ts_tick,
        outcome=decision.outcome,
        reason=decision.reason,
        engine_then=decision.engine_version,
        engine_today=engine.VERSION,
        differences=[] if decision.inputs is None else _differences(decision, decision.inputs),
    )


def _differences(decision: Decision, logged_inputs: dict[str, Any]) -> list[str]:
    try:
        inputs = DecisionInputs.model_validate(logged_inputs)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors())
        raise InvalidRequestError("decision_inputs", f"inputs are not those of a decision: {wrong}") from None
    evaluation = evaluate_inputs(inputs)
    cancels = review_inputs(inputs, evaluation)
    logged = {"evaluation": decision.evaluation, "canceled": decision.canceled}
    today: dict[str, Any] = to_jsonable_python({"evaluation": evaluation, "canceled": cancels})
    if decision.engine_version != engine.VERSION and decision.evaluation is not None:
        logged["evaluation"], today["evaluation"] = _comparable(decision.evaluation, today["evaluation"])
    return list(_compare("", logged, today))


def _comparable(logged: dict[str, Any], today: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An evaluation by another version of the engine, and today's: what was decided, as far as both say it.

    Warnings are advice, which other versions give in other cases and words. What only one version reports, like the
    band of a decision, cannot differ; orders, amounts and reasons are in every version.
    """

    def known(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in now.items() if name in then}

    def of_one(evaluation: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        common = known(evaluation, other)
        common.pop("warnings", None)
        for name in ("rows", "actions"):
            pairs = zip(common.get(name, []), other.get(name, []), strict=False)
            if len(common.get(name, [])) == len(other.get(name, [])):
                common[name] = [known(now, then) for now, then in pairs]
        return common

    return of_one(logged, today), of_one(today, logged)


def _compare(where: str, logged: Any, today: Any) -> Iterator[str]:
    if logged == today:
        return
    if isinstance(logged, dict) and isinstance(today, dict):
        for name in sorted(logged.keys() | today.keys()):
            yield from _compare(f"{where}.{name}".lstrip("."), logged.get(name), today.get(name))
    elif isinstance(logged, list) and isinstance(today, list) and len(logged) == len(today):
        for index, (before, now) in enumerate(zip(logged, today, strict=True)):
            yield from _compare(f"{where}[{index}]", before, now)
    else:
        yield f"{where}: {logged} → {today}"
