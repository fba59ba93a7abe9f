"""What a model thinks aloud, set apart from what it means to say.

Models that reason before they answer mark the reasoning in ways of their own, and whether a server
takes the marks out depends on how it was started. So the marks are known by what they say, not by a
list of models: a bracketed word for thinking opens or closes reasoning, one for answering opens or
closes the answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = [
    "Parted",
    "cut_at_stops",
    "has_line_stop",
    "is_opened_before",
    "opening_at_the_end",
    "set_apart",
    "without_lead_in",
]

_THINKING = (
    r"think|thinking|thinks|thought|thoughts|reason|reasoning|reasonings|analysis|analyze|analyse"
    r"|reflect|reflection|scratchpad|deliberation|monologue|cot|inner"
)
_ANSWERING = r"answer|response|reply|solution|final|output|content|box|statement"
_ENDING = r"end|close|stop|suffix"

# <think>, </think>, <seed:think>, [THINK], [/THINK], ◁think▷, <|START_THINKING|>,
# <|end_of_thought|>, <thinking effort="high">, [BEGIN FINAL RESPONSE]. In square brackets capitals
# or a slash only: the words of an answer may stand in them.
_MARK = re.compile(
    r"(?P<open></?\||<｜|<|◁|＜|\[(?=/|[A-Z_ ]+\])|\{(?=/?think))"
    r"(?P<slash>(?:/ ?)?)(?P<name>[A-Za-z][\w:▁ -]{0,39}?)(?P<more>\s[^<>\n]{0,80}=[^<>\n]{0,80})?"
    r"(?P<close>/?\|>|/?｜>|/?>|▷|＞|\]|\})"
)
_WORD = re.compile(r"[^\W_▁]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")  # <antThinking>
_ESCAPED = re.compile(r"&lt;(/?[\w:]{2,40})&gt;")
_FENCED = re.compile(
    rf"\s*(```|~~~)(?:{_THINKING})[^\S\n]*\n(.*?)\n[^\S\n]*\1[^\S\n]*(?:\n|\Z)",
    re.DOTALL | re.IGNORECASE,
)

_NOTHING = re.compile(rf"<(?:{_THINKING})\s*/>", re.IGNORECASE)  # <think/>
_SPECIAL = {"<unused94>": "<think>", "<unused95>": "</think>"}  # MedGemma's
_DETAILS = re.compile(
    r"<details\b[^<>]*\breasoning\b[^<>]*>.*?(?:</details>|\Z)", re.DOTALL | re.IGNORECASE
)

_TITLE = r"(?:(?:reasoning|thinking|thought)(?: process| steps?)?|thoughts|chain of thought)"
_HEADING, _HEADED = r"(?:\*\*|__|#{1,6}\s+)", r":?(?:\*\*|__)?:?[^\S\n]*\n"

_RESPONSE = re.compile(
    r"[*#]*here (?:is|'s) my (?:final )?(?:response|answer)\s*:[*]*", re.IGNORECASE
)

# Where reasoning is told apart in plain words, at the very beginning: opening, what ends it, and
# whether the opening alone is enough.
_PHRASES = (
    (
        re.compile(
            r"[\s*#]*here (?:is|are|'s) my (?:thought process|reasoning steps)\s*:", re.IGNORECASE
        ),
        _RESPONSE,
        True,
    ),
    # So may an answer begin.
    (
        re.compile(r"[\s*#]*here (?:is|are|'s) my (?:reasoning|thoughts?)\s*:", re.IGNORECASE),
        _RESPONSE,
        False,
    ),
    (
        re.compile(r"\s*thinking(?:\.\.\.|…)\s*\n", re.IGNORECASE),
        re.compile(r"\n\s*(?:\.\.\.|…)\s*done thinking\.?", re.IGNORECASE),
        True,
    ),
    (re.compile(r"\s*analysis(?=[A-Z])"), re.compile(r"assistant\s*final(?=\W|[A-Z])"), True),
    (
        re.compile(r"\s*(?:analysis|commentary)\b"),
        re.compile(r"assistant\s*final(?=\W|[A-Z])"),
        False,
    ),
    (
        re.compile(rf"\s*{_HEADING}{_TITLE}{_HEADED}", re.I),
        re.compile(
            rf"\n\s*{_HEADING}(?:(?:my )?final )?(?:answer|response|statement|output){_HEADED}",
            re.I,
        ),
        False,
    ),
    (
        re.compile(rf"[\s*#_]*{_TITLE}[*_]*\s*:", re.IGNORECASE),
        re.compile(
            r"\n[\s*#_]*(?:(?:my )?final )?(?:answer|response|statement|output)\s*:[*_]*",
            re.IGNORECASE,
        ),
        False,
    ),
)
# "Thinking..." with the reasoning quoted below it, as some chat front ends write it.
_QUOTED = re.compile(
    r"\s*[*_>\s]*(?:thinking|thought|reasoning)\b[^\n]*\n(?:[ \t]*\n)*[ \t]*>[^\n]*\n"
    r"(?:[ \t]*(?:>[^\n]*)?\n)*",
    re.IGNORECASE,
)

_CHANNEL = re.compile(
    r"(?:<[|｜]channel[|｜]?>|<channel>)\s*([A-Za-z_]+)(?:<[|｜]?/channel[|｜]?>)?"
)
_MESSAGE = re.compile(r"^(?:[^<\n]|<[|｜]constrain[|｜]>){0,80}<[|｜]message[|｜]?>")
_MARKUP = (
    r"(?:<\|[^|<>\n]{1,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[\|[^|\]\n]{1,40}\|\]|</?s>"
    r"|<(?:eos|bos|pad|end_of_turn)>)"
)
# The header of the assistant's turn, with its tokens or without.
_TOKENS_BEFORE = re.compile(
    rf"^(?:(?:\s*{_MARKUP})+(?:\s*assistant\b:?)?)+|^\s*assistant[^\S\n]*\n+", re.IGNORECASE
)
_TOKENS_AFTER = re.compile(rf"(?:{_MARKUP}\s*)+$", re.IGNORECASE)


class Parted(NamedTuple):
    """A model's text in its two parts.

    Attributes:
        reasoning: what it thought, marks left out; "" where it marked none.
        answer: what is left.
        is_open: whether the reasoning did not end, so that no answer was begun.
    """

    reasoning: str
    answer: str
    is_open: bool


class _Mark(NamedTuple):
    start: int
    end: int
    what: Literal["thinking", "answering"]
    closes: bool


def set_apart(text: str) -> Parted:
    """The text's reasoning and answer.

    A text without any mark stays as it is, to the last blank. Where only a closing mark stands (the
    prompt held the opening one), all before it is reasoning; where one opens and none closes, all
    after it is.

    Example:
        >>> set_apart("<think>They differ.</think> We want buses.")
        Parted(reasoning='They differ.', answer='We want buses.', is_open=False)
    """
    original = text
    for token, mark in _SPECIAL.items():
        text = text.replace(token, mark)
    if any(_kind(name.lstrip("/")) == "thinking" for name in _ESCAPED.findall(text)):
        text = _ESCAPED.sub(r"<\1>", text)
    text = _NOTHING.sub("", text)
    details = _DETAILS.findall(text)
    text = _DETAILS.sub("", text) if details else text
    if (fenced := _FENCED.match(text)) and text[fenced.end() :].strip():
        details, text = [*details, fenced[2]], text[fenced.end() :]
    parted = _channels(text) or _phrases(text) or _marks(text)
    thoughts = [" ".join(re.sub(r"<[^>]*>", " ", each).split()) for each in details]
    reasoning = "\n".join([*thoughts, *([parted.reasoning] if parted.reasoning else [])])
    answer = _bare(parted.answer)
    is_untouched = not parted.is_open and answer == original.strip()
    return Parted(reasoning, original if is_untouched else answer, parted.is_open)


def is_opened_before(text: str) -> bool:
    """Whether the text begins within reasoning: a mark ends it, and none opens it."""
    marks = [mark for mark in _marks_in(text) if mark.what == "thinking"]
    return bool(marks) and marks[0].closes


def opening_at_the_end(prompt: str) -> str:
    """The mark with which a prompt opens the reasoning; "" where it opens none.

    Example:
        >>> opening_at_the_end("<|assistant|><think>"), opening_at_the_end("<think></think>")
        ('<think>', '')
    """
    last = next(iter(_marks_in(prompt[-200:])[-1:]), None)
    if last is None or last.what != "thinking" or last.closes or prompt[-200:][last.end :].strip():
        return ""
    return prompt[-200:][last.start : last.end]


def _channels(text: str) -> Parted | None:
    """As gpt-oss writes: ``<|channel|>analysis<|message|>...<|channel|>final<|message|>...``."""
    marks = list(_CHANNEL.finditer(text))
    if not marks:
        return None
    thoughts, answers = [text[: marks[0].start()]], []
    ends = [*(each.start() for each in marks[1:]), len(text)]
    for each, end in zip(marks, ends, strict=True):
        body = _MESSAGE.sub("", text[each.end() : end])
        body = re.split(r"<[|｜](?:end|return|call|start)[|｜]>", body)[0]
        if re.fullmatch(_ANSWERING, each[1], re.IGNORECASE):
            answers.append(body)
        elif "<channel|>" in body:  # closed, and the answer follows without a channel
            thought, _, answer = body.partition("<channel|>")
            thoughts.append(thought)
            answers.append(answer)
        else:
            thoughts.append(body)
    reasoning = "\n".join(filter(None, (_bare(each) for each in thoughts)))
    return Parted(reasoning, "".join(answers).strip(), not answers)


def _phrases(text: str) -> Parted | None:
    for opening, closing, is_enough in _PHRASES:
        if not (opened := opening.match(text)):
            continue
        rest = text[opened.end() :]
        if closed := closing.search(rest):
            return Parted(rest[: closed.start()].strip(), rest[closed.end() :].strip(), False)
        if is_enough:
            inner = _marks(rest)  # the words open it, and a mark may end it
            return inner if inner.answer and inner.reasoning else Parted(rest.strip(), "", True)
    if (quoted := _QUOTED.match(text)) and text[quoted.end() :].strip():
        return Parted(quoted[0].strip(), text[quoted.end() :].strip(), False)
    return None


def _marks(text: str) -> Parted:
    thoughts: list[str] = []
    pieces: list[str] = []
    at = 0
    is_thinking = is_answering = False
    for mark in _marks_in(text):
        piece, at = text[at : mark.start], mark.end
        if mark.what == "thinking":
            if mark.closes and not is_thinking:  # the prompt opened it
                thoughts += pieces
                pieces = []
            is_kept = not is_thinking and not mark.closes
            (pieces if is_kept else thoughts).append(piece)
            is_thinking = not mark.closes
        elif not mark.closes:  # what stands before the answer's mark leads up to it
            thoughts += [*pieces, piece]
            pieces, is_thinking, is_answering = [], False, True
        elif is_thinking:  # it answered without a word that the thinking is over
            thoughts.append(piece)
            is_thinking = False
        elif is_answering or piece.strip():
            pieces.append(piece)
            at = len(text)  # what follows the answer's end is none of it
            break
    (thoughts if is_thinking else pieces).append(text[at:])
    reasoning = "\n".join(filter(None, (each.strip() for each in thoughts)))
    return Parted(reasoning, "".join(pieces).strip(), is_thinking)


def _marks_in(text: str) -> list[_Mark]:
    marks: list[_Mark] = []
    for match in _MARK.finditer(text):
        closes = "/" in match["open"] + match["slash"]
        closes = closes or any(re.fullmatch(_ENDING, word) for word in _words(match["name"]))
        if kind := _kind(match["name"]):
            mark = _Mark(*match.span(), kind, closes)
            is_word = match["open"] == "[" and kind == "answering"
            if not is_word or _stands_apart(mark, text, marks):
                marks.append(mark)
    return marks


def _stands_apart(mark: _Mark, text: str, before: Sequence[_Mark]) -> bool:
    """Whether a mark about answering is none of the answer's words, as in "a [FINAL] decision".

    It begins a line, follows a mark or open reasoning; a closing one follows an opening one or ends
    the text.
    """
    if not text[text.rfind("\n", 0, mark.start) + 1 : mark.start].strip():
        return True
    if mark.closes:
        return any(each.what == "answering" for each in before) or not text[mark.end :].strip()
    last = before[-1] if before else None
    return last is not None and (
        (last.what == "thinking" and not last.closes) or not text[last.end : mark.start].strip()
    )


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(_HUMP.sub(" ", name))]


def _kind(name: str) -> Literal["thinking", "answering"] | None:
    """What a mark of this name is about; None where it is about neither."""
    words = _words(name)
    if any(re.fullmatch(_THINKING, word) for word in words):
        return "thinking"
    if any(re.fullmatch(_ANSWERING, word) for word in words):
        return "answering"
    return None


def _bare(text: str) -> str:
    """The text without the tokens of a chat template at its ends, which some servers leave in."""
    return _TOKENS_AFTER.sub("", _TOKENS_BEFORE.sub("", text)).strip()


# ------------------------------------------------------------------------------------------ stops

_LEAD_IN = re.compile(r"[:：﹕]['\"”*_]*\s*$")
_ONLY_MARKUP = re.compile(r"^[\W_]*$|^#{1,6} |^```\w*$")
_LABEL = re.compile(r"^(?:\*\*|__)[^*_\n]{1,60}?(?::(?:\*\*|__)|(?:\*\*|__):)\s*(?=\S)")
_BOLD = re.compile(r"^(\*\*|__|\*|_|`)(?!\1)(.+?)(?<!\\)\1$")


def has_line_stop(stops: Sequence[str]) -> bool:
    """Whether one of the stop strings is the end of a line: the answer is then one line."""
    return any(stop and not stop.strip() for stop in stops)


def cut_at_stops(answer: str, stops: Sequence[str]) -> tuple[str, bool]:
    r"""The answer up to the first stop string, and whether one was found.

    Where the stop is the end of a line, blank lines, a line that only leads in ("Here is one:"), a
    heading and marks around the whole line are no answer: the first line that is one counts.

    Example:
        >>> cut_at_stops("Here is one statement:\n\n**We want buses.**\nShall I go on?", ["\n"])
        ('We want buses.', True)
    """
    is_cut = False
    if has_line_stop(stops):
        answer, is_cut = _first_line(
            answer, min((s for s in stops if s and not s.strip()), key=len)
        )
    places = [answer.find(stop) for stop in stops if stop.strip() and stop in answer]
    return (answer[: min(places)], True) if places else (answer, is_cut)


def without_lead_in(text: str) -> str:
    r"""The text from its first paragraph on that says something.

    Example:
        >>> without_lead_in("Sure! Here is one:\n\n**We want buses.**")
        'We want buses.'
    """
    paragraphs = re.split(r"\n[^\S\n]*\n\s*", text.strip())
    at = 0
    while at < len(paragraphs) - 1 and "\n" not in (one := paragraphs[at]) and _is_no_answer(one):
        at += 1
    if at == 0:
        return text
    first = paragraphs[at]
    if (bold := _BOLD.match(first)) and bold[1] not in bold[2]:
        first = bold[2]
    return "\n\n".join([first, *paragraphs[at + 1 :]])


def _first_line(text: str, end: str) -> tuple[str, bool]:
    lines = [line.strip() for line in text.strip().split(end)]
    at = 0
    while at < len(lines) - 1 and _is_no_answer(lines[at]):
        at += 1
    if at == len(lines) - 1 and _is_no_answer(lines[at]):
        at = next((i for i, line in enumerate(lines) if line), at)  # nothing but lead-ins: as it is
    line = lines[at]
    if label := _LABEL.match(line):
        line = line[label.end() :]
    if bold := _BOLD.match(line):
        line = bold[2] if bold[1] not in bold[2] else line
    return line, at < len(lines) - 1


def _is_no_answer(line: str) -> bool:
    return not line or bool(_LEAD_IN.search(line) or _ONLY_MARKUP.search(line))
