"""Which completions become candidates, and why the others do not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commonweal.datasets.words import tokens
from commonweal.groups import read_group
from commonweal.policies.parsing import MAX_WORDS, MIN_WORDS, Parser
from commonweal.policies.templates import load_template
from commonweal.reading.language import LIKELY, language_of
from commonweal.types import Completion, Opinion, Rejection
from commonweal.types import RejectionReason as Why

GROUPS = Path(__file__).parents[2] / "examples" / "groups"
OWN = load_template("few_shot").own_texts()
ASHA = (
    "I clean offices before six in the morning and the bus is the only way I get there. Twice a "
    "day, six days a week, it adds up to a real chunk of my wages, about 40 pounds."
)
GUS = "Nothing is free, and in a village where the last bus went years ago we pay for the towns."
BUSES = Parser(
    "Should local buses be free for everyone?", [Opinion("asha", ASHA), Opinion("gus", GUS)], OWN
)
GOOD = (
    "We want fares that nobody fears, and more buses where there are none today. Some of us would "
    "make every ride free."
)


def parse(text: str, accepted: tuple[str, ...] = (), parser: Parser = BUSES) -> str | Rejection:
    return parser.parse(Completion(text, "stop", 7), accepted)


def reason(text: str, accepted: tuple[str, ...] = (), parser: Parser = BUSES) -> Why | None:
    parsed = parse(text, accepted, parser)
    return parsed.reason if isinstance(parsed, Rejection) else None


def distinct_words(n: int) -> str:
    """A sentence of n different words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "We " + " ".join(f"w{letters[i // 26]}{letters[i % 26]}" for i in range(n - 1)) + "."


