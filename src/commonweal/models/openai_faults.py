"""What to make of an answer that is no completion: try again, wait, or say why not."""

from __future__ import annotations

import re

from commonweal.models.openai_parameters import TOO_LONG
from commonweal.models.openai_wire import Answer, Failure, hint_at_path

_LOADING = re.compile(
    r"\bloading\b|being loaded|warm(ing)? ?up|starting up|still starting|initiali[sz]ing|not ready"
    r"|not yet ready|estimated_time|cold start|wird geladen|加载",
    re.IGNORECASE,
)
_NOT_LOADED = re.compile(
    r"\berror (?:while |when )?loading"
    r"|\b(?:fail\w*|unable|could ?n[o']t|cannot|can't) (?:to )?(?:be )?load"
    r"|requires more (?:system )?memory"
    r"|model\b.{0,80}\b(?:not found|does not exist|is unknown)",
    re.IGNORECASE,
)
"""What no waiting mends, whatever the status says."""
_NO_CREDIT = re.compile(
    r"insufficient.?(quota|balance|credit|funds)|billing|exceeded your (current )?quota"
    r"|out of credit|credit balance|payment|余额",
    re.IGNORECASE,
)
_LOADS_NOW = re.compile(
    r"\b(?:is|are|still|currently|now) (?:being )?load(?:ed|ing)\b|\bloading (?:the )?model",
    re.IGNORECASE,
)
PASSING = (408, 425, 429)
FOR_GOOD = (501, 505, 511)
"""Of the statuses from 500 on those that no repetition betters."""

ERROR_IN_200_ATTEMPTS = 2


def passing_fault(answer: Answer, *, has_answered: bool) -> Failure | None:
    """The fault, where the same request may go better later; None where it will not.

    Args:
        answer: what the server sent.
        has_answered: whether it has given completions before: a 200 without one is then an
            accident, and before the first one it is the wrong server or URL.
    """
    status = answer.status
    in_200 = 200 <= status < 300
    if in_200:
        if answer.body is None and not answer.is_page:
            return Failure(f"the answer is not JSON, or cut off: {answer.message}")
        status = answer.inner_status if answer.is_error else 0
    what = f"HTTP {status}: {answer.message}"
    if status >= 500 and _NOT_LOADED.search(answer.message):
        return None
    is_told = _LOADS_NOW.search(answer.error_text) and not _NOT_LOADED.search(answer.message)
    may_load = status >= 500 or status in (202, 409, 423, *PASSING)
    if (may_load and _LOADING.search(answer.error_text)) or (status in (400, 404, 503) and is_told):
        return Failure(what, answer.retry_after_seconds, is_loading=True)
    if status >= 500 and TOO_LONG.search(answer.error_text):
        return None
    # Limits a minute are told in the same words, with a wait.
    has_no_credit = _NO_CREDIT.search(answer.error_text) and not answer.retry_after_seconds
    if status in FOR_GOOD or (status == 429 and has_no_credit):
        return None
    if status in PASSING or status >= 500:
        what = f"HTTP {answer.status} with the error {status}: {answer.message}" if in_200 else what
        most = ERROR_IN_200_ATTEMPTS if in_200 else 0
        return Failure(what, answer.retry_after_seconds, most)
    if in_200 and has_answered:
        return Failure(f"HTTP {answer.status} without a completion: {answer.message}")
    return None


def may_be_about_parameters(answer: Answer) -> bool:
    """Whether the server finds fault with the request, and not with the prompt's length."""
    status = answer.inner_status if answer.is_error and answer.status < 300 else answer.status
    is_else = TOO_LONG.search(answer.error_text) or _LOADS_NOW.search(answer.error_text)
    return status in (400, 422) and not is_else


def refusal(answer: Answer, *, base_url: str, model: str, key_was_sent: bool, keys: str) -> str:
    """What to tell the user of an answer that no repetition would better, with the server's words.

    Args:
        answer: what the server sent.
        base_url: where it was asked.
        model: the model's name on that server.
        key_was_sent: whether a key went with the request.
        keys: the names of the variables that may hold one.
    """
    is_cut = answer.message.endswith("...")
    message = answer.message if is_cut else answer.message.rstrip(".")
    hint = hint_at_path(base_url)
    status = answer.status
    if 200 <= status < 300:
        kind = "an error" if answer.is_error else "a page" if answer.is_page else "no completion"
        if kind == "no completion":
            message = f"{_shape(answer)}: {message}"
        hint = hint or f"Is {base_url} a chat-completions server?"
        return f"HTTP {status} with {kind}: {message}. {hint}"
    if 300 <= status < 400:
        message = f"a redirect to {answer.location}. Redirects are not followed: check that URL, "
        message += "and give it yourself if it is the right one"
    elif status in (401, 403, 407):
        message = (
            f"the key was refused: {message}" if key_was_sent else f"no key was sent: {message}"
        )
        message += f". Set {keys} to a key that this server takes"
    elif status in (402, 429):
        message += ". The account has no credit or quota left for it"
    elif status in (404, 405):
        message += (
            f". Either the server has no model {model!r} (GET {base_url}/models lists those it "
        )
        message += f"has), or the URL is wrong: {base_url}/chat/completions"
        message += f". {hint}" if hint else ""
    elif TOO_LONG.search(answer.error_text):
        message = (
            f"the prompt and its answer do not fit the model's context: {message}. Give fewer "
        )
        message += "or shorter opinions, a lower max_tokens, or serve the model with more context"
    elif status in (400, 422):
        message += ". Add what else the server needs as #MODEL?body.NAME=VALUE (docs/servers.md)"
    return f"HTTP {status}, {message}"


def _shape(answer: Answer) -> str:
    body = answer.body
    if isinstance(body, dict) and "choices" in body and not body["choices"]:
        return "its choices are empty"
    return "it has no choices[0].message.content"
