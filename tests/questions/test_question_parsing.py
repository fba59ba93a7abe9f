"""Completions to questions or reasons; position statements and flags."""

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from commonweal.datasets.words import normal_form
from commonweal.questions.flags import flags_of
from commonweal.questions.parsing import (
    MAX_WORDS,
    MIN_WORDS,
    QuestionFault,
    RejectedQuestion,
    parse_question,
)
from commonweal.questions.positions import derive_positions, position_by_rule, position_fault
from commonweal.questions.records import COLUMNS, QuestionRecord
from commonweal.questions.similar import NEAR_DUPLICATE
from commonweal.types import Completion

DOCS = Path(__file__).parents[2] / "docs" / "questions.md"
FLAGS = resources.files("commonweal.questions") / "flags.toml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Should buses be free?", "Should buses be free?"),
        ('  "should  buses be free?" ', "Should buses be free?"),
        ("- Should buses be free?", "Should buses be free?"),
        ("11. Should buses be free?", "Should buses be free?"),
        ("", QuestionFault.EMPTY),
        (" ?!", QuestionFault.EMPTY),
        ("Buses should be free.", QuestionFault.NOT_A_QUESTION),
        ("Why should buses be free?", QuestionFault.NOT_YES_NO),
        ("Are buses free?", QuestionFault.TOO_SHORT),
        ("Should " + "very " * 40 + "old buses go?", QuestionFault.TOO_LONG),
        ("Should buses be free? Yes, they should?", QuestionFault.SEVERAL_SENTENCES),
        ("Should the the buses be free?", QuestionFault.REPETITION),
        ("Should the government should pay for buses?", QuestionFault.REPETITION),
        ("Should a band with a hat play with a band with a coat?", QuestionFault.REPETITION),
        ("Should \x1b[31mbuses be free?", QuestionFault.CONTROL),
        ("Question: Should buses be free?", QuestionFault.ECHO),
        ("Should you write questions for public debate on buses?", QuestionFault.ECHO),
        ("Should buses <|im_end|> be free?", QuestionFault.ECHO),
        ("=should buses be free?", QuestionFault.NOT_YES_NO),
        ("(Should buses be free?", QuestionFault.NOT_YES_NO),
        ("As an AI language model, I ask: should buses be free?", QuestionFault.ECHO),
        ("I am a large language model and should buses be free?", QuestionFault.ECHO),
        ("Should every language model be taxed?", "Should every language model be taxed?"),
        ("Should buses, trams etc. be free?", "Should buses, trams etc. be free?"),
        ("Should we free buses, trams etc. Should we pay?", QuestionFault.SEVERAL_SENTENCES),
        ("Should buses be free. should trams go?", QuestionFault.SEVERAL_SENTENCES),
    ],
)
def test_parse(text, expected):
    found = parse_question(Completion(text, "stop", 0), "You write questions for public debate on")
    assert (found.reason if isinstance(found, RejectedQuestion) else found) == expected


def test_a_question_cut_by_the_token_limit_is_unfinished():
    found = parse_question(Completion("Should buses be free?", "length", 0))
    assert isinstance(found, RejectedQuestion)
    assert found.reason == QuestionFault.UNFINISHED


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Should we make buses free?", "We should make buses free."),
        ("Should the government fund museums?", "The government should fund museums."),
        ("Should people who smoke be taxed more?", "People who smoke should be taxed more."),
        ("Should the UK also leave the treaty?", "The UK should also leave the treaty."),
        ("Is it time to close the zoo?", "It is time to close the zoo."),
        ("Do we need more trains?", "We need more trains."),
        ("Would it be right to ban cars?", "It would be right to ban cars."),
        # Where the subject's end, or what to affirm, cannot be told:
        ("Should we build more or fewer houses?", None),
        ("Should we build houses, or should we not?", None),
        ("Is it ever right to lie?", None),
        ("Is there anything wrong with zoos?", None),
        ("Are large wind farms a good thing?", None),
        ("Should the work of carers be paid?", "The work of carers should be paid."),
        ("Should the rules on how police use force change?", None),
        (
            "Should the rules on how police use force be changed?",
            "The rules on how police use force should be changed.",
        ),
        ("Would you support free buses?", None),
        ("Should cities ban cars or charge them?", None),
        ("Should cities ban cars or trucks?", "Cities should ban cars or trucks."),
        ("Should the police crack down on the illegal use of fireworks?", None),
        ("Buses?", None),
    ],
)
def test_position_by_rule(question, expected):
    assert position_by_rule(question) == expected