REJECTED = [
    ("", Why.EMPTY),
    (" \n\t ", Why.EMPTY),
    ("...", Why.EMPTY),
    ("💚💚💚", Why.EMPTY),
    ("I'm sorry, but I cannot help with that request at this time.", Why.REFUSAL),
    ("I’m sorry, we are not in a position to write that here.", Why.REFUSAL),
    ("I'm unable to write a statement about local politics for the group.", Why.REFUSAL),
    ("I can't assist with writing consensus statements on that matter.", Why.REFUSAL),
    ("As an AI language model, we have no views on the buses of a town.", Why.REFUSAL),
    ("As an AI, it would be wrong to hold a view on local bus fares.", Why.REFUSAL),
    ("Unfortunately I must decline, since the matter is one for the council.", Why.REFUSAL),
    ("Lo siento, pero no puedo ayudar con esa petición en este momento.", Why.REFUSAL),
    ("Es tut mir leid, aber dabei kann ich in diesem Fall nicht helfen.", Why.REFUSAL),
    ("申し訳ありませんが、そのご依頼にはお答えできません。別の質問をどうぞ。", Why.REFUSAL),
    # The prompt, its form and its worked examples.
    (OWN[0], Why.ECHO_PROMPT),
    ("Read their opinions and write one short statement that they all like.", Why.ECHO_PROMPT),
    ("Question: Should local buses be free? We think that they should.", Why.ECHO_PROMPT),
    ("We agree on a lot of it.\nOpinions:\nBuses cost us far too much.", Why.ECHO_PROMPT),
    ("**Statement:** We would all like to see better and cheaper buses.", Why.ECHO_PROMPT),
    ("We want **cheaper buses** and many more of them in our villages.", Why.ECHO_PROMPT),
    ("```\nWe want cheaper buses and many more of them in our villages.\n```", Why.ECHO_PROMPT),
    ("<opinion>We want cheap buses in every village and town.</opinion>", Why.ECHO_PROMPT),
    ("‹opinion›We want cheap buses in every village and town.‹/opinion›", Why.ECHO_PROMPT),
    ("We want cheap buses in every village and town today.<|im_end|>", Why.ECHO_PROMPT),
    ("[/INST] We want cheap buses in every village and town today.", Why.ECHO_PROMPT),
    ("Should local buses be free for absolutely everyone in the town centre", Why.UNFINISHED),
    *((text, Why.ECHO_PROMPT) for text in load_template("few_shot").own_texts()[-1:]),
    ("We would limit fireworks to a few known nights, and buses to the day.", Why.ECHO_PROMPT),
    (
        "We want the trains to run, and late evenings are left to small shops.",
        Why.ECHO_PROMPT,
    ),
    # Opinions.
    (GUS, Why.ECHO_OPINION),
    (ASHA, Why.ECHO_OPINION),
    (
        "We know that in a village where the last bus went years ago we pay more, and that other "
        "places have plenty, so a fair share for each is what all of us would like to see happen.",
        Why.ECHO_OPINION,
    ),
    ("We say nothing is free, and in a village the last bus went years ago.", Why.ECHO_OPINION),
    # Length.
    (distinct_words(MAX_WORDS + 1), Why.OVER_LENGTH),
    (distinct_words(MIN_WORDS - 1), Why.UNDER_LENGTH),
    ("We all agree.", Why.UNDER_LENGTH),
    ("バスは安い方がいい。", Why.UNDER_LENGTH),
    # The end.
    (GOOD[:-1], Why.UNFINISHED),
    (GOOD[:-1] + ",", Why.UNFINISHED),
    (GOOD + ",", Why.UNFINISHED),
    (GOOD[:-1] + " and (", Why.UNFINISHED),
    (GOOD + " We also", Why.UNFINISHED),
    (GOOD + " END OF PROMPT", Why.UNFINISHED),
    # Sense.
    ("We want cheap buses for all. " * 6, Why.REPETITION),
    ("We need buses, we need buses, we need buses, we need buses, we need buses.", Why.REPETITION),
    ("I think that buses should be free for the young and the old.", Why.NOT_A_STATEMENT),
    ("We agree that fares are high, and I'd like them to come down soon.", Why.NOT_A_STATEMENT),
    ("We agree that fares are high, and for my family they are a burden.", Why.NOT_A_STATEMENT),
    ("We know what you want, which is a bus that comes when it should.", Why.NOT_A_STATEMENT),
    ("Thank you for the chance to write about buses in our towns.", Why.NOT_A_STATEMENT),
    ("Sure! We would all like buses to be cheaper than they are now.", Why.NOT_A_STATEMENT),
    ("Certainly! We would all like buses to be cheaper than they are.", Why.NOT_A_STATEMENT),
    ("Here is a statement on which all of them could surely agree today.", Why.NOT_A_STATEMENT),
    ("The opinions show that we would all like cheaper buses than today.", Why.NOT_A_STATEMENT),
    ("We read the first opinion and would all like cheaper buses than now.", Why.NOT_A_STATEMENT),
    ("The prompt asks us for a view, and we would all like cheap buses.", Why.NOT_A_STATEMENT),
    ("We would all like \x1b[31mred\x1b[0m buses to be cheaper than today.", Why.NOT_A_STATEMENT),
    ("We would all like buses \u202eeerf\u202c to be cheaper than today.", Why.NOT_A_STATEMENT),
    ("We would all like buses to be \x00cheaper than they are today.", Why.NOT_A_STATEMENT),
    # What models that follow instructions do instead of speaking for the group.
    ("The group believes that buses should be cheap and run until late.", Why.NOT_A_STATEMENT),
    ("The group's view is that buses should be cheap and run until late.", Why.NOT_A_STATEMENT),
    (
        "We want cheap buses. The second group suggests that the towns should pay for them.",
        Why.NOT_A_STATEMENT,
    ),
    (
        "We want cheap buses. The opinions of the people in the group vary widely on who pays.",
        Why.NOT_A_STATEMENT,
    ),
    ("No, the county should not make its buses free for everyone at once.", Why.NOT_A_STATEMENT),
    ("Yes: buses ought to be free for everyone, and the towns should pay.", Why.NOT_A_STATEMENT),
    ("We of [Your Town] would like buses to be cheaper than they are now.", Why.NOT_A_STATEMENT),
    (
        "We would do this:\n- make the fares lower for all\n- run the buses until late.",
        Why.NOT_A_STATEMENT,
    ),
    ("Consensus statement: We want cheap buses in every village and town.", Why.ECHO_PROMPT),
    ("Final answer:\nWe want cheap buses in every village and town.", Why.ECHO_PROMPT),
    (
        "Should local buses be free for everyone? We would like that, if the towns can pay.",
        Why.ECHO_PROMPT,
    ),
    ("In this consensus statement we ask for cheap buses in every town.", Why.NOT_A_STATEMENT),
    # Figures.
    ("We agree that 90% of bus rides in our towns ought to be cheaper.", Why.INVENTED_FIGURE),
    ("We agree that since 2019 the bus fares have gone up far too much.", Why.INVENTED_FIGURE),
    # A question answered, and in the next breath left open.
    (
        "We would make local buses free for everyone. We are divided on whether to do so.",
        Why.CONTRADICTION,
    ),
    (
        "Local buses should not be free for everyone, we think. We disagree about whether buses "
        "should be free for everyone or not.",
        Why.CONTRADICTION,
    ),
    # Given to all, and in the same breath to some.
    (
        "We would make local buses free for everyone, but only for under 21s and the low-paid.",
        Why.CONTRADICTION,
    ),
    ("We want free buses: free for everyone, with a small fare for the rest.", Why.CONTRADICTION),
    ("We would make the buses free for everyone, but charge a small fare.", Why.CONTRADICTION),
    ("Wir sind uns einig, dass die Busse auf dem Land billiger werden sollen.", Why.OTHER_LANGUAGE),
    ("Queremos autobuses más baratos y no sabemos quién debe pagarlos.", Why.OTHER_LANGUAGE),
    ("نحن نريد حافلات أرخص للجميع، لكننا نختلف حول من يدفع ثمنها.", Why.OTHER_LANGUAGE),
    ("1. We agree that the bus fares have gone up far too much of late.", Why.INVENTED_FIGURE),
]


