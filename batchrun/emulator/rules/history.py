"""Steps that come back: function results belong to calls, calls to signed thoughts, signatures to their steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batchrun.emulator import samples
from batchrun.emulator.envelopes import invalid, refuse
from batchrun.emulator.rules.steps import Step
from batchrun.emulator.signatures import calls_signed, fits, is_emulated, step_signed


@dataclass(frozen=True, slots=True)
class Trust:
    """What a history may be. `foreign`: with signatures that no emulator made. `unsigned`: calls without thoughts."""

    foreign: bool = False
    unsigned: bool = False


def check_history(steps: list[Step], trust: Trust, *, signed_calls: bool) -> None:
    """`signed_calls`: the model wants a signed thought before a function call of the running turn."""
    if len(steps) == 1 and steps[0]["type"] == "user_input":
        return
    _check_signatures(steps, trust)
    turn = _running_turn(steps)
    if signed_calls and not trust.unsigned:
        _check_thoughts(turn)
    if any(step["type"] == "function_call" for step in turn):
        _check_pairs(turn)


def check_results(pending: Iterable[Step], steps: list[Step]) -> None:
    """Function results that continue an interaction must answer its calls, all of them."""
    calls = [step["id"] for step in pending if step["type"] == "function_call"]
    given = [step["call_id"] for step in steps if step["type"] == "function_result"]
    if given and calls:
        _check_answered(calls, given)


def _running_turn(steps: list[Step]) -> list[Step]:
    """What came after the user's last words."""
    last = max((index for index, step in enumerate(steps) if step["type"] == "user_input"), default=-1)
    return steps[last + 1 :]


def _check_signatures(steps: list[Step], trust: Trust) -> None:
    for index, step in enumerate(steps):
        signature = step.get("signature")
        if not isinstance(signature, str) or signature == samples.SIGNATURE or step["type"] == "function_call":
            continue
        signed = calls_signed(_led_to(steps[index + 1 :])) if step["type"] == "thought" else step_signed(step)
        if not fits(signature, signed) and (is_emulated(signature) or not trust.foreign):
            raise invalid(
                f"Invalid value at 'input[{index}].signature': it was not made for this step here. "
                "Send steps back exactly as they came."
            )


def _led_to(steps: list[Step]) -> list[Step]:
    """The function calls after a thought, up to the next thought, input or result."""
    calls = []
    for step in steps:
        if step["type"] in ("thought", "user_input", "function_result"):
            break
        if step["type"] == "function_call":
            calls.append(step)
    return calls


def _check_thoughts(turn: list[Step]) -> None:
    thought = False
    for step in turn:
        if step["type"] == "function_call" and not thought:
            raise refuse("missing_thought_signature", f"Function call {step['id']!a} is missing a thought signature.")
        thought = step["type"] in ("thought", "function_call") or (thought and step["type"] != "function_result")


def _check_pairs(turn: list[Step]) -> None:
    calls = [step["id"] for step in turn if step["type"] == "function_call"]
    given = [step["call_id"] for step in turn if step["type"] == "function_result"]
    _check_answered(calls, given)


def _check_answered(calls: list[str], given: list[str]) -> None:
    if unknown := [name for name in given if name not in calls]:
        raise invalid(f"Function result {unknown[0]!a} answers no function call.")
    if missing := [name for name in calls if name not in given]:
        raise invalid(f"Function call {missing[0]!a} has no result: every call needs one.")
