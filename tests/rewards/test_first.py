"""The first reward model on its real weights: it uses the opinion, and bad input does not break it.

``encoder_folder`` is the pulled all-MiniLM-L6-v2 (tests/conftest.py).
"""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import commonweal.rewards
from commonweal.errors import WeightsError
from commonweal.rewards import load_reward_model, utility_profile
from commonweal.rewards.first import HEAD_PATH, FirstRewardModel, Head
from commonweal.types import RewardInput, RewardModel

NATURAL_PAIRS = Path(__file__).parents[2] / "recipes" / "first_reward" / "natural_pairs.toml"
QUESTION = "Should the town close its main street to cars?"
FOR = "Yes, please close it. I want my children to walk to school without breathing fumes."
AGAINST = "No, keep it open. My shop lives on customers who park outside the door."
STATEMENT_FOR = "The main street should be closed to cars."
STATEMENT_AGAINST = "The main street should not be closed to cars."
INPUTS = [
    RewardInput(QUESTION, opinion, statement)
    for opinion in (FOR, AGAINST, "I don't mind either way.")
    for statement in (STATEMENT_FOR, STATEMENT_AGAINST, "Let us try it for a year and see.")
]
# The same text in a batch of another shape is summed in another order: float32 rounding.
ROUNDING = 1e-4


@pytest.fixture(scope="module")
def model(encoder_folder) -> RewardModel:
    return load_reward_model("first", encoder_folder=encoder_folder)


def test_it_is_a_reward_model_with_a_name_and_a_hash(model):
    assert isinstance(model, RewardModel)
    assert model.name == "first"
    assert len(bytes.fromhex(model.weights_hash)) == 32


def test_opposite_opinions_rank_opposite_statements_differently(model):
    profile = utility_profile(model, QUESTION, [FOR, AGAINST], [STATEMENT_FOR, STATEMENT_AGAINST])
    assert profile[0, 0] > profile[0, 1]
    assert profile[1, 1] > profile[1, 0]
    assert ((profile > 1) & (profile < 7)).all()


def test_bare_yes_and_no_are_told_apart_by_their_question(model):
    yes, no = utility_profile(
        model, QUESTION, ["Yes, absolutely.", "No."], [STATEMENT_FOR, STATEMENT_AGAINST]
    )
    assert yes[0] - yes[1] > no[0] - no[1]


@pytest.mark.heavy
def test_natural_opinions_are_told_apart(model):
    pairs = tomllib.loads(NATURAL_PAIRS.read_text(encoding="utf-8"))["pair"]
    crossed = []
    for pair in pairs:
        rewards = model.rewards(
            [
                RewardInput(pair["question"], pair[opinion], pair[statement])
                for opinion in ("for", "against")
                for statement in ("statement_for", "statement_against")
            ]
        )
        crossed.append(rewards[0] - rewards[1] - rewards[2] + rewards[3] > 0)
    # 17 of 24 were right when it was made (first_card.md); other processors round differently.
    assert np.mean(crossed) >= 0.6


def test_the_batch_does_not_matter(model):
    together = model.rewards(INPUTS)
    alone = np.concatenate([model.rewards([one]) for one in INPUTS])
    backwards = model.rewards(INPUTS[::-1])[::-1]
    assert together == pytest.approx(alone, abs=ROUNDING)
    assert together == pytest.approx(backwards, abs=ROUNDING)


def test_the_same_batch_gets_the_same_rewards_also_from_a_second_load(model, encoder_folder):
    again = load_reward_model("first", encoder_folder=encoder_folder)
    assert (model.rewards(INPUTS) == model.rewards(INPUTS)).all()
    assert (model.rewards(INPUTS) == again.rewards(INPUTS)).all()
    assert model.weights_hash == again.weights_hash


def test_no_inputs_no_rewards(model):
    rewards = model.rewards([])
    assert rewards.shape == (0,)
    assert rewards.dtype == np.float64