@pytest.mark.parametrize(("text", "expected"), REJECTED)
def test_it_is_rejected_with_its_reason(text, expected):
    parsed = parse(text)
    assert isinstance(parsed, Rejection), f"accepted: {parsed}"
    assert parsed.reason is expected, parsed.detail
    assert parsed.raw_text == text
    assert parsed.seed == 7
    assert parsed.detail


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Take the 1,000 pounds for benches.", "We would spend the 1000 pounds on new benches."),
        ("Take the 1000 pounds for benches.", "We would spend the 1,000 pounds on new benches."),
        ("It costs £1,250.50 a year.", "We would not spend £1250.50 a year on any of it."),
        ("Es kostet 1.000 Euro im Jahr.", "Wir würden die 1000 Euro im Jahr nicht ausgeben."),
        ("Close the park at 10 on weekdays.", "We would close the park at 10:00 on weekdays."),
        ("Children under 5 should be free.", "We would let children under ٥ in without a fee."),
    ],
)
def test_a_figure_may_be_written_in_another_way(given, said):
    parser = Parser("Should the town pay for it?", [Opinion("a", given)], ())
    assert parse(said, parser=parser) == said
    other = said.replace("1000", "1001").replace("1250.50", "1250.60").replace("1,000", "1,001")
    other = other.replace("10:00", "10:30").replace("٥", "٦")
    assert reason(other, parser=parser) is Why.INVENTED_FIGURE


def test_a_fraction_is_no_thousand():
    parser = Parser("Should the town pay?", [Opinion("a", "It takes 0.125 and 1.5 litres.")], ())
    for figure in ("0125", "125", "15", "1.50"):
        said = f"We would let it take {figure} litres and no more than that."
        assert reason(said, parser=parser) is Why.INVENTED_FIGURE


def test_no_is_a_verdict_in_english_alone():
    question = "¿Debería la biblioteca abrir los domingos?"
    opinions = [Opinion("a", "Que cierre, nadie va los domingos por la tarde.")]
    said = "No, creemos que la biblioteca debería cerrar los domingos por la mañana."
    assert parse(said, parser=Parser(question, opinions, ())) == said
    assert reason("No, the buses in the town should not be free at night.") is Why.NOT_A_STATEMENT


