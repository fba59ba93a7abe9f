"""oTree exports: a table of an app's players, or of all apps with a column for each round."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commonweal.datasets.dataset import About, Dataset, Step
from commonweal.datasets.importers.ratings_columns import FIELDS
from commonweal.datasets.importers.ratings_columns import plain as as_field
from commonweal.datasets.importers.ratings_table import rounds_of
from commonweal.datasets.schema import scale_named
from commonweal.errors import InputError
from commonweal.frames import pl
from commonweal.reading.columns import plain, says_no
from commonweal.reading.tables import read_table

if TYPE_CHECKING:
    from commonweal.datasets.schema import People

_EXPECTED = (
    "an oTree export: an app's table (participant.code, player.FIELD, ...) or all apps' "
    "(participant.code, APP.ROUND.player.FIELD, ...)"
)
_MOST_BYTES = 1_000_000_000
_OF_ROUND = re.compile(r"(?P<app>.+?)\.(?P<round>\d+)\.(?P<name>(?:player|group|subsession)\..+)")
_MODELS = ("player", "group", "subsession", "participant", "session")
"""Of two fields with one name, the one that stands first here is meant."""
_PERSON, _SESSION, _GROUP = "participant.code", "session.code", "group.id_in_subsession"
_ROUND, _BOT = "subsession.round_number", "participant._is_bot"
_HEADER = (
    *(_PERSON, "participant.id_in_session", _BOT, "player.id_in_group"),
    *(f"player.{field}" for field in ("question", "position_statement", "split", "opinion")),
    *(f"player.{field}" for field in ("position", "statement", "policy", "author", "included")),
    *(f"player.{field}" for field in ("pass", "agreement", "quality")),
    *(_GROUP, _ROUND, _SESSION),
)


@dataclass(frozen=True, slots=True)
class _Player:
    """A participant in one oTree round of an app: row, round, and field to what stands there."""

    row: int
    round: str
    cells: dict[str, str]

    def says(self, fields: list[str]) -> str:
        """What stands in the first of these fields that has anything."""
        return next((self.cells[each] for each in fields if self.cells.get(each)), "")

    @property
    def person(self) -> tuple[str, str]:
        return self.cells[_SESSION], self.cells[_PERSON]


def import_otree(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    scale: str = "likert-7",
    people: People = "human",
    name: str | None = None,
    licence: str = "",
    attribution: str = "",
) -> Dataset:
    """An oTree export as rounds: a player in an oTree round is one rating.

    A person is a participant, and a group is a group of a session; where somebody changes groups on
    one question, a group of one oTree round. An opinion without a rating belongs to the rounds in
    which its writer rated on its question, or on the only one that they rated on. Where the app has
    no field ``pass``, a statement that a person rated in a later round again is rated a second
    time. All else is read by the names of the app's fields, as in a table of ratings.

    Args:
        path: the CSV or workbook that oTree's data page downloads.
        columns: field to the name that the app gives it: {"agreement": "rating"}.
        scale: what people rated on.
        people: whose ratings they are.
        name: the dataset's; the file's by default. As in ``import_ratings``, it stands before the
            groups' names where it is given.
        licence: under which the data may be used.
        attribution: what its licence asks to be said.

    Raises:
        InputError: it is no such export, a field is missing, or rows are wrong; the message lists
            all problems with their rows.

    Source: otree.export of oTree 6 (oTree-org/otree-core).
    """
    known = {plain(each) for each in (_PERSON, _SESSION, "participant.label", "session.label")}
    table = read_table(path, known, expected=_EXPECTED, max_bytes=_MOST_BYTES)
    header = list(table.header)
    if missing := [each for each in (_PERSON, _SESSION) if each not in header]:
        raise InputError(
            f"{path}: there is no column {', '.join(missing)}{table.read_as()}; expected "
            f"{_EXPECTED}"
        )
    parts = _parts(header)
    fields = list(dict.fromkeys(field for _, part in parts for field in part))
    if people == "simulated":  # bots are what there is
        fields = [field for field in fields if field != _BOT]
    names = _short(fields)
    holding = {
        wanted: _holding(columns, names, wanted)
        for wanted in ("question", "statement", "agreement", "quality", "opinion", "position")
    }
    rates = holding["agreement"] + holding["quality"]
    writes = holding["opinion"] + holding["position"]
    asked = holding["question"]
    raters: list[_Player] = []
    writers: list[_Player] = []
    n_without = n_unasked = 0
    for row in table.below:
        for number, part in parts:
            cells = {field: row.cells[place] for field, place in part.items()}
            player = _Player(row.number, number or cells.get(_ROUND, ""), cells)
            if player.says(rates) or (player.says(writes) and player.says(holding["statement"])):
                raters.append(player)
            elif player.says(writes):
                writers.append(player)
            elif len(parts) > 1:
                n_without += 1
            else:
                raters.append(player)
    bots = [not says_no(each.cells.get(_BOT, "")) for each in raters]
    if people != "simulated" and bots and all(bots):
        raise InputError(
            f"{path}: {_BOT} marks every row as rated by a bot, and bots are not people; expected "
            "people's ratings, or --simulated"
        )
    moved = _moved(raters, asked)
    rows: list[tuple[int, list[str]]] = []
    places: dict[tuple[str, str], dict[tuple[str, str], None]] = defaultdict(dict)
    for player in raters:
        question = player.says(asked)
        group = _group(player, apart=(player.cells[_SESSION], question) in moved)
        places[player.person][group, question] = None
        rows.append((player.row, [group, *(player.cells.get(field, "") for field in fields)]))
    for player in writers:
        question = player.says(asked)
        rated_in = [each for each in places[player.person] if question in ("", each[1])]
        if not question and len({each[1] for each in rated_in}) != 1:
            n_unasked += 1
            continue
        own = _group(player, apart=(player.cells[_SESSION], question) in moved), question
        for group, asked_of in rated_in or [own]:
            cells = player.cells | dict.fromkeys(asked, asked_of)
            rows.append((player.row, [group, *(cells.get(field, "") for field in fields)]))
    given = {"person": names[_PERSON], "group": "group"}
    given |= {field: names.get(asked_of, asked_of) for field, asked_of in (columns or {}).items()}
    by_round = _ROUND in names and "pass" not in {*given, *names.values()}
    if by_round:
        given["pass"] = names[_ROUND]
    counts = {"rows read": len(table.rows) - 1}
    if len(parts) > 1:
        counts |= {"apps and rounds": len(parts)}
        counts |= {"players in rounds without a rating or opinion": n_without}
    if n_unasked:
        counts |= {"opinions left out: no column says on which question": n_unasked}
    about = About(
        name=name or path.stem,
        people=people,
        scale=scale_named(scale),
        source=f"an oTree export, {path.name}",
        licence=licence,
        attribution=attribution,
    )
    cells_ = (["group", *(names[field] for field in fields)], rows, table.notes)
    step = Step(what="imported from oTree", counts=counts)
    dataset = rounds_of(path, cells_, about, step, columns=given, own_groups=name is not None)
    if not by_round:
        return dataset
    rank = pl.col("pass_index").rank("dense").over("round_id", "participant_id", "candidate_id")
    passes = (rank.cast(pl.Int64) - 1).alias("pass_index")
    return replace(dataset, ratings=dataset.ratings.with_columns(passes))


def otree_csv(dataset: Dataset) -> str:
    """The ratings as oTree writes an app's table: a row for each rating, each its own round.

    Who wrote an opinion and rated nothing has a row without a rating. What oTree's players do not
    have is left out: statements that nobody rated, predictions and critiques.

    Source: as ``import_otree``.
    """
    rounds = {row["round_id"]: row for row in dataset.rounds.to_dicts()}
    statements = {
        (row["round_id"], row["candidate_id"]): row for row in dataset.candidates.to_dicts()
    }
    opinions = {
        (row["round_id"], row["participant_id"]): row for row in dataset.opinions.to_dicts()
    }
    wrote = {(row["round_id"], row["opinion_id"]): who for (_, who), row in opinions.items()}
    positions = {
        (row["round_id"], row["participant_id"]): row["agreement"]
        for row in dataset.position_ratings.to_dicts()
    }
    ratings = dataset.ratings.sort("pass_index", maintain_order=True).to_dicts()
    rated = {(row["round_id"], row["participant_id"]) for row in ratings}
    ratings += [row for where, row in opinions.items() if where not in rated]
    groups = {each: n for n, each in enumerate(dataset.rounds["group_id"].unique().sort(), 1)}
    several = _in_several_groups(dataset)
    people: dict[str, int] = {}
    members: dict[tuple[str, str], int] = {}
    n_in_group: Counter[str] = Counter()
    n_rated: Counter[str] = Counter()
    text = io.StringIO()
    writer = csv.DictWriter(text, _HEADER, lineterminator="\n")
    writer.writeheader()
    for rating in ratings:
        where, person = rating["round_id"], rating["participant_id"]
        asked = rounds[where]
        of_group = (asked["group_id"], person)
        if of_group not in members:
            n_in_group[asked["group_id"]] += 1
            members[of_group] = n_in_group[asked["group_id"]]
        n_rated[person] += 1
        statement = statements.get((where, rating.get("candidate_id")), {})
        included = (wrote[where, each] for each in statement.get("included_opinion_ids") or ())
        row: dict[str, Any] = {
            _PERSON: person,
            "participant.id_in_session": people.setdefault(person, len(people) + 1),
            _BOT: int(dataset.about.people == "simulated"),
            "player.id_in_group": members[of_group],
            **{f"player.{key}": asked[key] for key in ("question", "position_statement", "split")},
            "player.opinion": opinions.get((where, person), {}).get("text"),
            "player.position": positions.get((where, person)),
            "player.statement": statement.get("text"),
            "player.policy": statement.get("policy"),
            "player.author": statement.get("author_id"),
            "player.included": "; ".join(included),
            "player.pass": rating.get("pass_index"),
            "player.agreement": rating.get("agreement"),
            "player.quality": rating.get("quality"),
            _GROUP: groups[asked["group_id"]],
            _ROUND: n_rated[person],
            # Within a session, who changes groups on a question was shuffled between rounds.
            _SESSION: dataset.about.name
            + (f"-{groups[asked['group_id']]}" if asked["question"] in several else ""),
        }
        # oTree writes no line ends within a cell.
        writer.writerow({key: _flat(value) for key, value in row.items()})
    return text.getvalue()


def _in_several_groups(dataset: Dataset) -> set[str]:
    """The questions on which somebody is in several groups."""
    groups_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    rounds = {row["round_id"]: row for row in dataset.rounds.to_dicts()}
    for table in (dataset.ratings, dataset.opinions):
        for where, person in table.select("round_id", "participant_id").iter_rows():
            groups_of[rounds[where]["question"], person].add(rounds[where]["group_id"])
    return {question for (question, _), groups in groups_of.items() if len(groups) > 1}


def _flat(value: object) -> object:
    return " ".join(value.splitlines()) if isinstance(value, str) else value


def _moved(players: list[_Player], asked: list[str]) -> set[tuple[str, str]]:
    """Sessions and questions on which somebody was in several groups, in one round and another.

    A group's number then is another group in each round.
    """
    groups: dict[tuple[tuple[str, str], str], set[str]] = defaultdict(set)
    for player in players:
        groups[player.person, player.says(asked)].add(player.cells.get(_GROUP, ""))
    return {
        (person[0], question) for (person, question), numbers in groups.items() if len(numbers) > 1
    }


def _group(player: _Player, *, apart: bool) -> str:
    """The name of a player's group; where ``apart``, with the oTree round."""
    parts = (player.cells[_SESSION], player.cells.get(_GROUP, ""), player.round if apart else "")
    return "/".join(filter(None, parts))