def test_the_rule_against_the_published_statements(public_questions):
    test = [q for q in public_questions if q["split"] != "train"]
    answered = [
        (text, q["affirming_statement"])
        for q in test
        if (text := position_by_rule(q["question"])) is not None
    ]
    same = sum(normal_form(ours) == normal_form(theirs) for ours, theirs in answered)
    assert len(answered) > 0.8 * len(test)
    assert same > 0.95 * len(answered)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("Buses should be free.", None),
        ("", "is empty"),
        ("Should buses be free?", "is not one sentence"),
        ("Buses should be free", "is not one sentence"),
        ("Should buses be free.", "is still a question"),
        ("buses should be free.", "does not begin with a capital"),
        ("Buses should not be free.", "denies"),
        ("Trains are late in the rain.", "does not keep the question's words"),
        ("Buses should be free. I agree.", "is not one sentence"),
    ],
)
def test_position_fault(statement, said):
    found = position_fault("Should buses be free?", statement)
    assert found is None if said is None else found is not None and said in found


@pytest.mark.parametrize(
    ("question", "statement", "said"),
    [
        ("Should smoking be banned?", "Smoking should be allowed.", "the question's words"),
        ("Should buses be free?", "No buses should be free.", "denies"),
        ("Should buses be free?", "Few buses should be free.", "denies"),
        ("Should schools pay with cash?", "Schools should pay without cash.", "denies"),
        ("Should anybody be free to vote?", "Nobody should be free to vote.", "denies"),
        ("Should schools spend no money?", "Schools should spend no money.", None),
        ("Does the state ban old cars?", "The state bans old cars.", None),
        ("Does the minimum wage need to rise?", "The minimum wage needs to rise.", None),
        ("Is smoking, vaping etc. harmful?", "Smoking, vaping etc. is harmful.", None),
    ],
)
def test_a_statement_keeps_the_questions_words_and_denials(question, statement, said):
    found = position_fault(question, statement)
    assert found is None if said is None else found is not None and said in found


def test_no_position_without_rule_or_model():
    found = derive_positions(["Are wind farms a good thing?", "Should we build more?"], None)
    assert found.texts == {
        "Are wind farms a good thing?": "",
        "Should we build more?": "We should build more.",
    }
    assert (found.n_by_rule, found.n_by_model, len(found.missing)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("question", "flag"),
    [
        ("Should refugees be allowed to work?", "group of people"),
        ("Are women better drivers than men?", "ranks people"),
        ("Should the death penalty come back?", "violence or extremism"),
        ("Should you pay for your own bus pass?", "too personal"),
        ("Will the sea level rise by 2050?", "not policy"),
        ("Did the war end too late?", "not policy"),
        ("Should we build more or fewer roads?", "double-barrelled"),
        ("Should we pay in coins/notes or by card, or should we not?", "double-barrelled"),
        ("Should the ridiculous tax be ended?", "leading"),
        ("Should Sir Alan Sugar pay more tax?", "names a person"),
        ("Was Margaret Hill right about schools?", "names a person"),
        ("How should schools be paid for?", "not yes or no"),
    ],
)
def test_flags(question, flag):
    assert flag in [each.name for each in flags_of(QuestionRecord("a", question))]


@pytest.mark.parametrize(
    ("question", "statement"),
    [
        ("Should buses be free?", "Buses should be free."),
        (
            "Should the House of Lords in the United Kingdom be elected?",
            "The House of Lords in the United Kingdom should be elected.",
        ),
        (
            "Should Northern Ireland have a new airport?",
            "Northern Ireland should have a new airport.",
        ),
    ],
)
def test_plain_questions_have_no_flag(question, statement):
    assert flags_of(QuestionRecord("a", question, statement)) == ()


def test_flags_of_the_position_statement():
    names = [f.name for f in flags_of(QuestionRecord("a", "Should buses be free?"))]
    assert names == ["no position"]
    denied = QuestionRecord("a", "Should buses be free?", "Buses should not be free.")
    assert [f.name for f in flags_of(denied)] == ["position"]


@pytest.mark.heavy
def test_few_of_the_screened_public_questions_are_flagged_or_rejected(public_questions):
    n_flagged = n_rejected = 0
    for q in public_questions:
        record = QuestionRecord(q["id"], q["question"], q["affirming_statement"])
        n_flagged += bool(flags_of(record))
        n_rejected += not isinstance(parse_question(Completion(q["question"], "stop", 0)), str)
    assert n_flagged < 0.15 * len(public_questions)
    assert n_rejected < 0.02 * len(public_questions)


def test_every_reason_flag_and_column_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    names = [str(reason) for reason in QuestionFault]
    names += [f"`{column}`" for column in COLUMNS]
    for name in names:
        assert re.search(rf"^\| {re.escape(name)} \|", text, re.MULTILINE), name
    shown = {flag["name"] for flag in tomllib.loads(FLAGS.read_text(encoding="utf-8"))["flags"]}
    for name in shown | {"names a person", "not yes or no", "no position", "position"}:
        assert re.search(rf"^\| {name} \|", text, re.MULTILINE), name
    for number in (MIN_WORDS, MAX_WORDS, NEAR_DUPLICATE):
        assert f" {number} " in text