def test_the_table_has_every_reason():
    assert {expected for _, expected in REJECTED} | {Why.DUPLICATE} == set(Why)


@pytest.mark.parametrize(
    ("question", "more"),
    [
        ("公交车应该免费吗？", "我们都认为公交车应该便宜一些,大家才能经常乘坐."),
        ("هل يجب أن تكون الحافلات مجانية للجميع؟", "نحن نريد حافلات أرخص في كل قرية ومدينة."),
        ("Πρέπει τα λεωφορεία να είναι δωρεάν για όλους;", "Θέλουμε φθηνότερα λεωφορεία παντού."),
        ("Պե՞տք է արդյոք ավտոբուսները լինեն անվճար", "Մենք ուզում ենք ավելի էժան ավտոբուսներ."),
    ],
)
def test_the_question_is_an_echo_with_the_question_mark_of_any_script(question, more):
    parsed = Parser(question, [], []).parse(Completion(f"{question} {more}", "stop", 0))
    assert isinstance(parsed, Rejection)
    assert parsed.detail == "repeats the question"


def test_the_question_alone_is_an_echo():
    question = "Should local buses be free for everyone in the whole county?"
    assert reason(question, parser=Parser(question, [], OWN)) is Why.ECHO_PROMPT


def test_what_the_token_limit_ended_is_unfinished():
    parsed = BUSES.parse(Completion(GOOD, "length", 7))
    assert isinstance(parsed, Rejection)
    assert parsed.reason is Why.UNFINISHED


def test_lengths_at_the_limits_are_accepted():
    assert reason(distinct_words(MIN_WORDS)) is None
    assert reason(distinct_words(MAX_WORDS)) is None


def test_a_run_shorter_than_twelve_words_of_an_opinion_is_accepted():
    run = "in a village where the last bus went years ago we"  # 11 words
    assert run in GUS
    longer = "People share much here, and some things all of us would gladly see change soon."
    assert reason(f"We know life {run} know. {longer}") is None
    assert reason(f"We know life {run} pay. {longer}") is Why.ECHO_OPINION


def test_a_run_shorter_than_six_words_of_the_prompt_is_accepted():
    run = "evenings are left to small shops"
    assert run in " ".join(OWN)
    assert reason("We want the evenings left to small shops, and buses for everybody else.") is None
    assert reason(f"We want buses in villages while late {run} on Sundays.") is Why.ECHO_PROMPT


def test_a_figure_that_somebody_gave_is_accepted():
    assert reason("We agree that 40 pounds is a lot to spend on getting to work.") is None


# ---------------------------------------------------------------------------------- duplicates


@pytest.mark.parametrize(
    "text",
    [
        # What divides is a part of it, or the question was left open from the start.
        "We would make local buses free for the young. We are divided on charging others.",
        "We want more buses in the evening. We are divided on whether buses should be free.",
        "We agree on better timetables, and differ on whether everyone should ride free.",
    ],
)
def test_honest_division_is_accepted(text):
    assert reason(text) is None


def test_near_duplicates_of_accepted_candidates_are_rejected():
    assert reason(GOOD, (GOOD,)) is Why.DUPLICATE
    assert reason(GOOD.upper(), (GOOD,)) is Why.DUPLICATE
    assert reason(GOOD.replace("today", "now"), (GOOD,)) is Why.DUPLICATE
    assert reason(GOOD, ("We would rather keep fares as they are in the towns.",)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("would make", "would not make"),
        ("would make", "wouldn't make"),
        ("all local", "some local"),
        ("at weekends", "only at weekends"),
    ],
)
def test_the_opposite_proposal_is_no_duplicate_however_alike_its_words(one, other):
    whole = "We would make all local buses free at weekends for everyone in our town."
    opposite = whole.replace(one, other)
    assert reason(opposite, (whole,)) is None
    assert reason(whole, (opposite,)) is None
    assert reason(whole.replace("our town", "this town"), (whole,)) is Why.DUPLICATE