def _parts(header: list[str]) -> list[tuple[str, dict[str, int]]]:
    """For each app and round its name, and field to the place of its column.

    Once, without a name, for an app's own table.
    """
    common: dict[str, int] = {}
    rounds: dict[tuple[str, int], dict[str, int]] = {}
    for place, column in enumerate(header):
        if match := _OF_ROUND.fullmatch(column):
            rounds.setdefault((match["app"], int(match["round"])), {})[match["name"]] = place
        else:
            common[column] = place
    named = [(f"{app}.{number}", common | part) for (app, number), part in rounds.items()]
    return named or [("", common)]


def _short(fields: list[str]) -> dict[str, str]:
    """Each field without its model, as the app calls it; whole where another has the name."""
    order = {model: n for n, model in enumerate(_MODELS)}
    taken: dict[str, str] = {"group": ""}
    for field in sorted(fields, key=lambda field: order.get(field.split(".")[0], len(order))):
        model, _, name = field.partition(".")
        if model in order and name and name not in taken:
            taken[name] = field
    short = {field: name for name, field in taken.items() if field}
    return {field: short.get(field, field) for field in fields}


def _holding(columns: Mapping[str, str] | None, names: Mapping[str, str], wanted: str) -> list[str]:
    """The app's fields that hold one of ours, by the name that was told or one that is known."""
    given = (columns or {}).get(wanted)
    known = {as_field(each) for each in ((given,) if given else (wanted, *FIELDS[wanted].also))}
    return [field for field, short in names.items() if {as_field(field), as_field(short)} & known]
