"""What the envelopes of servers are to the engine they are to whoever calls it: people who are
played, debate questions, a reward model that is asked."""

from __future__ import annotations

import json
import re

import pytest
from faulty_server import FaultyServer, error
from quirks import THOUGHT, budget, has_system, message

from commonweal.models.openai_engine import KEY_VARIABLES, OpenAIModel
from commonweal.participants import Asked
from commonweal.participants.llm import FileCast, LlmCrowd
from commonweal.questions.journal import Journal, ModelCall
from commonweal.questions.templates import load_template
from commonweal.rewards.prompted import PromptedRewardModel
from commonweal.types import Question, RewardInput

QUESTION = Question("Should we tax apples?")
ASKS = "Should bicycles be allowed on trains at rush hour?"


def said(body):
    """What the model means to say to each of the callers."""
    text = body["messages"][-1]["content"]
    if numbers := re.findall('<statement number="(\\d+)">', text):
        return json.dumps(dict.fromkeys(numbers, 5))
    return "Rating: 6" if "one digit" in text else ASKS


def thinks_in(field, tags):
    """A model that needs 300 tokens for its reasoning, shown in a field or in tags."""

    def fault(exchange):
        answer = f"<think>{THOUGHT}</think>\n\n{said(exchange.body)}" if tags else None
        cut = {"content": f"<think>{THOUGHT}" if tags else None}
        whole = {"content": answer or said(exchange.body)}
        thoughts = {} if tags else {field: THOUGHT}
        is_cut = budget(exchange.body) < 300
        message({**(cut if is_cut else whole), **thoughts}, "length" if is_cut else "stop")(
            exchange
        )

    return fault


def in_parts(exchange):
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
    message({"content": [thought, {"type": "text", "text": said(exchange.body)}]})(exchange)


def refuses(is_bad, words):
    def fault(exchange):
        bad = is_bad(exchange.body)
        (error(400, words) if bad else message({"content": said(exchange.body)}))(exchange)

    return fault


SERVERS = {
    "a field": thinks_in("reasoning_content", tags=False),
    "tags": thinks_in("", tags=True),
    "parts": in_parts,
    "no system message": refuses(has_system, "System role not supported"),
    "a refusal without a name": refuses(lambda body: "top_p" in body, "no"),
}


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_every_caller_gets_the_answer_alone(server, monkeypatch, tmp_path):
    people = tmp_path / "people.toml"
    people.write_text('[[person]]\nid = "ada"\ndescription = "A nurse."\n')
    for name in KEY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with FaultyServer(ordinary=server) as there:

        def model():
            return OpenAIModel(there.url, "m")

        asked = Asked(QUESTION, "We should do it.", "doing", "train")
        crowd = LlmCrowd(model(), FileCast(people), [asked], seed=0)
        assert crowd.participant("llm-ada").rate(QUESTION, "We do it.", 0) == (6, 6)
        template = load_template("writing")
        prompt = template.render(turns=[("", "Should we tax apples?")])
        ((told,),) = Journal(model(), None).answers([ModelCall([prompt], [1], template.sampling)])
        assert told.text.strip() == ASKS
        reward = PromptedRewardModel(model())
        inputs = [RewardInput(QUESTION.text, "I am for it.", text) for text in ("We do it.", "No.")]
        assert reward.rewards(inputs).tolist() == [5, 5]