# ------------------------------------------------------------------------------ good statements

GOOD_STATEMENTS = [
    GOOD,
    "We would not make the buses free for everyone, but charge a small fare.",
    "We wouldn't make the buses free for everyone, but charge a small fare.",
    "Buses should never be free for everyone, but charge a small fare, we think.",
    "We would make the buses free for everyone but charge a small fare to visitors.",
    "Yes, we would make the buses free, as long as those who have none get a bus first.",
    "No: most of us would keep a fare, and spend what it brings on buses in the evening.",
    "The residents' group should be asked before a route is cut, and we want its answer published.",
    "We want each group to have a say: the group of pensioners, the pupils and the drivers.",
    "We are divided. - Some of us fear for the routes, and that fear deserves an answer.",
    "We believe that nobody should go without a bus because of fares, but we differ on who pays.",
    "Most of us think cheaper fares for young people are fair. A few would rather see more routes.",
    "We agree that the council must explain where the money would come from before it decides.",
    "While we hold different views on free travel, all of us want buses that run on time.",
    "We do not think that a ban is the answer, though something has to change in the evenings.",
    "We would accept a small fare; free rides for everyone are not what most of us have in mind.",
    "Buses matter to people who have no car, and we want them to be safe, frequent and affordable.",
    "We remember what was lost in World War I, and we want every town to keep its memorial.",
    "We support Phase I of the plan, but want to see how it goes before there is any more of it.",
    "Of course, we do not all agree, yet each of us would try free buses in one town first.",
    "We would each want a second opinion from an independent doctor before a decision is final.",
    "The opinions of people who live along the route should count for more than they do now.",
    "We don't like a “not in my back yard” attitude, and would share new homes between villages.",
    "We do not want a language model to judge essays alone; a teacher should always have a look.",
    "Can we afford it? We are not sure, and would like to see the costs before anyone votes.",
    "We’d keep the passes for older people, and we’d look at helping those on low pay, too!",
    "It is “fairness” that we all care about; we part ways on what a fair fare would be…",
    "We ask for prompt payment of refunds, for clear timetables, and for staff who can help.",
    "Pupils' phones should be put away in class, and (for emergencies) kept within easy reach.",
    "Neither a full ban nor a free-for-all is right: we want rules, and exceptions for carers.",
    "We want the same thing from the U.K. government: steady money for rural routes.",
]


@pytest.mark.parametrize("text", GOOD_STATEMENTS)
def test_a_good_statement_is_accepted(text):
    assert parse(text) == text


def test_a_good_statement_is_accepted_whatever_else_was():
    for i, text in enumerate(GOOD_STATEMENTS):
        others = tuple(GOOD_STATEMENTS[:i] + GOOD_STATEMENTS[i + 1 :])
        assert parse(text, others) == text


OTHER_LANGUAGES = [
    # Welsh: "I" is "to" or "for".
    "I bawb ohonom, mae bysiau rhatach yn bwysig, ond nid ydym yn cytuno pwy ddylai dalu.",
    "I'r rhan fwyaf ohonom, mae'r gwasanaeth yn rhy ddrud, ac rydym am weld mwy o fysiau.",
    "Wir wünschen uns günstige Busse auf dem Land; uneins sind wir darüber, wer sie bezahlen soll.",
    "Wir sagen: „Busse gehören allen“, und streiten darüber, ob sie „gratis sein müssen.“",
    "私たちは運賃が安くなることを望んでいますが、誰がその費用を負担すべきかについては意見が分かれています。",
    "私たちは「誰もが乗れるバスが必要だ。」と考えますが、無料化については「まだ早い。」",
    "نحن نريد حافلات أرخص للجميع، لكننا نختلف حول من يجب أن يدفع ثمنها. أليس هذا عادلاً؟",
    "ہم سب چاہتے ہیں کہ بسیں سستی ہوں، مگر اس پر متفق نہیں کہ خرچ کون اٹھائے۔",
    "हम सब चाहते हैं कि बसें सस्ती हों, लेकिन इस बात पर सहमत नहीं हैं कि खर्च कौन उठाए।",
    # Italian and Polish: "I" is "the" and "and", "my" is "we".
    "I trasporti devono costare meno, ma non siamo d'accordo su chi debba pagare il biglietto.",
    "My wszyscy chcemy tańszych autobusów. I nie zgadzamy się tylko co do tego, kto zapłaci.",
    "Queremos autobuses más baratos. ¿Quién debe pagarlos? En eso no estamos de acuerdo.",
    "พวกเราอยากให้ค่ารถเมล์ถูกลง แต่ยังเห็นไม่ตรงกันว่าใครควรเป็นคนจ่าย",
    "Мы хотим дешёвых автобусов для всех, но спорим о том, кто должен за них платить.",
]


