"""Reasoning set apart from answers, in every notation that was seen; lines cut in the engine."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.models.reasoning import (
    cut_at_stops,
    is_opened_before,
    opening_at_the_end,
    set_apart,
)
from commonweal.types import Sampling

SAID = "We want buses that run on time [in the evening, too]."
THOUGHT = "Okay, they differ.\nMost want <b>cheaper</b> buses."

NOTATIONS = {
    "tags": f"<think>\n{THOUGHT}\n</think>\n\n{SAID}",
    "longer tags": f"<thinking>{THOUGHT}</thinking>{SAID}",
    "another word": f"<reasoning>{THOUGHT}</reasoning>\n{SAID}",
    "thought": f"<thought>\n{THOUGHT}</thought>{SAID}",
    "capitals": f"<THINK>{THOUGHT}</THINK>{SAID}",
    "attributes": f'<thinking effort="high" n="3">{THOUGHT}</thinking>{SAID}',
    "a name before": f"<seed:think>{THOUGHT}</seed:think>{SAID}",
    "a model's own tag": f"<longcat_think>{THOUGHT}</longcat_think>{SAID}",
    "square brackets": f"[THINK]{THOUGHT}[/THINK]{SAID}",
    "triangles": f"◁think▷{THOUGHT}◁/think▷{SAID}",
    "wide brackets": f"＜think＞{THOUGHT}＜/think＞{SAID}",
    "tokens": f"<|START_THINKING|>{THOUGHT}<|END_THINKING|>"
    f"<|START_RESPONSE|>{SAID}<|END_RESPONSE|>",
    "tokens with words": f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>\n\n"
    f"<|begin_of_solution|>\n{SAID}\n<|end_of_solution|>",
    "a name in humps": f"<antThinking>{THOUGHT}</antThinking>{SAID}",
    "escaped": f"&lt;think&gt;{THOUGHT}&lt;/think&gt;\n{SAID}",
    "a fence": f"```thinking\n{THOUGHT}\n```\n{SAID}",
    "a turn's header": f"<thought>\n{THOUGHT}\n</thought>\n\n[|assistant|]{SAID}",
    "a channel with its form": f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
    f"<|channel|>final <|constrain|>json<|message|>{SAID}",
    "channels as tags": f"<channel>analysis</channel>{THOUGHT}<channel>final</channel>{SAID}",
    "channels in wide bars": f"<｜channel｜>analysis<｜message｜>{THOUGHT}<｜end｜>"
    f"<｜channel｜>final<｜message｜>{SAID}",
    "channels without their marks, on lines": f"analysis\n{THOUGHT}\n\nassistantfinal\n\n{SAID}",
    "a process": f"Thinking Process:\n\n1. {THOUGHT}\n\nFinal Output:\n{SAID}",
    "a process that a mark ends": f"Thinking Process:\n\n1. {THOUGHT}\n</think>\n\n{SAID}",
    "turns": f"<|begin|>assistant<|think|>{THOUGHT}<|end|><|begin|>assistant<|content|>{SAID}"
    "<|end|>",
    "inner": f"<|inner_prefix|>{THOUGHT}<|inner_suffix|>{SAID}",
    "unused tokens": f"<unused94>thought\n{THOUGHT}<unused95>{SAID}",
    "channels": f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final"
    f"<|message|>{SAID}<|return|>",
    "channels without messages": f"<|channel|>analysis {THOUGHT}<|channel|>final {SAID}",
    "three channels": f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>"
    f"commentary<|message|>Now.<|end|><|start|>assistant<|channel|>final<|message|>{SAID}",
    "the first channel's mark gone": f"{THOUGHT}<|end|><|start|>assistant<|channel|>final"
    f"<|message|>{SAID}",
    "channels without their marks": f"analysisThey differ. {THOUGHT}assistantfinal{SAID}",
    "a channel that closes": f"<|channel>thought\n{THOUGHT}<channel|>{SAID}",
    "closed only": f"{THOUGHT}\n</think>\n\n{SAID}",
    "closed only, square": f"{THOUGHT}[/THINK]{SAID}",
    "closed twice": f"{THOUGHT}</think>Wait.</think>{SAID}",
    "opened twice": f"<think>{THOUGHT}<think>again</think>{SAID}",
    "closed by another": f"<think>{THOUGHT}</thinking>{SAID}",
    "two blocks": f"<think>{THOUGHT}</think><think>Once more.</think>{SAID}",
    "answer in tags": f"<think>{THOUGHT}</think>\n<answer>\n{SAID}\n</answer>",
    "answer in tags alone": f"{THOUGHT}\n<answer>{SAID}</answer>\nDone.",
    "answer without the end of thinking": f"<think>{THOUGHT}<answer>{SAID}</answer>",
    "details": f'<details type="reasoning" done="true">\n<summary>Thought for 2 s</summary>\n'
    f"> {THOUGHT}\n</details>\n{SAID}",
    "in words": f"Here is my thought process: {THOUGHT}\n\nHere is my response: {SAID}",
    "steps in words": f"Here are my reasoning steps:\n{THOUGHT}\n[BEGIN FINAL RESPONSE]\n{SAID}\n"
    "[END FINAL RESPONSE]",
    "thoughts in words": f"Here are my thoughts: {THOUGHT}\n\nHere is my answer: {SAID}",
    "an answer's mark in open reasoning": f"<think>{THOUGHT} [BEGIN FINAL RESPONSE] {SAID}"
    "[END FINAL RESPONSE]",
    "an answer's mark behind the reasoning": f"<think>{THOUGHT}</think> [FINAL] {SAID}",
    "as a terminal shows it": f"Thinking...\n{THOUGHT}\n...done thinking.\n\n{SAID}",
    "quoted": f"*Thinking...*\n\n> They differ.\n> Most want buses.\n\n{SAID}",
    "headings alone": f"**Thinking**\n\n{THOUGHT}\n\n**Answer**\n\n{SAID}",
    "headings of another kind": f"## Reasoning\n{THOUGHT}\n\n## Final answer\n{SAID}",
    "commentary": f"commentary to=none They differ.assistantfinal{SAID}",
    "blanks in the mark": f"{THOUGHT}\n</ think >\n{SAID}",
    "headings": f"**Reasoning:**\n{THOUGHT}\n\n**Final answer:**\n{SAID}",
}  # fmt: skip

NONE = {
    "empty tags": f"<think>\n\n</think>\n\n{SAID}",
    "an empty tag": f"<think/>\n{SAID}",
    "closed at once": f"</think>{SAID}",
    "a token behind": f"{SAID}<|im_end|>",
    "tokens around": f"<s><|start|>assistant {SAID}</s><|endoftext|>",
    "a box": f"<|begin_of_box|>{SAID}<|end_of_box|>",
    "a turn's header": f"<|start_header_id|>assistant<|end_header_id|>\n\n{SAID}<|eot_id|>",
    "a header without tokens": f"assistant\n\n{SAID}",
    "nothing": SAID,
}

OPEN = {
    "tags": f"<think>\n{THOUGHT}",
    "square": f"[THINK]{THOUGHT}",
    "channel": f"<|channel|>analysis<|message|>{THOUGHT}",
    "words": "analysisThey differ.",
    "triangles": f"◁think▷{THOUGHT}",
    "again": f"<think>{THOUGHT}</think><think>{THOUGHT}",
    "no thought yet": "<think>",
}


@pytest.mark.parametrize("text", NOTATIONS.values(), ids=NOTATIONS)
def test_reasoning_is_set_apart(text: str) -> None:
    parted = set_apart(text)
    assert parted.answer == SAID
    assert not parted.is_open
    assert "differ" in parted.reasoning
    assert "We want" not in parted.reasoning


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_where_there_is_no_reasoning_nothing_is_lost(text: str) -> None:
    assert set_apart(text) == ("", SAID, False)


@pytest.mark.parametrize("text", OPEN.values(), ids=OPEN)
def test_reasoning_without_an_end_holds_no_answer(text: str) -> None:
    parted = set_apart(text)
    assert parted.answer == ""
    assert parted.is_open


@pytest.mark.parametrize(
    "text",
    [
        "We think that thinking ahead is an answer to the final question.",
        "We want <b>more</b> buses, and [sic] fares that are fair (the response of a few).",
        "Analysis shows nothing; we reason that buses matter.",
        "Thinking of the young, we want cheaper fares.",
        "Here is my view: we want buses.",
        "Commentary and answers differ.",
        "Here are my thoughts: we should invest in buses, and in bicycles.",
        "Here is my reasoning: buses are slow.",
        "We want a [FINAL] answer from the council.",
        "We want an [ANSWER] and a [/RESPONSE] soon.",
        "Assistant teachers want **answers**\nsoon.",
        "我们希望公交更便宜。",
    ],
)
def test_words_about_thinking_are_no_marks(text: str) -> None:
    assert set_apart(text) == ("", text, False)


@given(st.text(alphabet=st.characters(exclude_characters="<>[]{}◁▷＜＞｜")))
def test_a_text_without_brackets_is_left_as_it_is(text: str) -> None:
    parted = set_apart(f"We say: {text}")
    assert parted == ("", f"We say: {text}", False)


@given(st.text(), st.text(alphabet="abc .\n", min_size=1))
def test_what_stands_between_the_tags_is_never_the_answer(before: str, thought: str) -> None:
    before = before.translate(dict.fromkeys(map(ord, "<>[]{}◁▷＜＞｜"), " "))
    assert set_apart(f"<think>{thought}{before}</think>{SAID}").answer == SAID


# ------------------------------------------------------------------------------------------ stops


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (SAID, SAID),
        (f"\n\n  {SAID}", SAID),
        (f"{SAID}\nWould you like another?", SAID),
        (f"Here is one statement:\n\n{SAID}", SAID),
        (f"Sure! Here it is:\n{SAID}\n\nIt says:\n- buses", SAID),
        (f"**Statement:**\n\n{SAID}", SAID),
        (f"**Statement:** {SAID}", SAID),
        (f"## A statement\n\n**{SAID}**", SAID),
        (f"```text\n{SAID}\n```", SAID),
        (f"---\n{SAID}\n---", SAID),
        ("Here is one:", "Here is one:"),
        ("", ""),
        ("**We** agree and **they** agree.", "**We** agree and **they** agree."),
    ],
)
def test_a_line_is_the_first_that_says_something(text: str, line: str) -> None:
    assert cut_at_stops(text, ["\n"])[0] == line


def test_other_stops_cut_where_they_stand() -> None:
    assert cut_at_stops("one END two", ["END"]) == ("one ", True)
    assert cut_at_stops("one two", ["END"]) == ("one two", False)
    assert cut_at_stops("a\nb END c\nd", ["END"]) == ("a\nb ", True)
    assert cut_at_stops("5\n\nbecause", ["\n\n"]) == ("5", True)
    assert cut_at_stops("a\nb", ()) == ("a\nb", False)


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("[INST]hello[/INST][THINK]", "[THINK]"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("You may <think> first.<|assistant|>", ""),
        ("<|assistant|>", ""),
        ("", ""),
    ],
)
def test_a_prompt_that_opens_the_reasoning_is_known_by_its_end(prompt, mark):
    assert opening_at_the_end(prompt) == mark


def test_a_text_that_begins_within_reasoning_is_known_by_its_first_mark() -> None:
    assert is_opened_before(f"{THOUGHT}</think>{SAID}")
    assert not is_opened_before(f"<think>{THOUGHT}</think>{SAID}")
    assert not is_opened_before(SAID)


class _Letters:
    """A tokenizer of letters, whose template may open the reasoning."""

    added_tokens_decoder: ClassVar[dict[int, str]] = {}
    all_special_tokens = ()

    def __init__(self, opening):
        self.opening = opening

    def apply_chat_template(self, messages, **_options):
        return f"{messages[-1]['content']}<|assistant|>\n{self.opening}\n"

    def decode(self, ids, **_options):
        return "".join(map(chr, ids))


@pytest.mark.parametrize(
    ("opening", "written", "answer", "reasoning"),
    [
        ("", "<think>one\ntwo</think>\nThe answer.\nMore", "The answer.", "one\ntwo"),
        ("", "The answer.\nMore", "The answer.", ""),
        ("", "<think>one\ntwo", None, None),
        ("<think>", "one\ntwo</think>\nThe answer.\nMore", "The answer.", "one\ntwo"),
        ("<think>", "one\ntwo", None, None),
        ("<think></think>", "The answer.\nMore", "The answer.", ""),
    ],
)
def test_a_stop_ends_the_answer_and_not_the_reasoning_of_transformers(
    opening, written, answer, reasoning
):
    from commonweal.models.chat_text import ChatText
    from commonweal.models.transformers_engine import TransformersModel

    model = object.__new__(TransformersModel)
    tokenizer = _Letters(opening)
    model._tokenizer, model._chat, model._ends = tokenizer, ChatText(tokenizer), {0}
    sampling = Sampling(max_tokens=200, stop=("\n",))
    drawn = (list(map(ord, written[:n])) for n in range(1, len(written) + 1))
    ended = [found for each in drawn if (found := model._ended(each, 5, 1, sampling))]
    if answer is None:
        assert ended == []
    else:
        assert (ended[0].text, ended[0].reasoning) == (answer, reasoning)
