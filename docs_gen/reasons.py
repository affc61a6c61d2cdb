"""docs/reasons.md: every reason with its meaning and remedy, and every exit code."""

import ast
import inspect

from docs_gen.fields import code, markdown_table
from tweetbot_api.conditions import EXPLANATIONS, ConditionType, Reason
from tweetbot_api.exitcodes import ExitCode, is_retryable

INTRODUCTION = """\
# Reasons, and what to do about each

Generated from [`conditions.py`](../api/tweetbot_api/conditions.py) and
[`exitcodes.py`](../api/tweetbot_api/exitcodes.py) by `make generate`.

A reason stands on the bot's conditions, on its Events and in `status.failure`; `kubectl describe tweetbot NAME` shows
all three, with a message that names the object or field at fault. They stay after pod, node and Job are gone.
"""


def render_reasons() -> str:
    """Return the page."""
    reasons = markdown_table(
        ("Reason", "Meaning", "What to do", "Exit code"), (_reason_row(reason) for reason in Reason)
    )
    texts = member_docstrings(ExitCode)
    exit_codes = markdown_table(
        ("Code", "Meaning", "Tried again"),
        ((str(int(item)), texts[item.name], _tried_again(item)) for item in ExitCode),
    )
    return "\n".join(
        (
            INTRODUCTION,
            f"## Reasons\n\n{reasons}",
            f"## Conditions\n\n{CONDITIONS.format(*(code(kind) for kind in ConditionType))}",
            f"## Exit codes of the trainer\n\n{exit_codes}",
            AFTER_EXIT_CODES,
        )
    )


def member_docstrings(enum: type) -> dict[str, str]:
    """Return the string below each member of an enum, which Python itself does not keep."""
    (definition,) = ast.parse(inspect.getsource(enum)).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - the source of a class is a class
    texts = {}
    for member, below in zip(definition.body, definition.body[1:], strict=False):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = " ".join(text.split())
    return texts


def _reason_row(reason: Reason) -> tuple[str, str, str, str]:
    explanation = EXPLANATIONS[reason]
    exit_code = "" if explanation.exit_code is None else str(int(explanation.exit_code))
    return code(reason), explanation.meaning, explanation.remedy, exit_code


def _tried_again(exit_code: ExitCode) -> str:
    if exit_code is ExitCode.OK:
        return ""
    return "yes" if is_retryable(exit_code) else "no"


CONDITIONS = """\
Conditions are what tools read: {0}, {1} and {2} as kstatus does (Flux, `helm --wait`), {3} or {4} at the end. {1} and
{2} are present only while they are true.

```console
$ kubectl wait tweetbot/thisisaito --for=condition=Complete --timeout=1h
```
"""

AFTER_EXIT_CODES = """\
Other codes are the system's: 137 is SIGKILL (most often out of memory), 143 is SIGTERM. They are tried again, up to
`spec.maxAttempts` times in all. A pod that a drain or preemption took away does not end the Job.
"""