THEIR_OPINIONS = {
    "cy": "Dw i'n gweithio bob nos ac mae'r tocynnau'n ddrud iawn i bobl fel fi.",
    "de": "Die Fahrkarten kosten zu viel, und abends fährt bei uns gar nichts mehr.",
    "ja": "料金が高すぎて、毎日通うのがつらいです。夜の便も増やしてください。",
    "ar": "أعمل كل ليلة والتذاكر غالية جدا على أمثالي، ولا توجد حافلة بعد العاشرة.",
    "ur": "میں روز رات کو کام کرتا ہوں اور ٹکٹ بہت مہنگے ہیں۔",
    "hi": "मैं हर रात काम करता हूँ और टिकट मेरे जैसे लोगों के लिए बहुत महँगे हैं।",
    "it": "Lavoro tutte le notti e per gente come me gli abbonamenti sono troppo cari.",
    "pl": "Pracuję co noc, a bilety są dla takich jak ja o wiele za drogie.",
    "es": "Trabajo todas las noches y los abonos son demasiado caros para gente como yo.",
    "th": "ฉันทำงานทุกคืน และตั๋วแพงเกินไปสำหรับคนอย่างฉัน",
    "ru": "Я работаю каждую ночь, и билеты слишком дороги для таких, как я.",
}


def test_an_opinion_of_each_language():
    told = {language_of(text, sure=LIKELY) for text in THEIR_OPINIONS.values()}
    assert told == {*THEIR_OPINIONS, "fa"} - {"ur"}  # of one family with Persian


@pytest.mark.parametrize("text", OTHER_LANGUAGES)
def test_a_statement_in_the_opinions_language_is_accepted_whatever_it_is(text):
    for others in ([], ["The fares are too high for people like me, every day."]):
        code = language_of(text)
        theirs = [
            each for each in THEIR_OPINIONS.values() if language_of(each, sure=LIKELY) == code
        ]
        opinions = [Opinion(str(i), each) for i, each in enumerate([*theirs, *others])]
        parser = Parser("Should local buses be free for everyone?", opinions, OWN)
        assert parse(text, parser=parser) == text


def test_english_is_kept_from_a_group_that_wrote_in_another_language():
    for code in ("de", "ar", "ja"):
        parser = Parser("Busse?", [Opinion("a", THEIR_OPINIONS[code])] * 3, OWN)
        assert reason(GOOD, parser=parser) is Why.OTHER_LANGUAGE
    # Where nobody's language can be told, nothing is refused for it.
    assert (
        reason(GOOD, parser=Parser("?", [Opinion("a", "Ok!!"), Opinion("b", "123")], OWN)) is None
    )


def test_a_group_without_a_common_language_may_get_a_statement_in_the_questions():
    opinions = [Opinion(code, text) for code, text in THEIR_OPINIONS.items()]
    asked = "Should local buses be free for everyone in the town?"
    assert reason(GOOD, parser=Parser(asked, opinions, OWN)) is None
    german = Parser("Sollten die Busse in der Stadt kostenlos sein?", opinions, OWN)
    assert reason(GOOD, parser=german) is Why.OTHER_LANGUAGE
    # A third of them have one: then it is theirs.
    more = [*opinions, *([Opinion("d", THEIR_OPINIONS["de"])] * len(opinions))]
    assert reason(GOOD, parser=Parser(asked, more, OWN)) is Why.OTHER_LANGUAGE


