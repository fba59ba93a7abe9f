"""Studies for tests: small ones, people who act on whatever page they are on, a scripted writer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sqlalchemy import create_engine, event, text

from commonweal.errors import EngineError
from commonweal.selection import Selection
from commonweal.study.config import ArmConfig, QuestionConfig, StudyConfig
from commonweal.study.domain import answers, people
from commonweal.study.domain.pages import current_page
from commonweal.study.storage.clock import ManualClock
from commonweal.study.storage.store import Store
from commonweal.study.storage.tables import ParticipantRow
from commonweal.study.writing.writer import ArmOutput, Task
from commonweal.types import Candidate, Question

OPINION = "Buses should cost less, because many people have no car and still have to get to work."

CRITIQUE = "Say who is to pay for it."


def small_study(**changes):
    """A study of groups of 4 (at least 3), two rounds, statements of two arms."""
    data = {
        "name": "buses",
        "title": "Local buses",
        "languages": ["en", "de"],
        "group": {"size": 4, "minimum": 3},
        "rounds": {"count": 2},
        "questions": [
            {"text": f"Should local buses be number {n}?", "position": f"Buses should be {n}."}
            for n in range(6)
        ],
        "arms": [
            {"name": "first", "candidates": 4, "shown": 2},
            {"name": "second", "candidates": 4, "welfare": "rawlsian"},
        ],
        "checks": [{"question": "How often?", "choices": ["Once", "Twice"], "answer": 2}],
    }
    return StudyConfig.model_validate(data | changes)


class ScriptedWriter:
    """Writes n numbered sentences, with predictions that favour the later ones; or fails.

    Attributes:
        tasks: what it was asked for.
        failures: messages to fail with, used up in order.
    """

    def __init__(self, failures=(), text="We agree on plan {n} of {arm}."):
        self.tasks: list[Task] = []
        self.failures = list(failures)
        self.text = text

    def write(self, task: Task, *, timeout_seconds: float) -> ArmOutput:
        self.tasks.append(task)
        if self.failures:
            raise EngineError(self.failures.pop(0))
        standing = () if task.revises is None else task.revises.standing
        n_new = 0 if task.revises and not task.revises.critiques else task.arm.candidates
        again = "" if task.revises is None else f" Revised after {len(task.revises.critiques)}."
        n = n_new + len(standing)
        expected = np.array(
            [[3.0 + 0.1 * i + 0.01 * j for i in range(n)] for j in range(len(task.opinions))]
        )
        names = tuple(each.id for each in task.opinions if each.id not in task.omit)
        made = Selection(
            question=Question(task.question),
            opinions=task.opinions,
            omitted=task.omit,
            n_standing=len(standing),
            candidates=standing
            + tuple(
                Candidate(
                    f"c{i:02d}",
                    self.text.format(n=i, arm=task.arm.name, seed=task.seed) + again,
                    names,
                    task.arm.policy,
                    "scripted",
                    "0" * 16,
                    task.seed + i,
                )
                for i in range(n_new)
            ),
            n_sampled=n,
            rewards=expected,
            utilities=expected,
            seed=(task.seed,),
            timings_seconds={},
            provenance={},
        )
        avoid = [each.text for each in standing]
        return ArmOutput(
            draws=(made.picked(task.arm.draw_rules(task.seed), avoid=avoid),),
            notes=(),
            provenance={"reward_model": "scripted", "seed": task.seed},
        )


def empty_database(server) -> str:
    """The URL of an empty database of the PostgreSQL with this socket folder."""
    address = f"postgresql+psycopg://study@/{{}}?host={server}"
    engine = create_engine(address.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS study WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE study"))
    engine.dispose()
    return address.format("study")


class Place:
    """A study in a database, with a clock of its own."""

    def __init__(self, url: str, config: StudyConfig | None = None, kind: str = "study") -> None:
        self.clock = ManualClock()
        self.store = Store(url, clock=self.clock)
        if url.startswith("sqlite"):
            # What survives a power cut is tested elsewhere; here thousands of moves are quick.
            event.listen(
                self.store.engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=OFF")
            )
            self.store.engine.dispose()
        self.config = config or small_study()
        self.study_id = self.store.open_study(self.config, kind=kind)

    def transaction(self):
        return self.store.transaction(self.study_id)

    def join(self, n: int = 1, upto: str = "lobby", **how) -> list[int]:
        """Ids of ``n`` new people, each gone as far as ``upto``."""
        ids = []
        for _ in range(n):
            with self.transaction() as tx:
                person = people.join(tx, **how)
                ids.append(person.id)
                if upto == "consent":
                    continue
                people.consent(tx, person, "the text")
                if upto == "instructions":
                    continue
                people.read_instructions(tx, person)
                people.answer_check(tx, person, [2])
        return ids

    def page(self, person_id: int):
        """The page of a person, shown to them now."""
        with self.transaction() as tx:
            person = tx.db.get(ParticipantRow, person_id)
            people.saw(tx, person)
            page = current_page(tx, person)
            if page.unseen is not None:
                answers.show(tx.db, page.unseen, tx.now)
                tx.db.refresh(page.unseen)
            return page

    def act(self, person_id: int, *, agreement: int = 6, quality: int = 5) -> str:
        """Does what the person's page asks for; says which page it was."""
        page = self.page(person_id)
        with self.transaction() as tx:
            person = tx.db.get(ParticipantRow, person_id)
            if page.kind == "consent":
                people.consent(tx, person, "the text")
            elif page.kind == "instructions":
                people.read_instructions(tx, person)
            elif page.kind == "check":
                people.answer_check(tx, person, [2])
            elif page.kind in ("position", "rate"):
                asked = page.presentation.id
                assert answers.rate(tx, person, asked, agreement, quality) is None
            elif page.kind == "opinion":
                assert answers.write_opinion(tx, person, page.round.id, OPINION) is None
            elif page.kind == "critique":
                # Every second person would change something.
                said = CRITIQUE if person.seat % 2 else ""
                assert answers.write_critique(tx, person, page.round.id, said) is None
            elif page.kind == "result":
                assert answers.leave_result(tx, person, page.round.id)
        return page.kind


__all__ = [
    "CRITIQUE",
    "OPINION",
    "ArmConfig",
    "Place",
    "QuestionConfig",
    "ScriptedWriter",
    "empty_database",
    "replace",
]