@pytest.mark.heavy
@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "x" * 50_000,
        "Buses! " * 7_000,
        "🚌❤️👍🏽" * 50,
        "公共汽车应该免费。",
        "\x00\x07\x1b[31m\u202e",
        "\ud800",
        "<script>alert(1)</script>",
    ],
    ids=[
        "empty",
        "blank",
        "one long word",
        "50,000 characters",
        "emoji",
        "Chinese",
        "control",
        "lone surrogate",
        "HTML",
    ],
)
def test_any_text_gets_a_finite_reward(model, text):
    rewards = model.rewards(
        [RewardInput(QUESTION, text, STATEMENT_FOR), RewardInput(QUESTION, FOR, text)]
    )
    assert np.isfinite(rewards).all()


def test_progress_never_falls_and_ends_at_all(model):
    done: list[int] = []
    model.rewards(INPUTS, on_done=done.append)
    assert done == sorted(done)
    assert done[-1] == len(INPUTS)


# ------------------------------------------------------------------------------------ the files


def test_the_card_is_the_card_of_these_weights(model):
    card = HEAD_PATH.with_name("first_card.md").read_text(encoding="utf-8")
    assert model.weights_hash in card
    assert model.calibration.fitted_to in " ".join(card.split())


def test_the_head_survives_saving(tmp_path):
    head = Head.load()
    head.save(tmp_path / "again.npz")
    again = Head.load(tmp_path / "again.npz")
    assert (again.opinion_projection == head.opinion_projection).all()
    assert again.calibration == head.calibration
    assert again.metadata == head.metadata
    assert HEAD_PATH.stat().st_size < 4_000_000


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_head_is_refused(tmp_path, share):
    whole = HEAD_PATH.read_bytes()
    path = tmp_path / "first.npz"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match="not a readable reward head"):
        Head.load(path)


def test_a_changed_head_is_refused(tmp_path):
    whole = bytearray(HEAD_PATH.read_bytes())
    whole[len(whole) // 2] ^= 0xFF
    path = tmp_path / "first.npz"
    path.write_bytes(whole)
    with pytest.raises(WeightsError, match="not a readable reward head"):
        Head.load(path)


def test_a_head_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no reward head at"):
        Head.load(tmp_path / "first.npz")


def test_a_head_of_numbers_that_are_not_finite_is_refused(tmp_path):
    head = Head.load()
    path = tmp_path / "first.npz"
    replace(head, welcome=np.full_like(head.welcome, np.nan)).save(path)
    with pytest.raises(WeightsError, match="welcome holds numbers that are not finite"):
        Head.load(path)


def test_another_schema_is_refused(tmp_path):
    with np.load(HEAD_PATH) as file:
        arrays = {name: file[name] for name in file.files}
    path = tmp_path / "first.npz"
    np.savez(path, **{**arrays, "schema_version": np.array(99)})
    with pytest.raises(WeightsError, match="it has schema 99"):
        Head.load(path)


def test_another_encoder_is_refused(tmp_path, encoder_folder):
    folder = tmp_path / "encoder"
    shutil.copytree(encoder_folder, folder)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"tokenizer\.json has sha256 .* fitted to"):
        FirstRewardModel(folder)
    tokenizer.unlink()
    with pytest.raises(WeightsError, match=r"cannot read .*tokenizer\.json"):
        FirstRewardModel(folder)


def test_what_ships_is_small_and_scores_without_torch(encoder_folder):
    """At most 25 MB of reward models in the package, in a process that torch is kept out of."""
    shipped = [p for p in Path(commonweal.rewards.__file__).parent.rglob("*") if p.is_file()]
    assert sum(path.stat().st_size for path in shipped) <= 25e6
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from pathlib import Path\n"
        "from commonweal.rewards import load_reward_model\n"
        "from commonweal.types import RewardInput\n"
        "model = load_reward_model('first', encoder_folder=Path(sys.argv[1]))\n"
        "print(*model.rewards([RewardInput('Q?', 'Free buses.', 'Buses should be free.')]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(encoder_folder)], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert np.isfinite(float(ran.stdout))