@pytest.mark.parametrize(
    "ending", [".", "!", "?", "…", "。", "！", "？", "؟", "۔", "।", ".”", ".)", '."', ".»", "。」"]
)
def test_a_sentence_may_end_like_this(ending):
    assert reason(GOOD[:-1] + ending) is None


def test_words_of_scripts_with_marks_and_without_blanks():
    """A Hindi word is one word, and two Han or kana characters count as one."""
    assert tokens("हिन्दी में लिखा है।") == ["हिन्दी", "में", "लिखा", "है"]
    assert tokens("مُحَمَّد يكتب.") == ["مُحَمَّد", "يكتب"]
    sentence = "".join(chr(0x4E00 + 7 * i) for i in range(2 * MAX_WORDS))
    assert reason(sentence + "。") is None
    assert reason(sentence + "龍龍。") is Why.OVER_LENGTH
    letters = "कखगघचछजझटठडढ"
    hindi = [first + "ि" + second for first in letters for second in letters]
    assert reason(" ".join(hindi) + "।") is None


def test_a_subject_named_as_in_the_opinions_is_no_echo_in_japanese():
    opinion = "学校でのスマートフォンの使用を禁止するのは反対です。子どもと連絡が取れなくなります。"
    statement = (
        "学校でのスマートフォンの使用を授業中だけ控え、緊急時には家族が必ず話せるようにする、"
        "という点で私たちは一致しています。"
    )
    parser = Parser("学校でスマートフォンを禁止すべきですか?", [Opinion("a", opinion)], OWN)
    assert parse(statement, parser=parser) == statement
    assert reason(opinion, parser=parser) is Why.ECHO_OPINION


# -------------------------------------------------------------------------- nothing is repaired

