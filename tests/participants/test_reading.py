"""What the reader makes of sentences that it has not seen: the figures of docs/participants.md."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from commonweal.datasets.words import tokens
from commonweal.errors import InputError
from commonweal.models.encoder import SentenceEncoder
from commonweal.participants.considerations import load_bank
from commonweal.participants.form import quality, signs
from commonweal.participants.latent import LatentCrowd
from commonweal.participants.reading import ArgumentReader, clauses_of, without_opening
from commonweal.questions.seeds import load_seeds

BANK = {question.id: question for question in load_bank()}
HELD_OUT = tomllib.loads((Path(__file__).parent / "held_out.toml").read_text(encoding="utf-8"))[
    "set"
]
DOCS = Path(__file__).parents[2] / "docs" / "participants.md"
GENERAL = [
    "We should listen to one another and find a fair solution.",
    "We hope to reach an agreement that works for all.",
    "We differ on how far to go.",
    "We respect each other's views.",
]


@pytest.fixture(scope="module")
def reader(encoder_folder):
    return ArgumentReader(SentenceEncoder(encoder_folder))


def sentences(part):
    """(question, row of the consideration, side, sentence) of a part."""
    for each in HELD_OUT:
        question = BANK[each["question"]]
        about = [consideration.about for consideration in question.considerations]
        if each["part"] == part:
            for name, side, text in each["sentences"]:
                yield question, about.index(name), int(side == "against"), text


def measured(reader, part):
    """Shares of held-out sentences: read as anything, right consideration, right side, both."""
    rows = []
    for question, row, side, text in sentences(part):
        expressed = reader.read(question, text)
        alone = expressed.sum() == 1
        rows.append(
            (
                expressed.any(),
                alone and expressed[row].any(),
                alone and expressed[:, side].any(),
                alone and expressed[row, side],
            )
        )
    return len(rows), np.mean(rows, axis=0)


@pytest.mark.heavy
def test_held_out_sentences_are_read_as_the_docs_say(reader):
    n, (read, consideration, side, both) = measured(reader, "test")
    assert n == 84
    # By chance: one consideration of six, one side of two.
    assert read > 0.95
    assert consideration > 0.65
    assert side > 0.8
    assert both > 0.65
    line = re.search(
        r"\| held out \| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|", DOCS.read_text()
    )
    assert line, "docs/participants.md has lost its table"
    assert int(line[1]) == n
    assert [float(line[k]) for k in (2, 3, 4, 5)] == pytest.approx(
        [read, consideration, side, both], abs=0.03
    )


def test_held_out_sentences_are_not_in_the_bank():
    for question, _, _, text in [*sentences("tuning"), *sentences("test")]:
        said = tokens(text)
        runs = {tuple(said[i : i + 6]) for i in range(len(said) - 5)}
        for consideration in question.considerations:
            for argument in (text for side in consideration.arguments for text in side):
                known = tokens(argument)
                assert not runs & {tuple(known[i : i + 6]) for i in range(len(known) - 5)}, text


@pytest.mark.heavy
def test_the_banks_own_arguments_are_read_as_what_they_are(reader):
    right = [
        bool(reader.read(question, text)[row, side])
        for question in BANK.values()
        for row, consideration in enumerate(question.considerations)
        for side, texts in enumerate(consideration.arguments)
        for text in texts
    ]
    assert np.mean(right) > 0.97  # some are two clauses, and each clause is read alone


def test_general_phrases_express_nothing(reader):
    question = next(iter(BANK.values()))
    assert not any(reader.read(question, text).any() for text in GENERAL[1:])


@pytest.mark.heavy
def test_general_phrases_and_other_subjects_express_little(reader):
    assert not any(
        reader.read(question, text).any() for question in BANK.values() for text in GENERAL[1:]
    )
    wrong = [
        reader.read(BANK[each["question"]], text).any()
        for each in HELD_OUT
        for other in HELD_OUT
        if other is not each
        for *_, text in other["sentences"]
    ]
    assert np.mean(wrong) < 0.2


def test_a_denied_verdict_is_the_other_side(reader):
    right = []
    for question in BANK.values():
        yes = question.asked.position_statement
        right.append(reader.read(question, yes)[0].tolist() == [True, False])
        no = f"We do not think that {yes[0].lower()}{yes[1:]}"
        right.append(reader.read(question, no)[0].tolist() == [False, True])
    assert np.mean(right) > 0.8


def test_clauses_and_openings():
    text = "We like it; others do not! Still, some of us fear that it costs too much — a lot. Yes."
    assert clauses_of(text) == [
        "We like it;",
        "others do not!",
        "Still, some of us fear that it costs too much",
    ]
    assert [without_opening(clause) for clause in clauses_of(text)] == [
        "We like it;",
        "others do not!",
        "it costs too much",
    ]
    assert without_opening("We believe") == "We believe"
    assert clauses_of(" ") == []


def test_nothing_is_read_into_an_empty_text(reader):
    question = BANK["gp-fee"]
    assert not reader.read(question, "").any()
    assert not reader.read(question, "\x00 \n").any()


def test_texts_are_embedded_once(encoder_folder):
    encoder = SentenceEncoder(encoder_folder)
    asked = []

    class Counting:
        def encode(self, texts):
            asked.extend(texts)
            return encoder.encode(texts)

    reader = ArgumentReader(Counting())
    question = BANK["lynx"]
    wanted = [(question, "Lynx would eat deer."), (question, "Lynx would eat sheep.")]
    alone = [ArgumentReader(encoder).read(*each) for each in wanted]
    together = reader.read_all(wanted)
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))
    n_asked = len(asked)
    reader.read_all(wanted)
    assert len(asked) == len(set(asked)) == n_asked


# ------------------------------------------------------------------------------- the form


def test_only_what_speaks_for_both_sides_can_be_excellent(reader):
    question = BANK["gp-fee"]
    both = (
        "We agree that every missed appointment takes time from somebody who is ill, and that "
        "people should ring when they cannot come. We worry that a fee would frighten off those "
        "who are poor, and would cost more to collect than it brings in. We would first try "
        "reminders by text."
    )
    one_sided = "We agree that each missed appointment takes a place from a patient who needed it."
    rambling = "We agree that we agree that we agree that we agree that we agree that we agree that"
    scores = [quality(text, reader.read(question, text)) for text in (both, one_sided, rambling)]
    assert scores[0] > 6.3
    assert scores[2] < scores[1] < 6
    nothing = np.zeros((6, 2), dtype=bool)
    assert quality("", nothing) < 1.5
    assert signs("I think so. My view stands.", nothing)["voice"] == 0.0
    assert signs("Our view stands.", nothing)["voice"] == 1.0


# ------------------------------------------------------------------------------- the bank


def test_the_bank_asks_seed_questions_and_holds_out_whole_topics():
    seeds = {seed.question: seed for seed in load_seeds("uk")}
    assert len(BANK) >= 24
    topics = {}
    for question in BANK.values():
        asked = question.asked
        assert asked.position_statement == seeds[asked.question.text].position_statement
        assert 5 <= len(question.considerations) <= 9
        topics.setdefault(asked.split, set()).add(asked.topic)
    assert not topics["ood_test"] & (topics["train"] | topics["iid_test"])
    assert topics["iid_test"] <= topics["train"]


def test_the_banks_arguments_are_all_different_and_varied():
    texts = [
        text
        for question in BANK.values()
        for consideration in question.considerations
        for side in consideration.arguments
        for text in side
    ]
    assert len(texts) == len(set(texts)) > 800
    verdicts = {
        text for each in BANK.values() for side in each.considerations[0].arguments for text in side
    }
    starts = [tuple(tokens(text)[:3]) for text in set(texts) - verdicts]
    assert max(starts.count(start) for start in set(starts)) < 10
    for question in BANK.values():
        for consideration in question.considerations[1:]:
            assert all(len(set(side)) >= 3 for side in consideration.arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace('topic = "x"', ""), "number 1, topic: Field required"),
        (lambda t: t + 'more = "x"\n', "Extra inputs"),
        (lambda t: t.replace('about = "b"', 'about = "a"'), "two considerations of one name"),
        (lambda t: t + t, "id 'q' is there twice"),
        (lambda t: t + "[[", "not valid TOML"),
    ],
)
def test_a_damaged_bank_is_refused(tmp_path, change, message):
    text = (
        '[[question]]\nid = "q"\nquestion = "Q?"\nposition = "Q."\ntopic = "x"\n'
        '[question.verdict]\nfor = ["Yes."]\nagainst = ["No."]\n'
        '[[question.consideration]]\nabout = "a"\nfor = ["A."]\nagainst = ["Not A."]\n'
        '[[question.consideration]]\nabout = "b"\nfor = ["B."]\nagainst = ["Not B."]\n'
    )
    path = tmp_path / "bank.toml"
    path.write_text(text)
    assert len(load_bank([path])) == 1
    path.write_text(change(text))
    with pytest.raises(InputError, match=message):
        load_bank([path])


# ----------------------------------------------------------------- people of the packaged bank


def test_people_agree_with_their_own_opinion_and_less_with_their_opposites(reader):
    crowd = LatentCrowd(0, reader=reader)
    own, others = [], []
    for question in BANK.values():
        asked = question.asked.question
        people = [crowd.participant(f"latent-{n}") for n in range(12)]
        opinions = [person.opinion(asked) for person in people]
        verdicts = [person.position(asked)[0] for person in people]
        for person, opinion, verdict in zip(people, opinions, verdicts, strict=True):
            own.append(person.true_agreement(asked, opinion) - person.leniency)
            others += [
                person.true_agreement(asked, text) - person.leniency
                for text, v in zip(opinions, verdicts, strict=True)
                if v * verdict < -0.3
            ]
    assert np.mean(own) > 5.5
    assert np.mean(others) < 3.5
