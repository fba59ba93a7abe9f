"""Topics and splits: partitions, whole topics, sizes, and twins that compute them naively."""

from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from question_making import WordEncoder, make_records

from commonweal.errors import InputError
from commonweal.questions.clusters import cluster, topic_names
from commonweal.questions.guard import HeldOutQuestionError, refuse_test_questions
from commonweal.questions.records import (
    IID_TEST,
    OOD_TEST,
    TRAIN,
    QuestionRecord,
    normal_form,
    write_questions,
)
from commonweal.questions.split import (
    SplitConfig,
    choose_stratified,
    choose_topics,
    find_leaks,
    split_questions,
)
from commonweal.questions.split_report import render_split_report
from commonweal.types import Question

SIZES = st.lists(st.integers(1, 12), min_size=2, max_size=9)
SUBJECTS = ("buses", "bees", "boats", "banks", "bells")


def blobs(rng, n_blobs, n_each, spread=0.05):
    centres = np.linalg.qr(rng.normal(size=(16, 16)))[0][:n_blobs]
    vectors = np.repeat(centres, n_each, axis=0) + spread * rng.normal(size=(n_blobs * n_each, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.repeat(np.arange(n_blobs), n_each)


@pytest.mark.parametrize("seed", range(3))
def test_known_blobs_are_found(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    vectors, truth = blobs(np.random.default_rng(seed), 6, 15)
    found = cluster(vectors, n_clusters=6, seed=seed)
    assert metrics.adjusted_rand_score(truth, found.labels) == 1
    assert found.sizes == (15,) * 6
    # Topics are numbered by size, then by their first question: here in the order of the blobs.
    assert (found.labels == truth).all()


def test_the_silhouette_is_that_of_a_naive_twin():
    vectors, _ = blobs(np.random.default_rng(1), 4, 8, spread=0.3)
    found = cluster(vectors, n_clusters=4, seed=0)
    distance = 1 - vectors.astype(float) @ vectors.T.astype(float)
    scores = []
    for i, own in enumerate(found.labels):
        here = [j for j in found.members(own) if j != i]
        if not here:
            scores.append(0.0)
            continue
        within = np.mean([distance[i, j] for j in here])
        apart = min(
            np.mean([distance[i, j] for j in found.members(other)])
            for other in range(4)
            if other != own
        )
        scores.append((apart - within) / max(apart, within))
    assert found.silhouette == pytest.approx(np.mean(scores), abs=1e-5)
    assert found.n_in_silhouette == 32


def test_larger_topics_come_first_and_the_seed_decides():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first, again = (cluster(vectors, n_clusters=7, seed=3) for _ in range(2))
    assert (first.labels == again.labels).all()
    assert list(first.sizes) == sorted(first.sizes, reverse=True)
    assert sum(first.sizes) == 60


def test_names_come_from_the_words_of_central_questions():
    questions = [f"Should we {v} more {n}?" for n in SUBJECTS for v in ("buy", "sell", "paint")]
    vectors = WordEncoder().encode([n for n in SUBJECTS for _ in range(3)])
    found = cluster(vectors, n_clusters=5, seed=0)
    names = topic_names(questions, vectors, found)
    assert [name.split(",")[0].split()[1] for name in names] == list(SUBJECTS)
    assert [name.split()[0] for name in names] == list("12345")


@given(sizes=SIZES, wanted=st.integers(1, 60), seed=st.integers(0, 50))
def test_no_other_topics_come_nearer_to_the_target(sizes, wanted, seed):
    taken = choose_topics(sizes, wanted, np.random.default_rng(seed))
    assert taken == choose_topics(sizes, wanted, np.random.default_rng(seed))
    got = sum(sizes[topic] for topic in taken)
    subsets = chain.from_iterable(combinations(range(len(sizes)), n) for n in range(1, len(sizes)))
    best = min((abs(sum(sizes[i] for i in s) - wanted), sum(sizes[i] for i in s)) for s in subsets)
    assert (abs(got - wanted), got) == best
    assert 0 < len(taken) < len(sizes)


def test_chance_decides_which_topics_are_held_out():
    sizes = [5] * 12
    taken = {choose_topics(sizes, 15, np.random.default_rng(seed)) for seed in range(20)}
    assert len(taken) > 10
    assert choose_topics(sizes, 0, np.random.default_rng(0)) == ()
    with pytest.raises(InputError, match="at least two"):
        choose_topics([5], 3, np.random.default_rng(0))


@given(sizes=SIZES, share=st.floats(0, 1), seed=st.integers(0, 50))
def test_the_test_set_is_spread_over_topics(sizes, share, seed):
    labels = np.repeat(np.arange(-1, len(sizes) - 1), sizes)
    rest = np.array(sizes[1:])
    wanted = int(share * (rest - 1).sum())
    taken = choose_stratified(labels, wanted, np.random.default_rng(seed))
    assert taken.sum() == wanted
    assert not taken[labels == -1].any()
    by_topic = np.array([taken[labels == topic].sum() for topic in range(len(rest))])
    assert (by_topic <= rest - 1).all()
    # Within one of its share, unless a topic had to keep its last question.
    if (np.ceil(rest * wanted / rest.sum()) <= rest - 1).all():
        assert (np.abs(by_topic - rest * wanted / rest.sum()) < 1).all()
    with pytest.raises(InputError, match="keep one each"):
        choose_stratified(labels, int((rest - 1).sum()) + 1, np.random.default_rng(seed))


def many_records(n):
    verbs = [f"verb{i}" for i in range(n)]
    return make_records(*(f"Should we {v} the {SUBJECTS[i % 5]}?" for i, v in enumerate(verbs)))


@settings(max_examples=15)
@given(
    n=st.integers(30, 60),
    k=st.integers(3, 7),
    n_ood=st.integers(0, 12),
    n_iid=st.integers(0, 8),
    seed=st.integers(0, 9),
)
def test_a_split_is_a_partition_into_whole_topics(n, k, n_ood, n_iid, seed):
    records = many_records(n)
    config = SplitConfig(k, n_ood, n_iid, seed)
    result, again = (
        split_questions(records, WordEncoder().encode, config=config) for _ in range(2)
    )
    assert result.records == again.records
    assert [(r.id, r.question) for r in result.records] == [(r.id, r.question) for r in records]
    assert sum(result.counts.values()) == n
    assert result.counts[IID_TEST] == n_iid
    held_out = {result.names[topic] for topic in result.held_out}
    for record in result.records:
        assert (record.split == OOD_TEST) == (record.topic in held_out)
    assert {r.topic for r in result.records if r.split == IID_TEST} <= {
        r.topic for r in result.records if r.split == TRAIN
    }
    assert result.counts[OOD_TEST] == sum(result.clusters.sizes[t] for t in result.held_out)


def test_the_default_sizes_are_the_papers_shares():
    result = split_questions(many_records(200), WordEncoder().encode, config=SplitConfig(20))
    assert result.n_ood_wanted == round(200 * 302 / 2922)
    assert result.counts[IID_TEST] == round(200 * 300 / 2922)


def test_leaks_are_those_of_brute_force():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(30, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[3] = vectors[20]
    splits = [TRAIN] * 15 + [IID_TEST] * 8 + [OOD_TEST] * 7
    records = [QuestionRecord(str(i), f"Is it {i}?", split=s) for i, s in enumerate(splits)]
    leaks = find_leaks(records, vectors)
    cosines = vectors @ vectors.T
    assert leaks[IID_TEST, TRAIN].n_near == (cosines[15:23, :15].max(axis=1) >= 0.92).sum()
    nearest = leaks[IID_TEST, TRAIN].nearest[0]
    assert (nearest.first.id, nearest.second.id) == ("20", "3")
    assert leaks[OOD_TEST, TRAIN].nearest[0].cosine == pytest.approx(cosines[23:, :15].max())


@pytest.mark.parametrize(
    ("records", "config", "said"),
    [
        (many_records(9), SplitConfig(10), "9 different questions and 10 clusters"),
        (make_records("Is it?") * 5, SplitConfig(2), "all 5 questions are the same"),
        (make_records("Is it?", "Was it?", "is it"), SplitConfig(2), "are the same"),
        (many_records(9), SplitConfig(1), "n_clusters is 1"),
        (many_records(9), SplitConfig(3, n_ood=9), "n_ood is 9"),
        (many_records(9), SplitConfig(3, n_iid=-1), "n_iid is -1"),
        (many_records(9), SplitConfig(3, n_ood=3, n_iid=8), "keep one each"),
    ],
)
def test_bad_input_is_refused(records, config, said):
    with pytest.raises(InputError) as caught:
        split_questions(records, WordEncoder().encode, config=config)
    assert said in str(caught.value)


def test_vectors_that_are_all_one():
    with pytest.raises(InputError, match="all 5 questions are the same"):
        cluster(np.ones((5, 4), dtype=np.float32) / 2, n_clusters=2)


@pytest.mark.heavy
def test_the_report_holds_all_of_it_escaped_and_loads_nothing():
    records = (*many_records(40), *make_records("Should <script> & friends be banned?"))
    result = split_questions(records, WordEncoder().encode, config=SplitConfig(5))
    page = render_split_report(result, seed=0, facts={"step": "split"})
    assert page == render_split_report(result, seed=0, facts={"step": "split"})
    assert "<script" not in page
    assert "&lt;script&gt; &amp; friends" in page
    assert page.count("<path transform") == 41
    for outside in ("http://", "https://", "src=", "url("):
        assert outside not in page.replace("http://www.w3.org/2000/svg", "")


def test_a_report_on_few_questions():
    result = split_questions(many_records(6), WordEncoder().encode, config=SplitConfig(3, 2, 1))
    assert "principal components" in render_split_report(result, seed=0, facts={})


# -------------------------------------------------------------------------------------- the guard


def test_training_on_a_test_question_is_refused(tmp_path):
    records = [
        QuestionRecord("a", "Should we tax hats?", split=TRAIN),
        QuestionRecord("b", "Should we tax ships?", split=IID_TEST),
        QuestionRecord("c", "Should we tax songs?", split=OOD_TEST),
        QuestionRecord("d", "Should we tax bees?"),
    ]
    path = tmp_path / "split.csv"
    write_questions(path, records)
    fine = [Question("Should we tax hats?", "a"), "Should we tax dogs?", records[3]]
    assert refuse_test_questions(fine, path) == 3
    assert refuse_test_questions([], records) == 0
    for bad in ("should we TAX ships", Question("Reworded", "c"), records[1]):
        with pytest.raises(HeldOutQuestionError, match="1 of 4 questions to train on") as caught:
            refuse_test_questions([*fine, bad], path)
        assert str(path) in str(caught.value)
    assert issubclass(HeldOutQuestionError, InputError)


def test_the_reward_recipe_asks_the_guard_before_its_first_step():
    recipe = Path(__file__).parents[2] / "recipes" / "first_reward" / "train.py"
    text = recipe.read_text(encoding="utf-8")
    call = "refuse_test_questions([debate.question for debate in debates], published_split(data))"
    assert text.index("def train(") < text.index(call) < text.index("for step in range(")


def test_the_guard_wants_a_split_file(tmp_path):
    path = tmp_path / "set.csv"
    write_questions(path, [QuestionRecord("a", "Should we?")])
    with pytest.raises(InputError, match="gives no question a split"):
        refuse_test_questions(["Should we?"], path)
    with pytest.raises(InputError, match="no file"):
        refuse_test_questions([], tmp_path / "none.csv")


def test_the_guard_takes_a_name_as_text_and_uses_nothing_up(tmp_path):
    path = tmp_path / "split.csv"
    records = [
        QuestionRecord("a", "Should we tax hats?", split=TRAIN),
        QuestionRecord("b", "Should we tax ships?", split=IID_TEST),
    ]
    write_questions(path, records)
    for split in (str(path), path, records, (record for record in records)):
        with pytest.raises(HeldOutQuestionError, match="1 of 1 questions"):
            refuse_test_questions((text for text in ["should we tax ships"]), split)
    with pytest.raises(InputError, match="are one text, 'Should we tax ships"):
        refuse_test_questions("Should we tax ships?", path)


# ------------------------------------------------------------------------------ on real questions


@pytest.mark.heavy
def test_topics_of_public_questions_agree_with_the_published_ones(
    public_questions, sentence_encoder
):
    metrics = pytest.importorskip("sklearn.metrics")
    some = [q for q in public_questions if q["topic"] % 7 == 0]
    vectors = sentence_encoder.encode([q["question"] for q in some])
    topics = [q["topic"] for q in some]
    found = cluster(vectors, n_clusters=len(set(topics)), seed=0)
    assert metrics.adjusted_rand_score(topics, found.labels) > 0.6
    assert len({normal_form(q["question"]) for q in some}) > 0.99 * len(some)