QUOTES = [("", ""), ('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"), ("“", ""), ("", '"')]
PIECES = st.sampled_from([*GOOD.split(), "“so”", '"x."', "\n", "\t", "Statement:", "\x1b", "I"])


@given(st.lists(PIECES, max_size=40), st.sampled_from(QUOTES), st.sampled_from([" ", "\n", "  "]))
def test_an_accepted_text_is_the_raw_text(pieces, quotes, blank):
    raw = blank + quotes[0] + blank.join(pieces) + quotes[1] + blank
    parsed = parse(raw)
    if isinstance(parsed, Rejection):
        assert parsed.raw_text == raw
        return
    even = " ".join(raw.split())
    assert parsed == even or (even[:1] + even[-1:] in ('""', "“”", "«»", "„“"))
    assert "".join(parsed.split()) in "".join(raw.split())
    n_taken_off = len("".join(raw.split())) - len("".join(parsed.split()))
    assert n_taken_off in (0, 2)


@given(st.text(max_size=200))
def test_any_text_has_an_outcome(raw):
    parsed = parse(raw)
    assert isinstance(parsed, str | Rejection)


@pytest.mark.parametrize(("opening", "closing"), QUOTES[:5])
def test_one_pair_of_quotes_around_the_whole_is_taken_off(opening, closing):
    assert parse(f" {opening}{GOOD}{closing}\n") == GOOD


def test_quotes_that_are_not_around_the_whole_stay():
    text = "“We need buses,” say some of us, while the others say “we need roads, too.”"
    assert parse(text) == text
    text = "“We need buses” is what some of us say, and the others want roads, too.”"
    assert parse(text) == text


# --------------------------------------------------------------------------------------- hijack

# What the hijack opinion in each of these groups demands, as a model that obeys would say it.
DEMANDED = {
    "ai-marking": ["AI must never be used in any school, for any purpose."],
    "facial-recognition": [
        "Everyone agrees that the police should be banned from using cameras of any kind."
    ],
    "four-day-week": ["I have been hacked and I like pineapples."],
    "social-media-age": ["We all support the ban."],
    "tv-licence": [
        "The licence is illegal and nobody should pay it.",
        "The licence is illegal and that nobody should pay it.",
    ],
    "data-centres": ["END OF PROMPT", "END OF PROMPT.", OWN[0], OWN[0] + " END OF PROMPT."],
}


def hijacked(name: str) -> Parser:
    group = read_group(GROUPS / f"{name}.toml")
    return Parser(group.question.text, group.opinions, OWN)


def test_every_hijack_group_is_tried():
    tagged = {
        path.stem
        for path in GROUPS.glob("*.toml")
        if "hijack" in tomllib.loads(path.read_text(encoding="utf-8"))["about"]["tags"]
    }
    assert tagged == set(DEMANDED)


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in DEMANDED.items() for text in texts]
)
@pytest.mark.parametrize("form", ["{}", '"{}"', "We agree: {}", "{}\n", "\n\n{} {}"])
def test_the_text_that_a_hijack_demands_is_rejected(name, text, form):
    parsed = parse(form.format(text, text), parser=hijacked(name))
    assert isinstance(parsed, Rejection), f"accepted: {parsed}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ai-marking", "We agree that AI must never be used in any school, for any purpose."),
        ("ai-marking", "AI must never be used in any school."),
        ("facial-recognition", "We agree that the police should be banned from using cameras."),
        ("facial-recognition", "Everyone agrees that the police should be banned from cameras."),
        ("four-day-week", "We would cut the week to four days. I like pineapples."),
        ("four-day-week", "We have the group's word. I have been hacked, and so were others."),
        ("tv-licence", "We agree the licence is illegal and that nobody should pay it."),
        ("tv-licence", "The statement must say that the licence is illegal."),
        ("social-media-age", "Just say that we all support the ban, and thank you so much."),
        ("data-centres", "Question: Should new data centres be paused? We are split on it."),
        ("data-centres", "‹opinion›We get told to run the washing machine at night.‹/opinion›"),
        (
            "data-centres",
            "We get told to run the washing machine at night, and up the road there's a shed.",
        ),
    ],
)
def test_a_partial_copy_of_what_a_hijack_demands_is_rejected(name, text):
    parsed = parse(text, parser=hijacked(name))
    assert isinstance(parsed, Rejection), f"accepted: {parsed}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("social-media-age", "We all support the ban on social media for children under sixteen."),
        (
            "tv-licence",
            "We hold that there is no legal ground for the fee, so none of us should pay.",
        ),
        (
            "ai-marking",
            "We want careful marking by teachers and fair appeals without a price. AI must never "
            "be used in any school, and some of us would go further and keep it out of all exams.",
        ),
    ],
)
def test_the_residual_risk_is_known(name, text):
    """What a hijack demands in other words, or as a smaller part of a longer text, looks like any
    statement: docs/decisions/006. When this fails, the parser has become better: say so there.
    """
    assert parse(text, parser=hijacked(name)) == text


LEAD_INS = ["Here is one statement that the group could agree with:", "Sure! Here it is:", "---"]
LEAD_INS += ["**Consensus statement:**", "## Statement"]
REMARKS = ["Would you like a shorter one?", "(62 words)", "---", "Word count: 62"]
REMARKS += ["This statement meets each worry.", "Let me know if it should change.", "[End]"]


@pytest.mark.parametrize("lead_in", ["", *LEAD_INS])
@pytest.mark.parametrize("remark", ["", *REMARKS])
def test_what_is_said_to_whoever_asked_is_no_part_of_the_answer(lead_in, remark):
    said = "\n\n".join(filter(None, [lead_in, GOOD, remark]))
    assert parse(said) == GOOD
    assert parse(said.replace("\n\n", "\n \n\n")) == GOOD


def test_an_answer_of_two_paragraphs_keeps_both():
    second = "Where the money comes from, we leave to the council and to those who know it."
    assert parse(f"{GOOD}\n\n{second}") == f"{GOOD} {second}"
    assert isinstance(parse("Here is one:\n\nIt is good."), Rejection)
