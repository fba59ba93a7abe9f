"""What can be named, whose it is, and what happens with packages that are not as they should be."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from commonweal import registry
from commonweal.errors import InputError, PluginError
from commonweal.models import check_language_model, load_language_model
from commonweal.policies import check_policy, load_policy, read_policy_name
from commonweal.registry import ENGINES, KINDS, POLICIES, REWARD_MODELS, WELFARE_RULES
from commonweal.rewards import check_reward_model, load_reward_model
from commonweal.rules import resolve_rule
from plugin_making import install

if TYPE_CHECKING:
    from pathlib import Path

CODE = '''
"""One of each kind."""
from commonweal.models.scripted import ScriptedModel
from commonweal.policies.prompted import PromptedPolicy
from commonweal.policies.templates import load_template
from commonweal.rewards import ScriptedRewardModel

STARTED = []


class Engine:
    @classmethod
    def from_spec(cls, spec):
        return ScriptedModel([f"We would like {spec} for everybody in this town."])

    @staticmethod
    def check_spec(spec):
        from commonweal.errors import InputError
        if spec == "nothing":
            raise InputError("there is no such model")


def policy(model):
    STARTED.append(model.title)
    return PromptedPolicy("mine", model.load(), load_template("zero_shot"))


def predictor():
    return ScriptedRewardModel([0.0])


def tuned(part="weak"):
    found = ScriptedRewardModel([0.0])
    found.part = part
    return found


def median(utilities):
    """The person in the middle to agree as much as possible.

    And more words.
    """
    import numpy
    return numpy.median(utilities, axis=0)


class Quantile:
    @staticmethod
    def from_spec(part):
        import numpy
        return lambda utilities: numpy.quantile(utilities, float(part), axis=0)


def wrong(utilities):
    return utilities


def half():
    return object()


def bursts(*_):
    raise RuntimeError("no\\nway")


NUMBER = 7
'''
POINTS = """
[commonweal.engines]
mine = plug_in:Engine

[commonweal.policies]
mine = plug_in:policy
sft_large = plug_in:policy

[commonweal.reward_models]
mine = plug_in:predictor
tuned = plug_in:tuned
half = plug_in:half
bursts = plug_in:bursts
number = plug_in:NUMBER
gone = not_there:thing
lost = plug_in:lost

[commonweal.welfare_rules]
median = plug_in:median
centile = plug_in:Quantile
wrong = plug_in:wrong
bursts = plug_in:bursts

[console_scripts]
plug = plug_in:policy
"""


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder that installed packages lie in."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("plug_in", "other", "leaves"):
        sys.modules.pop(name, None)


@pytest.fixture
def plug_in(site):
    install(site, "plug-in", CODE, POINTS)
    return site


# --------------------------------------------------------------------------------------- ours


def test_ours_are_there_and_can_be_imported():
    for kind in KINDS:
        for entry in registry.entries(kind).values():
            if entry.is_built_in:
                assert callable(entry.loaded) or kind is WELFARE_RULES, entry
                assert entry.package == "commonweal"


def test_ours_come_first_and_in_their_order():
    assert registry.names(POLICIES)[:3] == ("sft", "few_shot", "zero_shot")
    assert registry.names(WELFARE_RULES)[:3] == ("utilitarian", "bernoulli_nash", "rawlsian")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: load_language_model("embeded"), r"'embeded'; did you mean 'embedded'.*hf:PATH"),
        (lambda: load_language_model("openai"), r"needs something after the colon"),
        (lambda: load_reward_model("frist"), r"'frist'; did you mean 'first'.*folder with a"),
        (lambda: load_reward_model("first:x"), r"'first' takes nothing after the colon"),
        (lambda: load_policy("sft_rawlsain"), r"did you mean 'sft_rawlsian'"),
        (lambda: load_policy("few_shots"), r"did you mean 'few_shot'"),
        (lambda: resolve_rule("rawlsain"), r"did you mean 'rawlsian'.*or an alpha"),
        (lambda: resolve_rule("isoelastic"), r"needs an alpha"),
        (lambda: resolve_rule("isoelastic:much"), r"'much' is not a number"),
        (lambda: resolve_rule(3), r"welfare is 3; expected a name \(utilitarian,"),
    ],
)
def test_an_unknown_name_is_told_from_those_that_there_are(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.parametrize(
    ("name", "alpha"),
    [
        *(("nash", 1.0), ("bernoulli_nash", 1.0), ("isoelastic:1", 1.0)),
        *(("rawlsian", math.inf), ("egalitarian", math.inf), ("maximin", math.inf)),
        *(("utilitarian", 0.0), ("isoelastic:0.5", 0.5)),
    ],
)
def test_every_name_of_a_rule_is_one_rule(name, alpha):
    rule = resolve_rule(name)
    assert rule == resolve_rule(alpha=alpha)
    assert rule.alpha == alpha


def test_an_alpha_overrides_the_family_only():
    assert resolve_rule("rawlsian", 3).alpha == resolve_rule("isoelastic", 3).alpha == 3
    with pytest.raises(InputError, match=r"alpha is 3, and the welfare rule 'least' has none"):
        resolve_rule(least, 3)


def least(utilities):
    return utilities.min(axis=0)


# --------------------------------------------------------------------------------- installed


def test_one_of_each_kind_is_found_by_its_name(plug_in):
    assert load_language_model("mine:swings").model_id == "scripted"
    policy = load_policy("mine", load_language_model("mine:swings"))
    assert policy.name == "mine"
    assert load_reward_model("mine").name == "scripted"
    entry = registry.find(REWARD_MODELS, "mine")
    assert (entry.package, entry.version, entry.is_built_in) == ("plug-in", "1.2", False)
    values = resolve_rule("median").welfare(np.array([[1.5, 6.0], [2.0, 3.0], [7.0, 2.0]]))
    assert values.tolist() == [2.0, 3.0]


def test_a_part_after_the_colon_goes_to_what_takes_one(plug_in):
    assert load_reward_model("tuned").part == "weak"
    assert load_reward_model("tuned:strong:er").part == "strong:er"
    with pytest.raises(InputError, match=r"'mine' takes nothing after the colon, got 'mine:x'"):
        load_reward_model("mine:x")
    with pytest.raises(InputError, match=r"'mine' needs something after the colon.*mine:SPEC"):
        load_language_model("mine")
    rule = resolve_rule("centile:0.5")
    assert (rule.name, rule.welfare(np.array([[1.0], [2.0], [6.0]])).tolist()) == (
        "centile:0.5",
        [2.0],
    )


def test_checks_find_what_loading_would_and_load_nothing(plug_in):
    check_language_model("mine:swings")
    with pytest.raises(InputError, match="there is no such model"):
        check_language_model("mine:nothing")
    check_reward_model("tuned:x")
    with pytest.raises(InputError, match="takes nothing after the colon"):
        check_reward_model("mine:x")
    check_policy("mine_rawlsian")
    assert sys.modules["plug_in"].STARTED == []


def test_rules_and_writers_go_together_by_name(plug_in):
    named = read_policy_name("sft_median")
    assert (named.writer, named.rule.name, named.alpha) == ("sft", "median", None)
    assert read_policy_name(named.name) == named
    assert read_policy_name("mine_base").is_base
    # Installed "sft_large" is a writer of its own, not "sft" with a rule.
    assert read_policy_name("sft_large_nash").name == "sft_large_bernoulli_nash"
    with pytest.raises(InputError, match="did you mean 'mine_median'"):
        read_policy_name("mine_medain")


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (
            lambda: load_reward_model("half"),
            r"'half' of plug-in 1\.2 gave a object without",
        ),
        (lambda: load_reward_model("bursts"), r"'bursts' of plug-in 1\.2 failed: .*: no way$"),
        (lambda: load_reward_model("number"), r"is a int; expected a function or a class"),
        (
            lambda: load_reward_model("gone"),
            r"'gone' of plug-in .* imported.*not_there",
        ),
        (lambda: load_reward_model("lost"), r"AttributeError.*pip uninstall plug-in"),
        (lambda: resolve_rule("wrong").welfare(np.ones((3, 2))), r"'wrong' gave shape \(3, 2\)"),
        (lambda: resolve_rule("bursts").welfare(np.ones((3, 2))), r"'bursts' failed on"),
    ],
)
def test_a_package_that_is_not_as_it_should_be_is_named(plug_in, load, words):
    with pytest.raises(PluginError, match=words):
        load()


def test_a_rule_cannot_change_what_it_looks_at():
    def spoils(utilities):
        utilities += 1
        return utilities[0]

    with pytest.raises(PluginError, match=r"'spoils' failed.*read-only"):
        resolve_rule(spoils).welfare(np.ones((3, 2)))


def test_what_cannot_be_used_is_listed_with_the_reason_and_the_rest_can(plug_in):
    usable, unusable = registry.survey()
    names = {(entry.kind, entry.name) for entry in usable}
    assert {(REWARD_MODELS, "mine"), (ENGINES, "mine"), (POLICIES, "sft_large")} <= names
    assert {(kind, name) for kind in KINDS for name in registry.BUILT_IN[kind]} <= names
    assert {each.name: each.package for each in unusable} == dict.fromkeys(
        ("gone", "lost", "number"), "plug-in"
    )
    assert "ModuleNotFoundError" in str(next(each for each in unusable if each.name == "gone"))


@pytest.mark.parametrize("damage", ["import sys; sys.exit(3)", "raise SystemError", "def ("])
def test_a_package_that_fails_when_imported_takes_nothing_down(site, damage):
    install(site, "leaves", damage, "[commonweal.engines]\nleaves = leaves:Engine\n")
    usable, unusable = registry.survey()
    assert [str(each).startswith("language-model engine 'leaves'") for each in unusable] == [True]
    assert any(entry.name == "embedded" for entry in usable)
    check_language_model("embedded")
    with pytest.raises(PluginError, match=r"'leaves' of leaves 1.2 cannot be imported"):
        load_language_model("leaves")


def test_metadata_that_cannot_be_read_is_named(site):
    install(site, "other", "", "[commonweal.engines]\nno equals sign\n")
    (problem,) = registry.problems()
    assert str(problem).startswith("other 1.2: its entry points cannot be read")
    check_reward_model("first")


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ("[commonweal.reward_models]\nfirst = other:x", "the name is commonweal's own"),
        ("[commonweal.welfare_rules]\nnash = other:x", "the name is commonweal's own"),
        ("[commonweal.welfare_rules]\nbase = other:x", "which means something else"),
        ("[commonweal.welfare_rules]\nalpha_x = other:x", "which means something else"),
        ("[commonweal.policies]\nsft_nash = other:x", "reads as sft with the rule nash"),
        ("[commonweal.policies]\nMy Policy = other:x", "not a name"),
    ],
)
def test_no_package_takes_a_name_of_ours(site, points, reason):
    install(site, "other", "x = print", points + "\n")
    (problem,) = registry.problems()
    assert reason in problem.reason
    assert not any(e.package == "other" for kind in KINDS for e in registry.entries(kind).values())


def test_who_names_what_a_package_wanted_to_replace_is_warned(site):
    install(site, "other", "x = print", "[commonweal.reward_models]\nfirst = other:x\n")
    with pytest.warns(registry.PluginWarning, match=r"'first' of other 1.2.*commonweal's own"):
        assert registry.find(REWARD_MODELS, "first").package == "commonweal"


def test_a_name_that_two_packages_offer_is_nobodys(site):
    for package in ("other", "plug-in"):
        install(site, package, "def m(u): ...", f"[commonweal.welfare_rules]\nm1 = {package}:m\n")
    assert "m1" not in registry.names(WELFARE_RULES)
    with pytest.raises(PluginError, match=r"other 1.2 and plug-in 1.2 both|plug-in 1.2 and other"):
        resolve_rule("m1")


def test_of_a_package_that_is_there_twice_the_first_counts(site, tmp_path_factory, monkeypatch):
    install(site, "other", "def m(u): ...", "[commonweal.welfare_rules]\nm1 = other:m\n")
    newer = tmp_path_factory.mktemp("newer")
    install(newer, "other", "", "[commonweal.welfare_rules]\nm2 = other:m\n", version="2.0")
    monkeypatch.syspath_prepend(newer)
    entry = registry.find(WELFARE_RULES, "m2")
    assert entry.version == "2.0"
    assert "m1" not in registry.names(WELFARE_RULES)
